"""True seeds from boxes, against least squares on the places themselves."""

from __future__ import annotations

import torch

from rfga.nn.foreground import SeedSums, seed_sums
from rfga.nn.outlines import Outlined, box_sums, inside_boxes, taught


def test_places_in_boxes() -> None:
    """A grid of 2 x 4: the left half, all of it, and a box between the middles of places."""
    boxes = torch.tensor([[0.0, 0.0, 0.5, 1.0], [0.0, 0.0, 1.0, 1.0], [0.3, 0.55, 0.35, 0.7]])
    assert inside_boxes(boxes, (2, 4)).int().tolist() == [
        [1, 1, 0, 0, 1, 1, 0, 0],
        [1] * 8,
        [0, 0, 0, 0, 0, 1, 0, 0],
    ]
    assert inside_boxes(torch.zeros(0, 4), (2, 4)).shape == (0, 8)


def test_each_box_has_its_own_surest_half() -> None:
    values = torch.tensor([9.0, 8.0, 7.0, 6.0, 2.0, 1.0, 5.0, 5.0])
    inside = torch.tensor([[1, 1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 0, 0]], dtype=torch.bool)
    vectors = torch.stack([values, torch.ones(8)], dim=1)
    found = box_sums(Outlined(vectors, inside, 0), torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(found.weight.item(), 2.0)
    # Object: 9, 8 and 2; background: the two fives; 7, 6 and 1 are left open.
    torch.testing.assert_close(found.moment[0].item(), (9 + 8 + 2) / 3 - 5)


def test_nothing_here_is_all_background() -> None:
    vectors = torch.tensor([[4.0, 1.0], [2.0, 1.0]])
    found = box_sums(Outlined(vectors, torch.zeros(0, 2, dtype=torch.bool), -1), torch.ones(2))
    assert (found.weight.item(), found.moment.tolist()) == (1.0, [-3.0, -1.0])


def test_taught_is_least_squares_of_seeds_and_boxes() -> None:
    """Two classes, of which one has boxes: the other has those of all, as its own share is none."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(3, 20, 4, generator=generator, dtype=torch.float64)  # seeds of two classes, boxes
    t = torch.randn(3, 20, generator=generator, dtype=torch.float64).sign()
    weights = torch.full((1, 20), 1 / 20, dtype=torch.float64)
    parts = [seed_sums(x[k : k + 1], weights, t[k : k + 1]) for k in range(3)]
    own = SeedSums(*(torch.stack(pair) for pair in zip(parts[0], parts[1], strict=True)))
    boxes = SeedSums(*(3 * part for part in parts[2]))
    classes = SeedSums(*(torch.stack([part, torch.zeros_like(part)]) for part in boxes))
    found = taught(own, boxes, classes, share=0.0, weight=0.8)
    for k in range(2):
        rows = torch.cat([x[2] * 0.8**0.5, x[k] * 0.2**0.5])
        wanted = torch.cat([t[2] * 0.8**0.5, t[k] * 0.2**0.5])
        ridge = torch.cat([rows / 20**0.5, 0.1 * torch.eye(4, dtype=torch.float64)])
        target = torch.cat([wanted / 20**0.5, torch.zeros(4, dtype=torch.float64)])
        torch.testing.assert_close(found[k], torch.linalg.lstsq(ridge, target[:, None]).solution[:, 0])
