"""``rfga review``: a local page on which a person corrects boxes, and the files of corrected boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from rfga.engine.reviewing.corrections import Corrections
from rfga.engine.reviewing.found import Found, Place
from rfga.engine.reviewing.review import Review
from rfga.engine.run.options import resolve
from rfga.engine.serve.listening import address_of, listening, running, termination_as_interrupt
from rfga.files import claimed, replacing
from rfga.output.export.coco import write_coco_file
from rfga.output.export.formats import FORMATS, MASKS, PHOTOGRAPHS
from rfga.types import Prediction

HOST = "127.0.0.1"  # and no other: who can reach the page can change the boxes
COCO, FOLDER, WRONG = "corrected.json", "corrected", "wrong.txt"
"""What is written beside the boxes: COCO JSON, the other formats, and in it the names of the wrong ones."""
_SAID = {
    "open": "not looked at",
    "right": "right",
    "corrected": "corrected",
    "nothing": "with nothing there",
    "wrong": "wrong and left out",
}


@dataclass(frozen=True)
class ReviewCommand:
    """What ``rfga review`` was asked for.

    Args:
        boxes: folder that localize or build wrote, or its coco.json.
        data: folder of the photographs, where they no longer lie where they did.
        formats: of corrected boxes, names out of ``rfga.output.export.formats.FORMATS``.
        port: to listen at; 0 takes any that is free.
        export: write the corrected boxes and end, without a page.
    """

    boxes: Path
    data: Path | None = field(default=None, metadata={"metavar": "DIR"})
    formats: Sequence[str] = field(default=tuple(FORMATS), metadata={"flag": "format"})
    port: int = 7861
    export: bool = False


@dataclass(frozen=True)
class Reviewing:
    """A page that is open."""

    address: str
    review: Review
    wait: Callable[[], None]  # until the server has ended
    write: Callable[[], list[str]]  # the files of corrected boxes; gives their names


@contextmanager
def reviewing(command: ReviewCommand) -> Iterator[Reviewing]:
    """A page on which boxes are corrected, while the block lasts.

    Raises:
        UserError: the boxes or photographs are not there, another call works there, or the port is taken.
    """
    from rfga.engine.reviewing.app import build_app

    with ExitStack() as stack:
        review = stack.enter_context(opened(command))
        taken = stack.enter_context(listening(HOST, command.port))
        turn = Lock()

        def write() -> list[str]:
            with turn:
                return write_corrected(review, command.formats)

        wait = stack.enter_context(running(build_app(review, write, HOST), taken))
        yield Reviewing(address_of(HOST, taken), review, wait, write)


@contextmanager
def opened(command: ReviewCommand) -> Iterator[Review]:
    """The boxes with all that was said of them, kept from other calls while the block lasts."""
    for name in command.formats:
        resolve(FORMATS, name, "format")
    place = Place.found(command.boxes, command.data)
    with ExitStack() as stack:
        stack.enter_context(claimed(place.boxes, "rfga review"))
        found = Found(place)
        stack.callback(found.close)
        yield Review(found, stack.enter_context(Corrections(place.boxes)))


def review_boxes(command: ReviewCommand, announce: Callable[[str], None]) -> None:
    """Open the page until the keyboard or the system stops it, then write the corrected boxes.

    Args:
        command: what to review.
        announce: told where the page is, and what was written.

    Raises:
        UserError: see ``reviewing``.
    """
    if command.export:
        with opened(command) as review:
            _told(write_corrected(review, command.formats), review, announce)
        return
    with ExitStack() as stack:
        page = None
        try:
            stack.enter_context(termination_as_interrupt())
            page = stack.enter_context(reviewing(command))
            announce(f"the page is at {page.address} (Ctrl-C ends it)")
            announce("only this machine can reach it; every change is kept at once")
            page.wait()
        except KeyboardInterrupt:
            if page is not None and _is_stale(page.review):
                announce("writing the corrected boxes")
                _told(page.write(), page.review, announce)
            announce("the page has ended")


def write_corrected(review: Review, formats: Sequence[str]) -> list[str]:
    """Write the boxes as they are after all corrections; gives the names of the files.

    ``corrected.json`` is COCO; other formats and the list of wrong photographs lie in ``corrected/``.

    Raises:
        UserError: they cannot be written.
    """
    place, written = review.found.place, [COCO]
    folder = place.boxes / FOLDER
    write_coco_file(place.boxes / COCO, _corrected(review), review.classes, place.boxes / MASKS)
    for name in formats:
        if name == "coco":
            continue
        path = resolve(FORMATS, name, "format")(_corrected(review), review.classes, folder)
        written.append(path.relative_to(place.boxes).as_posix())
        if name in PHOTOGRAPHS:
            resolve(PHOTOGRAPHS, name, "format")(_photographs(review), folder, "link")
    wrong = [name for number, name in enumerate(review.found.names) if review.state(number) == "wrong"]
    with replacing(folder / WRONG) as temporary:
        text = "".join(f"{name}\n" for name in wrong)
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")
    return [*written, f"{FOLDER}/{WRONG}"]


def _is_stale(review: Review) -> bool:
    """Whether something was said since the corrected boxes were written."""
    written = review.found.place.boxes / COCO
    said = review.said.path.stat()
    return said.st_size > 0 and not (written.exists() and written.stat().st_mtime_ns > said.st_mtime_ns)


def _told(files: Sequence[str], review: Review, announce: Callable[[str], None]) -> None:
    states = review.progress()["states"]
    said = ", ".join(f"{count} {_SAID[state]}" for state, count in states.items() if count)
    announce(f"{len(review.found)} photographs: {said}")
    announce(f"written in {review.found.place.boxes}: {', '.join(files)}")


def _corrected(review: Review) -> Iterator[Prediction]:
    for number in range(len(review.found)):
        held = review.corrected(number)
        if held is not None:
            yield held


def _photographs(review: Review) -> Iterator[tuple[str, Path]]:
    for number, name in enumerate(review.found.names):
        path = review.photograph(number)
        if path is not None and review.state(number) != "wrong":
            yield name, path
