"""What every registered method and data set has to keep; new ones are tested at once."""

from __future__ import annotations

import copy
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rfga.backbones import BACKBONES
from rfga.data import DATASETS
from rfga.data.base import Dataset
from rfga.methods import METHODS
from rfga.methods.base import Method
from rfga.types import SPLITS
from tests.contract_cases import (
    CLASSES,
    kept_backbone,
    kept_method,
    made_dataset,
    made_images,
    made_method,
)

NETWORKS = ("test_resnet", "test_efficientnet", "test_convnext", "test_vit", *BACKBONES)
CELLS = list(itertools.product(METHODS, NETWORKS))
Made = tuple[str, str]


def quick(cell: Made) -> bool:
    """Whether it is the one cell of its method, which each network shares with one method or two."""
    return (list(METHODS).index(cell[0]) + NETWORKS.index(cell[1])) % len(NETWORKS) == 0


@pytest.fixture(
    params=[
        pytest.param(cell, marks=() if quick(cell) else pytest.mark.slow, id="-".join(cell)) for cell in CELLS
    ],
    scope="module",
)
def made(request: pytest.FixtureRequest) -> Made:
    """A method's and a backbone's name; the cells that seldom fail alone are slow tests."""
    cell: Made = request.param
    return cell


def a_loss(method: Method, generator_seed: int = 0) -> torch.Tensor:
    images, labels = made_images()
    return method.loss(images, labels, torch.Generator().manual_seed(generator_seed))


# Methods


def test_the_loss_is_a_finite_scalar_and_reaches_every_weight(made: Made) -> None:
    method = made_method(*made).train()
    loss = a_loss(method)
    assert loss.shape == ()
    assert loss.isfinite()
    torch.autograd.backward(loss)
    for name, parameter in method.named_parameters():
        assert parameter.grad is not None, f"{name} gets no gradient"
        assert parameter.grad.isfinite().all(), name


def test_inputs_stay_as_they_are(made: Made) -> None:
    method = made_method(*made).train()
    images, labels = made_images()
    kept_images, kept_labels = images.clone(), labels.clone()
    method.loss(images, labels, torch.Generator())
    method.eval().localize(images, labels)
    assert torch.equal(images, kept_images)
    assert torch.equal(labels, kept_labels)


def map_hw(method: Method) -> tuple[int, ...]:
    """Height and width of the maps, as the method tells them."""
    images = made_images()[0]
    found = method.backbone.forward_stages(images)
    assert found[method.backbone.stages[-1]].shape[2:] == (4, 6)  # images of 64 x 96 at stride 16
    stages = {name: (part.shape[2], part.shape[3]) for name, part in found.items()}
    return method.map_hw((images.shape[2], images.shape[3]), stages)


def test_shapes_of_logits_maps_and_labels(made: Made) -> None:
    method = kept_method(*made).eval()
    images, labels = made_images()
    each = torch.arange(CLASSES).repeat(2, 1)
    for given, n in ((None, 1), (labels, 1), (each, CLASSES)):
        found = method.localize(images, given)
        assert found.logits.shape == (2, CLASSES)
        assert found.maps.shape == (2, n, *map_hw(method))
        assert found.labels.shape == (2, n)
        assert found.labels.dtype == torch.int64
        assert not found.maps.requires_grad
        assert not found.logits.requires_grad
        assert found.maps.isfinite().all()


def test_a_class_has_the_same_map_however_it_is_asked_for(made: Made) -> None:
    method = kept_method(*made).eval()
    images, labels = made_images()
    every = method.localize(images, torch.arange(CLASSES).repeat(2, 1))
    alone = method.localize(images, labels)
    top = method.localize(images)
    rows = torch.arange(2)
    torch.testing.assert_close(alone.maps[:, 0], every.maps[rows, labels])
    assert torch.equal(top.labels[:, 0], every.logits.argmax(1))
    torch.testing.assert_close(top.maps[:, 0], every.maps[rows, top.labels[:, 0]])
    reversed_order = method.localize(images, torch.arange(CLASSES).flip(0).repeat(2, 1).int())
    torch.testing.assert_close(reversed_order.maps, every.maps.flip(1))
    assert torch.allclose(every.maps[:, 0], every.maps[:, 1]) != method.maps_of_classes


def test_wrong_labels_are_refused(made: Made) -> None:
    method = kept_method(*made).eval()
    images, _ = made_images()
    for wrong in (torch.tensor([0, CLASSES]), torch.tensor([-1, 0]), torch.tensor([0, 1, 2])):
        with pytest.raises(ValueError, match="expected labels"):
            method.localize(images, wrong)


def test_one_image_works_or_is_refused_in_one_sentence(made: Made) -> None:
    method = made_method(*made)
    images, labels = made_images(count=1)
    refusal = ""
    try:
        assert method.train().loss(images, labels, torch.Generator()).isfinite()
    except ValueError as error:
        refusal = str(error)
    assert re.fullmatch(r"(expected .+, found .+: .+)?", refusal)
    assert method.eval().localize(images).maps.shape == (1, 1, *map_hw(method))


