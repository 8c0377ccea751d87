"""Nothing that a stranger named is written outside the output folder, or read outside its own."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rfga.data.truth.readers import open_truth
from rfga.engine.localizing.inputs import Photograph, find_photographs
from rfga.engine.localizing.localize import localize
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.localizing.options import LocalizeOptions
from rfga.engine.run.options import resolve
from rfga.output.export.formats import FORMATS
from rfga.output.export.yolo import place_photographs
from rfga.types import Prediction, UserError
from tests.data.prepare import made_up
from tests.engine import tiny
from tests.odd_photographs import picture
from tests.security.doors import answered, nothing_outside, refused, run
from tests.security.test_fuzz_truth import IDS, LISTS, write, write_photographs

OUTSIDE = ["../evil.jpg", "../../evil.jpg", "a/../../evil.jpg", "/tmp/evil.jpg", "..", "a/..", "a\0b.jpg"]
ON_WINDOWS = [
    "C:\\evil.jpg",
    "C:evil.jpg",
    "..\\evil.jpg",
    "\\\\host\\share\\evil.jpg",
    "a/.. /evil.jpg",
    "\\evil",
]


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """A folder below others, with something outside that is nobody's business."""
    (tmp_path / "secret").mkdir()
    picture(5).save(tmp_path / "secret" / "evil.jpg")
    (tmp_path / "secret" / "list.txt").write_text("images/cat/0.jpg")
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    return tmp_path / "a" / "b" / "c"


@contextmanager
def not_opened(forbidden: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail where any file of a folder is opened."""
    plain = io.open

    def watched(file: Any, *arguments: Any, **keywords: Any) -> Any:
        if isinstance(file, str | os.PathLike):
            assert forbidden not in Path(os.path.realpath(file)).parents, f"{file} was opened"
        return plain(file, *arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(io, "open", watched)
        patch.setattr("builtins.open", watched)
        yield


def birds_archive(path: Path, name: str, link: str = "", kind: bytes = tarfile.REGTYPE) -> Path:
    """CUB's archive with one member more, in the midst."""
    with tarfile.open(path, "w:gz") as tar:
        for member, content in (("CUB_200_2011/images.txt", b"1 001.A/B_1.jpg\n"), (name, b"evil")):
            info = tarfile.TarInfo(member)
            if member == name:
                info.type, info.linkname = kind, link
            info.size = 0 if info.type != tarfile.REGTYPE else len(content)
            tar.addfile(info, io.BytesIO(content) if info.size else None)
    return path


def prepare(name: str, archive: Path, out: Path) -> str:
    """What is said of an archive that is refused."""
    return refused("data", "prepare", name, "--archives", archive, "--out", out, "--quiet")


MEMBERS: dict[str, tuple[str, str, bytes]] = {
    "climbs": ("CUB_200_2011/images/../../../../evil.txt", "", tarfile.REGTYPE),
    "is absolute": ("/tmp/evil.txt", "", tarfile.REGTYPE),
    "has a drive": ("CUB_200_2011/images/C:/evil.txt", "", tarfile.REGTYPE),
    "climbs as on Windows": ("CUB_200_2011\\..\\..\\evil.txt", "", tarfile.REGTYPE),
    "is on a network": ("\\\\host\\share\\evil.txt", "", tarfile.REGTYPE),
    "is a link outside": ("CUB_200_2011/images/001.A", "../../../..", tarfile.SYMTYPE),
    "is a link to the root": ("CUB_200_2011/images/001.A", "/", tarfile.SYMTYPE),
    "is a hard link outside": ("CUB_200_2011/images/001.A", "../../evil", tarfile.LNKTYPE),
    "is a device": ("CUB_200_2011/images/001.A/B_1.jpg", "", tarfile.CHRTYPE),
    "is a pipe": ("CUB_200_2011/images/001.A/B_1.jpg", "", tarfile.FIFOTYPE),
}


@pytest.mark.parametrize("what", MEMBERS)
def test_an_archive_cannot_reach_outside(what: str, deep: Path) -> None:
    archive = birds_archive(deep / "CUB_200_2011.tgz", *MEMBERS[what])
    with nothing_outside(deep.parents[2], deep / "out"):
        said = prepare("cub", archive, deep / "out")
    assert said.startswith("expected paths inside CUB_200_2011.tgz, found ")
    assert not any(path.is_symlink() for path in deep.rglob("*"))


def test_an_archive_of_archives_and_a_zip_cannot_either(deep: Path) -> None:
    inner = made_up.tar_bytes({"../../../../evil.JPEG": b"evil"})
    (deep / "ILSVRC2012_img_train.tar").write_bytes(made_up.tar_bytes({"n01440764.tar": inner}))
    made_up.zip_file(deep / "CUB_200_2011.zip", {"CUB_200_2011/../../../evil.txt": b"evil"})
    for name, archive in (("ilsvrc", "ILSVRC2012_img_train.tar"), ("cub", "CUB_200_2011.zip")):
        with nothing_outside(deep.parents[2], deep / name):
            said = refused(
                "data", "prepare", name, "--archives", deep / archive, "--out", deep / name, "--quiet"
            )
        assert "that climbs out of its folder" in said


@pytest.mark.parametrize("name", ["../../../../secret/evil.jpg", "/tmp/evil.jpg", "C:/evil.jpg"])
def test_lists_in_an_archive_cannot_name_files_outside(name: str, deep: Path) -> None:
    lists = {
        table: f"1 {value}\n" for table, value in {"train_test_split": 1, "image_class_labels": 1}.items()
    }
    lists |= {"images": f"1 {name}\n", "bounding_boxes": "1 1 1 5 5\n", "classes": "1 A\n"}
    files = {f"CUB_200_2011/{table}.txt": text.encode() for table, text in lists.items()}
    (deep / "CUB_200_2011.tgz").write_bytes(gzip.compress(made_up.tar_bytes(files)))
    with nothing_outside(deep.parents[2], deep / "out"):
        said = refused(
            "data",
            "prepare",
            "cub",
            "--archives",
            deep / "CUB_200_2011.tgz",
            "--out",
            deep / "out",
            "--quiet",
        )
    assert said.startswith("expected paths inside CUB_200_2011*, found ")


@pytest.mark.parametrize("name", [*OUTSIDE, *ON_WINDOWS, "../../../../secret/evil.jpg"])
@pytest.mark.parametrize("kind", ["coco", "voc", "yolo", "labelstudio", "lists"])
def test_truth_cannot_name_photographs_outside(
    kind: str, name: str, deep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_photographs(deep / "val")
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9]}
    coco = {"categories": [{"id": 1, "name": "cat"}], "images": [{"id": 1, "file_name": name}]}
    task = {"data": {"image": name, "photograph": name}, "annotations": [{"result": []}]}
    xml = f"<annotation><folder/><filename>{name}</filename></annotation>".replace("\0", "")
    listed = f"{name},1,1,9,9\n".encode()
    files = {
        "coco": {"t.json": json.dumps({**coco, "annotations": [box]}).encode()},
        "voc": {"voc/x/y.xml": xml.encode()},
        "yolo": {
            "data.yaml": json.dumps({"names": ["cat"], "renamed": {"z.jpg": name}, "train": name}).encode(),
            "labels/z.txt": b"0 0.5 0.5 0.1 0.1",
        },
        "labelstudio": {"t.json": json.dumps([task]).encode()},
        "lists": {"lists/localization.txt": listed, "lists/image_sizes.txt": f"{name},20,20\n".encode()},
    }
    where = {"coco": "t.json", "labelstudio": "t.json", "voc": "voc", "yolo": ".", "lists": "lists"}[kind]
    write(deep / "truth", files[kind])
    with not_opened(deep.parents[2] / "secret", monkeypatch), pytest.raises(UserError, match="expected "):
        open_truth(deep / "truth" / where, deep / "val", IDS)


