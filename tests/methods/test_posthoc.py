"""Post-hoc maps against their equations written out, and against the library's own run on a plain network."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import product
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rfga.backbones.build import build_backbone
from rfga.methods import METHODS, POSTHOC
from rfga.methods.base import MapReader, Method, ScoreMaps, labels_or_top
from rfga.methods.cam import CAM
from rfga.methods.posthoc import GradCAM, features_and_logits
from rfga.types import FloatArray, UserError
from tests.contract_cases import CLASSES, made_images, made_method, target

BY_LIBRARY = [name for name, address in POSTHOC.items() if ".posthoc:" in address]
LABELS = torch.tensor([[2, 0], [1, 1]])


class Curved(Method):
    """A method with no more than the contract asks for, whose gradients differ from place to place."""

    def __init__(self, scale: float = 1.0) -> None:
        torch.manual_seed(0)
        super().__init__(build_backbone("test_resnet"), CLASSES)
        self.backbone.attach("layer3", nn.Hardtanh(-1, 1))
        channels = self.backbone.out_channels
        self.head = nn.Sequential(nn.Conv2d(channels, 24, 3, padding=1), nn.Tanh(), nn.Conv2d(24, CLASSES, 1))
        self.scale = scale

    def classify(self, features: Tensor) -> Tensor:
        logits: Tensor = self.scale * self.head(features).mean((2, 3))
        return logits

    def loss(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        return F.cross_entropy(self.classify(self.backbone(images)), labels)

    @torch.no_grad()
    def localize(self, images: Tensor, labels: Tensor | None = None) -> ScoreMaps:
        logits = self.classify(self.backbone(images))
        labels = labels_or_top(logits, labels)
        return ScoreMaps(logits, torch.zeros(*labels.shape, 4, 6), labels)


class Careless(Curved):
    """Leaves it to whoever calls it to switch gradients off."""

    def localize(self, images: Tensor, labels: Tensor | None = None) -> ScoreMaps:
        logits = self.classify(self.backbone(images))
        labels = labels_or_top(logits, labels)
        return ScoreMaps(logits, torch.zeros(*labels.shape, 4, 6), labels)


def reader(name: str, method: Method) -> MapReader:
    made: MapReader = target(POSTHOC, name)(method)
    return made


# Each equation for one image: A, G (C, h, w) in float64, and the logits of images for Score-CAM.
Score = Callable[[Tensor], Tensor]


def grad_cam(a: FloatArray, g: FloatArray, score: Score, image: Tensor) -> FloatArray:
    return sum_of(a[c] * g[c].mean() for c in range(len(a)))


def grad_cam_plus_plus(a: FloatArray, g: FloatArray, score: Score, image: Tensor) -> FloatArray:
    maps = []
    for c in range(len(a)):
        below = 2 * g[c] ** 2 + a[c].sum() * g[c] ** 3
        alpha = np.divide(g[c] ** 2, below, out=np.zeros_like(below), where=g[c] != 0)
        maps.append(a[c] * (alpha * np.maximum(g[c], 0)).sum())
    return sum_of(maps)


def layer_cam(a: FloatArray, g: FloatArray, score: Score, image: Tensor) -> FloatArray:
    return sum_of(a[c] * np.maximum(g[c], 0) for c in range(len(a)))


def score_cam(a: FloatArray, g: FloatArray, score: Score, image: Tensor) -> FloatArray:
    scores = []
    for channel in a:
        mask = cv2_corners(channel, (image.shape[1], image.shape[2]))
        mask = (mask - mask.min()) / (mask.max() - mask.min() + 1e-8)  # a channel may be zero
        scores.append(float(score((image * torch.from_numpy(mask).float())[None]).detach()))
    weights = np.exp(np.array(scores) - max(scores))
    return sum_of(w * channel for w, channel in zip(weights / weights.sum(), a, strict=True))


def cv2_corners(channel: FloatArray, size_hw: tuple[int, int]) -> FloatArray:
    """Bilinear with the corners' centres kept in place, one axis after the other."""
    for length in reversed(size_hw):
        at, old = np.linspace(0, channel.shape[1] - 1, length), np.arange(channel.shape[1])
        channel = np.stack([np.interp(at, old, line) for line in channel]).T
    return channel


def eigen_cam(a: FloatArray, g: FloatArray, score: Score, image: Tensor) -> FloatArray:
    places = a.reshape(len(a), -1).T
    centred = places - places.mean(0)
    values, vectors = np.linalg.eigh(centred @ centred.T)  # of the places: the projections, up to scale
    first = vectors[:, -1] * np.sqrt(values[-1])
    sign = np.sign(np.corrcoef(first, places.sum(1))[0, 1])
    found: FloatArray = (sign * first).reshape(a.shape[1:])
    return found


