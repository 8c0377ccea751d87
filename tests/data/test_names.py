"""Lists of names and classes as bytes: the same as line by line, and each way to be damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfga.data.names import LabelledNames, Names, read_labelled_names
from rfga.types import UserError

LETTERS = st.text(st.characters(codec="utf-8", exclude_characters=",\n\r/\\."), min_size=1)


def write(folder: Path, text: str, name: str = "class_labels.txt") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def pairs(listed: LabelledNames) -> list[tuple[str, int]]:
    return list(zip(listed.names, listed.labels.tolist(), strict=True))


@given(
    names=st.lists(LETTERS, unique=True),
    seed=st.integers(0, 9),
    end=st.sampled_from(["\n", "\r\n", "\n\n\n"]),
)
def test_lines_are_read_as_by_splitting(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], seed: int, end: str
) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 7, 42, 999, 123456789], len(names)).tolist()
    folder = tmp_path_factory.mktemp("lists")
    text = "\ufeff" + end.join(f"{name},{label}" for name, label in zip(names, labels, strict=True))
    expected = list(zip(names, labels, strict=True))
    assert pairs(read_labelled_names(write(folder, text))) == expected
    order = rng.permutation(len(names))[: len(names) - 1 or 1].tolist()
    ids = write(folder, end.join(names[i] for i in order) + end, "image_ids.txt")
    found = read_labelled_names(write(folder, text + end), ids)
    assert pairs(found) == [expected[i] for i in order]
    assert [found.names[i] for i in range(-len(order), 0)] == [names[i] for i in order]


def test_slices_and_picks_are_those_of_a_list() -> None:
    plain = ["a.jpg", "bé.jpg", "c", "dd.jpg", "é"]
    names = Names.of(plain)
    for cut in (
        slice(None),
        slice(1, 4),
        slice(None, None, -1),
        slice(-2, None),
        slice(0, 0),
        slice(4, 0, -2),
    ):
        assert list(names[cut]) == plain[cut]
        assert names[cut].same_as(Names.of(plain[cut]))
        assert not names[cut].same_as(Names.of([*plain[cut], "more"]))
    assert list(names.picked(np.array([3, 0]))) == ["dd.jpg", "a.jpg"]
    assert not Names.of(["ab", "c"]).same_as(Names.of(["a", "bc"]))
    assert "c" in names
    with pytest.raises(IndexError):
        _ = names[5]
    assert list(Names.of([])) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a.jpg,0\nb.jpg\n", "found 'b.jpg'"),
        ("a.jpg,0\nb.jpg,1,2\n", "found 'b.jpg,1,2'"),
        ("a.jpg,0,b.jpg\n1\n", "found 'a.jpg,0,b.jpg'"),
        ("a.jpg,\n", "found 'a.jpg,'"),
        (",3\n", "found ',3'"),
        ("a.jpg,-1\n", "found 'a.jpg,-1'"),
        ("a.jpg,1.0\n", "found 'a.jpg,1.0'"),
        ("a.jpg, 1\n", "found 'a.jpg, 1'"),
        ("a.jpg,12345678901\n", "found 'a.jpg,12345678901'"),
        ("a.jpg,0\nb.jpg,0\na.jpg,1\n", "each image once, found 'a.jpg' again"),
        ("/etc/a.jpg,0\n", "relative paths with forward slashes, found '/etc/a.jpg'"),
        ("b.jpg,1\nx/../../a.jpg,0\n", r"found 'x/../../a.jpg'"),
        ("x\\a.jpg,0\n", "relative paths with forward slashes"),
    ],
)
def test_damaged_lists_name_the_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        read_labelled_names(write(tmp_path, text))
    assert said in str(caught.value)
    assert "class_labels.txt" in str(caught.value)


def test_names_with_dots_are_no_way_out(tmp_path: Path) -> None:
    assert pairs(read_labelled_names(write(tmp_path, "a..b/..c.jpg,3"))) == [("a..b/..c.jpg", 3)]


def test_lists_that_are_no_text_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "class_labels.txt").write_bytes(b"\xff\xfea.jpg,0\n")
    for path in (tmp_path / "class_labels.txt", tmp_path / "absent.txt"):
        with pytest.raises(UserError, match="found it unreadable"):
            read_labelled_names(path)


def test_ids_and_classes_must_fit(tmp_path: Path) -> None:
    labels = write(tmp_path, "a.jpg,0\nb.jpg,1\n")
    ids = write(tmp_path, "b.jpg\nc.jpg\nd.jpg\n", "image_ids.txt")
    with pytest.raises(
        UserError, match=r"class of every image of image_ids.txt, found none for 2 \(first c.jpg\)"
    ):
        read_labelled_names(labels, ids)
    with pytest.raises(UserError, match=r"found 'b.jpg' again in .*image_ids.txt"):
        read_labelled_names(labels, write(tmp_path, "b.jpg\na.jpg\nb.jpg\n", "image_ids.txt"))
    assert pairs(read_labelled_names(labels, write(tmp_path, "", "image_ids.txt"))) == []