def test_lists_that_data_yaml_names_elsewhere_are_left_alone(
    deep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_photographs(deep / "val")
    listed = {"train": "../../../../secret/list.txt", "val": str(deep.parents[2] / "secret" / "list.txt")}
    described = json.dumps({"names": ["cat", "dog"], **listed}).encode()
    write(deep / "yolo", {"data.yaml": described, "labels/cat/0.txt": b"0 0.5 0.5 0.1 0.1"})
    with not_opened(deep.parents[2] / "secret", monkeypatch):
        truth = open_truth(deep / "yolo", deep / "val", IDS)
    assert truth.truth(IDS[0]) is not None


@pytest.mark.parametrize("name", ["../../../../secret/evil.jpg", "/etc/passwd", "a\0b.png", "x" * 5000])
def test_lists_cannot_name_masks_outside(name: str, deep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    masked = {"localization.txt": f"{IDS[0]},{name},".encode(), "image_ids.txt": IDS[0].encode()}
    write(deep / "SET" / "val", masked)
    write(deep / "maps", {})
    (deep / "maps" / "cat").mkdir(parents=True)
    np.save(deep / "maps" / f"{IDS[0]}.npy", np.ones((6, 9)))
    with not_opened(deep.parents[2] / "secret", monkeypatch):
        refused("score", deep / "maps", "--metadata", deep / "SET" / "val", "--masks", deep, "--quiet")


@pytest.mark.parametrize("name", ["../evil.jpg", "/etc/passwd", "a/../../evil.jpg", "a\\..\\..\\evil.jpg"])
def test_lists_cannot_name_photographs_outside(name: str, deep: Path) -> None:
    texts = {file: text.replace(IDS[0], name).encode() for file, text in LISTS.items()}
    write(deep / "metadata" / "val", texts)
    write_photographs(deep / "images")
    said = refused("data", "check", f"cub:{deep}", "--quiet")
    assert said.startswith("expected image ids as relative paths with forward slashes, found ")


FLAGS = ("--device", "cpu", "--quiet", "--format", "coco,csv,yolo,voc,labelstudio", "--masks", "--maps")


def test_photographs_that_a_list_takes_from_anywhere_are_written_inside(tiny_run: Path, deep: Path) -> None:
    write_photographs(deep / "in")
    names = ["../../../../secret/evil.jpg", "cat/0.jpg", str(deep / "in" / "dog" / "1.png")]
    (deep / "in" / "list.txt").write_text("\n".join(names))
    with nothing_outside(deep.parents[2], deep / "out"):
        ended = run("localize", tiny_run, deep / "in" / "list.txt", "--out", deep / "out", *FLAGS)
    assert ended.status == 0, ended
    written = {
        path.relative_to(deep / "out").as_posix() for path in (deep / "out" / "pictures").rglob("*.jpg")
    }
    assert written == {"pictures/evil.jpg.jpg", "pictures/cat/0.jpg.jpg", "pictures/1.png.jpg"}


@pytest.mark.parametrize("name", ["a/../../evil.jpg", "/tmp/evil.jpg"])
def test_an_id_that_leads_outside_is_written_nowhere(name: str, tiny_run: Path, deep: Path) -> None:
    write_photographs(deep / "in")
    given = [Photograph(name, deep / "in" / IDS[0], None), *find_photographs([deep / "in" / IDS[1]], [])]
    options = LocalizeOptions(masks=True, maps=True)
    with nothing_outside(deep.parents[2], deep / "out"):
        summary = localize(
            Localizer.load(tiny_run, device="cpu"), given, deep / "out", options, runtime=tiny.QUIET
        )
    assert list(summary.failed) == [name]
    assert "expected a name that stays in " in summary.failed[name]
    assert summary.done == 1


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("kind", FORMATS)
def test_no_format_writes_a_file_outside(kind: str, name: str, deep: Path) -> None:
    box = np.array([[1.0, 2.0, 9.0, 8.0]])
    found = Prediction(name, (28, 40), 0, 0.9, box, np.array([0.5]), None, 0.2)
    write_photographs(deep / "in")
    with nothing_outside(deep.parents[2], deep / "out"):
        # Where a name is a path it is refused or changed, and elsewhere it is text.
        answered(partial(resolve(FORMATS, kind, "format"), [found], ["cat"], deep / "out"))
        for how in ("copy", "link"):
            answered(partial(place_photographs, [(name, deep / "in" / IDS[0])], deep / "out", how))


def test_overwriting_removes_a_link_and_not_what_it_leads_to(tiny_run: Path, deep: Path) -> None:
    write_photographs(deep / "in")
    flags = ("--out", deep / "out", "--device", "cpu", "--quiet")
    assert run("localize", tiny_run, deep / "in", *flags).status == 0
    for name in ("pictures", "maps", "coco.json"):
        target = deep / "out" / name
        if target.exists():
            target.rename(deep / f"moved {name}")
        target.symlink_to(deep.parents[2] / "secret")
    with nothing_outside(deep.parents[2], deep / "out"):
        assert run("localize", tiny_run, deep / "in", *flags, "--overwrite", "--maps").status == 0
    assert not (deep / "out" / "pictures").is_symlink()


def test_a_link_in_a_data_set_that_leads_outside_shows_no_secret(tiny_run: Path, deep: Path) -> None:
    write_photographs(deep / "in")
    (deep / "in" / "cat" / "passwd.jpg").symlink_to("/etc/passwd")
    ended = run("localize", tiny_run, deep / "in", "--out", deep / "out", "--device", "cpu", "--quiet")
    assert "failed cat/passwd.jpg: expected an image" in ended.said
    assert "root:" not in "".join(path.read_text("utf-8") for path in (deep / "out").glob("*.json"))


def test_a_zip_of_links_cannot_reach_outside(deep: Path) -> None:
    with zipfile.ZipFile(deep / "CUB_200_2011.zip", "w") as archive:
        info = zipfile.ZipInfo("CUB_200_2011/images/001.A")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "../../../../secret")
        archive.writestr("CUB_200_2011/images/001.A/evil.jpg", "evil")
    with nothing_outside(deep.parents[2], deep / "out"):
        said = refused(
            "data",
            "prepare",
            "cub",
            "--archives",
            deep / "CUB_200_2011.zip",
            "--out",
            deep / "out",
            "--quiet",
        )
    assert "of a link that leads outside" in said
