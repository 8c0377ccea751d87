from __future__ import annotations

import io
import re

import pytest

from rfga.engine.runtime import progress
from rfga.engine.runtime.progress import Meter, announcer


class Terminal(io.StringIO):
    """What rich takes for a terminal."""

    def isatty(self) -> bool:
        return True


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_bar_on_a_terminal_shows_number_and_note(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with Meter("epoch 2/4", total=40, quiet=False) as meter:
        meter.advance(8)
        meter.advance(8, "loss 0.531")
    shown = plain(terminal.getvalue())
    assert "epoch 2/4" in shown
    assert "16/40" in shown
    assert "loss 0.531" in shown
    assert terminal.getvalue().rstrip("\n").endswith("\x1b[2K")  # the bar is wiped away at its end


def test_plain_lines_elsewhere(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    with Meter("localizing", total=40, quiet=False) as meter:
        meter.advance(32)
        meter.advance(8, "loss 0.5")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "localizing: 32 of 40\nlocalizing: 40 of 40, loss 0.5\n")


def test_what_is_short_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Meter("localizing", total=40, quiet=False) as meter:
        meter.advance(40)
    assert capsys.readouterr().err == ""


def test_quiet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    monkeypatch.setattr("sys.stderr", Terminal())
    with Meter("localizing", total=40, quiet=True) as meter:
        meter.advance(40)
    announcer(True)("nothing")
    announcer(False)("something")
    assert capsys.readouterr().out == "something\n"
