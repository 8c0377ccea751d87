"""Small files that stand for more than any memory holds, or that never come to an end: refused at once."""

from __future__ import annotations

import io
import math
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from rfga.data.images import read_image, read_size
from rfga.data.truth.readers import open_truth
from rfga.types import UserError
from rfga.untrusted import parse_json, parse_yaml
from tests.engine import tiny
from tests.odd_photographs import picture
from tests.security.doors import limited, refused
from tests.security.test_fuzz_images import photograph
from tests.security.test_fuzz_truth import IDS, LISTS, VOC, write, write_photographs

MEGABYTE = 2**20
LONG_TEXT = b"x" * 10_000
STEPS = (*zip("abcdefgh", "bcdefghi", strict=True),)
LAUGHS = "".join(f'<!ENTITY {new} "{f"&{old};" * 10}">' for old, new in STEPS)
ALIASES = "".join(f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in STEPS)
MERGES = "".join(f"{new}: &{new}\n  <<: [{','.join([f'*{old}'] * 9)}]\n" for old, new in STEPS)


@contextmanager
def little_memory(megabytes: int) -> Iterator[None]:
    """Fail what takes more than so much memory of Python's and numpy's, or more than a while."""
    tracemalloc.start()
    try:
        with limited():
            yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < megabytes * MEGABYTE, f"{peak / MEGABYTE:.0f} MB"


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A data set without truth."""
    write_photographs(tmp_path / "set" / "val")
    return tmp_path / "set"


XML: dict[str, bytes] = {
    "a billion laughs": f'<!DOCTYPE a [<!ENTITY a "lol">{LAUGHS}]><annotation>&i;</annotation>'.encode(),
    "one long entity often": b'<!DOCTYPE a [<!ENTITY a "'
    + b"x" * 10000
    + b'">]><annotation>&a;&a;</annotation>',
    "a file of the system": b'<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation>&a;</annotation>',
    "a page of the net": b'<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd"><annotation/>',
    "parameter entities": b'<!DOCTYPE a [<!ENTITY % b SYSTEM "file:///etc/passwd">%b;]><annotation/>',
}
ENCODINGS = (
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
    "utf-7",
    "cp037",
    "shift_jis",
)


def read_voc(photographs: Path, content: bytes) -> str:
    """What is said of an XML file."""
    truth = photographs.parent / "voc"
    write(truth, {"cat/0.xml": content})
    with little_memory(20), pytest.raises(UserError) as told:
        open_truth(truth, photographs / "val", IDS)
    return str(told.value)


@pytest.mark.parametrize("kind", XML)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_xml_with_entities_is_one_sentence(kind: str, encoding: str, photographs: Path) -> None:
    said = read_voc(photographs, XML[kind].decode().encode(encoding))
    assert "without document type and entities" in said
    assert "root:" not in said


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_no_encoding_hides_entities(encoding: str, photographs: Path) -> None:
    declared = f'<?xml version="1.0" encoding="{encoding}"?>'
    bomb = XML["a billion laughs"].decode()
    for content in ((declared + bomb).encode(encoding), declared.encode() + bomb.encode(encoding)):
        assert read_voc(photographs, content).startswith("expected Pascal VOC XML")


def test_the_command_tells_of_a_bomb(photographs: Path) -> None:
    write(photographs.parent / "voc", {"cat/0.xml": XML["a billion laughs"]})
    said = refused("data", "check", photographs, "--truth", photographs.parent / "voc", "--quiet")
    assert "without document type and entities" in said


def test_xml_that_nests_deeply_is_read_to_its_end(photographs: Path) -> None:
    deep = VOC.replace("</annotation>", "<a>" * 20_000 + "</a>" * 20_000 + "</annotation>")
    write(photographs.parent / "voc", {"cat/0.xml": deep.encode()})
    with little_memory(100):
        assert open_truth(photographs.parent / "voc", photographs / "val", IDS).truth(IDS[0]) is not None


YAML: dict[str, str] = {
    "references to references": "a: &a [x,x,x,x,x,x,x,x,x]\n" + ALIASES + "names: *i\ntrain: *i\n",
    "merged references": "a: &a {x: 1}\n" + MERGES,
    "a value that holds itself": "names: &a [*a]\ntrain: &b {b: *b}\n",
    "brackets": "names: " + "[" * 3000,
    "blanks": "".join(f"{' ' * depth}a:\n" for depth in range(500)),
    "a long number": "names: " + "9" * 9000,
    "a kind that does not fit": "names: !!timestamp x",
    "an object": "names: !!python/object/apply:os.system ['touch evil']\n",
    "a module": "names: !!python/module:os\n",
}


@pytest.mark.parametrize("kind", YAML)
def test_yaml_that_asks_for_too_much_is_refused(kind: str) -> None:
    with little_memory(20), pytest.raises(ValueError, match=r"."):
        parse_yaml(YAML[kind])
    assert not Path("evil").exists()


@pytest.mark.parametrize("kind", ["references to references", "an object"])
def test_every_command_tells_of_such_yaml(kind: str, photographs: Path, tiny_run: Path) -> None:
    folder = photographs.parent
    write(folder / "yolo", {"data.yaml": YAML[kind].encode(), "labels/cat/0.txt": b"0 0.5 0.5 0.1 0.1"})
    run = tiny.copied(tiny_run, folder / "run")
    (run / "config.yaml").write_text(YAML[kind])
    said = refused("data", "check", photographs, "--truth", folder / "yolo", "--quiet")
    assert "unreadable" in said
    said = refused("localize", run, photographs, "--out", folder / "out", "--device", "cpu")
    assert "expected the settings of a run" in said
    said = refused("train", photographs, "--out", folder / "new", "--config", run / "config.yaml")
    assert "expected a YAML file of settings" in said
    assert not Path("evil").exists()


def test_honest_references_are_taken() -> None:
    assert parse_yaml("a: &a [1, 2]\nb: *a\nc: {<<: &d {e: 1}, f: *a}") == {
        **{"a": [1, 2], "b": [1, 2]},
        "c": {"e": 1, "f": [1, 2]},
    }


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, "{", ""], ids=range(4))
def test_json_that_asks_for_too_much_is_refused(text: str) -> None:
    with little_memory(20), pytest.raises(ValueError, match=r"."):
        parse_json(text)


def test_every_command_tells_of_such_json(photographs: Path, tiny_run: Path) -> None:
    folder, deep = photographs.parent, "[" * 200_000
    write(folder, {"truth.json": deep.encode(), "tasks.json": f"[{{ {deep}".encode()})
    run = tiny.copied(tiny_run, folder / "run")
    (run / "classes.json").write_text(deep)
    for name in ("truth.json", "tasks.json"):
        assert "found " in refused("data", "check", photographs, "--truth", folder / name, "--quiet")
    assert "damaged" in refused("localize", run, photographs, "--out", folder / "out", "--device", "cpu")


def test_numbers_beyond_a_float_are_infinite() -> None:
    nines = "9" * 5000
    assert parse_json(f"[{nines}, -{nines}, 1e999, 12]") == [math.inf, -math.inf, math.inf, 12]
    assert parse_yaml("[0x" + "f" * 9000 + ", -0x" + "f" * 9000 + ", 12]") == [math.inf, -math.inf, 12]


def zip_of(path: Path, **parts: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(f"{name}.npy", content)
    return path


def stated(shape: tuple[int, ...], dtype: str, data: bytes = b"") -> bytes:
    """An array that says of itself that it has this shape."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue() + data


