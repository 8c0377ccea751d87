"""Learning by passes: the same whatever the batches, the order, the processes and the kills."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rfga.engine.learning import passes
from rfga.engine.learning.sums_file import SumsFile
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.run.shelf import FEATURES
from rfga.methods import BY_PASSES
from rfga.types import UserError
from tests.engine import tiny
from tests.engine.crew import together
from tests.thin import some

SETTINGS: dict[str, Any] = {"method": "foreground", "choose_size": False, "batch_size": 5}


@pytest.fixture(scope="module")
def solved(few: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the foreground method on a few birds."""
    return tiny.train(few, tmp_path_factory.mktemp("solved") / "run", **SETTINGS)


def new_values(run: Path) -> dict[str, Tensor]:
    """What was solved: all but the network's own weights."""
    return {name: value for name, value in tiny.weights(run).items() if not name.startswith("backbone.")}


def require_close(run: Path, other: Path) -> None:
    mine, its = new_values(run), new_values(other)
    assert mine.keys() == its.keys()
    for name, value in mine.items():
        torch.testing.assert_close(value, its[name], rtol=1e-4, atol=1e-6)  # convolutions differ


def test_a_run_holds_the_network_once_and_what_was_solved(solved: Path) -> None:
    names = tiny.weights(solved).keys()
    assert not [name for name in names if name.startswith("seeding.backbone")]
    assert {"seeding.head.weight", "discriminants", "means", "levels"} <= names
    learned = tiny.metrics(solved)["learned"]
    assert learned["share"] in (0.0, 0.1, 0.3, 1.0)
    assert learned["seed_error"] > 0
    assert tiny.metrics(solved)["label_free"]["none"]["threshold"] == 0.5
    assert Localizer.load(solved).threshold.value == 0.5


def test_neither_batches_nor_the_seed_matter(few: Path, solved: Path, tmp_path: Path) -> None:
    other = tiny.train(few, tmp_path / "run", **{**SETTINGS, "batch_size": 3, "seed": 8})
    # The seed draws the network's own weights here, for want of others, and nothing else.
    same = tiny.train(few, tmp_path / "same", **{**SETTINGS, "batch_size": 3})
    require_close(same, solved)
    assert tiny.differing(new_values(other), new_values(solved))


def test_the_order_of_photographs_does_not_matter(few: Path, solved: Path, tmp_path: Path) -> None:
    """Photographs in another order have the same sums."""
    renamed = tmp_path / "photos"
    shutil.copytree(few, renamed)
    for path in sorted(renamed.rglob("*.*g")):
        path.rename(path.with_name(f"{ord(path.stem[-1]) * 37 % 101:03d}-{path.name}"))
    other = tiny.train(renamed, tmp_path / "run", **{**SETTINGS, "options": {"discriminant": "collection"}})
    first = tiny.train(few, tmp_path / "first", **{**SETTINGS, "options": {"discriminant": "collection"}})
    require_close(other, first)


def test_two_processes_solve_what_one_does(few: Path, solved: Path, tmp_path: Path) -> None:
    flags = tiny.flags(method="foreground", batch_size=5)
    statuses, said = together(2, ("train", few, "--out", tmp_path / "run", *flags), tmp_path)
    assert statuses == [0, 0], said
    require_close(tmp_path / "run", solved)