def sum_of(maps: Any) -> FloatArray:
    total: FloatArray = np.sum(list(maps), axis=0)
    return total


EQUATIONS = {
    "gradcam": grad_cam,
    "gradcam++": grad_cam_plus_plus,
    "layercam": layer_cam,
    "scorecam": score_cam,
    "eigencam": eigen_cam,
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "scorecam" else ()) for name in BY_LIBRARY]
)
def test_maps_follow_the_equation(name: str) -> None:
    method = Curved().eval()
    images, _ = made_images()
    found = reader(name, method).localize(images, LABELS)
    assert found.maps.shape == (2, 2, 4, 6)
    assert torch.equal(found.labels, LABELS)
    torch.testing.assert_close(found.logits, method.classify(method.backbone(images)))
    peaks = []
    for i, j in product(range(2), range(2)):
        label = int(LABELS[i, j])
        features = method.backbone(images[i : i + 1]).detach().requires_grad_()
        (gradients,) = torch.autograd.grad(method.classify(features)[0, label], features)
        a, g = features.detach()[0].double().numpy(), gradients[0].double().numpy()

        def score(batch: Tensor, label: int = label) -> Tensor:
            return method.classify(method.backbone(batch))[0, label]

        expected = np.maximum(EQUATIONS[name](a, g, score, images[i]), 0)
        peaks.append(expected.max())
        read = found.maps[i, j].double().numpy()
        np.testing.assert_allclose(read, expected, rtol=2e-3, atol=2e-3 * expected.max())
    assert max(peaks) > 0


class Plain(nn.Module):
    """The same network as anybody would write it."""

    def __init__(self, method: Curved) -> None:
        super().__init__()
        self.features, self.classify = method.backbone, method.classify

    def forward(self, images: Tensor) -> Tensor:
        return self.classify(self.features(images))


@pytest.mark.parametrize("name", BY_LIBRARY)
def test_maps_are_those_of_the_librarys_own_run(name: str) -> None:
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    # Large gradients, against which the 1e-6 that the library adds in Grad-CAM++ does not count.
    method = Curved(scale=1e3 if name == "gradcam++" else 1.0).eval()
    plain, (images, labels) = Plain(method), made_images()
    found = reader(name, method).localize(images, labels).maps[:, 0].numpy()
    tool = getattr(pytorch_grad_cam, target(POSTHOC, name).tool)
    with tool(plain, [plain.features]) as cam:
        run = cam(images, [ClassifierOutputTarget(int(label)) for label in labels])
    assert run.shape == (2, 64, 96)
    same = []
    for mine, theirs in zip(found, run, strict=True):
        scaled = mine / mine.max() if mine.min() == 0 else (mine - mine.min()) / (mine.max() - mine.min())
        resized = cv2.resize(scaled, (96, 64))
        resized = (resized - resized.min()) / (resized.max() - resized.min())
        same.append(np.allclose(resized, theirs, atol=2e-3))
    # The library leaves the sign of a principal component to chance, so that its map may be the inverse.
    assert all(same) or name == "eigencam"


def test_grad_cam_of_cam_is_cam_clipped_and_scaled() -> None:
    method = made_method("cam", "resnet18").eval()
    images, labels = made_images()
    found, own = GradCAM(method).localize(images, labels), method.localize(images, labels)
    torch.testing.assert_close(found.maps, own.maps.relu() / (4 * 6))
    assert torch.equal(found.logits, own.logits)


def test_eigen_cam_is_bright_where_the_features_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever sign the library's principal component happens to have."""
    from pytorch_grad_cam import eigen_cam

    method = Curved().eval()
    images, _ = made_images(count=3)
    strength = method.backbone(images).detach().sum(1).flatten(1)
    plain = eigen_cam.get_2d_projection
    for sign in (1, -1):
        monkeypatch.setattr(eigen_cam, "get_2d_projection", lambda a, sign=sign: sign * plain(a))
        maps = reader("eigencam", method).localize(images).maps[:, 0].flatten(1)
        assert all(np.corrcoef(a, b)[0, 1] > 0 for a, b in zip(maps, strength, strict=True))


