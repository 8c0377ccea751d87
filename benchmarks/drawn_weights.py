"""The weights of the demo's network, learned from drawings and from nothing but labels of whole pictures.

    python benchmarks/drawn_weights.py src/rfga/backbones/drawn.safetensors

Birds are drawn as the demo's are, of another seed, so that no picture is the demo's. The network is asked what the drawing
code knows of a picture as a whole: whether there is a bird, of which species, in which of the six scenes, in
what colours, and how it stands (tilt, plumpness, lengths and angles of tail and legs). Nothing says where the
bird is: neither boxes nor masks nor positions nor sizes are used, nor which way it faces.

The file holds timm's network without its classifier, in half precision.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from rfga.backbones.base import Backbone
from rfga.backbones.drawn import DRAWN_NETWORK
from rfga.backbones.timm_network import timm_backbone
from rfga.data.synthetic.dataset import SyntheticDataset
from rfga.data.synthetic.individual import Individual, render
from rfga.data.synthetic.scene import SCENES
from rfga.data.transforms import Augmentation, train_transform
from rfga.engine.run.weights_file import write_weights

SEED = 20_261_129  # of the drawings; the demo's is 0
BIRDS, EMPTY = 1500, 250  # pictures of each species, and scenes without a bird for each of them
SIZES = (112, 144, 176)  # pixels of a side; one for each batch
CROPS = Augmentation(crop="random-resized", min_scale=0.4)
BATCH, STEPS_OF_WARMING, LEARNING_RATE, DECAY = 16, 100, 3e-3, 0.02


@dataclass(frozen=True)
class Pictures:
    """Drawn pictures and what is told of each, N of them."""

    images: list[Image.Image]
    bird: Tensor  # (N,) bool
    species: Tensor  # (N,) class index, 0 where there is no bird
    scene: Tensor  # (N,) index of the scene
    looks: Tensor  # (N, L) colours and pose, each of mean 0 and deviation 1 over the birds


class Answers(nn.Module):
    """What the network says of a picture: linear in the mean and the maximum of its last features."""

    def __init__(self, backbone: Backbone, parts: dict[str, int]) -> None:
        super().__init__()
        self.backbone = backbone
        self.parts = parts
        self.head = nn.Linear(2 * backbone.out_channels, sum(parts.values()))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Logits (B, number of answers), or predicted values, for each question."""
        maps = self.backbone(images)
        pooled = torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1)
        return dict(zip(self.parts, self.head(pooled).split(list(self.parts.values()), 1), strict=True))


def main() -> None:
    """Draw, learn, and write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--birds", type=int, default=BIRDS, help="pictures of each species")
    asked = parser.parse_args()
    torch.manual_seed(SEED)
    pictures = draw(asked.birds, asked.birds * EMPTY // BIRDS)
    backbone = timm_backbone(DRAWN_NETWORK, output_stride=16)
    learn(backbone, pictures, asked.epochs)
    weights = backbone.network.state_dict()
    write_weights({name: half(value) for name, value in weights.items()}, asked.out)
    print(f"{asked.out}: {asked.out.stat().st_size / 1000:.0f} kB")


def draw(birds: int, empty: int) -> Pictures:
    """Pictures with a bird, and others of scenes without one."""
    drawn = SyntheticDataset(seed=SEED, train_per_class=birds, val_per_class=empty)
    samples = [*drawn.samples("train"), *drawn.samples("val")]
    count = len(drawn.samples("train"))
    individuals = [drawn.individual(sample) for sample in samples]
    images = [drawn.image(sample) for sample in samples[:count]]
    images += [Image.fromarray(render(individual, None)[0]) for individual in individuals[count:]]
    scenes = list(SCENES)
    looks = torch.tensor([looks_of(individual) for individual in individuals])
    return Pictures(
        images,
        bird=torch.arange(len(samples)) < count,
        species=torch.tensor([sample.label for sample in samples]),
        scene=torch.tensor([scenes.index(individual.scene) for individual in individuals]),
        looks=(looks - looks.mean(0)) / looks.std(0),
    )


def looks_of(individual: Individual) -> list[float]:
    """Colours and pose of a bird; neither where it is, nor how large, nor which way it faces."""
    plumage, pose = individual.plumage, individual.frame.pose
    colours = (plumage.back, plumage.wing, plumage.belly, plumage.breast, plumage.legs)
    shape = (pose.tilt, pose.nod, pose.plumpness, pose.tail_angle, pose.tail_length, pose.leg_length)
    return [*(value for colour in colours for value in colour), plumage.streaks, plumage.bars, *shape]


def learn(backbone: Backbone, pictures: Pictures, epochs: int) -> None:
    """Train the network in place: AdamW, its rate rising for some steps and then falling as a cosine."""
    parts = {"bird": 1, "species": 6, "scene": len(SCENES), "looks": pictures.looks.shape[1]}
    answers = Answers(backbone, parts).to(memory_format=torch.channels_last)
    steps = epochs * (len(pictures.images) // BATCH)
    optimizer = torch.optim.AdamW(answers.parameters(), LEARNING_RATE, weight_decay=DECAY)

    def rate(step: int) -> float:
        return min(1.0, (step + 1) / STEPS_OF_WARMING) * (1 + math.cos(math.pi * step / steps)) / 2

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    answers.train()
    for step, (images, chosen) in enumerate(batches(backbone, pictures, steps)):
        losses = losses_of(answers(images), pictures, chosen)
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == steps - 1:
            told = ", ".join(f"{name} {loss.item():.3f}" for name, loss in losses.items())
            print(f"step {step + 1} of {steps}: {told}", flush=True)


def batches(backbone: Backbone, pictures: Pictures, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Squares (B, 3, S, S), normalised, and the numbers (B,) of their pictures."""
    rng = np.random.default_rng(SEED)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (backbone.mean, backbone.std))
    order: list[int] = []
    for _ in range(steps):
        if len(order) < BATCH:
            order = rng.permutation(len(pictures.images)).tolist()
        chosen, order = order[:BATCH], order[BATCH:]
        size = int(rng.choice(SIZES))
        squares = torch.stack([train_transform(pictures.images[i], size, rng, CROPS) for i in chosen])
        images = (squares.float() / 255 - mean) / std
        yield images.to(memory_format=torch.channels_last), torch.tensor(chosen)


def losses_of(answers: dict[str, Tensor], pictures: Pictures, chosen: Tensor) -> dict[str, Tensor]:
    """One loss for each question; only of pictures with a bird is asked what bird it is."""
    bird = pictures.bird[chosen]
    return {
        "bird": F.binary_cross_entropy_with_logits(answers["bird"][:, 0], bird.float()),
        "species": F.cross_entropy(answers["species"][bird], pictures.species[chosen][bird]),
        "scene": F.cross_entropy(answers["scene"], pictures.scene[chosen]),
        "looks": 2 * F.smooth_l1_loss(answers["looks"][bird], pictures.looks[chosen][bird]),
    }


def half(values: Tensor) -> Tensor:
    """In half precision, counters as they are."""
    return values.half() if values.is_floating_point() else values


if __name__ == "__main__":
    main()
