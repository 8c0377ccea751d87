"""No pickle of a stranger is run, whichever door it comes through: each trap would leave a file behind."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import rfga
from rfga.engine.learning.feature_store import FeatureStore
from rfga.engine.learning.resume import read_checkpoint
from rfga.engine.localizing.localizer import Localizer
from rfga.types import UserError
from tests.engine import tiny
from tests.security.doors import Trap, refused, run
from tests.security.test_fuzz_truth import IDS, LISTS, write

Save = Callable[[Any, Path], None]


def plain(held: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(held, protocol=2))


def old_torch(held: Any, path: Path) -> None:
    torch.save(held, path, _use_new_zipfile_serialization=False)


SAVES: dict[str, Save] = {"torch": torch.save, "old torch": old_torch, "plain": plain}
"""Ways to write a pickle that torch.load opens."""
WAYS = ["torch", *(pytest.param(way, marks=pytest.mark.slow) for way in ("old torch", "plain"))]


@pytest.fixture
def sign(tmp_path: Path) -> Path:
    """The file that a trap leaves."""
    return tmp_path / "it ran"


@pytest.fixture
def copy(tiny_run: Path, tmp_path: Path) -> Path:
    """A run that a test may change."""
    return tiny.copied(tiny_run, tmp_path / "run")


def spring(path: Path, sign: Path) -> None:
    """See that the trap is one: opened in the careless way, it leaves its sign."""
    assert not sign.exists(), "the trap was opened"
    # Where the file is none of torch's it says so, but only after it has opened the pickle.
    with path.open("rb") as stream, suppress(RuntimeError):
        torch.load(stream, weights_only=False)
    assert sign.exists(), "the trap is no trap"
    sign.unlink()


def unfinished(copy: Path, sign: Path, save: Save = torch.save) -> Path:
    """The run before its end, with a trap in its checkpoint."""
    checkpoint = copy / "checkpoints" / "last.ckpt"
    held = torch.load(checkpoint, weights_only=True)
    save({**held, "trap": Trap(sign)}, checkpoint)
    (copy / "model.safetensors").unlink()
    return checkpoint


@pytest.mark.parametrize("way", WAYS)
def test_resuming_runs_nothing_of_the_checkpoint(
    way: str, copy: Path, birds: Path, sign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # must not decide it either
    checkpoint = unfinished(copy, sign, SAVES[way])
    said = refused("train", birds, "--out", copy, "--resume", *tiny.flags())
    assert said.startswith(f"expected a checkpoint to go on from, found {checkpoint} damaged")
    spring(checkpoint, sign)


def test_lightning_itself_runs_nothing_of_the_checkpoint(
    copy: Path, birds: Path, sign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = unfinished(copy, sign)
    trusted = copy.parent / "sound.ckpt"
    torch.save({**torch.load(checkpoint, weights_only=False), "trap": None}, trusted)
    sign.unlink()
    # Somebody changes the file after we looked at it and before Lightning does.
    monkeypatch.setattr(
        "rfga.engine.learning.train.read_checkpoint", lambda _: _looked_at(trusted, checkpoint)
    )
    ended = run("train", birds, "--out", copy, "--resume", *tiny.flags(epochs=2), may_surprise=True)
    assert ended.status == 1
    assert "Weights only load failed" in ended.said
    spring(checkpoint, sign)


def _looked_at(trusted: Path, checkpoint: Path) -> Any:
    found = read_checkpoint(trusted)
    assert found is not None
    return type(found)(checkpoint, 1)


def test_a_checkpoint_that_slurm_would_have_left_is_not_run(
    copy: Path, birds: Path, sign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "job", "SLURM_JOB_ID": "1"}.items():
        monkeypatch.setenv(name, value)
    left = copy / "hpc_ckpt_1.ckpt"
    torch.save({"trap": Trap(sign)}, left)
    (copy / "model.safetensors").unlink()
    (copy / "checkpoints" / "last.ckpt").unlink()
    run("train", birds, "--out", copy, "--resume", *tiny.flags(epochs=2), may_surprise=True)
    spring(left, sign)


@pytest.mark.parametrize(
    ("way", "ending"), [("torch", "pth"), ("old torch", "pt"), ("plain", "pth"), ("torch", "safetensors")]
)
def test_weights_to_start_from_run_nothing(
    way: str, ending: str, birds: Path, sign: Path, tmp_path: Path
) -> None:
    path = tmp_path / f"w.{ending}"
    SAVES[way]({"conv1.weight": torch.ones(1), "trap": Trap(sign)}, path)
    said = refused("train", birds, "--out", tmp_path / "run", *tiny.flags(weights=path))
    assert said.startswith("expected a ")
    assert not (tmp_path / "run").exists() or not any((tmp_path / "run").iterdir())
    spring(path, sign)


@pytest.mark.slow
def test_weights_that_are_tensors_alone_are_taken(tiny_run: Path, birds: Path, tmp_path: Path) -> None:
    held = {
        name.removeprefix("backbone.network."): value
        for name, value in tiny.weights(tiny_run).items()
        if name.startswith("backbone.network.")
    }
    torch.save(held, tmp_path / "w.pth")
    out = tiny.train(birds, tmp_path / "run", weights=str(tmp_path / "w.pth"), epochs=1)
    assert (out / "model.safetensors").is_file()


@pytest.mark.parametrize("way", WAYS)
def test_a_model_that_is_a_pickle_is_not_opened(way: str, copy: Path, birds: Path, sign: Path) -> None:
    model = copy / "model.safetensors"
    held = {name: value.clone() for name, value in tiny.weights(copy).items()}  # they lie in the file itself
    model.unlink()
    SAVES[way]({**held, "trap": Trap(sign)}, model)
    for name in ("pytorch_model.bin", "model.pth", "last.ckpt"):  # what other tools would look for
        SAVES[way]({"trap": Trap(sign)}, copy / name)
    out, photograph = copy.parent / "out", next((birds / "val").rglob("*.png"))
    for arguments in (  # every command that opens a run
        ["localize", copy, photograph, "--out", out],
        ["evaluate", copy, birds, "--truth", birds / "val_boxes.json"],
        ["attention", copy, photograph, "--out", out],
    ):
        assert f"expected weights in {model}" in refused(*map(str, arguments), "--device", "cpu")
    assert f"expected weights in {model}" in refused("export", copy, "--out", copy.parent / "a.onnx")
    for opened in (rfga.load, Localizer.from_pretrained, Localizer.load):
        with pytest.raises(UserError, match="expected weights in "):
            opened(copy, device="cpu")
    spring(model, sign)


def test_a_folder_of_a_hub_with_pickles_beside_is_read_without_them(copy: Path, sign: Path) -> None:
    for name in ("pytorch_model.bin", "checkpoints/last.ckpt", "training_args.bin"):
        torch.save({"trap": Trap(sign)}, copy / name)
    assert len(rfga.load(copy, device="cpu").classes) == 6
    spring(copy / "pytorch_model.bin", sign)


@pytest.mark.parametrize("kind", ["npy", "npz maps", "npz ids", "pickle.npy", "pickle.npz"])
def test_score_maps_that_are_pickles_are_not_opened(kind: str, tmp_path: Path, sign: Path) -> None:
    lists, maps = tmp_path / "SET" / "val", tmp_path / "maps"
    write(lists, {name: text.encode() for name, text in LISTS.items()})
    (maps / "cat").mkdir(parents=True)
    trap, names, ones = np.array([Trap(sign), 2], object), np.array(IDS), np.ones((2, 6, 9))
    path = maps / ("stack.npz" if "npz" in kind else f"{IDS[0]}.npy")
    if kind == "npy":
        np.save(path, trap, allow_pickle=True)
    elif kind.startswith("npz"):
        np.savez(path, maps=trap if kind == "npz maps" else ones, ids=trap if kind == "npz ids" else names)
    else:
        path.write_bytes(pickle.dumps(Trap(sign)))
    refused("score", maps, "--metadata", lists, "--quiet")
    assert not sign.exists()
    found = np.load(path, allow_pickle=True)
    if kind.startswith("npz"):
        _ = found["maps" if kind == "npz maps" else "ids"]
    assert sign.exists(), "the trap is no trap"


@pytest.mark.parametrize("way", SAVES)
def test_features_that_are_pickles_are_not_opened(way: str, tmp_path: Path, sign: Path) -> None:
    store = FeatureStore(tmp_path)
    store.write({}, [("a.jpg", 0)], (2, 1, 1), lambda rows: iter([torch.ones(len(rows), 2, 1, 1)]))
    assert torch.equal(store[0], torch.ones(2, 1, 1))
    shard = tmp_path / "00000.safetensors"
    SAVES[way]({"features": torch.ones(1, 2, 1, 1), "trap": Trap(sign)}, shard)
    with pytest.raises(UserError, match=r"expected features in .*found it missing or damaged"):
        FeatureStore(tmp_path)[0]
    spring(shard, sign)


@pytest.mark.parametrize("name", ["hf-hub:user/model", "hf_hub:user/model", "local-dir:/tmp", "https://a/b"])
def test_a_run_folder_cannot_name_a_network_of_elsewhere(
    name: str, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*arguments: Any) -> None:
        raise AssertionError(f"a connection to {arguments}")

    monkeypatch.setattr("socket.socket.connect", connect)
    held = yaml.safe_load((copy / "config.yaml").read_text())
    held["train"]["backbone"] = name
    (copy / "config.yaml").write_text(yaml.safe_dump(held))
    said = refused("localize", copy, copy / "a.jpg", "--out", copy / "out", "--device", "cpu")
    assert said.startswith("expected the name of a timm network, found ")


CARELESS = (
    *("torch.load(", "np.load(", "pickle.load", "joblib", "shelve", "marshal", "ckpt_path=", "yaml.load("),
    *(
        "yaml.unsafe",
        "load_from_checkpoint",
        "weights_only=False",
        "allow_pickle=True",
        "trust_remote_code",
        "safe_globals",
    ),
    *(" eval(", " exec(", "os.system", "shell=True"),
)


def test_every_reader_of_pickles_in_the_package_is_known() -> None:
    package = Path(rfga.__file__).parent
    texts = {path.relative_to(package).as_posix(): path.read_text("utf-8") for path in package.rglob("*.py")}
    held = {name: [word for word in CARELESS if word in text] for name, text in texts.items()}
    assert {name: words for name, words in held.items() if words} == {
        "backbones/weights.py": ["torch.load("],  # with weights_only=True, as the tests above show
        "engine/learning/resume.py": ["torch.load("],
        "engine/learning/fitting.py": ["ckpt_path="],
    }


TRUST = """
import importlib, pkgutil, sys
import torch

def trusted():
    return set(torch.serialization.get_safe_globals())

before = trusted()
import rfga
for module in pkgutil.walk_packages(rfga.__path__, "rfga."):
    if not module.name.endswith(".__main__"):
        importlib.import_module(module.name)
ours = {kind for kind in trusted() - before if kind.__module__.split(".")[0] != "torch"}
torch.serialization.add_safe_globals([rfga.Sample])
assert rfga.Sample in trusted() - before and "lightning" in sys.modules
print(ours)
"""


@pytest.mark.slow  # a process of its own; that the package says nothing of the kind, the test above tells
def test_nothing_that_is_imported_makes_torch_trust_more() -> None:
    """Parts of torch that are loaded on the way may, as they do for everybody."""
    done = subprocess.run([sys.executable, "-c", TRUST], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