def zeros() -> bytes:
    """More than the reader may take, in a few kilobytes of a file."""
    return bytes(32 * MEGABYTE)


STACKS: dict[str, Callable[[], tuple[bytes, bytes]]] = {
    "a huge map": lambda: (
        stated((2, 10**9, 10**9), "<f4", zeros()),
        stated((2,), "<U9", np.array(IDS, "<U9").tobytes()),
    ),
    "a huge number of names": lambda: (
        stated((10**9, 2, 2), "<f2", b"\0"),
        stated((10**9,), "<U1", zeros()),
    ),
    "names of huge length": lambda: (
        stated((2, 2, 2), "<f2", bytes(16)),
        stated((2,), f"<U{10**8}", zeros()),
    ),
    "a huge number of maps": lambda: (
        stated((10**15, 2, 2), "<f2", b"\0"),
        stated((2,), "<U9", bytes(72)),
    ),
}


@pytest.mark.parametrize("kind", STACKS)
def test_a_stack_that_unpacks_to_more_than_memory_is_not_unpacked(kind: str, tmp_path: Path) -> None:
    maps, names = STACKS[kind]()
    write(tmp_path / "SET" / "val", {name: text.encode() for name, text in LISTS.items()})
    path = zip_of(tmp_path / "stack.npz", maps=maps, ids=names)
    assert path.stat().st_size < MEGABYTE / 8
    with little_memory(10):
        refused("score", path, "--metadata", tmp_path / "SET" / "val", "--quiet")