def test_grad_cam_plus_plus_does_not_depend_on_the_size_of_gradients() -> None:
    images, labels = made_images()
    small, large = (
        reader("gradcam++", Curved(scale=scale)).localize(images, labels).maps for scale in (1e-4, 1e2)
    )
    assert small.max() > 0
    # The second term of the denominator grows with the gradients; both are far from what 1e-6 would do.
    exact = []
    for scale in (1e-4, 1e2):
        method = Curved(scale=scale).eval()
        features = method.backbone(images[:1]).detach().requires_grad_()
        (g,) = torch.autograd.grad(method.classify(features)[0, 0], features)
        a = features.detach()[0].double().numpy()
        exact.append(np.maximum(grad_cam_plus_plus(a, g[0].double().numpy(), method.classify, images[0]), 0))
    for mine, theirs in zip((small[0, 0], large[0, 0]), exact, strict=True):
        np.testing.assert_allclose(mine / mine.max(), theirs / theirs.max(), atol=2e-3)


@pytest.mark.parametrize(
    ("method_name", "name"),
    [  # each way but the slowest is tried with a method or two; all with all is slow
        pytest.param(method, name, marks=() if (i + j) % 9 == 0 and name != "scorecam" else pytest.mark.slow)
        for (i, method), (j, name) in product(enumerate(METHODS), enumerate(POSTHOC))
    ],
)
def test_any_method_can_be_read(method_name: str, name: str) -> None:
    method = made_method(method_name, "test_resnet")
    images, labels = made_images()
    found = reader(name, method).localize(images, labels)
    own = method.eval().localize(images, labels)
    assert torch.equal(found.logits, own.logits)
    last = list(method.backbone.forward_stages(images).values())[-1]
    assert found.maps.shape == (2, 1, *last.shape[2:])
    assert found.maps.isfinite().all()
    assert (found.maps >= 0).all()
    assert not found.maps.requires_grad
    assert not found.logits.requires_grad
    top = reader(name, method).localize(images)
    assert torch.equal(top.labels[:, 0], found.logits.argmax(1))


@pytest.mark.parametrize("name", POSTHOC)
@pytest.mark.parametrize(
    ("cls", "outer"),
    [
        (Careless, torch.enable_grad),
        pytest.param(Curved, torch.no_grad, marks=pytest.mark.slow),
        pytest.param(Careless, torch.no_grad, marks=pytest.mark.slow),
        pytest.param(Curved, torch.enable_grad, marks=pytest.mark.slow),
    ],
)
def test_whatever_is_touched_is_restored(name: str, outer: Callable[[], Any], cls: type[Curved]) -> None:
    method = cls().train()
    method.backbone.network.get_submodule("layer2").eval()
    method.head[0].requires_grad_(False)
    images, labels = made_images()
    torch.autograd.backward(method.loss(images, labels, torch.Generator()))

    def state() -> tuple[Any, ...]:
        hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in method.modules()]
        grads = [None if p.grad is None else p.grad.numpy().tobytes() for p in method.parameters()]
        values = [value.numpy().tobytes() for value in method.state_dict().values()]
        modes = [module.training for module in method.modules()]
        needs = [p.requires_grad for p in method.parameters()]
        return hooks, grads, values, modes, needs, torch.is_grad_enabled(), torch.get_rng_state().tolist()

    with outer():
        before, kept = state(), images.clone()
        reader(name, method).localize(images, labels)
        assert state() == before
        with pytest.raises(ValueError, match="expected labels in"):
            reader(name, method).localize(images, labels + CLASSES)
        assert state() == before
        with pytest.raises(RuntimeError):
            reader(name, method).localize(images[:, :1])
        assert state() == before
        assert torch.equal(images, kept)


def test_a_method_whose_logits_do_not_follow_from_its_features_is_refused() -> None:
    class Detached(CAM):
        def localize(self, images: Tensor, labels: Tensor | None = None) -> ScoreMaps:
            found = super().localize(images, labels)
            return ScoreMaps(found.logits.detach(), found.maps, found.labels)

    method = Detached(build_backbone("test_resnet"), CLASSES)
    with pytest.raises(ValueError, match="those of Detached do not: take its own maps"):
        features_and_logits(method, made_images()[0])
    assert all(p.requires_grad for p in method.parameters())


def test_reading_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    images, labels = made_images()
    for name in POSTHOC:
        reader(name, Curved()).localize(images, labels)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", BY_LIBRARY)
def test_without_the_library_the_remedy_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam", None)
    with pytest.raises(UserError, match=r'expected .*grad-cam.*, found .*: pip install "rfga\[grad-cam\]"'):
        reader(name, Curved())
