"""Transformers as backbones of the closed form, measured on photographs with known boxes or masks.

    python benchmarks/transformers.py DATA --truth BOXES_OR_MASKS --out RUNS
    python benchmarks/transformers.py pets:FOLDER --out RUNS --methods foreground ridge

timm downloads the weights, so it needs a network connection once; each kind's licence, as timm states it, is
printed first. Runs go one after the other; a killed call goes on where it stopped. Prints one Markdown row a
network and method, by ``accuracy.py`` beside this file.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from rfga.backbones.timm_network import weights_licence

NETWORKS = (
    "vit_small_patch16_224.dino",
    "vit_small_patch14_dinov2",
    "vit_small_patch14_reg4_dinov2",
    "vit_small_patch16_dinov3",
    "vit_base_patch16_clip_224.openai",
    "deit_small_distilled_patch16_224",
    "swin_tiny_patch4_window7_224",
    "mobilenetv2_100",  # to compare with
)


def main() -> None:
    """Tell the licences, then train what is not there yet and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data")
    parser.add_argument("--truth", help="boxes or masks of val; a benchmark brings its own")
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--backbones", nargs="+", default=list(NETWORKS))
    parser.add_argument("--methods", nargs="+", default=["foreground"])
    parser.add_argument("--weights", default="imagenet", help="'none' tries the mechanics without a download")
    parser.add_argument("--common", default="", help="further flags of every run of rfga train")
    asked = parser.parse_args()
    for name in asked.backbones:
        whole, licence = weights_licence(name) or (name, "not known to timm")
        print(f"{whole}: licence {licence}", flush=True)
    variants = [
        f"--method {method} --backbone {name}" for name in asked.backbones for method in asked.methods
    ]
    common = f"--weights {asked.weights} {asked.common}"
    truth = ["--truth", asked.truth] if asked.truth else []
    measure = [sys.executable, str(Path(__file__).with_name("accuracy.py")), asked.data, *truth]
    flags = ["--out", str(asked.out), f"--common={common}", "--variants", *variants]
    subprocess.run([*measure, *flags], check=True)


if __name__ == "__main__":
    main()