@pytest.mark.parametrize("batches", some([4, 1, 2, 7], one_of=4))
def test_a_killed_look_goes_on_and_ends_the_same(
    few: Path, solved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batches: int
) -> None:
    looked: list[str] = []
    whole = passes.Passes._batch

    def dying(self: passes.Passes, look: passes.Look, *rest: Any) -> Any:
        looked.extend(look.samples[place].image_id for place in rest[1])
        if dying_at is not None and len(looked) > dying_at:
            raise KeyboardInterrupt
        return whole(self, look, *rest)

    monkeypatch.setattr(passes.Passes, "_batch", dying)
    dying_at: int | None = 3 * batches - 1
    with pytest.raises(KeyboardInterrupt):
        tiny.train(few, tmp_path / "run", **{**SETTINGS, "batch_size": 3})
    seen, dying_at = len(looked), None
    tiny.train(few, tmp_path / "run", policy=tiny.RESUME, **{**SETTINGS, "batch_size": 3})
    total = 3 * 8  # three looks at eight photographs
    assert len(looked) - seen == total - (seen - 3), (
        "no more than the batch that was killed is looked at again"
    )
    require_close(tmp_path / "run", solved)


@pytest.mark.parametrize("damage", some([b"no sums", b"", b"\x08\0\0\0\0\0\0\0{}      "]))
def test_damaged_sums_are_gathered_anew(few: Path, solved: Path, tmp_path: Path, damage: bytes) -> None:
    run = tiny.copied(solved, tmp_path / "run")
    (run / "model.safetensors").unlink()
    kept = sorted((run / "checkpoints").glob("look-*"))
    assert len(kept) == 3
    for path in kept:
        path.write_bytes(damage)
    tiny.train(few, run, policy=tiny.RESUME, **SETTINGS)
    require_close(run, solved)


