"""Which discriminants a collection has: one for all, one a class, or a blend, by what seeds they miss."""

from __future__ import annotations

from typing import NamedTuple

from rfga.nn.foreground import SeedSums, discriminant, seed_error

SHARES = (1.0, 0.3, 0.1, 0.0)
"""Of the collection's sums in a class's discriminant: 1 is one for all, 0 each class its own."""
COLLECTION_MARGIN = 1.1
"""One for all is taken where it misses seeds by no more than so many times what the best does."""
UNSURE_RATIO = 1.33
"""From so many times what the classes' own miss, what they call object contradicts itself."""

MOST_BACKGROUND = 0.15
"""Of the weight of all places at most, of photographs without any object, however many there are."""


class Choice(NamedTuple):
    """What the collection says of its discriminants, without any box."""

    share: float  # of the collection in a class's discriminant
    seed_error: float  # mean squared miss of the seeds of left-out photographs, of what was chosen
    ratio: float  # that of one for the collection, divided by that of one a class

    @property
    def doubtful(self) -> bool:
        """Whether classes contradict each other."""
        return self.ratio >= UNSURE_RATIO

    @property
    def doubt(self) -> str:
        """What that means, in words."""
        return (
            "what the maps of one class call object, those of another call background: one discriminant "
            f"for all misses {self.ratio:.2f} times what one each does (sound: < {UNSURE_RATIO:g})"
        )


def mixed_sums(of_classes: SeedSums, share: float, empty: SeedSums | None = None) -> SeedSums:
    """The sums (K, ...) that discriminants are solved from, ``share`` of the collection's in each class's.

    Args:
        of_classes: sums (K, ...).
        share: of the collection's.
        empty: sums of photographs without any object, which all discriminants share.
    """
    collection = of_classes.over(0)
    mixed = collection.mixed(of_classes, share)
    if empty is not None and empty.weight > 0:
        weight = float(empty.weight / (empty.weight + collection.weight))
        mixed = empty.mixed(mixed, min(weight, MOST_BACKGROUND))
    return mixed


def choose(sums: SeedSums) -> Choice:
    """The share of the collection that predicts the seeds of left-out photographs best, or all of it.

    Args:
        sums: (K, folds, ...) of each class and fold.
    """
    errors = {share: left_out_error(sums, share) for share in SHARES}
    best = min(errors, key=lambda share: errors[share])
    ratio = errors[1.0] / max(errors[0.0], 1e-12)
    # Where classes contradict each other, each has learned what tells it apart: all together correct some.
    share = 1.0 if errors[1.0] <= COLLECTION_MARGIN * errors[best] or ratio >= UNSURE_RATIO else best
    return Choice(share, errors[share], ratio)


def judged(sums: SeedSums, share: float) -> Choice:
    """What the collection says of a share that was asked for."""
    return choose(sums)._replace(share=share, seed_error=left_out_error(sums, share))


def left_out_error(sums: SeedSums, share: float) -> float:
    """Mean squared miss of the seeds of each fold by discriminants of the others: 1 where nothing is known.

    Args:
        sums: (K, folds, ...) of each class and fold.
        share: of the collection in each class's discriminant.
    """
    missed = sums.weight.new_zeros(())
    for fold in range(sums.weight.shape[1]):
        held = SeedSums(*(part[:, fold] for part in sums))
        missed += seed_error(discriminant(mixed_sums(sums.over(1) - held, share)), held).sum()
    return float(missed / sums.weight.sum().clamp_min(1e-12))
