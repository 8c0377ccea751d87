"""What `rfga build --truth` takes after a correction, with and without what the network gave the first one.

    python benchmarks/rebuild.py DATA --weights FILE [--corrected 20]

Builds, takes the found boxes of some photographs, drawn by chance, for confirmed by a person, and builds
again from copies of the same folder: as it is, and without its features. Every build is a process of its own,
so that its start counts as well. Boxes of both are compared. Then the same photographs are confirmed on the
page of ``--correct``, and its button is timed, from the request to the answer.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

NONE_KEPT = ("--features-gb", "0")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--backbone", default="mobilenetv2_100")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--corrected", type=int, default=20)
    asked = parser.parse_args()
    command = ["build", str(asked.data), "--backbone", asked.backbone, "--weights", asked.weights]
    with TemporaryDirectory() as folder:
        first, kept, plain = (Path(folder) / name for name in ("first", "kept", "plain"))
        print("| | seconds | of the processor | of these by stage |\n|---|---|---|---|")
        told("build", first, *timed([*command, "--out", str(first)]))
        features = sum(path.stat().st_size for path in (first / "run/features").rglob("*.safetensors"))
        truth = confirmed(first, Path(folder) / "corrected.json", asked.corrected)
        for out in (kept, plain):
            shutil.copytree(first, out, symlinks=True)
        shutil.rmtree(plain / "run/features")
        again = [*command, "--truth", str(truth)]
        told("again", kept, *timed([*again, "--out", str(kept)]))
        told("again, without features", plain, *timed([*again, *NONE_KEPT, "--out", str(plain)]))
        told_of_page([*command, "--out", str(first), "--correct", "--port", "0"], asked.corrected)
        same, count = compared(kept, plain)
        print(f"{same} of {count} boxes of both are the same; {features / 1e9:.2f} GB of features")


def timed(arguments: Sequence[str]) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "rfga", *arguments, "--quiet"], check=True, stdout=subprocess.DEVNULL
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, processor


def told(name: str, out: Path, seconds: float, processor: float) -> None:
    stages = json.loads((out / "build.json").read_text())["seconds"]
    stages = {"start and end": seconds - sum(stages.values()), **stages}
    parts = ", ".join(f"{stage} {value:.1f}" for stage, value in stages.items())
    print(f"| {name} | {seconds:.1f} | {processor:.1f} | {parts} |", flush=True)


def confirmed(out: Path, path: Path, count: int) -> Path:
    """COCO in which the boxes of some photographs are said to be right."""
    coco: dict[str, Any] = json.loads((out / "boxes/coco.json").read_text())
    chosen = np.random.default_rng(0).permutation(len(coco["images"]))[:count]
    coco["images"] = [coco["images"][place] | {"reviewed": True} for place in chosen]
    ids = {image["id"] for image in coco["images"]}
    coco["annotations"] = [box for box in coco["annotations"] if box["image_id"] in ids]
    path.write_text(json.dumps(coco))
    return path


def told_of_page(arguments: Sequence[str], count: int) -> None:
    """Three times: some more photographs are confirmed, and the collection learns."""
    command = [sys.executable, "-u", "-m", "rfga", *arguments, "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as page:
        assert page.stdout is not None
        address = next(line.split()[4] for line in page.stdout if line.startswith("the page is at "))
        numbers = iter(np.random.default_rng(0).permutation(asked_of(address, "about")["photographs"]))
        seconds = []
        for _ in range(3):
            for _, number in zip(range(count), numbers, strict=False):
                asked_of(address, "change", number=int(number), mark="right")
            began = time.perf_counter()
            asked_of(address, "learn")
            seconds.append(time.perf_counter() - began)
        page.send_signal(signal.SIGINT)
        page.stdout.read()
    assert page.returncode == 0
    print(f"| on the page | {', '.join(f'{value:.1f}' for value in seconds)} | | |", flush=True)


def asked_of(address: str, question: str, **body: Any) -> Any:
    """What the page's server answers."""
    connection = HTTPConnection(address.removeprefix("http://"), timeout=600)
    connection.request("POST", f"/ask/{question}", json.dumps(body))
    answer: Any = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def compared(one: Path, other: Path) -> tuple[int, int]:
    """How many boxes are the same within a millionth of a pixel, of how many."""
    boxes = [
        [box["bbox"] for box in json.loads((out / "boxes/coco.json").read_text())["annotations"]]
        for out in (one, other)
    ]
    same = sum(np.allclose(a, b, rtol=0, atol=1e-6) for a, b in zip(*boxes, strict=True))
    return int(same), len(boxes[0])


if __name__ == "__main__":
    main()
