"""How clearly the two witnesses of ``rfga.backbones.probe`` speak for a file of weights.

    python benchmarks/probe_input.py NETWORK WEIGHTS PHOTOGRAPHS

Prints, for each scaling of the colours, the divergence from the recorded statistics, and for each padding
how sure the file's own classifier is, on 32 photographs of the class folders.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from rfga.backbones.probe import hear_witnesses
from rfga.backbones.weights import read_weights
from rfga.data import open_dataset
from rfga.data.transforms import SampleImages

PHOTOGRAPHS = 32


def main() -> None:
    """Print what both witnesses say."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("network")
    parser.add_argument("weights", type=Path)
    parser.add_argument("photographs", type=Path)
    asked = parser.parse_args()
    dataset = open_dataset(asked.photographs)
    samples = dataset.samples("train")
    images = SampleImages(dataset, samples[:: len(samples) // PHOTOGRAPHS][:PHOTOGRAPHS], 224, None)
    pixels = torch.stack([images[row][0] for row in range(len(images))])
    heard = hear_witnesses(asked.network, read_weights(asked.weights), pixels)
    if heard is None:
        print("this network keeps no statistics that could tell")
        return
    for scaling, divergence in heard.divergence.items():
        print(f"{scaling}: divergence {divergence:.4f}")
    for padding, sureness in heard.sureness.items():
        print(f"padding {padding or 'symmetric'}: sureness {sureness:.3f}")


if __name__ == "__main__":
    main()
