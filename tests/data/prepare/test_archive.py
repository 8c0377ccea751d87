from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from rfga.data.prepare.archive import safe_name
from rfga.data.prepare.unpack import unpack
from rfga.data.prepare.watch import Watch
from rfga.types import UserError
from tests.data.prepare import made_up
from tests.data.prepare.made_up import member

ESCAPES = ["../evil.txt", "a/../../evil.txt", "a/..", "/evil.txt", "\\evil.txt", "a\\..\\..\\evil.txt"]
ESCAPES += [
    "C:/evil.txt",
    "c:evil.txt",
    "a/C:/evil.txt",
    "\\\\host\\share\\evil.txt",
    "a/.. /evil.txt",
    "//evil",
]


def everything(name: str) -> str:
    return name


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def refused(archive: Path, tmp_path: Path) -> str:
    """What is said of an archive of which nothing may come out of the folder."""
    before = {name for name in files_below(tmp_path) if not name.startswith("out/")}
    with pytest.raises(UserError) as error:
        unpack(archive, tmp_path / "out", everything, Watch())
    outside = {name for name in files_below(tmp_path) if not name.startswith("out/")}
    assert outside == before, "something was written outside"
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))
    return str(error.value)


@pytest.mark.parametrize("name", ESCAPES)
def test_a_path_that_leads_outside_is_refused_in_tar_and_zip(name: str, tmp_path: Path) -> None:
    tar = tmp_path / "x.tar"
    tar.write_bytes(made_up.tar_bytes({"good.txt": b"good", name: b"evil"}))
    assert "found " in refused(tar, tmp_path)
    # ``orig_filename`` keeps the name that the reader would tidy.
    archive = made_up.zip_file(tmp_path / "x.zip", {"good.txt": b"good", name: b"evil"})
    assert "get the archive from its official place" in refused(archive, tmp_path)


@pytest.mark.parametrize("name", ["a/b.jpg", "./a//b.jpg", "a/./b.jpg", "a\\b.jpg"])
def test_harmless_spellings_of_a_path_are_one(name: str) -> None:
    assert safe_name(name, "x.tar") == "a/b.jpg"
    assert safe_name("..a/b..jpg", "x.tar") == "..a/b..jpg"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
@pytest.mark.parametrize("target", ["/etc/passwd", "../../etc/passwd", "..", "C:/Windows", "\\\\host\\share"])
def test_a_link_that_leads_outside_is_refused(kind: bytes, target: str, tmp_path: Path) -> None:
    archive = made_up.odd_tar(tmp_path / "x.tar", [member("a", kind, target), member("a/evil.txt")])
    assert "of a link that leads outside" in refused(archive, tmp_path)


