"""Looking closely at vectors: what a search by them finds.

Neighbours of a sample are the others of the test part, by falling cosine; of equals, the one that
stands first. Of very many samples the first ones alone are searched, and searched for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from kdcore.lazy import F, torch
from kdcore.quality import Retrieval, VectorQuality
from kdcore.scores import share
from kdcore.task import Said
from kdcore.tensors import is_known

if TYPE_CHECKING:
    from torch import Tensor

NEIGHBOURS: Final = 10
"""That a search is taken to look at."""
_MOST: Final = 10_000
"""Samples of a search: it compares each with each."""
_PIECE: Final = 256


def examine_vectors(said: Said) -> VectorQuality:
    """Examine what networks said of a test part whose truth is the teacher's vectors."""
    searched = min(len(said.teacher), _MOST)
    count = min(NEIGHBOURS, searched - 1)
    classes = said.samples.own
    if classes is None or not is_known(classes).any():
        classes = None
    found = {who: neighbours(told[:_MOST], count) for who, told in said.networks.items()}
    return VectorQuality(
        seed=said.seed,
        searched=searched,
        neighbours=count,
        constant=_constant(said.teacher),
        networks={
            who: Retrieval(
                nearest=share(near[:, :1] == found["teacher"][:, :1]) if count else 1.0,
                overlap=_overlap(near, found["teacher"]) if count else 1.0,
                same_class=None if classes is None or not count else _same_class(near, classes),
            )
            for who, near in found.items()
        },
    )


def neighbours(vectors: Tensor, count: int) -> Tensor:
    """Return the places of the `count` nearest others of vectors `(N, D)`, `(N, count)`."""
    unit = F.normalize(vectors.double(), dim=1)
    return torch.cat(list(_pieces(unit, count)))


def _pieces(unit: Tensor, count: int) -> Iterator[Tensor]:
    for start in range(0, len(unit), _PIECE):
        cosines = unit[start : start + _PIECE] @ unit.T
        own = torch.arange(len(cosines), device=unit.device)
        cosines[own, own + start] = -torch.inf
        yield cosines.sort(dim=1, descending=True, stable=True).indices[:, :count]


def _overlap(near: Tensor, theirs: Tensor) -> float:
    """Return the share of the teacher's neighbours that are found."""
    return share((near[:, :, None] == theirs[:, None, :]).any(1))


def _same_class(near: Tensor, classes: Tensor) -> float:
    """Return the share of those that have a class whose nearest neighbour is of it."""
    own, nearest = classes[: len(near)], classes[near[:, 0]]
    known = is_known(own) & is_known(nearest)
    return share((own == nearest)[known]) if known.any() else 0.0


def _constant(teacher: Tensor) -> float:
    """Return the best score of what says the same of every sample."""
    return float(F.normalize(teacher.double(), dim=1).mean(0).square().sum().sqrt())
