from __future__ import annotations

from pathlib import Path

import pytest

from rfga.data.checks.findings import Finding
from rfga.data.checks.source import open_for_check
from rfga.data.checks.survey import take_survey
from rfga.data.checks.truth import ENTRY_BY_ENTRY, truth_findings
from rfga.data.synthetic.dataset import SyntheticDataset
from rfga.data.synthetic.files import write_class_folders
from rfga.data.truth.readers import READERS, open_truth
from rfga.types import UserError
from tests.data.checks.folders_to_check import CLASSES, HEIGHT, WIDTH, clean_folders, truth_found, truth_kinds
from tests.data.truth import test_names
from tests.made_benchmarks import write_benchmark, write_lists


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    return clean_folders(tmp_path / "data", train=1)


def own(data: str) -> list[Finding]:
    source = open_for_check(data)
    survey, _ = take_survey(source.dataset)
    return list(truth_findings(source, survey))


def test_the_kinds_read_entry_by_entry_are_kinds_of_truth() -> None:
    assert set(READERS) >= set(ENTRY_BY_ENTRY)


@pytest.mark.parametrize("truth", ["val_boxes.json", "val_masks"])
def test_the_synthetic_set_as_folders_has_nothing_wrong(truth: str, tmp_path: Path) -> None:
    birds = SyntheticDataset(train_per_class=1, val_per_class=2, test_per_class=0, longer_side_pixels=64)
    write_class_folders(birds, tmp_path / "birds")
    assert truth_found(tmp_path / "birds", tmp_path / "birds" / truth) == []


def test_without_truth_there_is_nothing_to_say_and_lost_truth_is_an_error(folders: Path) -> None:
    source = open_for_check(str(folders))
    survey, _ = take_survey(source.dataset)
    assert list(truth_findings(source, survey)) == []
    with pytest.raises(UserError, match=r"found no such thing at lost\.json"):
        list(truth_findings(source, survey, Path("lost.json")))
    with pytest.raises(UserError, match=r"expected photographs of test for the truth boxes\.json"):
        list(truth_findings(source, survey, Path("boxes.json"), "test"))


def lists(
    folders: Path, boxes: dict[str, tuple[float, ...]], size_wh: tuple[int, int] = (WIDTH, HEIGHT)
) -> Path:
    names = [f"{name}/{number}.jpg" for name in CLASSES for number in range(3)]
    return write_lists(
        folders / "lists",
        image_sizes=[(name, *size_wh) for name in names],
        localization=[(name, *boxes.get(name, (5, 4, 25, 40))) for name in names],
    )


def test_lists_of_a_benchmark(folders: Path) -> None:
    assert truth_kinds(folders, lists(folders, {})) == []
    wrong = lists(folders, {"cat/1.jpg": (30, 20, 5, 40), "dog/0.jpg": (5, 4, 90, 40)})
    assert truth_kinds(folders, wrong) == [
        ("box_inverted", "val/cat/1.jpg"),
        ("box_over_edge", "val/dog/0.jpg"),
    ]


def test_widths_in_lists_of_edges(folders: Path) -> None:
    names = [f"{name}/{number}.jpg" for name in CLASSES for number in range(3)]
    (one,) = truth_found(
        folders, lists(folders, {name: (30, 20 + n, 20, 15) for n, name in enumerate(names)})
    )
    assert one.kind == "box_convention"
    assert "6 do as [x, y, width, height]: convert them" in one.sentence


def test_truth_that_a_reader_refuses_is_a_finding_for_each_photograph(folders: Path) -> None:
    found = truth_kinds(folders, lists(folders, {}, (30, 40)))
    assert found == [("truth_misfit", f"val/{name}/{number}.jpg") for name in CLASSES for number in range(3)]
    (folders / "lists" / "localization.txt").write_text("cat/0.jpg,1,2\n")
    assert [kind for kind, _ in truth_kinds(folders, folders / "lists")] == ["truth_unusable"]


