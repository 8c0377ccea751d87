from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from rfga.data.folder import FolderDataset
from rfga.data.images import read_image
from rfga.data.truth.given import NOTHING_HERE
from rfga.engine.localizing.inputs import Photograph, find_photographs, input_notes, of_one_file
from rfga.engine.localizing.labels import choose_labels, read_labels
from rfga.types import UserError

CLASSES = ("cat", "dog")


def put(root: Path, names: Sequence[str]) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 3)).save(root / name)
    return root


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


def test_photographs_that_links_put_into_several_classes_are_of_one_file(folder: Path) -> None:
    for link in ("dog/a.png", "dog/deep/a.png", "other/a.png"):
        (folder / link).symlink_to(folder / "cat/a.png")
    (folder / "cat/b.png").symlink_to(folder / "dog/deep/b.JPG")
    photographs = find_photographs([folder], CLASSES)
    assert of_one_file(photographs) == {"dog/deep/b.JPG": "cat/b.png"}, "the other one is in dog twice"
    (folder / "dog/deep/a.png").unlink()
    photographs = find_photographs([folder], CLASSES)
    assert of_one_file(photographs) == {"dog/deep/b.JPG": "cat/b.png", "dog/a.png": "cat/a.png"}
    looked_at = [replace(photographs[0], given=NOTHING_HERE), *photographs[1:]]
    assert of_one_file(looked_at) == {"dog/deep/b.JPG": "cat/b.png"}


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


def test_labels_by_default_are_those_of_the_folders_of_each_that_has_one() -> None:
    assert choose_labels(photographs(a="dog", b="cat"), None, CLASSES).indices == [1, 0]
    assert choose_labels(photographs(a="dog", b=None), None, CLASSES).indices == [1, None]
    three = photographs(a="dog", b=None, c="cat")
    assert choose_labels(three, None, CLASSES).class_from == {"folder": 2, "predicted": 1}
    predicted = choose_labels(three, "predicted", CLASSES)
    assert (predicted.indices, predicted.class_from) == ([None] * 3, {"predicted": 3})
    with pytest.raises(UserError, match=r"found none for 1 \(first b\.png\): use --labels predicted, or put"):
        choose_labels(photographs(a="dog", b=None), "folder", CLASSES)


def test_labels_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text('"b, c.png",cat\n\na.png, dog\n')
    assert read_labels(file, CLASSES) == {"b, c.png": 0, "a.png": 1}
    labels = choose_labels(photographs(a=None), str(file), CLASSES)
    assert (labels.indices, labels.class_from) == ([1], {"file": 1})
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


HEADED = {
    "commas": "image,class\na.png,dog\nb/c.png,cat\n",
    "letters of any case and a mark of the encoding": "\ufeffImage , CLASS\r\na.png,dog\r\nb/c.png,cat",
    "semicolons": "a.png;dog\nb/c.png;cat",
    "semicolons, with a comma in a name": '"a.png";dog\nb/c.png;cat\nx,y.png;cat',
    "tabs": "a.png\tdog\nb/c.png\tcat",
    "our own boxes": "image,class,x0,y0,x1,y1\na.png,dog,1,2,3,4\na.png,dog,5,6,7,8\nb/c.png,cat,1,2,3,4",
    "another order": "label;score;filename\ndog;0.3;a.png\ncat;0.5;b\\c.png",
}


