"""A person corrects what was built, and the collection learns from it while the page is open."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rfga.engine.building.box_set import BOXES, BUILD_METHOD, BuildCommand, Built, build_boxes
from rfga.engine.building.train import learns_from_boxes
from rfga.engine.reviewing.command import review_boxes
from rfga.engine.reviewing.corrected import COCO
from rfga.engine.reviewing.sitting import ReviewCommand
from rfga.engine.run.config import TrainConfig
from rfga.engine.runtime.machine import Runtime
from rfga.untrusted import parse_json, read_text


def with_earlier_corrections(command: BuildCommand) -> BuildCommand:
    """A command that, where it names no truth, goes on from what was corrected in earlier sittings."""
    path = command.out / BOXES / COCO
    if command.truth is not None or command.overwrite or not path.is_file() or not _learns(command):
        return command
    learned = replace(command, truth=path)
    try:
        images = parse_json(read_text(path))["images"]
        return learned if any(image.get("reviewed") for image in images) else command
    except (ValueError, LookupError, TypeError, AttributeError):
        return learned  # whoever reads it as truth tells what is wrong with it


def correct_built(
    command: BuildCommand, built: Built, port: int, runtime: Runtime, announce: Callable[[str], None]
) -> Built:
    """Open the page of ``rfga review`` until it is ended; its button has the collection learn.

    What the network gives of each photograph is known by then, and libraries are loaded, so that new boxes
    are there within seconds. Other formats and the review sheet follow when the page has ended.

    Args:
        command: that was built.
        built: what came of it.
        port: of the page.
        runtime: device, and how much is kept of what the network gives.
        announce: told where the page is, and what was written.

    Returns:
        What came of the last build.

    Raises:
        UserError: see ``rfga.engine.reviewing.command.review_boxes``.
    """
    quick = replace(command.localize, formats=("coco",), review=0)
    taught: list[BuildCommand] = []

    def learn(truth: Path) -> str:
        began = time.monotonic()
        again = replace(command, truth=truth, localize=quick, overwrite=False)
        verdict = build_boxes(again, replace(runtime, quiet=True)).verdict
        taught.append(again)
        return f"all boxes found anew in {time.monotonic() - began:.1f} s: {verdict.sentence}"

    page = ReviewCommand(command.out / BOXES, formats=command.localize.formats, port=port)
    review_boxes(page, announce, learn if _learns(command) else None)
    if not taught:
        return built
    announce("writing the other formats and the review sheet")
    return build_boxes(replace(taught[-1], localize=command.localize), runtime)


def _learns(command: BuildCommand) -> bool:
    return learns_from_boxes(TrainConfig.from_dict({"method": BUILD_METHOD, **command.settings}))