@pytest.mark.parametrize("kind", ["boxes", "masks"])
def test_a_prepared_benchmark(kind: str, tmp_path: Path) -> None:
    root = write_benchmark(tmp_path / "cub", kind)
    assert own(f"cub:{root}") == []


def test_a_prepared_benchmark_with_faults(tmp_path: Path) -> None:
    root = write_benchmark(tmp_path / "cub")
    folder = root / "metadata" / "val"
    sizes, boxes = (folder / "image_sizes.txt"), (folder / "localization.txt")
    sizes.write_text(sizes.read_text().replace(",40,30", ",41,30", 1))
    lines = boxes.read_text().splitlines()
    first = lines[0].split(",")[0]
    boxes.write_text("\n".join([f"{first},20,5,3,9", *lines[1:]]) + "\n")
    assert [(one.kind, one.file) for one in own(f"cub:{root}")] == [
        ("truth_size", f"val/{first}"),
        ("box_inverted", f"val/{first}"),
    ]


def test_the_drawn_set() -> None:
    birds = SyntheticDataset(train_per_class=1, val_per_class=1, test_per_class=1, longer_side_pixels=64)
    survey, _ = take_survey(birds)
    source = open_for_check("synthetic")
    assert list(truth_findings(type(source)(birds, carries_truth=True), survey)) == []


def write_voc(
    folder: Path, image_id: str, box: tuple[int, ...], size_wh: tuple[int, int] = (WIDTH, HEIGHT)
) -> None:
    corners = "".join(
        f"<{name}>{value}</{name}>" for name, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    path = (folder / image_id).with_suffix(".xml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"<annotation><filename>{Path(image_id).name}</filename>"
        f"<size><width>{size_wh[0]}</width><height>{size_wh[1]}</height></size>"
        f"<object><name>{Path(image_id).parent}</name><bndbox>{corners}</bndbox></object></annotation>"
    )


def test_other_formats_are_checked_photograph_by_photograph(folders: Path) -> None:
    names = [f"{name}/{number}.jpg" for name in CLASSES for number in range(3)]
    for name in names[:5]:
        write_voc(folders / "voc", name, (5, 6, 40, 30))
    write_voc(folders / "voc", "cat/9.jpg", (5, 6, 40, 30))
    assert truth_kinds(folders, folders / "voc") == [
        ("truth_of_nothing", "cat/9.xml"),
        ("without_truth", "val/dog/2.jpg"),
    ]
    write_voc(folders / "voc", names[0], (5, 6, 40, 30), (HEIGHT, WIDTH))
    write_voc(folders / "voc", names[1], (5, 6, WIDTH + 9, 30))
    (folders / "voc" / "cat" / "9.xml").unlink()
    assert truth_kinds(folders, folders / "voc") == [
        ("truth_misfit", "val/cat/0.jpg"),
        ("box_over_edge", "voc"),
        ("without_truth", "val/dog/2.jpg"),
    ]


@pytest.mark.parametrize("written", ["{}", "val/{}", "images/val/{}", "train/{}", "bird/{}", "CAT"])
@pytest.mark.parametrize("kind", test_names.KINDS)
def test_the_check_and_the_readers_know_the_same_photographs(kind: str, written: str, folders: Path) -> None:
    """What ``data check`` finds no truth for, ``evaluate`` has none for either, and the other way round."""
    ids = [f"{name}/{number}.jpg" for name in CLASSES for number in range(3)]
    odd = "CAT/0.jpg" if written == "CAT" else written.format(ids[0])
    named = [(odd, "cat"), *((image_id, image_id.partition("/")[0]) for image_id in ids[1:])]
    truth = test_names.KINDS[kind](folders, named)
    found = truth_found(folders, truth)
    reader = open_truth(truth, folders / "val", ids)
    without = tuple(one.file.removeprefix("val/") for one in found if one.kind == "without_truth")
    assert without == reader.images_without_truth
    assert tuple(one.file for one in found if one.kind == "truth_of_nothing") == reader.missing_images
    told = {"truth_left_out", "truth_spelling", "truth_entry"}
    assert {one.kind for one in found} & told == {kind for kind, _ in reader.remarks}
