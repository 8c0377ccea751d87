"""Weights from files: what is read, what is left aside, what is refused without running anything."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from rfga.backbones.timm_network import timm_backbone
from rfga.backbones.weights import load_weights, read_weights


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    """Those of a small network with its classifier."""
    torch.manual_seed(7)
    return {name: value.clone() for name, value in timm.create_model("test_resnet").state_dict().items()}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth", "w.pt", "w.bin"])
def test_every_kind_of_file_is_read(name: str, weights: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / name
    if path.suffix == ".safetensors":
        save_file(weights, path)
    else:
        torch.save(weights, path)
    assert_same(read_weights(path), weights)


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_nested_and_prefixed_names_are_found(key: str, weights: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({key: {f"module.{name}": value for name, value in weights.items()}, "epoch": 3}, path)
    assert_same(read_weights(path), weights)


def test_the_old_format_of_torch_is_read(weights: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save(weights, path, _use_new_zipfile_serialization=False)
    assert_same(read_weights(path), weights)


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("way", ["torch", "old torch", "pickle"])
def test_code_in_a_file_does_not_run(way: str, weights: dict[str, Tensor], tmp_path: Path) -> None:
    path, sign = tmp_path / "w.pth", tmp_path / "it ran"
    held = {**weights, "trap": Trap(sign)}
    if way == "pickle":
        path.write_bytes(pickle.dumps(held, protocol=2))
    else:
        torch.save(held, path, _use_new_zipfile_serialization=way == "torch")
    with pytest.raises(
        ValueError, match=r"expected a file that holds tensors alone, found something else in .*: save"
    ):
        read_weights(path)
    assert not sign.exists()
    torch.load(path, weights_only=False) if way != "pickle" else pickle.loads(path.read_bytes())
    assert sign.exists(), "the trap is no trap"


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(
            ValueError, match=r"expected a file of weights, found nothing at .*: check the path"
        ):
            read_weights(path)


def test_damaged_files_are_refused(weights: dict[str, Tensor], tmp_path: Path) -> None:
    whole = tmp_path / "w.safetensors"
    save_file(weights, whole)
    zipped = tmp_path / "w.pth"
    torch.save(weights, zipped)
    empty_zip = tmp_path / "empty.pth"
    zipfile.ZipFile(empty_zip, "w").close()
    cases = {
        "cut.safetensors": whole.read_bytes()[:-100],
        "cut.pth": zipped.read_bytes()[:-100],
        "empty.safetensors": b"",
        "void.pth": b"",
        "page.pth": b"<html>404 not found</html>",
        "page.safetensors": b"<html>404 not found</html>",
        "zip.pth": empty_zip.read_bytes(),
    }
    for name, content in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"expected a .*, found .*{name}.*: (copy|save)"):
            read_weights(path)


@pytest.mark.parametrize("held", [[1, 2], {}, {"lr": 0.1}, {"state_dict": {}}, torch.zeros(3)])
def test_files_without_named_tensors_are_refused(held: Any, tmp_path: Path) -> None:
    torch.save(held, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"expected named tensors, found none in .*: give a state dict"):
        read_weights(tmp_path / "w.pth")


def test_a_network_takes_all_its_weights_and_leaves_the_classifier(weights: dict[str, Tensor]) -> None:
    network = timm_backbone("test_resnet").network
    load_weights(network, {**weights, "fc.more": torch.zeros(2)}, "w.pth")
    loaded = network.state_dict()
    assert {"fc.weight", "fc.bias"} == weights.keys() - loaded.keys()
    assert_same({**loaded, "fc.weight": weights["fc.weight"], "fc.bias": weights["fc.bias"]}, weights)


def test_counters_of_batches_may_be_absent_and_halves_become_floats(weights: dict[str, Tensor]) -> None:
    network = timm_backbone("test_resnet").network
    given = {
        n: v.half() if v.is_floating_point() else v for n, v in weights.items() if "num_batches" not in n
    }
    load_weights(network, given, "w.pth")
    assert network.get_parameter("conv1.0.weight").dtype == torch.float32
    torch.testing.assert_close(
        network.get_parameter("conv1.0.weight").data, weights["conv1.0.weight"], rtol=1e-3, atol=1e-3
    )


def refused(network: nn.Module, weights: dict[str, Tensor]) -> str:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(
        ValueError, match=r"found another architecture in other.pth .*: name the backbone they are of"
    ) as caught:
        load_weights(network, weights, "other.pth")
    assert_same(network.state_dict(), before)
    return str(caught.value)


def test_another_architecture_is_refused_and_nothing_is_loaded(weights: dict[str, Tensor]) -> None:
    network = timm_backbone("test_resnet").network
    other = timm.create_model("test_efficientnet").state_dict()
    assert "conv1.0.weight is absent" in refused(network, other)
    wide = {**weights, "conv1.0.weight": weights["conv1.0.weight"][:1]}
    assert "conv1.0.weight is (1, " in refused(network, wide)


def test_a_deeper_network_of_the_same_family_is_refused() -> None:
    """It has every weight that is wanted, of the right shape, and would give nonsense without an error."""
    deeper = timm.create_model("resnet34").state_dict()
    message = refused(timm_backbone("resnet18").network, deeper)
    assert "(0 absent, 0 of another shape, 96 too many; layer1.2.conv1.weight has no place)" in message