def test_what_the_network_gave_is_kept_for_the_next_look_and_changes_nothing(
    few: Path, solved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saw = tiny.seen_by_networks(monkeypatch)
    with_shelf = tiny.train(few, tmp_path / "with", **SETTINGS)
    assert sum(saw) == 8, "in the first look alone"
    monkeypatch.setattr(passes, "TEMPORARY_GB", 1e-9)
    without = tiny.train(few, tmp_path / "without", **SETTINGS)
    assert sum(saw) >= 8 + 2 * 8, "and in each where there is no room"
    for run in (with_shelf, without):
        require_close(run, solved)
        assert not (run / FEATURES).exists(), "nothing of it stays"


def test_sums_of_other_shapes_count_for_nothing(tmp_path: Path) -> None:
    file = SumsFile(tmp_path / "sums.safetensors")
    file.save({"a": torch.ones(2, dtype=torch.float64)}, 7)
    into = {"a": torch.zeros(2, dtype=torch.float64)}
    assert (file.load(into), into["a"].tolist()) == (7, [1, 1])
    for other in ({"b": torch.zeros(2)}, {"a": torch.zeros(3)}):
        assert file.load(other) == 0
        assert not next(iter(other.values())).any()


def test_the_chosen_size_is_kept_and_used(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {**SETTINGS, "choose_size": True, "image_size": 64}
    monkeypatch.setattr(passes, "SHRINKS", 1e9)  # nothing shrinks that much
    plain = tiny.train(few, tmp_path / "plain", **asked)
    assert Localizer.load(plain).config.image_size == 64
    assert tiny.metrics(plain)["shrinking"].keys() == {"64"}
    monkeypatch.setattr(passes, "SHRINKS", 0.0)
    monkeypatch.setattr(passes, "steadiest", lambda *_: 3)
    chosen = tiny.train(few, tmp_path / "chosen", **asked)
    assert Localizer.load(chosen).config.image_size == 128
    level = {run: float(tiny.weights(run)["levels"]) for run in (plain, chosen)}
    assert level[chosen] == pytest.approx(level[plain] + 0.6 * (1 - level[plain])), "0.8 of the maximum"
    assert tiny.metrics(chosen)["shrinking"].keys() == {"64", "128"}, "and how much of it is left"


@pytest.mark.parametrize("batches", some([9, 3, 6, 11], one_of=4))
def test_a_run_killed_after_it_doubled_its_input_ends_the_same(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batches: int
) -> None:
    monkeypatch.setattr(passes, "SHRINKS", 0.0)  # everything shrinks that much
    asked = {**SETTINGS, "choose_size": True, "image_size": 64, "batch_size": 3}
    whole = tiny.train(few, tmp_path / "whole", **asked)
    gather, sizes = passes.Passes._batch, list[int]()

    def dying(self: passes.Passes, look: passes.Look, *rest: Any) -> Any:
        if len(sizes) == batches:
            raise KeyboardInterrupt
        sizes.append(look.image_size)
        return gather(self, look, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(passes.Passes, "_batch", dying)
        with pytest.raises(KeyboardInterrupt):
            tiny.train(few, tmp_path / "run", **asked)
    run = tiny.train(few, tmp_path / "run", policy=tiny.RESUME, **asked)
    require_close(run, whole)
    assert tiny.metrics(run)["shrinking"] == pytest.approx(tiny.metrics(whole)["shrinking"])
    assert max(sizes) == (128 if batches > 6 else 64)


def test_any_method_may_have_the_foreground(few: Path, tmp_path: Path) -> None:
    run = tiny.train(few, tmp_path / "run", method="cam", foreground=True, epochs=1)
    plain = tiny.train(few, tmp_path / "plain", method="cam", epochs=1)
    held, its = tiny.weights(run), tiny.weights(plain)
    assert torch.equal(held["seeding.head.weight"], its["head.weight"]), "what was trained is the same"
    localizer = Localizer.load(run)
    assert localizer.config.normalisation == "none"
    assert localizer.config.image_size == 64, "a network that was trained at a size stays at it"


@pytest.mark.parametrize("method", some(BY_PASSES))
def test_settings_of_epochs_are_told_to_be_without_effect(
    few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str
) -> None:
    tiny.train(few, tmp_path / "run", runtime=tiny.QUIET.__class__(device="cpu", workers=0), method=method)
    assert f"--epochs, --lr, --seed: of no effect, for {method} is solved" in capsys.readouterr().out


def test_foreground_twice_is_refused(few: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected foreground off for the method foreground"):
        tiny.train(few, tmp_path / "run", method="foreground", foreground=True)


def test_seeds_may_be_read_in_another_way(few: Path, solved: Path, tmp_path: Path) -> None:
    seeded: dict[str, Any] = {"method": "ridge", "foreground": True, "batch_size": 5}
    plain = tiny.train(few, tmp_path / "plain", **seeded)
    other = tiny.train(few, tmp_path / "other", **seeded, seeds_from="tokencut")
    require_close(plain, solved)
    assert torch.equal(tiny.weights(other)["seeding.head.weight"], tiny.weights(plain)["seeding.head.weight"])
    assert not torch.allclose(tiny.weights(other)["discriminants"], tiny.weights(plain)["discriminants"])
    assert Localizer.load(other).config.seeds_from == "tokencut"
    for wrong in ({"seeds_from": "tokencut"}, {"seeds_from": "nothing", "foreground": True}):
        with pytest.raises(UserError, match=r"expected seeds_from out of .*tokencut.*, together with --for"):
            tiny.train(few, tmp_path / "wrong", method="ridge", **wrong)


def test_only_a_method_that_predicts_seeds_chooses_a_size(few: Path, tmp_path: Path) -> None:
    run = tiny.train(few, tmp_path / "run", method="ridge", choose_size=True)
    assert Localizer.load(run).config.image_size == 64
    assert "shrinking" not in tiny.metrics(run)


def test_maps_are_normalised_as_suits_them_whatever_the_runs_own_are(solved: Path) -> None:
    own = Localizer.load(solved)
    bag, cut = (Localizer.load(solved, maps_from=name) for name in ("bagcam", "tokencut"))
    assert [one.config.normalisation for one in (own, bag, cut)] == ["none", "minmax", "none"]
    assert (cut.threshold.value, cut.threshold.source) == (0.5, "label-free")
    assert bag.threshold.source == "fixed"
    asked = Localizer.load(solved, maps_from="tokencut", normalisation="ivr")
    assert asked.config.normalisation == "ivr"