def test_an_image_is_localized_alone_as_among_others(made: Made) -> None:
    method = kept_method(*made).eval()
    images, labels = made_images()
    together, again = method.localize(images, labels), method.localize(images, labels)
    assert torch.equal(together.maps, again.maps)
    alone = method.localize(images[1:], labels[1:])
    torch.testing.assert_close(alone.maps, together.maps[1:], rtol=1e-3, atol=1e-5)
    wide = method.localize(images.contiguous(memory_format=torch.channels_last), labels)
    torch.testing.assert_close(wide.maps, together.maps, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(wide.logits, together.logits, rtol=1e-3, atol=1e-5)


def test_chance_comes_from_the_generator_alone(made: Made) -> None:
    losses = []
    for global_seed in (1, 2):
        method = made_method(*made).train()
        torch.manual_seed(global_seed)
        losses.append(a_loss(method, generator_seed=7))
    assert torch.equal(*losses)
    method = made_method(*made).train()
    before = torch.get_rng_state()
    a_loss(method)
    method.eval().localize(*made_images())
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_can_be_kept_and_taken_up(made: Made) -> None:
    method, other = made_method(*made, seed=0), made_method(*made, seed=1)
    a_loss(method.train())  # moves the running statistics
    images, labels = made_images()
    assert not torch.equal(
        method.eval().localize(images, labels).maps, other.eval().localize(images, labels).maps
    )
    other.load_state_dict(method.state_dict())
    found, expected = other.localize(images, labels), method.localize(images, labels)
    assert torch.equal(found.maps, expected.maps)
    assert torch.equal(found.logits, expected.logits)


def test_a_copy_has_a_life_of_its_own(made: Made) -> None:
    method = made_method(*made).eval()
    images, labels = made_images()
    before = method.localize(images, labels).maps
    twin = copy.deepcopy(method)
    assert torch.equal(twin.localize(images, labels).maps, before)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(-2)
    assert torch.equal(method.localize(images, labels).maps, before)
    assert not torch.allclose(twin.localize(images, labels).maps, before)


def test_the_networks_weights_keep_their_names_and_new_ones_are_told_apart(made: Made) -> None:
    method, bare = kept_method(*made), kept_backbone(made[1])
    kept = {name: value.shape for name, value in method.backbone.network.state_dict().items()}
    assert kept == {name: value.shape for name, value in bare.network.state_dict().items()}
    pretrained, new = (
        {id(p) for p in found} for found in (method.pretrained_parameters(), method.new_parameters())
    )
    assert pretrained == {id(p) for p in method.backbone.network.parameters()}
    assert new
    assert pretrained | new == {id(p) for p in method.parameters()}


# Data sets


@pytest.fixture(params=list(itertools.product(DATASETS, ("boxes", "masks"))), ids="-".join)
def dataset(request: pytest.FixtureRequest, tmp_path: Path) -> Dataset:
    """A few pictures of each registered data set, with either kind of truth."""
    name, truth_kind = request.param
    return made_dataset(name, truth_kind, tmp_path)


def test_samples_are_fixed_and_told_apart(dataset: Dataset) -> None:
    for split in SPLITS:
        samples = list(dataset.samples(split))
        assert samples == list(dataset.samples(split))
        ids = [sample.image_id for sample in samples]
        assert len(set(ids)) == len(ids)
        assert not [i for i in ids if "\\" in i or i.startswith("/") or ".." in i]
        assert all(0 <= sample.label < len(dataset.classes) for sample in samples)
    assert {sample.label for sample in dataset.samples("train")} == set(range(len(dataset.classes)))
    assert len(set(dataset.classes)) == len(dataset.classes) >= 2
    assert dataset.name


def test_pictures_are_of_the_size_that_the_truth_names(dataset: Dataset) -> None:
    shapes = set()
    assert dataset.has_truth("val")
    for sample in dataset.samples("val"):
        image, truth = dataset.image(sample), dataset.truth(sample)
        assert image.mode == "RGB"
        assert truth is not None
        assert truth.size_hw == (image.height, image.width)
        shapes.add(image.width > image.height)
        if truth.boxes is not None:
            assert (truth.boxes[:, :2] >= 0).all()
            assert (truth.boxes[:, 2:] > truth.boxes[:, :2]).all()
            assert (truth.boxes[:, 2:] <= (image.width, image.height)).all()
        else:
            assert truth.mask is not None
            assert truth.mask.shape == truth.size_hw
            assert set(np.unique(truth.mask)) <= {0, 128, 255}
            assert (truth.mask == 255).any()
    assert shapes, "no picture was looked at"


def test_truth_and_pictures_are_the_same_when_asked_again(dataset: Dataset) -> None:
    sample = dataset.samples("val")[-1]
    first, again = dataset.truth(sample), dataset.truth(sample)
    assert first is not None
    assert again is not None
    np.testing.assert_equal((again.boxes, again.mask), (first.boxes, first.mask))
    picture = dataset.image(sample)
    kept = np.array(picture)
    picture.paste(Image.new("RGB", picture.size))  # whoever draws on a picture keeps that to themselves
    np.testing.assert_array_equal(np.array(dataset.image(sample)), kept)
