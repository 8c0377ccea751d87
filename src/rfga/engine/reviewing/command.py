"""``rfga review``: a local page on which a person corrects boxes, and the files of corrected boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from rfga.engine.reviewing.corrected import write_corrected
from rfga.engine.reviewing.review import Review
from rfga.engine.reviewing.sitting import Learn, ReviewCommand, Sitting, opened
from rfga.engine.serve.listening import address_of, listening, running, termination_as_interrupt

HOST = "127.0.0.1"  # and no other: who can reach the page can change the boxes
_SAID = {
    "open": "not looked at",
    "right": "right",
    "corrected": "corrected",
    "nothing": "with nothing there",
    "wrong": "wrong and left out",
}


@dataclass(frozen=True)
class Reviewing:
    """A page that is open."""

    address: str
    sitting: Sitting
    wait: Callable[[], None]  # until the server has ended


@contextmanager
def reviewing(command: ReviewCommand, learn: Learn | None = None) -> Iterator[Reviewing]:
    """A page on which boxes are corrected, while the block lasts.

    Raises:
        UserError: the boxes or photographs are not there, another call works there, or the port is taken.
    """
    from rfga.engine.reviewing.app import build_app

    with closing(Sitting(command, learn)) as sitting, ExitStack() as stack:
        taken = stack.enter_context(listening(HOST, command.port))
        wait = stack.enter_context(running(build_app(sitting, HOST), taken))
        yield Reviewing(address_of(HOST, taken), sitting, wait)


def review_boxes(command: ReviewCommand, announce: Callable[[str], None], learn: Learn | None = None) -> None:
    """Open the page until the keyboard or the system stops it, then write the corrected boxes.

    Args:
        command: what to review.
        announce: told where the page is, and what was written.
        learn: how the collection learns from what was said, if it can.

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
            page = stack.enter_context(reviewing(command, learn))
            announce(f"the page is at {page.address} (Ctrl-C ends it)")
            announce("only this machine can reach it; every change is kept at once")
            page.wait()
        except KeyboardInterrupt:
            if page is not None and page.sitting.has_news():
                announce("writing the corrected boxes")
                _told(page.sitting.write(), page.sitting.review, announce)
            announce("the page has ended")


def _told(files: Sequence[str], review: Review, announce: Callable[[str], None]) -> None:
    states = review.progress()["states"]
    said = ", ".join(f"{count} {_SAID[state]}" for state, count in states.items() if count)
    announce(f"{len(review.found)} photographs: {said}")
    announce(f"written in {review.found.place.boxes}: {', '.join(files)}")
