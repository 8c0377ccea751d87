from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rfga.cli import main
from rfga.data import open_dataset
from rfga.data.prepare import PREPARERS, cub
from rfga.data.prepare.download import Remote
from rfga.data.prepare.run import PARTS, WORK, Request, prepare
from rfga.types import UserError
from tests.data.prepare import made_up
from tests.data.prepare.kill_at import told_of_changes
from tests.data.prepare.made_up import BIRDS
from tests.data.prepare.server import Served, serving
from tests.thin import some

OTHER_BIRDS = tuple(bird._replace(name=bird.name.replace("_1", "_9")) for bird in BIRDS)


class PowerCutError(BaseException):
    """Nothing catches it."""


def cut_at(last: int) -> Callable[[int], None]:
    def before(number: int) -> None:
        if number == last:
            raise PowerCutError

    return before


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def archive_of(folder: Path, birds: tuple[made_up.Bird, ...] = BIRDS) -> Path:
    folder.mkdir(exist_ok=True)
    return made_up.cub_archive(folder / "CUB_200_2011.tgz", birds)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], int]:
    """What an undisturbed preparation makes, and how many changes it takes."""
    folder = tmp_path_factory.mktemp("clean")
    changes: list[int] = []
    with told_of_changes(changes.append):
        prepare(Request("cub", folder / "CUB", [archive_of(folder)]))
    return contents(folder / "CUB"), len(changes)


def looks_whole(out: Path) -> bool:
    """Whether anyone could take the folder for a prepared set."""
    try:
        open_dataset(out)
    except UserError:
        return False
    return True


def test_an_interruption_at_any_step_is_made_up_for(
    tmp_path: Path, clean: tuple[dict[str, bytes], int]
) -> None:
    whole, changes = clean
    archive = archive_of(tmp_path)
    assert changes > 20
    for step in range(1, changes + 1):
        out = tmp_path / str(step)
        with pytest.raises(PowerCutError), told_of_changes(cut_at(step)):
            prepare(Request("cub", out, [archive]))
        if (out / "dataset.json").exists():
            assert step == changes, "all that is left to do is to remove the work folder"
        else:
            assert not looks_whole(out)
        prepared = prepare(Request("cub", out, [archive]))
        assert prepared.counts == {"train": 2, "test": 2}
        assert contents(out) == whole


def test_an_interrupted_replacement_is_made_up_for(tmp_path: Path) -> None:
    """At each step the old set is whole, or none is, or the new one."""
    old, new = archive_of(tmp_path / "old"), archive_of(tmp_path / "new", OTHER_BIRDS)
    expected = {}
    for name, archive in (("old", old), ("new", new)):
        prepare(Request("cub", tmp_path / f"{name} alone", [archive]))
        expected[name] = contents(tmp_path / f"{name} alone")
    request = Request("cub", tmp_path / "out", [new], overwrite=True)
    seen = set()
    for step in range(1, 200):
        prepare(Request("cub", tmp_path / "out", [old], overwrite=True))
        try:
            with told_of_changes(cut_at(step)):
                prepare(request)
        except PowerCutError:
            marked = (
                json.loads((tmp_path / "out" / "dataset.json").read_text())
                if (tmp_path / "out" / "dataset.json").exists()
                else None
            )
            held = {
                name: content
                for name, content in contents(tmp_path / "out").items()
                if not name.startswith(WORK)
            }
            state = next((name for name, files in expected.items() if files == held), None)
            assert (marked is not None) == (state is not None)
            seen.add(state)
        else:
            break
        prepare(request)
        assert contents(tmp_path / "out") == expected["new"]
    assert seen == {"old", None, "new"}


@pytest.mark.parametrize("step", some([7, 2, 15, -4, -2]))
def test_a_killed_process_leaves_nothing_that_looks_whole(
    step: int, tmp_path: Path, clean: tuple[dict[str, bytes], int]
) -> None:
    whole, changes = clean
    archive = archive_of(tmp_path)
    command = ["data", "prepare", "cub", "--out", str(tmp_path / "CUB"), "--archives", str(archive)]
    number = step if step > 0 else changes + step
    killed = subprocess.run(
        [sys.executable, "-m", "tests.data.prepare.kill_at", str(number), *command],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        check=False,
    )
    assert killed.returncode != 0
    assert not killed.stdout
    assert not looks_whole(tmp_path / "CUB")
    assert not (tmp_path / "CUB" / "dataset.json").exists()
    assert main(command) == 0
    assert contents(tmp_path / "CUB") == whole, "half-written files are gone too"


def test_what_was_unpacked_is_not_written_again(tmp_path: Path) -> None:
    archive = archive_of(tmp_path)
    with pytest.raises(PowerCutError), told_of_changes(cut_at(12)):
        prepare(Request("cub", tmp_path / "CUB", [archive]))
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "CUB" / WORK).rglob("*.jpg")}
    assert done
    prepare(Request("cub", tmp_path / "CUB", [archive]))
    for path, time_ns in done.items():
        now = tmp_path / "CUB" / path.relative_to(tmp_path / "CUB" / WORK / "set")
        assert now.stat().st_mtime_ns == time_ns


def test_a_whole_set_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = archive_of(tmp_path)
    command = ["data", "prepare", "cub", "--out", str(tmp_path / "CUB"), "--archives", str(archive)]
    assert main(command) == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "CUB").rglob("*")}
    capsys.readouterr()
    assert main([*command, "--quiet"]) == 0
    assert capsys.readouterr().out.endswith("CUB (prepared before)\n")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "CUB").rglob("*")} == before
    moved = (tmp_path / "CUB").rename(tmp_path / "moved")
    assert prepare(Request("cub", moved, [archive_of(tmp_path / "elsewhere")])).was_there