@pytest.mark.parametrize("shape", [(10**9, 10**9), (50_000, 50_000), (224, 10**9), (10**5, 10**5, 10**5)])
def test_a_map_that_says_it_is_huge_is_not_read(shape: tuple[int, ...], tmp_path: Path) -> None:
    write(tmp_path / "SET" / "val", {name: text.encode() for name, text in LISTS.items()})
    write(tmp_path / "maps", {f"{name}.npy": stated(shape, "<f8", bytes(800)) for name in IDS})
    with little_memory(10):
        said = refused("score", tmp_path / "maps", "--metadata", tmp_path / "SET" / "val", "--quiet")
    assert "found 2 wrong" in said


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def huge_png() -> bytes:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(bytes(10_000)))
    )


def huge_gif() -> bytes:
    content = bytearray(photograph("GIF"))
    content[6:10] = struct.pack("<HH", 60_000, 60_000)
    return bytes(content)


def huge_bmp() -> bytes:
    content = bytearray(photograph("BMP"))
    content[18:26] = struct.pack("<ii", 60_000, 60_000)
    return bytes(content)


def huge_jpeg() -> bytes:
    content = bytearray(photograph("JPEG"))
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", 60_000, 60_000)
    return bytes(content)


def huge_ppm() -> bytes:
    return b"P6 60000 60000 255\n" + bytes(1000)


HUGE: dict[str, Callable[[], bytes]] = {
    **{"png": huge_png, "gif": huge_gif, "bmp": huge_bmp, "jpg": huge_jpeg, "ppm": huge_ppm}
}


@pytest.mark.parametrize("ending", HUGE)
def test_a_photograph_that_says_it_is_huge_is_not_decoded(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_bytes(HUGE[ending]())
    for read in (read_image, read_size):
        with little_memory(5), pytest.raises(UserError, match=r"at most 178,956,970 pixels, found"):
            read(path)


def test_a_note_in_a_photograph_that_unpacks_to_more_than_memory_is_not_unpacked(tmp_path: Path) -> None:
    note = PngImagePlugin.PngInfo()
    note.add_text("note", "x" * 32 * MEGABYTE, zip=True)
    picture(0).save(tmp_path / "a.png", pnginfo=note)
    assert (tmp_path / "a.png").stat().st_size < MEGABYTE / 8
    with little_memory(10):
        assert read_image(tmp_path / "a.png").tobytes() == picture(0).convert("RGB").tobytes()


def test_the_limit_of_pixels_is_pillows_own() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    assert 2 * Image.MAX_IMAGE_PIXELS in (178_956_970, 178_956_971)


def test_forty_digits_are_whole_and_more_are_infinite_with_either_sign() -> None:
    digits = "9" * 40
    assert parse_json(f"[{digits}, -{digits}]") == [int(digits), -int(digits)]
    assert parse_json(f"[{digits}9, -{digits}9]") == [math.inf, -math.inf]
