"""Means and calibration against plain operations: values, gradients, layouts, and what is kept in memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rfga.nn.calibration import axis_mean, calibrate
from rfga.nn.rfga import CALIBRATIONS, EXPANSIONS, RFGA, VIEWS
from tests.conftest import REPOSITORY

FORMATS = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}
Factors = tuple[Tensor, Tensor, Tensor]


def plain_calibration(x: Tensor, offset: Tensor, slope: Tensor, width: Tensor) -> Tensor:
    return x * (offset + slope * width)


def plain_layer(layer: RFGA, x: Tensor) -> Tensor:
    """Means, gates and calibration by operations that form the whole attention map."""
    means = {"channel": x.mean((2, 3)).unsqueeze(1), "height": x.mean(3), "width": x.mean(2)}
    views = [
        layer._view(view, means[view]).unsqueeze(2 if view == "width" else 3).expand_as(x)
        for view in layer.views
    ]
    attention = EXPANSIONS[layer.expansion](views)
    if layer.calibration == "gradual":
        start = {"sum": len(views) / 2, "product": 0.5 ** len(views), "mean": 0.5}[layer.expansion]
        return x + layer.gain[..., None] * x * (attention - start)
    constant, share = CALIBRATIONS[layer.calibration]
    return x * (constant + share * attention)


def made(
    shape: tuple[int, int, int, int], memory_format: str, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Factors]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    x = x.contiguous(memory_format=FORMATS[memory_format]).requires_grad_()
    batch, channels, rows, columns = shape
    offset, slope, width = (
        torch.rand(batch, channels, *size, generator=generator, dtype=torch.float64)
        .to(dtype)
        .requires_grad_()
        for size in ((rows, 1), (rows, 1), (1, columns))
    )
    return x, (offset, slope, width)


def gradients(y: Tensor, leaves: list[Tensor]) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    g = torch.randn(y.shape, generator=generator, dtype=torch.float64).to(y.dtype)
    return torch.autograd.grad(y, leaves, g)


SHAPES = [(3, 5, 7, 4), (2, 130, 3, 6), (1, 1, 1, 9), (2, 3, 1, 1), (4, 300, 14, 11)]


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_equal_those_of_plain_operations(
    shape: tuple[int, int, int, int], memory_format: str
) -> None:
    x, factors = made(shape, memory_format)
    y, expected = calibrate(x, *factors), plain_calibration(x, *factors)
    assert y.stride() == x.stride()
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    leaves = [x, *factors]
    for found, wanted in zip(gradients(y, leaves), gradients(expected, leaves), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("memory_format", FORMATS)
def test_single_precision_agrees_to_five_digits(memory_format: str) -> None:
    x, factors = made((4, 200, 14, 11), memory_format, torch.float32)
    double = [part.detach().double().requires_grad_() for part in (x, *factors)]
    y, expected = calibrate(x, *factors), plain_calibration(double[0], double[1], double[2], double[3])
    for found, wanted in zip(
        (y, *gradients(y, [x, *factors])), (expected, *gradients(expected, double)), strict=True
    ):
        assert (found.double() - wanted).abs().max() <= 1e-5 * wanted.abs().max()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_agrees_to_its_digits(dtype: torch.dtype) -> None:
    x, factors = made((9, 6, 5, 8), "channels-last", dtype)
    double = [part.detach().double().requires_grad_() for part in (x, *factors)]
    y, expected = calibrate(x, *factors), plain_calibration(double[0], double[1], double[2], double[3])
    assert y.dtype == dtype
    step = torch.finfo(dtype).eps
    torch.testing.assert_close(y.double(), expected, rtol=2 * step, atol=step)
    for found, wanted in zip(gradients(y, [x, *factors]), gradients(expected, double), strict=True):
        assert found.dtype == dtype
        assert (found.double() - wanted).abs().max() <= 2 * step * wanted.abs().max()


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_means_and_their_gradients(shape: tuple[int, int, int, int], memory_format: str) -> None:
    x, _ = made(shape, memory_format)
    height, width = axis_mean(x, 3), axis_mean(x, 2)
    torch.testing.assert_close(height, x.mean(3, keepdim=True))
    torch.testing.assert_close(width, x.mean(2, keepdim=True))
    found = gradients(height.sin().sum() * width.cos().sum(), [x])
    torch.testing.assert_close(found, gradients(x.mean(3).sin().sum() * x.mean(2).cos().sum(), [x]))


def test_means_of_large_values_in_half_precision() -> None:
    x = torch.full((1, 2, 3, 200), 6e4, dtype=torch.float16)
    assert torch.equal(axis_mean(x, 3), torch.full((1, 2, 3, 1), 6e4, dtype=torch.float16))


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("size", [(1, 1, 1, 1), (1, 5, 1, 1), (3, 5, 1, 1), (3, 5, 7, 4)])
def test_factors_of_any_size_that_fits(size: tuple[int, ...], memory_format: str) -> None:
    x, (_, _, width) = made((3, 5, 7, 4), memory_format)
    offset, slope = (torch.rand(size, dtype=torch.float64, requires_grad=True) for _ in range(2))
    leaves = [x, offset, slope, width]
    found, expected = calibrate(x, offset, slope, width), plain_calibration(x, offset, slope, width)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradients(found, leaves), gradients(expected, leaves))


@pytest.mark.parametrize("memory_format", FORMATS)
def test_only_the_gradients_that_are_asked_for(memory_format: str) -> None:
    x, factors = made((3, 40, 7, 4), memory_format)
    expected = gradients(plain_calibration(x, *factors), [x, *factors])
    torch.testing.assert_close(gradients(calibrate(x.detach(), *factors), [*factors]), expected[1:])
    frozen = [factor.detach() for factor in factors]
    torch.testing.assert_close(gradients(calibrate(x, frozen[0], frozen[1], frozen[2]), [x]), expected[:1])
    offset_alone = calibrate(x.detach(), factors[0], frozen[1], frozen[2])
    torch.testing.assert_close(gradients(offset_alone, [factors[0]]), expected[1:2])


@pytest.mark.parametrize("memory_format", FORMATS)
def test_factors_without_a_slope_have_slope_one(memory_format: str) -> None:
    x, (offset, slope, width) = made((3, 20, 5, 9), memory_format)
    found, expected = calibrate(x, offset, None, width), plain_calibration(x, offset, slope * 0 + 1, width)
    torch.testing.assert_close(found, expected)
    leaves = [x, offset, width]
    torch.testing.assert_close(gradients(found, leaves), gradients(expected, leaves))


def test_a_value_that_is_no_number_stays_where_it_is() -> None:
    for memory_format in FORMATS:
        x, factors = made((1, 3, 5, 6), memory_format)
        with torch.no_grad():
            x[0, 1, 2, 3] = float("nan")
        y = calibrate(x, *factors)
        assert y.isnan().sum() == 1
        d_x, d_offset, d_slope, d_width = gradients(y, [x, *factors])
        assert [part.isnan().sum() for part in (d_x, d_offset, d_slope, d_width)] == [0, 1, 1, 1]


def test_gradients_by_differences() -> None:
    def by_its_means(x: Tensor, offset: Tensor, slope: Tensor, width: Tensor) -> Tensor:
        return calibrate(x, offset + axis_mean(x, 3), slope, width * axis_mean(x, 2))

    for memory_format in FORMATS:
        x, factors = made((2, 3, 4, 5), memory_format)
        assert torch.autograd.gradcheck(by_its_means, (x, *factors))
        assert torch.autograd.gradcheck(lambda x, a, w: calibrate(x, a, None, w), (x, factors[0], factors[2]))


@pytest.mark.parametrize(
    ("views", "expansion"), [*(((view,), "sum") for view in VIEWS), *((VIEWS, form) for form in EXPANSIONS)]
)
@pytest.mark.parametrize("calibration", list(CALIBRATIONS))
@pytest.mark.parametrize("memory_format", FORMATS)
def test_the_layers_gradients_equal_those_of_its_plain_form(
    views: tuple[str, ...], expansion: str, calibration: str, memory_format: str
) -> None:
    torch.manual_seed(0)
    layer = RFGA(6, views=views, expansion=expansion, calibration=calibration).double().train()
    if calibration == "gradual":
        torch.nn.init.uniform_(layer.gain, 0.2, 1.0)
    x, _ = made((3, 6, 5, 4), memory_format)
    leaves = [x, *layer.parameters()]
    found, expected = gradients(layer(x), leaves), gradients(plain_layer(layer, x), leaves)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_gradcheck_of_the_whole_layer() -> None:
    torch.manual_seed(0)
    layer = RFGA(3).double().train()
    x = torch.randn(3, 3, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))


def test_a_gradient_that_is_no_dense_tensor() -> None:
    x, factors = made((3, 5, 7, 4), "channels-last")
    found = torch.autograd.grad(calibrate(x, *factors).mean(), [x, *factors])  # an expanded scalar comes back
    expected = torch.autograd.grad(plain_calibration(x, *factors).mean(), [x, *factors])
    torch.testing.assert_close(found, expected)


def test_features_of_odd_strides() -> None:
    x = torch.randn(2, 6, 8, 10, dtype=torch.float64)[:, ::2, 1:, ::3].requires_grad_()
    factors = made((2, 3, 7, 4), "contiguous")[1]
    y, expected = calibrate(x, *factors), plain_calibration(x, *factors)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(gradients(y, [x, *factors]), gradients(expected, [x, *factors]))


def test_an_empty_batch_stays_empty() -> None:
    layer = RFGA(6).eval()
    x = torch.zeros(0, 6, 5, 4, requires_grad=True)
    y = layer(x)
    assert y.shape == x.shape
    assert torch.autograd.grad(y.sum(), x)[0].shape == x.shape


def test_nothing_but_the_features_is_kept_for_backward() -> None:
    layer = RFGA(16).train()
    x = torch.randn(4, 16, 9, 12, requires_grad=True)
    kept: list[Tensor] = []

    def keep(t: Tensor) -> Tensor:
        kept.append(t)
        return t

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        layer(x)
    assert {t.data_ptr() for t in kept if t.numel() >= x.numel()} == {x.data_ptr()}


PEAK = """
import resource, sys, torch
from pathlib import Path
from tests.nn.test_calibration import plain_layer
from rfga.nn.rfga import RFGA

