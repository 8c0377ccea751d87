"""Foreground: boxes from one look at the collection, by what the photographs' objects have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import zip_longest
from typing import Any, Literal, Self

import torch
from torch import Tensor

from rfga.backbones.base import Backbone
from rfga.methods.base import Batch, MapReader, Method, Pass, ScoreMaps, Sums, labels_or_top, unit_range
from rfga.methods.cam import RidgeCAM
from rfga.nn.discriminants import Choice, choose, judged, mixed_sums
from rfga.nn.foreground import (
    SeedSums,
    as_share,
    background_sums,
    discriminant,
    place_vectors,
    seed_sums,
    seeds,
)
from rfga.nn.guided_filter import follow_edges
from rfga.nn.principal import add_moments, kept_widths, means_of, no_moments, principal_components
from rfga.nn.self_similarity import spread_along

SHARPNESS = 3.0
"""A logistic function of so many times a discriminant's values makes the next round's seeds."""
SAME = 1e-3
"""Of their values: maps that differ by less from place to place say nothing; their noise is not raised."""
_SECOND, _EMPTY = "seeding.backbone.", "background."
FOLDS, MANY_CLASSES = 5, 100
"""Parts of which one is left out in turn; of more classes there are two, so that the sums stay small."""


class Foreground(Method):
    """The foreground of a collection on top of a classifier, both in closed form, from a frozen network.

    Not in the paper. Class maps, spread along self-similarity, call some places surely object and some surely
    background. A linear discriminant over the middle features of all photographs learns what these have in
    common, and its value says of every place what it is: not only the head, but the bird. Its maps follow
    the photograph's edges by a guided filter. What was measured: docs/research/one-pass-log.md.

    Args:
        backbone: gives the features; it stays as it is.
        num_classes: K.
        discriminant: one for the collection, one a class, or auto: the collection's where that predicts
            the seeds of left-out photographs as well, else the blend of both that predicts them best.
        stages: how many stages are compared, the middle one and those before it.
        rounds: how often seeds are taken; from the second time on, the discriminant before has a say.
        level: value of the discriminant (-1 background, 1 object) from which a place is object.
        above: value of a seeding map, between its ends, above which a place is surely object.
        below: value below which it is surely background.
        tighten: let the maps follow the photograph's edges.
        seeds: from class maps, or from the norm of the last features, as always where there is but one class;
            the norm is better where classes differ in a small part and the network knows such objects.

    Example:
        >>> from rfga.backbones.build import build_backbone
        >>> method = Foreground(build_backbone("resnet18"), num_classes=3).eval()
        >>> method.localize(torch.zeros(2, 3, 64, 96)).maps.shape
        torch.Size([2, 1, 32, 48])
    """

    means: Tensor
    components: Tensor | None
    discriminants: Tensor
    levels: Tensor
    doubts: Tensor

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        discriminant: Literal["auto", "collection", "class"] = "auto",
        stages: int = 3,
        rounds: int = 2,
        level: float = 0.3,
        above: float = 0.5,
        below: float = 0.15,
        tighten: bool = True,
        seeds: Literal["class", "norm"] = "class",
    ) -> None:
        super().__init__(backbone, num_classes)
        self.seeding: Method = RidgeCAM(backbone, num_classes)
        self.reader: MapReader | None = None  # of the seeding method, instead of its own maps
        self.kind, self.rounds, self.tighten = discriminant, rounds, tighten
        self.level, self.above, self.below = level, above, below
        self.seeds_from = "norm" if num_classes == 1 else seeds
        self._places = backbone.middle_places[:stages]
        self._widths = [backbone.channels[place] for place in self._places]
        self.register_buffer("means", torch.zeros(sum(self._widths)))
        kept = sum(kept_widths(self._widths))
        narrowed = None if kept == len(self.means) else torch.zeros(len(self.means), kept)
        self.register_buffer("components", narrowed)
        self.register_buffer("discriminants", torch.zeros(num_classes, 1 + kept))
        self.register_buffer("levels", torch.full((1,), level))
        self.register_buffer("doubts", torch.zeros(1))
        self.choice: Choice | None = None
        self.mixed: SeedSums | None = None  # what the discriminants were solved from
        self._folds = FOLDS if num_classes <= MANY_CLASSES else 2

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Without the network's weights a second time: both the method and its classifier hold it."""
        prefix = kwargs.get("prefix", "")
        state = super().state_dict(*args, **kwargs)
        for name in [name for name in state if name.startswith(f"{prefix}{_SECOND}")]:
            del state[name]
        return state

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        """Puts the network's weights where its second holder looks for them."""
        first = f"{prefix}backbone."
        for name in [name for name in state_dict if name.startswith(first)]:
            state_dict[f"{prefix}{_SECOND}{name.removeprefix(first)}"] = state_dict[name]
        super()._load_from_state_dict(state_dict, prefix, *rest)
        self.in_doubt = bool(self.doubts)

    @classmethod
    def over(cls, seeding: Method, **options: Any) -> Self:
        """The foreground of a collection whose seeds are another method's maps, trained or not yet."""
        made = cls(seeding.backbone, seeding.num_classes, **options)
        made.seeding = seeding
        return made

    def loss(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """That of the classifier whose maps are the seeds."""
        return self.seeding.loss(images, labels, generator)

    def passes(self) -> Sequence[Sequence[Pass]]:
        """The means and the seeds, in the looks that the classifier needs as well."""
        later = partial(self._add_seeds, later=True)
        own = (
            Pass("means", self._no_means, self._add_means, self._solve_means),
            Pass("seeds", self._no_seeds, self._add_seeds, self._solve_seeds, not self.has_epochs),
            *[Pass("more seeds", self._no_seeds, later, self._solve_later_seeds)] * (self.rounds - 1),
        )
        pairs = zip_longest(self.seeding.passes(), own)
        return [(*(theirs or ()), *((mine,) if mine else ())) for theirs, mine in pairs]

    @torch.no_grad()
    def localize(self, images: Tensor, labels: Tensor | None = None) -> ScoreMaps:
        """The classifier's logits, and the discriminant's maps, half at its level: 0 background, 1 object."""
        with self.backbone.remembering():
            found = self.seeding.localize(images, labels)
            stages = self._centred(images)
            labels = labels_or_top(found.logits, labels)
            values = self._values(stages, labels)
            if self.in_doubt:
                values = self._agreed(values, found.maps, stages, images)
        maps = self.outlined(values, images)
        maps = 2 * unit_range(maps) - 1 if self.in_doubt else maps
        return ScoreMaps(found.logits, as_share(maps, self.levels[0]), labels)

    def _values(self, stages: Sequence[Tensor], labels: Tensor) -> Tensor:
        """(B, L, h, w): what the discriminants of some classes (B, L) say of every place."""
        vectors, grid_hw = self._vectors(stages)
        values = torch.einsum("bpd,bnd->bnp", vectors, self.discriminants[labels].to(vectors.dtype))
        return values.reshape(*values.shape[:2], *grid_hw)

    def _agreed(self, values: Tensor, maps: Tensor, stages: Sequence[Tensor], images: Tensor) -> Tensor:
        """Where all signs agree, for want of one to trust: class, norm of the last features, discriminant."""
        product = unit_range(torch.sigmoid(SHARPNESS * values))
        for signs in (maps, self._norms(images)):
            spread = spread_along(signs, stages)
            range_ = spread.amax((-2, -1), keepdim=True) - spread.amin((-2, -1), keepdim=True)
            tells = range_ > SAME * spread.abs().amax((-2, -1), keepdim=True)
            product = product * torch.where(tells, unit_range(spread), 1)
        return product

    def places(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """What discriminants see of normalised ``images``: (B, N, D), and the grid of the N places."""
        return self._vectors(self._centred(images))

    def _vectors(self, stages: Sequence[Tensor]) -> tuple[Tensor, tuple[int, int]]:
        grid_hw = self._grid_hw(stages)
        return place_vectors(stages, grid_hw, self.components), grid_hw

    def outlined(self, values: Tensor, images: Tensor) -> Tensor:
        """Values of discriminants (B, n, h, w) as maps of ``images``, in [-1, 1]."""
        maps = values.clamp(-1, 1)
        if not self.tighten:
            return maps
        std = torch.tensor(self.backbone.std, dtype=images.dtype, device=images.device).view(3, 1, 1)
        return follow_edges(maps, images * std)  # the colours' mean is of no account

    def _middle(self, images: Tensor) -> list[Tensor]:
        return [part.float() for part in self.backbone.forward_places(images, self._places)[1]]

    def _centred(self, images: Tensor) -> list[Tensor]:
        means = torch.split(self.means, self._widths)
        return [part - mean[:, None, None] for part, mean in zip(self._middle(images), means, strict=True)]

    @staticmethod
    def _grid_hw(stages: Sequence[Tensor]) -> tuple[int, int]:
        """That of the second stage: finer than the latest, and not as costly as the earliest."""
        finer = stages[min(1, len(stages) - 1)]
        return finer.shape[2], finer.shape[3]

    @property
    def has_epochs(self) -> bool:
        """Whether the classifier has."""
        return self.seeding.has_epochs

    def map_hw(self, image_hw: tuple[int, int], stages_hw: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
        """Half the image's sides, or, where maps are not tightened, those of the second middle stage."""
        if self.tighten:
            return image_hw[0] // 2, image_hw[1] // 2
        return stages_hw[self._places[min(1, len(self._places) - 1)]]

    def learned(self) -> dict[str, Any]:
        """The choice of discriminants, what the classifier found, whether seeds contradict each other."""
        found = self.seeding.learned()
        if self.choice is None:
            return found
        doubt = {"doubt": self.choice.doubt} if self.choice.doubtful else {}
        return {**found, **self.choice._asdict(), "level": self.levels[0].item(), **doubt}

    def _no_means(self) -> Sums:
        return no_moments(self._widths)

    def _add_means(self, sums: Sums, batch: Batch) -> None:
        add_moments(sums, [part[batch.labels >= 0] for part in self._middle(batch.images)])

    def _solve_means(self, sums: Sums) -> None:
        self.means.copy_(means_of(sums))
        if self.components is not None:
            self.components.copy_(principal_components(sums, self._widths))

    def _no_seeds(self) -> Sums:
        """Of each class and fold, and of photographs without any object."""
        size = self.discriminants.shape[1]
        seeds = SeedSums.none((self.num_classes, self._folds), size)
        empty = SeedSums.none((), size)
        return {**seeds._asdict(), **{_EMPTY + name: part for name, part in empty._asdict().items()}}

    def _add_seeds(self, sums: Sums, batch: Batch, *, later: bool = False) -> None:
        """From class maps alone, or, in a later round, from what the discriminants so far say as well."""
        if later and self.in_doubt:
            return
        maps = self._seeding_maps(batch)
        stages = self._centred(batch.images)
        empty = batch.labels < 0
        if empty.any():
            vectors, _ = self._vectors([stage[empty] for stage in stages])
            for name, value in background_sums(vectors)._asdict().items():
                sums[_EMPTY + name] += value.cpu()
        for row, (label, fold) in enumerate(zip(batch.labels.tolist(), batch.folds.tolist(), strict=True)):
            if label < 0:
                continue
            # One by one: how alike all places are to all others takes more memory than all the rest.
            own = [stage[row : row + 1] for stage in stages]
            spread = unit_range(spread_along(maps[row : row + 1], own)[:, 0])
            mixed = spread.square()
            if later:
                values = self._values(own, batch.labels[row : row + 1, None])[:, 0]
                mixed = unit_range(torch.sigmoid(SHARPNESS * values)) * spread.sqrt()
            weights, signs = seeds(unit_range(mixed), self.above, self.below)
            vectors = place_vectors(own, (spread.shape[1], spread.shape[2]), self.components)
            for name, value in seed_sums(vectors, weights, signs)._asdict().items():
                sums[name][label, fold % self._folds] += value.cpu()

    def _seeding_maps(self, batch: Batch) -> Tensor:
        """(B, 1, h, w): the classifier's of the given classes, or the features' norm."""
        if self.seeds_from == "norm":
            return self._norms(batch.images)
        labels = batch.labels.clamp_min(0)  # where there is no object, any
        return (self.reader or self.seeding).localize(batch.images, labels).maps

    def _norms(self, images: Tensor) -> Tensor:
        last, _ = self.backbone.forward_places(images, ())
        norms: Tensor = torch.linalg.vector_norm(last, dim=1, keepdim=True)
        return norms

    def _solve_seeds(self, sums: Sums) -> None:
        every = SeedSums.named(sums)
        asked = 1.0 * (self.kind == "collection")
        self.choice = choose(every) if self.kind == "auto" else judged(every, asked)
        self.doubt(self.choice.doubtful)
        self._solve_with(sums, self.choice.share)

    def _solve_later_seeds(self, sums: Sums) -> None:
        """By the choice of the first round: later seeds agree with the discriminant that made them."""
        if self.choice is not None and not self.in_doubt:  # seeds in doubt do not get better
            self._solve_with(sums, self.choice.share)

    def _solve_with(self, sums: Sums, share: float) -> None:
        self.mixed = mixed_sums(SeedSums.named(sums).over(1), share, SeedSums.named(sums, _EMPTY))
        self.discriminants.copy_(discriminant(self.mixed))

    def doubt(self, doubtful: bool) -> None:
        """Let maps be of the discriminants alone, or, where they are doubtful, of all signs together."""
        self.in_doubt = doubtful
        self.doubts.fill_(doubtful)
        self.levels.fill_(0 if doubtful else self.level)  # of agreement, half of what it has at most