def test_another_set_is_replaced_only_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive, other = archive_of(tmp_path / "a"), archive_of(tmp_path / "b", OTHER_BIRDS[:3])
    out = tmp_path / "CUB"
    prepare(Request("cub", out, [archive]))
    (out / "masks").mkdir()
    command = ["data", "prepare", "cub", "--out", str(out), "--archives", str(other)]
    assert main(command) == 1
    assert "found" in (said := capsys.readouterr().err)
    assert "with cub prepared from other archives or lists: add --overwrite" in said
    assert len(open_dataset(out).samples("test")) == 2
    assert main([*command, "--overwrite"]) == 0
    assert len(open_dataset(out).samples("test")) == 1
    assert sorted(path.name for path in out.iterdir()) == [
        "classes.txt",
        "dataset.json",
        "images",
        "metadata",
    ]


def test_a_folder_with_other_things_is_not_touched(tmp_path: Path) -> None:
    archive, out = archive_of(tmp_path / "a"), tmp_path / "out"
    (out / "images").mkdir(parents=True)
    (out / "images" / "mine.jpg").write_bytes(b"mine")
    for overwrite in (False, True):
        with pytest.raises(UserError, match="with 1 entries that are no prepared set"):
            prepare(Request("cub", out, [archive], overwrite=overwrite))
    assert contents(out) == {"images/mine.jpg": b"mine"}
    with pytest.raises(UserError, match="expected to write"):
        prepare(Request("cub", archive, [archive]))


def test_an_interrupted_preparation_of_something_else_is_begun_anew(
    tmp_path: Path, clean: tuple[dict[str, bytes], int]
) -> None:
    with pytest.raises(PowerCutError), told_of_changes(cut_at(12)):
        prepare(Request("cub", tmp_path / "CUB", [archive_of(tmp_path / "b", OTHER_BIRDS)]))
    prepare(Request("cub", tmp_path / "CUB", [archive_of(tmp_path / "a")]))
    assert contents(tmp_path / "CUB") == clean[0]


def test_nothing_of_a_damaged_archive_is_kept(tmp_path: Path, clean: tuple[dict[str, bytes], int]) -> None:
    good = archive_of(tmp_path).read_bytes()
    plain = bytearray(gzip.decompress(good))
    place = plain.index(b"\xff\xd8\xff")
    plain[place + 20] ^= 255  # inside the first photograph
    stored, damaged = gzip.compress(gzip.decompress(good), 0), gzip.compress(bytes(plain), 0)
    mixed = damaged[:-8] + stored[-8:]  # the checksum at the end tells it
    archive = tmp_path / "CUB_200_2011.tgz"
    archive.write_bytes(mixed)
    with pytest.raises(UserError, match="damaged or cut off"):
        prepare(Request("cub", tmp_path / "CUB", [archive]))
    assert not list((tmp_path / "CUB").iterdir()), "nothing is left that could be gone on with"
    archive.write_bytes(stored)  # of the same size and name
    prepare(Request("cub", tmp_path / "CUB", [archive]))
    made = contents(tmp_path / "CUB")
    assert {name for name in made if made[name] != clean[0][name]} == {"dataset.json"}


def test_a_download_outlives_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean: tuple[dict[str, bytes], int]
) -> None:
    content = archive_of(tmp_path).read_bytes()
    with serving(Served(content)) as served:
        monkeypatch.setattr(cub, "ARCHIVE", Remote(served.url, made_up.md5(content), "CUB_200_2011.tgz"))
        with pytest.raises(PowerCutError), told_of_changes(cut_at(12)):
            prepare(Request("cub", tmp_path / "CUB"))
        prepare(Request("cub", tmp_path / "CUB"))
    assert served.asked == [None]
    made = contents(tmp_path / "CUB")
    assert {name for name in made if made[name] != clean[0][name]} == {"dataset.json"}


def test_archives_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    unknown = tmp_path / "birds.tgz"
    unknown.write_bytes(b"")
    for given, said in (
        (unknown, r"expected archives called CUB_200_2011\*, CUBV2\*, found birds.tgz"),
        (tmp_path / "lost", "expected archives, found nothing at"),
    ):
        with pytest.raises(UserError, match=said):
            prepare(Request("cub", tmp_path / "out", [given]))
    with pytest.raises(UserError, match="expected a folder of lists, found none"):
        prepare(Request("cub", tmp_path / "out", [archive_of(tmp_path)], tmp_path / "lost"))
    assert not (tmp_path / "out").exists()


def test_every_recipe_is_there() -> None:
    from rfga.data import DATASETS
    from rfga.data.prepare.run import recipe_of

    assert PREPARERS.keys() <= DATASETS.keys()
    for name in PREPARERS:
        assert recipe_of(name).archives
    assert {"images", "masks", "metadata", "classes.txt"} < set(PARTS)


@pytest.mark.parametrize("arguments", [["--help"], ["prepare", "--help"]])
def test_help_needs_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom rfga.cli import main\n"
        f"try: main(['data', *{arguments!r}])\nexcept SystemExit as end: assert not end.code\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "prepare" in done.stdout


@pytest.mark.parametrize(
    "command",
    [
        ["data"],
        ["data", "fly"],
        ["data", "prepare"],
        ["data", "prepare", "cub"],
        ["data", "prepare", "dogs", "--out", "x"],
    ],
)
def test_wrong_usage_is_told(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == 2
    said = capsys.readouterr().err
    assert said.startswith("rfga: wrong usage: ")
    place = "rfga data prepare" if "prepare" in command else "rfga data"
    assert said.endswith(f"(see {place} --help)\n")
