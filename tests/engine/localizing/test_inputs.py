from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from rfga.engine.localizing.inputs import Photograph, choose_labels, find_photographs, read_labels
from rfga.types import UserError

CLASSES = ("cat", "dog")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("cat/a.png", "dog/deep/b.JPG", "dog/ä, ö.png", "other/c.png", ".hidden/d.png", "dog/.e.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 3)).save(path)
    (tmp_path / "dog" / "notes.md").write_text("no photograph")
    return tmp_path


def found(paths: list[Path]) -> dict[str, str | None]:
    return {photograph.image_id: photograph.folder_class for photograph in find_photographs(paths, CLASSES)}


def test_folder_is_searched_through_in_a_fixed_order(folder: Path) -> None:
    expected = {"cat/a.png": "cat", "dog/deep/b.JPG": "dog", "dog/ä, ö.png": "dog", "other/c.png": None}
    assert found([folder]) == expected
    assert list(found([folder])) == sorted(expected)


def test_folder_that_is_itself_a_class(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found([folder / "dog"]) == {"deep/b.JPG": "dog", "ä, ö.png": "dog"}
    assert found([folder / "dog" / "deep"]) == {"b.JPG": None}
    assert found([folder / "cat" / "a.png"]) == {"a.png": "cat"}
    monkeypatch.chdir(folder / "cat")
    assert found([Path()]) == found([Path("a.png")]) == found([Path("../cat/a.png")]) == {"a.png": "cat"}


def test_link_to_a_folder_counts_by_its_own_name(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    links = tmp_path_factory.mktemp("links")
    (links / "cat").symlink_to(folder / "other")
    assert found([links / "cat"]) == {"c.png": "cat"}


def test_photograph_named_twice_counts_once(folder: Path) -> None:
    photograph = folder / "cat" / "a.png"
    assert list(found([photograph, photograph])) == ["a.png"]
    assert len(found([folder, photograph, folder / "dog" / ".." / "cat"])) == 4
    (folder / "dog" / "a.png").symlink_to(photograph)
    assert len(found([folder])) == 5  # a link in another class folder is a photograph of that class


def test_two_photographs_of_one_name(folder: Path) -> None:
    Image.new("RGB", (4, 3)).save(folder / "dog" / "a.png")
    with pytest.raises(UserError, match=r"a\.png for .*dog.*cat.*give the folder above both"):
        find_photographs([folder / "cat", folder / "dog"], CLASSES)


def test_list_of_paths(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    lines = ["cat/a.png", "", f"  {folder / 'dog' / 'ä, ö.png'}  ", "dog/deep/../deep/b.JPG"]
    (folder / "list.txt").write_text("\r\n".join(lines), encoding="utf-8-sig", newline="")
    assert found([folder / "list.txt"]) == {"cat/a.png": "cat", "ä, ö.png": "dog", "b.JPG": None}
    (folder / "list.txt").write_text("cat/lost.png")
    with pytest.raises(UserError, match=r"at .*lost\.png, found none: correct the list"):
        found([folder / "list.txt"])
    (folder / "list.txt").write_bytes(b"caf\xe9.png")
    with pytest.raises(UserError, match="expected a list in UTF-8"):
        found([folder / "list.txt"])


def test_nothing_to_find(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="found none: give another folder"):
        find_photographs([tmp_path], CLASSES)
    with pytest.raises(UserError, match="found nothing at"):
        find_photographs([tmp_path / "lost"], CLASSES)


def photographs(**classes: str | None) -> list[Photograph]:
    return [Photograph(f"{name}.png", Path(f"{name}.png"), own) for name, own in classes.items()]


def test_labels_by_default_are_those_of_the_folders_where_all_have_one() -> None:
    assert choose_labels(photographs(a="dog", b="cat"), None, CLASSES) == [1, 0]
    assert choose_labels(photographs(a="dog", b=None), None, CLASSES) == [None, None]
    assert choose_labels(photographs(a="dog"), "predicted", CLASSES) == [None]
    with pytest.raises(UserError, match=r"found none for 1 \(first b\.png\): use --labels predicted, or put"):
        choose_labels(photographs(a="dog", b=None), "folder", CLASSES)


def test_labels_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text('"b, c.png",cat\n\na.png, dog\n')
    assert read_labels(file, CLASSES) == {"b, c.png": 0, "a.png": 1}
    assert choose_labels(photographs(a=None), str(file), CLASSES) == [1]
    with pytest.raises(UserError, match=r"first x\.png.*add lines to"):
        choose_labels(photographs(x=None), str(file), CLASSES)
    with pytest.raises(UserError, match="folder, predicted or a file, found nothing at foldr"):
        choose_labels(photographs(x=None), "foldr", CLASSES)


@pytest.mark.parametrize("line", ["a.png", "a.png,bird", "a.png,cat,dog"])
def test_wrong_line_of_labels(line: str, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(f"b.png,cat\n{line}\n")
    with pytest.raises(UserError, match=r"class out of cat, dog, found .* in line 2 of .*: correct the line"):
        read_labels(file, CLASSES)


def test_what_an_earlier_run_wrote_is_no_input(folder: Path) -> None:
    before = set(found([folder]))
    out = folder / "cat" / "boxes"
    (out / "pictures").mkdir(parents=True)
    Image.new("RGB", (4, 3)).save(out / "pictures" / "a.png.jpg")
    Image.new("RGB", (4, 3)).save(folder / "cat" / "boxes.png")
    assert set(found([folder])) == before | {"cat/boxes.png", "cat/boxes/pictures/a.png.jpg"}
    for spelling in (out, folder / "dog" / ".." / "cat" / "boxes"):
        names = {photograph.image_id for photograph in find_photographs([folder], CLASSES, outputs=spelling)}
        assert names == before | {"cat/boxes.png"}
    for named in (
        out,
        out / "pictures",
        out / "pictures" / "a.png.jpg",
    ):  # what is asked for by name is meant
        assert len(find_photographs([named], CLASSES, outputs=out)) == 1
