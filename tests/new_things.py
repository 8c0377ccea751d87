"""One small thing for each row of the table in CONTRIBUTING: the file that a contributor would write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rfga.backbones.base import Backbone
from rfga.backbones.wsol_resnet50 import WsolResnet50
from rfga.data.base import Dataset
from rfga.engine.learning.loggers import EpochLogger, LogPlace
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.localizing.refiners import Refiner
from rfga.engine.run.folder import RunFolder
from rfga.geometry.auto_threshold.values import THRESHOLDS, Pool
from rfga.geometry.refine import mask_of
from rfga.methods.base import ScoreMaps
from rfga.methods.cam import CAM
from rfga.methods.posthoc import PostHoc
from rfga.metrics.entries import Entries, entry, ratio
from rfga.metrics.streaming import Batch, StreamedMetric, Sums, Values
from rfga.types import ByteArray, FloatArray, Prediction, Sample, Truth, UserError


class CalmCam(CAM):
    """CAM whose loss is smaller.

    Args:
        backbone: gives the features.
        num_classes: K.
        calm: factor of the loss.
    """

    def __init__(self, backbone: Backbone, num_classes: int, *, calm: float = 0.5) -> None:
        super().__init__(backbone, num_classes)
        self.calm = calm

    def loss(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        return self.calm * super().loss(images, labels, generator)


class FeatureNorm(PostHoc):
    """The length of the features at each position, whatever the class."""

    tool = "EigenCAM"

    def localize(self, images: Tensor, labels: Tensor | None = None) -> ScoreMaps:
        found = super().localize(images, labels)
        with torch.no_grad():
            length = self.method.backbone(images).norm(dim=1, keepdim=True)
        return ScoreMaps(found.logits, length.expand_as(found.maps), found.labels)


class StripesDataset(Dataset):
    """Wide pictures with a bright stripe in one half: two classes, with a box or a mask each."""

    name = "stripes"
    classes = ("left", "right")
    needs_folder = False
    size_hw = (40, 60)

    def __init__(self, truth_kind: str = "boxes") -> None:
        self.truth_kind = truth_kind

    def samples(self, split: str) -> Sequence[Sample]:
        count = {"train": 8, "val": 4}.get(split, 0)
        return [Sample(f"{split}{i}.png", Path(split, f"{i}.png"), i % 2) for i in range(count)]

    def image(self, sample: Sample) -> Image.Image:
        return Image.fromarray(np.repeat(self._mask(sample)[:, :, None], 3, axis=2))

    def truth(self, sample: Sample) -> Truth:
        if self.truth_kind == "masks":
            return Truth(self.size_hw, mask=self._mask(sample))
        x0 = 5 + 30 * sample.label
        return Truth(self.size_hw, boxes=np.array([[x0, 0, x0 + 20, 40]], dtype=np.float64))

    def _mask(self, sample: Sample) -> ByteArray:
        picture = np.zeros(self.size_hw, np.uint8)
        x0 = 5 + 30 * sample.label
        picture[:, x0 : x0 + 20] = 255
        return picture


class TinyResnet(WsolResnet50):
    """The benchmark's ResNet50 with a sixteenth of its channels, unless another share is asked for."""

    def __init__(self, *, pretrained: bool = False, output_stride: int = 16, width: float = 1 / 16) -> None:
        super().__init__(pretrained=pretrained, output_stride=output_stride, width=width)


class MapMean(StreamedMetric):
    """The mean value of all score maps."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"seen": (), "total": ()}

    def values(self, batch: Batch) -> Values:
        return {"seen": np.ones(len(batch)), "total": batch.score_maps.mean((1, 2))}

    def entries(self, sums: Sums) -> Entries:
        return {"MapMean": [entry(ratio(sums["total"], sums["seen"]))]} if sums["seen"][0] else {}


def write_counts(
    predictions: Iterable[Prediction],
    classes: Sequence[str],
    out_folder: Path,
    file_names: Mapping[str, str] | None = None,
) -> Path:
    """Write ``counts.txt``: a line for each photograph with the number of its boxes."""
    path = out_folder / "counts.txt"
    lines = [f"{prediction.image_id} {len(prediction.boxes)}\n" for prediction in predictions]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def always_low(pool: Pool) -> FloatArray:
    """An estimator that thinks nothing of any threshold but 0.07."""
    return -np.abs(THRESHOLDS - 0.07)


def is_lines(path: Path) -> bool:
    """Whether this is a file of ``LinesTruth``."""
    return path.suffix == ".lines"


class LinesTruth:
    """Boxes of a text file, each a line of a photograph's name and its four edges."""

    def __init__(self, path: Path, split_folder: Path, image_ids: Sequence[str]) -> None:
        rows = [line.rsplit(maxsplit=4) for line in path.read_text(encoding="utf-8").splitlines()]
        self._boxes = {row[0]: [float(edge) for edge in row[1:]] for row in rows}
        self._split_folder = split_folder
        self.missing_images = tuple(name for name in self._boxes if name not in image_ids)
        self.images_without_truth = tuple(name for name in image_ids if name not in self._boxes)

    def truth(self, image_id: str) -> Truth | None:
        if image_id not in self._boxes:
            return None
        with Image.open(self._split_folder / image_id) as image:
            size_hw = (image.height, image.width)
        return Truth(size_hw, boxes=np.array([self._boxes[image_id]]))

    def warnings(self) -> list[str]:
        return []


def hollow_refiner(weights: Path | None, device: torch.device) -> Refiner:
    """Masks without their middle row."""
    if weights is not None:
        raise UserError("expected no weights, found some: leave them out")

    def refine(photograph: ByteArray, prediction: Prediction) -> ByteArray:
        assert prediction.score_map is not None
        mask = mask_of(prediction.score_map, prediction.threshold, prediction.size_hw).copy()
        mask[len(mask) // 2] = 0
        return mask

    return refine


def export_names(run: RunFolder, localizer: Localizer, path: Path) -> None:
    """Write the names of the classes alone."""
    path.write_text("\n".join(localizer.classes), encoding="utf-8")


class DiaryLog(EpochLogger):
    """A sentence for each epoch in ``logs/diary.txt``."""

    def __init__(self, place: LogPlace) -> None:
        self.path = place.folder / "diary.txt"

    def write(self, epoch: int, numbers: Mapping[str, float], picture: ByteArray) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as diary:
            diary.write(f"epoch {epoch} had a loss of {numbers['train/loss']:.3f}, picture {picture.shape}\n")