def peak_bytes():
    status = Path("/proc/self/status")
    if status.exists():  # Linux hands the parent's peak on to a child's ru_maxrss, but not to this
        held = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(held["VmHWM"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

def step(size):
    # What a step of either form adds to the peak that there was before both.
    x, g = torch.randn(8, 16, size, size, requires_grad=True), torch.randn(8, 16, size, size)
    before, found = peak_bytes(), []
    for form in (layer, lambda x: plain_layer(layer, x)):
        x.grad = None
        form(x).backward(g)
        found.append((peak_bytes() - before) / (x.numel() * 4))
    return found

torch.manual_seed(0)
layer = RFGA(16).train()
step(40)  # whatever is set up is there from now on
print(*step(420))
"""


@pytest.mark.slow  # a process of its own
def test_a_step_makes_two_large_tensors_its_results() -> None:
    """At the peak of a training step, beside the features and dY."""
    pytest.importorskip("resource", reason="peak memory is read through the resource module")
    done = subprocess.run(
        [sys.executable, "-c", PEAK], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    ours, plain = map(float, done.stdout.split())
    assert ours < 2.5  # Y and dX
    assert plain > 3.5  # the measurement sees others


@pytest.mark.slow
def test_compiling_and_exporting_give_the_same() -> None:
    torch.manual_seed(0)
    layer, x = RFGA(6).eval(), torch.randn(2, 6, 5, 4)
    expected = layer(x)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), expected)
    exported = torch.export.export(layer, (x,), strict=False)
    torch.testing.assert_close(exported.module()(x), expected)


@pytest.mark.slow
def test_an_onnx_file_gives_the_same_for_any_batch(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    layer, path = RFGA(6).eval(), tmp_path / "layer.onnx"
    shapes = {"x": {0: torch.export.Dim("batch")}}
    torch.onnx.export(
        layer,
        (torch.randn(2, 6, 5, 4),),
        path,
        input_names=["x"],
        dynamic_shapes=shapes,
        dynamo=True,
        verbose=False,
    )
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for batch in (1, 5):
        x = torch.randn(batch, 6, 5, 4)
        (found,) = session.run(None, {"x": x.numpy()})
        torch.testing.assert_close(torch.from_numpy(found), plain_layer(layer, x), rtol=1e-5, atol=1e-5)