@pytest.mark.parametrize("form", HEADED)
def test_files_of_labels_as_people_and_programs_write_them(form: str, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(HEADED[form], encoding="utf-8", newline="")
    given = [Photograph(name, tmp_path / "photos" / name, None) for name in ("b/c.png", "a.png")]
    assert choose_labels(given, str(file), CLASSES).indices == [0, 1]


def test_labels_by_place(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(f"{folder / 'cat' / 'a.png'},dog\ndog/deep/b.JPG,cat\n./dog/../dog/ä\u0308, ö.png;x")
    given = find_photographs([folder / "cat", folder / "dog" / "deep"], CLASSES)
    file.write_text(f"{folder / 'cat' / 'a.png'},dog\ndog/deep/b.JPG,cat\n")
    assert choose_labels(given, str(file), CLASSES).indices == [1, 0]


def test_labels_of_no_photograph_are_counted(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(f"cat/a.png,cat\nlost.png,dog\n{folder / 'dog' / 'deep' / 'b.JPG'},dog\nmore.png,dog\n")
    given = find_photographs([folder / "cat" / "a.png", folder / "dog" / "deep" / "b.JPG"], CLASSES)
    (note,) = choose_labels(given, str(file), CLASSES).notes
    assert "found 2 that name none of these 2 (first lost.png): they are passed over" in note


def test_labels_that_contradict_or_nearly_fit(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("a.png,cat\nb.png,dog\na.png,dog\n")
    with pytest.raises(UserError, match=r"found another one of 'a\.png' in line 3 of .*: drop one"):
        read_labels(file, CLASSES)
    file.write_text("a.png,Cat\n")
    with pytest.raises(UserError, match=r"line 1 of .*, which differs from 'cat' in case or space alone"):
        read_labels(file, CLASSES)
    file.write_text("a.png,Mu\u0308nster\n")
    assert read_labels(file, ["M\u00fcnster"]) == {"a.png": 0}


def test_class_names_are_compared_composed(tmp_path: Path) -> None:
    put(tmp_path, ["Mu\u0308nster/a.png", "tench/b.png"])
    for classes in (["M\u00fcnster", "tench"], ["Mu\u0308nster", "tench"]):
        photographs = find_photographs([tmp_path], classes)
        assert [p.folder_class for p in photographs] == classes
        assert choose_labels(photographs, None, classes).indices == [0, 1]
        assert input_notes(photographs, classes) == []


def test_what_is_told_of_names(tmp_path: Path) -> None:
    put(tmp_path, ["Cat/a.png", "Cat/deep/b.png", "dog /c.png", "dog/u\u0308.png", "dog/\u00fc.png"])
    near, space, twice = input_notes(find_photographs([tmp_path], CLASSES), CLASSES)
    assert "the class folder 'cat', found 'Cat' with 2 photographs" in near
    assert "the class folder 'dog', found 'dog ' with 1 photographs" in space
    assert "found 2 that differ in how letters are composed alone" in twice
    (told,) = input_notes(find_photographs([tmp_path / "Cat"], CLASSES), CLASSES)
    assert "found 'Cat'" in told


def test_the_outermost_class_folder_counts_as_in_training(tmp_path: Path) -> None:
    names = ["train/cat/a.png", "train/cat/dog/b.png", "train/dog/c/d.png", "val/dog/e.png"]
    put(tmp_path, names)
    classes = FolderDataset(tmp_path).classes
    trained = {s.image_id: classes[s.label] for s in FolderDataset(tmp_path).samples("train")}
    assert trained == {"cat/a.png": "cat", "cat/dog/b.png": "cat", "dog/c/d.png": "dog"}
    assert found([tmp_path / "train"]) == trained
    assert found([tmp_path]) == {**{f"train/{k}": v for k, v in trained.items()}, "val/dog/e.png": "dog"}
    assert found([tmp_path / "train" / "cat"]) == {"a.png": "cat", "dog/b.png": "cat"}
    assert found([tmp_path / "train" / "cat" / "dog"]) == {"b.png": "cat"}
    assert found([tmp_path / "train" / "cat" / "dog" / "b.png"]) == {"b.png": "cat"}


def test_a_folder_above_that_is_named_as_a_class(tmp_path: Path) -> None:
    put(tmp_path / "dog", ["cat/a.png", "bird/b.png", "loose.png"])
    classes = ("bird", "cat", "dog")
    seen = {p.image_id: p.folder_class for p in find_photographs([tmp_path / "dog"], classes)}
    assert seen == {"cat/a.png": "cat", "bird/b.png": "bird", "loose.png": "dog"}
    assert [p.folder_class for p in find_photographs([tmp_path / "dog" / "cat"], classes)] == ["cat"]
    put(tmp_path, ["cat/train/dog/a.png", "cat/train/bird/b.png"])  # a data set beside another one
    seen = {p.image_id: p.folder_class for p in find_photographs([tmp_path / "cat"], classes)}
    assert seen == {"train/dog/a.png": "dog", "train/bird/b.png": "bird"}


def test_a_class_that_is_called_as_a_split(tmp_path: Path) -> None:
    put(tmp_path, ["train/bus/a.png", "train/train/b.png", "val/train/c.png"])
    seen = {p.image_id: p.folder_class for p in find_photographs([tmp_path], ("bus", "train"))}
    assert seen == {"train/bus/a.png": "bus", "train/train/b.png": "train", "val/train/c.png": "train"}
    seen = {p.image_id: p.folder_class for p in find_photographs([tmp_path / "train"], ("bus", "train"))}
    assert seen == {"bus/a.png": "bus", "train/b.png": "train"}


def test_links_to_class_folders_are_followed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    photos = put(tmp_path_factory.mktemp("photos"), ["dog/a.png"])
    (photos / "cat").symlink_to(folder / "other")
    (photos / "dog" / "round").symlink_to(photos)
    assert found([photos]) == {"cat/c.png": "cat", "dog/a.png": "dog"}
    assert [s.image_id for s in FolderDataset(photos).samples("train")] == ["cat/c.png", "dog/a.png"]
    (photos / "cat").unlink()
    (photos / "cat").symlink_to(photos / "dog")
    (told,) = input_notes(find_photographs([photos], CLASSES), CLASSES)
    assert f"by a link {photos / 'dog'} is of cat and dog: its photographs count for each" in told


def test_pictures_that_are_not_read_are_counted(tmp_path: Path) -> None:
    put(tmp_path, ["cat/a.png"])
    (tmp_path / "cat" / "b.CR2").write_bytes(b"II*\0 a thumbnail stands here")
    assert found([tmp_path]) == {"cat/a.png": "cat", "cat/b.CR2": "cat"}
    with pytest.raises(UserError, match=r"b\.CR2 is of a kind that is not read: convert it to JPEG"):
        read_image(tmp_path / "cat" / "b.CR2")


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
