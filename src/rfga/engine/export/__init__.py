"""A trained run in forms that other programs load: a file for onnxruntime or torch, a folder for a hub."""

EXPORTERS = {
    "onnx": "rfga.engine.export.to_onnx:export_onnx",
    "torch": "rfga.engine.export.to_program:export_program",
    "folder": "rfga.engine.export.to_folder:export_folder",
}
"""Name of a form -> "module:function", called as ``function(run folder, localizer, path to write)``."""
