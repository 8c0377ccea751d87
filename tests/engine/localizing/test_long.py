from __future__ import annotations

import copy
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from rfga.cli import main
from rfga.data.images import read_image
from rfga.engine.localizing import reading as localize_reading
from rfga.engine.localizing import stream as localize_stream
from rfga.engine.localizing.inputs import find_photographs
from rfga.engine.localizing.journal import Summary
from rfga.engine.localizing.localize import localize
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.localizing.options import LocalizeOptions
from rfga.engine.localizing.stream import networks_at_once
from rfga.engine.runtime.devices import threads
from rfga.engine.runtime.machine import Runtime
from rfga.output.export.formats import FORMATS
from rfga.types import UserError
from tests.conftest import REPOSITORY
from tests.engine import tiny
from tests.odd_photographs import BAD

EVERYTHING: dict[str, Any] = {"formats": tuple(FORMATS), "maps": True, "masks": True, "batch_size": 4}
FORKING = sys.platform == "linux"


@pytest.fixture(scope="module")
def localizer(tiny_run: Path) -> Localizer:
    return Localizer.load(tiny_run, device="cpu")


def done(
    localizer: Localizer, paths: list[Path], out: Path, policy: Any = None, runtime: Runtime = tiny.QUIET
) -> Summary:
    photographs = find_photographs(paths, localizer.classes)
    return localize(
        localizer, photographs, out, LocalizeOptions(**EVERYTHING), runtime=runtime, policy=policy
    )


def files(out: Path) -> dict[str, bytes]:
    """All but the summary, which tells what was done before."""
    held = tiny.snapshot(out)
    del held["summary.json"]
    return held


