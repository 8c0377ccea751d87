"""Accuracy of training settings on photographs with known boxes or masks, over several seeds.

    python benchmarks/accuracy.py DATA --truth FILE --weights FILE --out RUNS \
        --variants "--method cam" "--method rfga" --seeds 0 1 2

A variant is a part of the command line of ``rfga train``. Runs go one after the other; a killed grid goes on
where it stopped. Prints one Markdown row a variant: mean and standard deviation over the seeds.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

METRICS = ("MaxBoxAccV2", "MaxBoxAcc", "PxAP", "Top1Cls", "Top1Loc")


def main() -> None:
    """Train what is not there yet, then print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data")
    parser.add_argument("--truth", help="boxes or masks of val; a benchmark brings its own")
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs")
    parser.add_argument(
        "--common", default="", help="flags of every run, such as '--backbone mobilenetv2_100'"
    )
    parser.add_argument("--variants", nargs="+", default=["--method cam", "--method rfga"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--normalisations", nargs="+", default=[""], help="by default that of each run")
    asked = parser.parse_args()
    rows = []
    for variant in asked.variants:
        runs = [trained(asked, variant, seed) for seed in asked.seeds]
        for normalisation in asked.normalisations:
            found = [measured(asked, run, normalisation) for run in runs]
            rows.append((variant, normalisation, found, [minutes(run) for run in runs]))
    print_table(rows)


def trained(asked: argparse.Namespace, variant: str, seed: int) -> Path:
    """The run of a variant and seed, trained unless it is finished."""
    name = re.sub(r"[^A-Za-z0-9.]+", "-", f"{variant} seed {seed}").strip("-")
    run: Path = asked.out / name
    if not (run / "model.safetensors").is_file():
        started = time.perf_counter()
        flags = [*asked.common.split(), *variant.split(), "--seed", str(seed), "--resume"]
        rfga("train", asked.data, "--out", str(run), *flags)
        (run / "seconds.txt").write_text(f"{time.perf_counter() - started:.0f}")
    return run


def measured(asked: argparse.Namespace, run: Path, normalisation: str) -> dict[str, Any]:
    """The metrics of a run: the first, benchmark's own entry of each."""
    numbers = run / f"numbers-{normalisation or 'own'}.json"
    if not numbers.is_file():
        given = ("--truth", asked.truth) if asked.truth else ()
        how = ("--normalisation", normalisation) if normalisation else ()
        rfga("evaluate", str(run), asked.data, *given, *how, "--json", str(numbers), "--quiet")
    metrics = json.loads(numbers.read_text())["metrics"]
    return {name: metrics[name][0] for name in METRICS if name in metrics}


def minutes(run: Path) -> float:
    """How long training took."""
    return float((run / "seconds.txt").read_text()) / 60


def rfga(*arguments: str) -> None:
    """One command of the package, in a process of its own."""
    print("rfga", *arguments, file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "rfga", *arguments], check=True, stdout=sys.stderr)


def print_table(rows: list[tuple[str, str, list[dict[str, Any]], list[float]]]) -> None:
    """Markdown: mean and standard deviation over seeds, in percent."""
    names = [name for name in METRICS if any(name in found[0] for _, _, found, _ in rows)]
    print("| variant | normalisation | seeds |", " | ".join(names), "| minutes |")
    print("|---" * (len(names) + 4) + "|")
    for variant, normalisation, found, spent in rows:
        cells = []
        for name in names:
            values = [100 * one[name]["value"] for one in found if name in one]
            spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.1f}{spread}" if values else "-")
        took = statistics.median(spent)
        print(
            f"| `{variant}` | {normalisation or 'own'} | {len(found)} |", " | ".join(cells), f"| {took:.1f} |"
        )


if __name__ == "__main__":
    main()
