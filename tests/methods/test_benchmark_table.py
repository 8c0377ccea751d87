"""The benchmark's table: parameters of every method on every variant at 200 classes, and the maps' sizes."""

from __future__ import annotations

import itertools

import pytest
import torch

from rfga.backbones import BACKBONES
from rfga.methods import METHODS
from rfga.methods.base import Method
from tests.contract_cases import target
from tests.thin import some

MILLIONS = {
    ("wsol_vgg16", "cam"): 19.639,
    ("wsol_vgg16", "acol"): 43.440,
    ("wsol_vgg16", "spg"): 28.977,
    ("wsol_vgg16", "adl"): 19.639,
    ("wsol_inception_v3", "cam"): 25.688,
    ("wsol_inception_v3", "acol"): 42.410,
    ("wsol_inception_v3", "spg"): 37.635,
    ("wsol_inception_v3", "adl"): 25.688,
    ("wsol_resnet50", "cam"): 23.918,
    ("wsol_resnet50", "acol"): 80.545,
    ("wsol_resnet50", "spg"): 61.672,
    ("wsol_resnet50", "adl"): 23.918,
}
STRIDES = {16: (14, 20), 8: (28, 40)}
CELLS = list(itertools.product(MILLIONS, STRIDES))


def made(cell: tuple[str, str], stride: int, num_classes: int, width: float = 1.0) -> Method:
    backbone = target(BACKBONES, cell[0])(output_stride=stride, width=width)
    method: Method = target(METHODS, cell[1])(backbone, num_classes)
    return method


@pytest.mark.parametrize("case", some(CELLS, one_of=2))
def test_parameters(case: tuple[tuple[str, str], int]) -> None:
    cell, stride = case
    with torch.device("meta"):  # shapes alone
        method = made(cell, stride, 200)
    parameters = sum(parameter.numel() for parameter in method.parameters())
    assert round(parameters / 1e6, 3) == MILLIONS[cell]
    new = sum(parameter.numel() for parameter in method.new_parameters())
    assert parameters - new == {"v": 14_714_688, "i": 8_965_856, "r": 23_508_032}[cell[0][5]]


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "stride"), CELLS)
def test_maps(cell: tuple[str, str], stride: int) -> None:
    method = made(cell, stride, 3, 1 / 16).eval()
    found = method.localize(torch.randn(1, 3, 224, 320))
    assert found.maps.shape == (1, 1, *STRIDES[stride])
