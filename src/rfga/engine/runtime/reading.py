"""What goes wrong beside the work, while photographs are read, in one sentence."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rfga.data.unreadable import UnreadableError
from rfga.types import UserError

_AGAIN = "start again, with --resume where there is one"
_IN_A_PROCESS = "Original Traceback (most recent call last)"  # what PyTorch says before an error of a process


@contextmanager
def reading_explained() -> Iterator[None]:
    """Tell in one sentence of a photograph that vanished in mid-run, and of a process of readers that died.

    PyTorch hands over an error of such a process with the whole way it took there, and reports a death at
    any moment.

    Raises:
        UserError: a photograph cannot be read, or a process that reads photographs failed or died.

    Example:
        >>> from pathlib import Path
        >>> from rfga.data.images import read_image
        >>> with reading_explained():
        ...     read_image(Path("lost.jpg"))
        Traceback (most recent call last):
        ...
        rfga.types.UserError: expected photographs that stay readable to the end, found no file lost.jpg:
        bring it back, then start again, with --resume where there is one
    """
    try:
        yield
    except UnreadableError as error:
        found = _last_sentence(error).partition("found ")[2].rpartition(": ")[0]
        raise UserError(
            f"expected photographs that stay readable to the end, found {found}: bring it back, then {_AGAIN}"
        ) from error
    except UserError as error:
        if _IN_A_PROCESS not in str(error):
            raise
        raise UserError(_last_sentence(error)) from error
    except (RuntimeError, ConnectionError, EOFError) as error:
        # A connection breaks if it dies while it hands over a batch; other reports are of errors within it.
        if isinstance(error, RuntimeError) and "DataLoader worker (pid" not in str(error):
            raise
        raise UserError(
            "expected the processes that read photographs to stay alive, found that one was ended from "
            "outside, as systems do when memory runs out: go on with --resume where there is one, and with "
            "--workers 0 if it happens again"
        ) from error


def _last_sentence(error: UserError) -> str:
    """The error's sentence, without the way it took through a process of its own."""
    text = str(error)
    if _IN_A_PROCESS not in text:
        return text
    kind = type(error)
    return text.rpartition(f"\n{kind.__module__}.{kind.__qualname__}: ")[2].strip()


def reads_quietly(_worker: int) -> None:
    """Start a process of a ``DataLoader``: the one that it reads for answers Ctrl-C, and alone speaks.

    Ctrl-C reaches every process of a terminal. Where it stops the first while it takes a batch over, the
    reader finds the connection broken, and the thread that hands batches over would print how it got there.

    Example:
        >>> from torch.utils.data import DataLoader
        >>> loader = DataLoader([1, 2], num_workers=1, worker_init_fn=reads_quietly)
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.excepthook = lambda *_: None  # only that thread asks for it; errors of reading travel with a batch