def test_a_link_counts_from_where_it_lies(tmp_path: Path) -> None:
    inside = [member("a/b/link", tarfile.SYMTYPE, "../../good.txt"), member("good.txt")]
    archive = made_up.odd_tar(tmp_path / "x.tar", inside)
    unpack(archive, tmp_path / "out", everything, Watch())
    assert files_below(tmp_path / "out") == {"good.txt": b""}, "links are not made, even harmless ones"
    hard = made_up.odd_tar(tmp_path / "y.tar", [member("a/b/link", tarfile.LNKTYPE, "../good.txt")])
    assert "of a link that leads outside" in refused(hard, tmp_path)


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_a_device_is_refused(kind: bytes, tmp_path: Path) -> None:
    archive = made_up.odd_tar(tmp_path / "x.tar", [member("device", kind)])
    assert "of a device" in refused(archive, tmp_path)


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [
        (stat.S_IFLNK, b"../../etc/passwd", "of a link that leads outside"),
        (stat.S_IFLNK, b"/etc/passwd", "of a link that leads outside"),
        (stat.S_IFIFO, b"", "of a device"),
    ],
)
def test_links_and_devices_of_a_zip_are_refused(kind: int, content: bytes, said: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = (kind | 0o777) << 16
        archive.writestr(info, content)
    assert said in refused(tmp_path / "x.zip", tmp_path)


def test_only_the_first_of_files_that_differ_by_case_is_taken(tmp_path: Path) -> None:
    content = made_up.tar_bytes({"a/B.txt": b"first", "A/b.TXT": b"second one", "c.txt": b"other"})
    (tmp_path / "x.tar").write_bytes(content)
    assert unpack(tmp_path / "x.tar", tmp_path / "out", everything, Watch()) == 2
    assert files_below(tmp_path / "out") == {"a/B.txt": b"first", "c.txt": b"other"}


def test_what_macos_adds_is_passed_over(tmp_path: Path) -> None:
    files = {"a/._b.jpg": b"x", "__MACOSX/a/b.jpg": b"x", "a/b.jpg": b"photograph"}
    archive = made_up.zip_file(tmp_path / "x.zip", files)
    unpack(archive, tmp_path / "out", everything, Watch())
    assert files_below(tmp_path / "out") == {"a/b.jpg": b"photograph"}


FILES = {f"{number}.txt": bytes([number]) * 3000 for number in range(20)}


@pytest.mark.parametrize("kept", [0, 100, 512, 3000, 4000, 20_000, 36_000, 71_000, 71_680])
@pytest.mark.parametrize("compressed", [False, True])
def test_an_archive_that_was_cut_off_is_refused(kept: int, compressed: bool, tmp_path: Path) -> None:
    content = made_up.tar_bytes(FILES)
    cut = gzip.compress(content, 0)[:kept] if compressed else content[:kept]
    (tmp_path / "x.tar").write_bytes(cut)
    assert "get it again" in refused(tmp_path / "x.tar", tmp_path)


def test_an_archive_that_was_cut_between_two_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(made_up.tar_bytes(FILES)[: 3 * (512 + 3072)])
    assert "damaged or cut off (no end mark)" in refused(tmp_path / "x.tar", tmp_path)


@pytest.mark.parametrize("place", [600, 40_000, -6])
def test_a_damaged_byte_of_a_compressed_archive_is_found(place: int, tmp_path: Path) -> None:
    content = bytearray(gzip.compress(made_up.tar_bytes(FILES), 0))
    content[place] ^= 255
    (tmp_path / "x.tgz").write_bytes(content)
    assert "damaged or cut off" in refused(tmp_path / "x.tgz", tmp_path)


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path) -> None:
    content = bytearray(made_up.tar_bytes(FILES))
    content[512 + 3072 + 150] ^= 255
    (tmp_path / "x.tar").write_bytes(content)
    assert "no end mark" in refused(tmp_path / "x.tar", tmp_path)


def test_a_damaged_zip_is_refused(tmp_path: Path) -> None:
    archive = made_up.zip_file(tmp_path / "x.zip", FILES)
    content = bytearray(archive.read_bytes())
    content[40] ^= 255
    archive.write_bytes(content)
    assert "damaged or cut off" in refused(archive, tmp_path)
    archive.write_bytes(content[:-30])
    assert "expected a tar or zip archive" in refused(archive, tmp_path)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tgz").write_text("<html>please log in</html>" * 100)
    assert "expected a tar or zip archive, found x.tgz to be none" in refused(tmp_path / "x.tgz", tmp_path)
    with pytest.raises(UserError, match=r"expected an archive, found .* unreadable"):
        unpack(tmp_path / "lost.tgz", tmp_path / "out", everything, Watch())


def test_an_archive_of_every_compression_is_read(tmp_path: Path) -> None:
    for mode in ("w", "w:gz", "w:bz2", "w:xz"):
        path = tmp_path / f"x{mode.replace(':', '.')}"
        with tarfile.open(path, mode) as tar:  # the name says nothing, the content does
            info = member("a/b.txt")
            info.size = 5
            tar.addfile(info, io.BytesIO(b"bytes"))
        unpack(path, tmp_path / mode[-2:], everything, Watch())
        assert files_below(tmp_path / mode[-2:]) == {"a/b.txt": b"bytes"}
