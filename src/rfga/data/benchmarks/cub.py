"""CUB-200-2011: 200 species of birds with one box each, and the 1,000 photographs that tune on it."""

from __future__ import annotations

from rfga.data.benchmarks.layout import BenchmarkDataset


class CubDataset(BenchmarkDataset):
    """Birds of 200 species: 5,994 to train on, 1,000 of val (train-fullsup), 5,794 of test, a box each.

    Source: Wah et al., "The Caltech-UCSD Birds-200-2011 Dataset" (2011); val and lists: Choe et al., CVPR
    2020. Classes are named as their folders: ``001.Black_footed_Albatross``.
    """

    name = "cub"
    set_name = "CUB"
