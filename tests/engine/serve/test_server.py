from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from rfga.cli import main
from rfga.engine.serve import server
from rfga.engine.serve.server import ServeCommand, reach_sentence, serve, serving
from rfga.types import UserError


def test_gradio_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r'pip install "rfga\[serve\]"'), serving(ServeCommand(tmp_path)):
        pass


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = ServeCommand(tmp_path, port=taken.getsockname()[1])
        with (
            pytest.raises(UserError, match=r"found \d+ of 127.0.0.1 taken: give another --port"),
            serving(command),
        ):
            pass


@pytest.mark.parametrize(
    ("host", "port"), [("no.such.host.invalid", 0), ("192.0.2.7", 0), ("a" * 70, 0), (".", 0)]
)
def test_an_address_of_another_machine(host: str, port: int, tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match="expected an address of this machine"),
        serving(ServeCommand(tmp_path, host=host, port=port)),
    ):
        pass


@pytest.mark.parametrize("port", [-1, 65536, 99999])
def test_a_port_that_there_is_none_of(port: int, tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match=f"expected a port from 0 to 65535, found --port {port}"),
        serving(ServeCommand(tmp_path, port=port)),
    ):
        pass


def test_a_run_that_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(tmp_path / "lost"), "--port", "0"]) == 1
    assert "expected a run folder" in capsys.readouterr().err
    assert main(["serve", str(tmp_path), "--max-pixels", "0"]) == 1
    assert "expected --max-pixels of at least 1" in capsys.readouterr().err


def test_who_can_reach_it_is_said() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.0.0.5"):
        assert reach_sentence(host) == "only this machine can reach it"
    for host in ("0.0.0.0", "::", "192.0.2.7"):
        assert reach_sentence(host).startswith(f"warning: with --host {host} whoever can reach this machine")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_quietly(
    number: signal.Signals, tiny_run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before, said = signal.getsignal(signal.SIGTERM), []

    def announced(sentence: str) -> None:
        said.append(sentence)
        if len(said) == 2:
            threading.Timer(0.2, os.kill, (os.getpid(), number)).start()

    serve(ServeCommand(tiny_run, port=0, device="cpu"), announced)
    assert said[0].startswith("the page is at http://127.0.0.1:")
    assert said[1:] == ["only this machine can reach it", "the page has ended"]
    assert capfd.readouterr().err == ""
    assert signal.getsignal(signal.SIGTERM) is before