@pytest.fixture(scope="module")
def undisturbed(
    localizer: Localizer, birds: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, bytes], float]:
    """What an undisturbed run writes, and the seconds it took."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    begin = time.perf_counter()
    done(localizer, [birds / "val"], out)
    return files(out), time.perf_counter() - begin


def in_a_process_of_its_own(localizer: Localizer, photographs: Path, out: Path) -> None:
    torch.set_num_threads(1)  # threads of OpenMP do not survive a fork
    done(localizer, [photographs], out, tiny.RESUME)


@pytest.mark.skipif(not FORKING, reason="needs processes that start as copies")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_killed_twice_and_gone_on(
    localizer: Localizer, birds: Path, tmp_path: Path, undisturbed: tuple[dict[str, bytes], float]
) -> None:
    expected, seconds = undisturbed
    out = tmp_path / "out"
    for _ in range(2):
        process = multiprocessing.get_context("fork").Process(
            target=in_a_process_of_its_own, args=(localizer, birds / "val", out)
        )
        process.start()
        process.join(moment := random.uniform(0, seconds))
        process.kill()
        process.join()
        print(f"killed after {moment:.4f} of {seconds:.4f} s: {process.exitcode}")
    summary = done(localizer, [birds / "val"], out, tiny.RESUME)
    assert (summary.done + summary.skipped, summary.failed) == (12, {})
    assert files(out) == expected


@pytest.mark.slow
def test_command_killed_many_times_and_gone_on(tiny_run: Path, birds: Path, tmp_path: Path) -> None:
    def started(out: Path, *flags: str) -> subprocess.Popen[bytes]:
        options = ["--format", ",".join(FORMATS), "--masks", "--maps", "--batch-size", "4", *flags]
        command = [sys.executable, "-m", "rfga", "localize", str(tiny_run), str(birds), "--out", str(out)]
        return subprocess.Popen([*command, *options])

    assert started(tmp_path / "whole").wait() == 0
    out, moments, hits = tmp_path / "out", random.Random(), 0
    while hits < 6:
        process, before = started(out, "--resume", "--workers", str(moments.randrange(3))), journal_bytes(out)
        while journal_bytes(out) == before and process.poll() is None:
            time.sleep(0.001)
        time.sleep(moment := moments.uniform(0, 2))
        process.kill()
        hits += (code := process.wait()) != 0
        print(f"killed {moment:.3f} s after it went on with {before} bytes: {code}")
        if code == 0:  # it was faster
            shutil.rmtree(out)
    assert started(out, "--resume").wait() == 0
    assert files(out) == files(tmp_path / "whole")


def journal_bytes(out: Path) -> int:
    journal = out / ".journal.jsonl"
    return journal.stat().st_size if journal.exists() else 0


def test_what_a_kill_left_half_written_is_removed(localizer: Localizer, birds: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done(localizer, [birds / "val"], out)
    expected = files(out)
    for folder in (out, out / "pictures" / "rubybib", out / "maps" / "rubybib", out / "masks"):
        (folder / f".{'0a' * 16}.tmp").write_text("half")
    done(localizer, [birds / "val"], out, tiny.RESUME)
    assert files(out) == expected


def test_ctrl_c_leaves_a_folder_to_go_on_with(
    tiny_run: Path,
    birds: Path,
    tmp_path: Path,
    undisturbed: tuple[dict[str, bytes], float],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plain, calls = Localizer.score, iter(range(100))

    def interrupted(self: Localizer, *args: Any) -> Any:
        if next(calls) == 1:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
        return plain(self, *args)

    out = tmp_path / "out"
    command = ["localize", str(tiny_run), str(birds / "val"), "--out", str(out), "--workers", "0", "--masks"]
    command += ["--format", ",".join(FORMATS), "--maps", "--batch-size", "4", "--quiet"]
    monkeypatch.setattr(Localizer, "score", interrupted)
    assert main(command) == 1
    said = capsys.readouterr().err
    assert said == "rfga: error: stopped by the keyboard before the end: go on with --resume\n"
    assert not (out / "summary.json").exists()
    monkeypatch.undo()
    assert main([*command, "--resume"]) == 0
    assert files(out) == undisturbed[0]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs groups of processes")
def test_ctrl_c_reaches_the_processes_that_read_too(tiny_run: Path, birds: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "rfga", "localize", str(tiny_run), str(birds), "--out", str(out)]
    command += ["--workers", "2", "--batch-size", "1", "--quiet"]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE)
    while not (out / ".journal.jsonl").exists() or (out / ".journal.jsonl").read_bytes().count(b"\n") < 3:
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate()
    assert said == b"rfga: error: stopped by the keyboard before the end: go on with --resume\n"
    assert process.returncode == 1
    assert subprocess.run([*command, "--resume"], check=True).returncode == 0


@pytest.mark.skipif(not FORKING, reason="needs processes that start as copies")
def test_process_that_dies_is_explained_and_the_run_goes_on(
    localizer: Localizer,
    birds: Path,
    tmp_path: Path,
    undisturbed: tuple[dict[str, bytes], float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, out = read_image, tmp_path / "out"

    def dying(path: Path) -> Image.Image:
        if path.parent.name == "rubybib":
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(path)

    monkeypatch.setattr(localize_reading, "read_image", dying)
    reading = Runtime(device="cpu", workers=1, quiet=True)
    with pytest.raises(UserError, match=r"stay alive, found that one was ended .* go on with --resume"):
        done(localizer, [birds / "val"], out, runtime=reading)
    monkeypatch.undo()
    done(localizer, [birds / "val"], out, tiny.RESUME, runtime=reading)
    assert files(out) == undisturbed[0]


def test_networks_run_side_by_side(
    localizer: Localizer, birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, both = Localizer.score, threading.Barrier(2, timeout=600)
    counts = set()

    def together(self: Localizer, *args: Any) -> Any:
        both.wait()  # nobody passes alone
        counts.add(torch.get_num_threads())
        return plain(self, *args)

    monkeypatch.setattr(Localizer, "score", together)
    with threads(2):
        photographs = find_photographs([birds / "val"], localizer.classes)
        options = LocalizeOptions(pictures=False, batch_size=3)
        summary = localize(localizer, photographs, tmp_path / "out", options, runtime=tiny.QUIET)
        assert torch.get_num_threads() == 2
    assert (summary.done, counts) == (12, {1})


def test_photographs_are_read_while_others_are_in_the_network(
    localizer: Localizer, birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score, read = Localizer.score, localize_reading.read_batch
    second = threading.Event()
    batches: list[object] = []

    def reading(paths: Any, size: int) -> Any:
        batches.append(paths)
        if len(batches) == 2:
            second.set()
        return read(paths, size)

    def waiting(self: Localizer, *args: Any) -> Any:
        assert second.wait(timeout=600)
        return score(self, *args)

    monkeypatch.setattr(localize_stream, "read_batch", reading)
    monkeypatch.setattr(Localizer, "score", waiting)
    with threads(1):
        assert networks_at_once(localizer) == 1
        assert done(localizer, [birds / "val"], tmp_path / "out").done == 12


def test_what_is_waiting_is_bounded(
    localizer: Localizer, birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs = find_photographs([birds], localizer.classes)
    assert len(photographs) > 40
    written: list[int] = []
    stream = localize_stream.Stream(localizer, lambda prediction, path: written.append(1), 1, 1)
    todo = [localize_stream.Todo(photograph, None, False) for photograph in photographs]
    with threads(1):
        batches = stream.run(todo, tiny.QUIET)
        [first] = next(batches)
        assert (first.image_id, first.reason) == (photographs[0].image_id, "")
        assert first.prediction is not None
        assert first.prediction.score_map is None  # or the maps of a long run would pile up
        time.sleep(0.2)
        assert len(written) <= 4
        batches.close()
    assert len(written) <= 4


def test_post_hoc_maps_have_the_network_to_themselves(localizer: Localizer) -> None:
    post_hoc = copy.copy(localizer)
    post_hoc.maps = "gradcam"
    with threads(3):
        assert (networks_at_once(localizer), networks_at_once(post_hoc)) == (3, 1)
    with threads(64):
        assert networks_at_once(localizer) == localize_stream.MAX_NETWORKS


def test_every_input_is_accounted_for(localizer: Localizer, birds: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(birds / "val", tmp_path / "val"))
    for name, (write, _) in BAD.items():
        write(folder / name)
    (folder / "gone.jpg").symlink_to(tmp_path / "lost.jpg")
    (folder / "notes.txt").write_text("gone.jpg\n")  # in a folder it is no input
    (document := tmp_path / "notes.pdf").write_text("no picture")
    bad = {*BAD, "gone.jpg", "notes.pdf"}
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.jpg")
        bad.add("pipe.jpg")
    if hasattr(os, "geteuid") and os.geteuid() != 0:
        (folder / "secret.jpg").write_text("")
        (folder / "secret.jpg").chmod(0)
        bad.add("secret.jpg")
    good = find_photographs([birds / "val"], localizer.classes)
    vanishing = folder / good[5].image_id
    named = [folder, vanishing, folder / ".." / "val", document, document]
    photographs = find_photographs(named, localizer.classes)
    vanishing.unlink()
    options = LocalizeOptions(labels="predicted", batch_size=5)
    first = localize(localizer, photographs, tmp_path / "out", options, runtime=tiny.QUIET)
    assert first.inputs == len({photograph.image_id for photograph in photographs}) == 12 + len(bad)
    assert set(first.failed) == bad | {good[5].image_id}
    assert all(" image" in reason and reason.startswith("expected") for reason in first.failed.values())
    assert first.done + first.skipped + len(first.failed) == first.inputs
    second = localize(
        localizer, photographs, tmp_path / "out", options, runtime=tiny.QUIET, policy=tiny.RESUME
    )
    assert (second.done, second.skipped, second.failed) == (0, 11, first.failed)
    assert second.done + second.skipped + len(second.failed) == second.inputs


@pytest.mark.slow
def test_memory_stays_flat() -> None:
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "localize_memory.py"), "--count", "8000"]
    for workers in ("-1", "2"):
        subprocess.run([*command, "--workers", workers, "--within", "0.05"], check=True)
