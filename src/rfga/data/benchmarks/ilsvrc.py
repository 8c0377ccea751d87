"""ILSVRC 2012 (ImageNet-1k): 1,000 classes with boxes."""

from __future__ import annotations

from rfga.data.benchmarks.layout import BenchmarkDataset

NUM_CLASSES = 1000


class IlsvrcDataset(BenchmarkDataset):
    """1,000 classes: 1,281,167 to train on, 10,000 of val (train-fullsup), 50,000 of test with boxes.

    Source: Russakovsky et al., IJCV 2015; val (ImageNetV2, Recht et al., 2019) and lists: Choe et al., CVPR
    2020. The benchmark's test is the validation set of 2012. Classes are named by WordNet: ``n01440764``.
    """

    name = "ilsvrc"
    set_name = "ILSVRC"

    def known_class_names(self, count: int) -> tuple[str, ...] | None:
        """The 1,000 WordNet ids in their order, which is that of the lists."""
        if count != NUM_CLASSES:
            return None
        from timm.data.imagenet_info import ImageNetInfo

        order = ImageNetInfo("imagenet-1k")
        return tuple(order.index_to_label_name(index) for index in range(count))
