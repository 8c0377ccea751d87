"""Pascal VOC files as truth: which photograph they are of, what their boxes become, what is refused."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from rfga.data.truth.readers import TruthReader, open_truth
from rfga.types import UserError

WIDTH, HEIGHT = 60, 40
IDS = ["cat/0.jpg", "cat/0.png", "dog/a b,c.jpg", "dog/é.jpg"]


def item(corners: tuple[object, ...], name: str = "cat", more: str = "") -> str:
    tags = "".join(
        f"<{tag}>{c}</{tag}>" for tag, c in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    )
    return f"<object><name>{name}</name>{more}<bndbox>{tags}</bndbox></object>"


def voc(path: Path, *parts: str, filename: str = "", folder: str = "", head: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    named = f"<folder>{folder}</folder><filename>{filename}</filename>"
    path.write_text(f"{head}<annotation>{named}{''.join(parts)}</annotation>", encoding="utf-8")
    return path


def size(width: object, height: object) -> str:
    return f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"


def boxes(reader: TruthReader, image_id: str) -> list[list[float]]:
    truth = reader.truth(image_id)
    assert truth is not None
    assert truth.boxes is not None
    assert truth.size_hw == (HEIGHT, WIDTH)
    rows: list[list[float]] = truth.boxes.tolist()
    return rows


def test_pixels_counted_from_one_become_edges(val: Path, tmp_path: Path) -> None:
    folder = tmp_path / "voc"
    parts = [size(WIDTH, HEIGHT), item((1, 1, 60, 40)), item((11, 5, 11, 6)), item((2.5, 3, 4, 9))]
    voc(folder / "cat/0.xml", *parts, filename="0.jpg")
    voc(folder / "cat/0.png.xml", item((3, 4, 10, 12)), filename="0.png")
    voc(folder / "dog/é.xml", filename="é.jpg")
    reader = open_truth(folder, val, IDS)
    assert boxes(reader, IDS[0]) == [[0, 0, 60, 40], [10, 4, 11, 6], [1.5, 2, 4, 9]]
    assert boxes(reader, IDS[1]) == [[2, 3, 10, 12]]
    assert reader.truth(IDS[3]) is None
    assert reader.images_without_truth == tuple(IDS[2:])
    assert reader.missing_images == ()


@pytest.mark.parametrize(
    ("file", "filename", "folder", "expected"),
    [
        ("dog/a b,c.xml", "a b,c.jpg", "", IDS[2]),
        ("dog/a b,c.xml", "a b,c", "", IDS[2]),  # without its ending, as labelImg wrote it
        ("dog/a b,c.xml", "", "", IDS[2]),
        ("val/dog/e\u0301.xml", "", "", IDS[3]),  # with the split's name, decomposed
        ("x1.xml", "dog/\u00e9.jpg", "", IDS[3]),
        ("x1.xml", "\u00e9.jpg", "dog", IDS[3]),
        ("x1.xml", "\u00e9.jpg", "VOC2012", IDS[3]),  # the only photograph of that name
        ("\u00e9.xml", "", "", IDS[3]),
        ("cat/0.png.xml", "", "", IDS[1]),
        ("cat/0.xml", "0.png", "", IDS[1]),
        ("cat/0.xml", "", "", None),  # 0.jpg or 0.png
        ("0.xml", "", "", None),
        ("bird/\u00e9.xml", "\u00e9.jpg", "", None),  # of another folder
    ],
)
def test_photographs_are_found(
    val: Path, tmp_path: Path, file: str, filename: str, folder: str, expected: str | None
) -> None:
    voc(tmp_path / "voc" / file, item((1, 1, 9, 9), "thing"), filename=filename, folder=folder)
    voc(tmp_path / "voc" / "cat/0.jpg.xml", item((1, 1, 9, 9), "thing"))
    reader = open_truth(tmp_path / "voc", val, IDS)
    found = {"cat/0.jpg"} | ({expected} if expected else set())
    assert set(IDS) - set(reader.images_without_truth) == found
    unsure = file in ("cat/0.xml", "0.xml") and not expected
    assert reader.missing_images == (() if expected or unsure else (file,))
    assert ["fit several" in sentence for _, sentence in reader.remarks] == [True] * unsure


def test_difficult_objects_and_those_of_other_classes_are_left_out(val: Path, tmp_path: Path) -> None:
    hard = item((1, 1, 5, 5), more="<difficult>1</difficult>")
    easy = item((1, 1, 7, 7), more="<difficult>0</difficult>")
    voc(tmp_path / "voc/cat/0.xml", hard, easy, item((1, 1, 9, 9), "dog"), filename="0.jpg")
    assert boxes(open_truth(tmp_path / "voc", val, IDS), IDS[0]) == [[0, 0, 7, 7]]


def test_sizes_and_borders_are_checked(val: Path, tmp_path: Path) -> None:
    voc(tmp_path / "voc/cat/0.xml", size(HEIGHT, WIDTH), item((1, 1, 9, 9)), filename="0.jpg")
    voc(tmp_path / "voc/dog/é.xml", size(0, 0), item((0, 0, 61, 50), "dog"), filename="é.jpg")
    voc(tmp_path / "voc/dog/a b,c.xml", item((61, 1, 70, 9), "dog"))
    reader = open_truth(tmp_path / "voc", val, IDS)
    with pytest.raises(
        UserError, match=r"60x40, found 40x60 for image 'cat/0.jpg' in .*0.xml: apply its EXIF"
    ):
        reader.truth(IDS[0])
    with pytest.raises(UserError, match=r"outside the 60 x 40 pixels of 'dog/a b,c.jpg': correct .*c.xml"):
        reader.truth(IDS[2])
    assert boxes(reader, IDS[3]) == [[0, 0, 60, 40]]
    assert len(reader.warnings()) == 1


def test_one_photograph_twice(val: Path, tmp_path: Path) -> None:
    for name in ("0", "0.jpg"):
        voc(tmp_path / f"voc/cat/{name}.xml", item((1, 1, 9, 9)), filename="0.jpg")
    with pytest.raises(UserError, match=r"each image once, found 'cat/0.jpg' in .* and again in "):
        open_truth(tmp_path / "voc", val, IDS)


LAUGHS = "".join(
    f'<!ENTITY {new} "{f"&{old};" * 10}">' for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)
BOMB = f'<!DOCTYPE annotation [<!ENTITY a "lol">{LAUGHS}]><annotation>&j;</annotation>'
OUTSIDE = (
    '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><annotation><folder>&a;</folder></annotation>'
)


@pytest.mark.parametrize("content", [BOMB, OUTSIDE, BOMB.encode("utf-16"), OUTSIDE.encode("utf-16-le")])
def test_entities_are_refused_before_they_are_parsed(
    val: Path, tmp_path: Path, content: str | bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = voc(tmp_path / "voc/cat/0.xml")
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    monkeypatch.setattr(ElementTree, "fromstring", lambda text: pytest.fail("it was parsed"))
    with pytest.raises(UserError, match="without document type and entities, found them in "):
        open_truth(tmp_path / "voc", val, IDS)
    voc(path)
    with pytest.raises(pytest.fail.Exception, match="it was parsed"):
        open_truth(tmp_path / "voc", val, IDS)


BAD: list[tuple[bytes, str]] = [
    (b"", "unreadable"),
    (b"<annotation>", "unreadable"),
    (b"no xml", "unreadable"),
    (b"<annotation>\xff</annotation>", "unreadable"),
    (b"<annotation>&undefined;</annotation>", "unreadable"),
    (b'<?xml version="1.0" encoding="nonsense"?><annotation/>', "unreadable"),
    (b"<html/>", "begins with <annotation>, found <html>"),
    (b"<annotation><object><bndbox/></object></annotation>", "a name in every object"),
    (b"<annotation><object><name>cat</name></object></annotation>", "a bndbox in every object"),
    (item((1, 1, 9, "")).encode(), "ymax of bndbox, found ''"),
    (item((1, 1, 9, "nan")).encode(), "ymax of bndbox, found 'nan'"),
    (item((1, 1, "1e999", 9)).encode(), "xmax of bndbox"),
    (item((9, 1, 1, 9)).encode(), "xmin <= xmax"),
    (b"<size><width>60</width></size>", "height of size"),
    (b"", "found none in .*voc .it names 1 images, of which 0 are not there.: mark objects in them"),
]


@pytest.mark.parametrize(("content", "words"), BAD)
def test_malformed_files_are_one_sentence(val: Path, tmp_path: Path, content: bytes, words: str) -> None:
    path = voc(tmp_path / "voc/cat/0.jpg.xml")
    if words.startswith("found none"):
        content = b"<annotation/>"
    elif content[:7] in (b"<object", b"<size><"):
        content = b"<annotation>" + content + b"</annotation>"
    path.write_bytes(content)
    with pytest.raises(UserError, match=words) as caught:
        open_truth(tmp_path / "voc", val, IDS)
    assert str(caught.value).startswith("expected ")
    assert "\n" not in str(caught.value)
