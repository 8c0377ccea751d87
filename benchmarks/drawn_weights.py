"""The weights of the demo's network, learned from drawings and from one label a picture: bird or no bird.

    python benchmarks/drawn_weights.py src/rfga/backbones/drawn.safetensors

Birds are drawn as the demo's are, of another seed, so that no picture is the demo's, and each scene is drawn
without its bird as well. Places of a scene without a bird are to say no; of those of a scene with one, some
are to say yes, whichever they are (multiple instance learning). So that any part of a bird must do, not the
head alone, random squares of a picture show the scene without the bird. At the end, batch normalisation gets
the statistics of scenes without a bird, so that features are large where something is not scene. Neither
boxes nor masks nor positions nor species are used.

The file holds timm's network without its classifier, in half precision.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from rfga.backbones.base import Backbone
from rfga.backbones.drawn import DrawnBirds
from rfga.data.synthetic.dataset import SyntheticDataset
from rfga.data.synthetic.individual import render
from rfga.engine.run.weights_file import write_weights
from rfga.types import ByteArray

SEED = 77  # of the drawings; the demo's is 0
BIRDS = 500  # drawn of each species
SIDE = 176  # pixels at which drawings are kept
SIZES = (112, 144, 176)  # pixels of a batch's side
SMALLEST_CROP = 0.62  # of the side
CELLS, HIDDEN = (3, 4, 5, 6), 0.7  # squares along a side, and the share of them without the bird
YES = 0.2  # of the places of a scene with a bird
NO_WEIGHT = 2.0  # of the scenes without
STAGES = ("stages.1", "stages.2")  # asked as the last features are
SCENES_OF_STATISTICS, SIDE_OF_STATISTICS = 480, 192  # pictures, and pixels of their sides
PAIRS, STEPS, STEPS_OF_WARMING, LEARNING_RATE, DECAY = 8, 500, 60, 3e-3, 0.02


class Answers(nn.Module):
    """Bird or none, of every place of the last features and of those of some stages."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        widths = (backbone.out_channels, *(backbone.channels[stage] for stage in STAGES))
        self.heads = nn.ModuleList(nn.Conv2d(width, 1, 1) for width in widths)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Logits (B, N) of the N places of each."""
        last, middle = self.backbone.forward_places(images, STAGES)
        features = (last, *middle)
        return [head(part).flatten(1) for head, part in zip(self.heads, features, strict=True)]


@dataclass(frozen=True)
class Crop:
    """A square of a drawing, mirrored or not."""

    side: int
    top: int
    left: int
    mirrored: bool

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Crop:
        """Anywhere, of any size that is allowed."""
        side = int(SIDE * rng.uniform(SMALLEST_CROP, 1))
        top, left = (int(place) for place in rng.integers(0, SIDE - side + 1, 2))
        return cls(side, top, left, bool(rng.random() < 0.5))

    def of(self, pictures: ByteArray, size: int) -> Tensor:
        """Of drawings (B, H, W, 3), as (B, 3, size, size)."""
        rows, columns = slice(self.top, self.top + self.side), slice(self.left, self.left + self.side)
        cut = torch.from_numpy(pictures[:, rows, columns]).permute(0, 3, 1, 2).float()
        cut = F.interpolate(cut, size=(size, size), mode="bilinear", antialias=size < self.side)
        return cut.flip(3) if self.mirrored else cut


def main() -> None:
    """Draw, learn, and write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--birds", type=int, default=BIRDS, help="pictures of each species")
    asked = parser.parse_args()
    torch.manual_seed(SEED)
    backbone = DrawnBirds()
    scenes = pairs(asked.birds)
    learn(backbone, scenes, asked.steps)
    normalise_by(backbone, scenes[:SCENES_OF_STATISTICS, 1])
    weights = backbone.network.state_dict()
    write_weights({name: half(value) for name, value in weights.items()}, asked.out)
    print(f"{asked.out}: {asked.out.stat().st_size / 1000:.0f} kB")


def pairs(birds: int) -> ByteArray:
    """Scenes (N, 2, H, W, 3), each with its bird and without."""
    drawn = SyntheticDataset(seed=SEED, train_per_class=birds)
    made = []
    for sample in drawn.samples("train"):
        individual = drawn.individual(sample)
        both = (render(individual, species)[0] for species in (drawn.classes[sample.label], None))
        made.append([_square(picture) for picture in both])
    return np.array(made)


def _square(picture: ByteArray) -> ByteArray:
    return np.asarray(Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def learn(backbone: Backbone, scenes: ByteArray, steps: int) -> None:
    """Train the network in place: AdamW, its rate rising for some steps and then falling as a cosine."""
    answers = Answers(backbone).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(answers.parameters(), LEARNING_RATE, weight_decay=DECAY)
    rng = np.random.default_rng(SEED)

    def rate(step: int) -> float:
        return min(1.0, (step + 1) / STEPS_OF_WARMING) * (1 + math.cos(math.pi * step / steps)) / 2

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    answers.train()
    for step in range(steps):
        images = backbone_input(backbone, batch(scenes, rng))
        losses = [wrong(logits) for logits in answers(images.to(memory_format=torch.channels_last))]
        optimizer.zero_grad()
        torch.autograd.backward(losses)
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == steps - 1:
            told = ", ".join(f"{loss.item():.3f}" for loss in losses)
            print(f"step {step + 1} of {steps}: {told}", flush=True)


def batch(scenes: ByteArray, rng: np.random.Generator) -> Tensor:
    """Squares (2 * PAIRS, 3, S, S): scenes with a bird, much of which is hidden, then the same without."""
    size, cells = int(rng.choice(SIZES)), int(rng.choice(CELLS))
    chosen = rng.choice(len(scenes), PAIRS, replace=False)
    cut = torch.stack([Crop.drawn(rng).of(scenes[scene], size) for scene in chosen])
    with_bird, without = cut[:, 0], cut[:, 1]
    hidden = torch.from_numpy(rng.random((PAIRS, 1, cells, cells)) < HIDDEN)
    hidden = F.interpolate(hidden.float(), size=(size, size), mode="nearest") > 0
    return torch.cat([torch.where(hidden, without, with_bird), without])


def backbone_input(backbone: Backbone, pixels: Tensor) -> Tensor:
    """Squares (B, 3, S, S) in [0, 255], scaled as the network has its input."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (backbone.mean, backbone.std))
    return (pixels / 255 - mean) / std


def wrong(logits: Tensor) -> Tensor:
    """Logistic loss of places (2 * PAIRS, N): the best ones of a scene with a bird, all of one without."""
    with_bird, without = logits[:PAIRS], logits[PAIRS:]
    best = with_bird.topk(max(1, int(YES * logits.shape[1])), dim=1).values
    return F.softplus(-best).mean() + NO_WEIGHT * F.softplus(without).mean()


@torch.no_grad()
def normalise_by(backbone: Backbone, pictures: ByteArray) -> None:
    """Give batch normalisation the statistics of pictures (N, H, W, 3), in place."""
    for part in backbone.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.reset_running_stats()
            part.momentum = None  # the mean over all batches
    whole = Crop(SIDE, 0, 0, mirrored=False)
    backbone.train()
    for start in range(0, len(pictures), 2 * PAIRS):
        images = whole.of(pictures[start : start + 2 * PAIRS], SIDE_OF_STATISTICS)
        backbone(backbone_input(backbone, images))


def half(values: Tensor) -> Tensor:
    """In half precision, counters as they are."""
    return (values.half() if values.is_floating_point() else values).contiguous()


if __name__ == "__main__":
    main()
