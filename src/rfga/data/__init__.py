"""Data sets: photographs, class labels and, where known, boxes or masks."""

DATASETS = {
    "folder": "rfga.data.folder:FolderDataset",
    "synthetic": "rfga.data.synthetic:SyntheticDataset",
}
"""Name of a data set -> "module:Class". A new data set is one file in this folder and one line here."""
