"""OpenImages30k: 100 classes with masks instead of boxes."""

from __future__ import annotations

from rfga.data.benchmarks.layout import BenchmarkDataset


class OpenImages30kDataset(BenchmarkDataset):
    """100 classes: 29,819 to train on, 2,500 of val (train-fullsup) and 5,000 of test with masks.

    The masks of an image are united; regions that nobody outlined are ignored where they are no object.
    Source: Benenson et al., CVPR 2019; choice and lists: Choe et al., CVPR 2020. Classes are named by
    OpenImages' own marks, as their folders: ``01226z``.
    """

    name = "openimages30k"
    set_name = "OpenImages"
