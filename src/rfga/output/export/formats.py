"""Predicted boxes as files of other tools. A new format is one file beside this and one line in `FORMATS`.

A writer takes the predictions as a stream, keeps none of them, and writes below the folder it is given:
``write_x(predictions, classes, out_folder, file_names=None) -> path of what it wrote``.
"""

FORMATS = {
    "coco": "rfga.output.export.coco:write_coco",
    "csv": "rfga.output.export.boxes_csv:write_csv",
    "yolo": "rfga.output.export.yolo:write_yolo",
    "voc": "rfga.output.export.voc:write_voc",
    "labelstudio": "rfga.output.export.labelstudio:write_labelstudio",
}

PHOTOGRAPHS = {
    "yolo": "rfga.output.export.yolo:place_photographs",
}
"""Formats whose readers want the photographs beside the boxes -> what puts them there."""

MERGED = ("coco",)
"""Formats in which a photograph of several class folders is one image; elsewhere it is one in each folder."""

MASKS = "masks"
"""The folder of masks in an output folder: PNGs, named as the photographs with ``.png`` added."""
