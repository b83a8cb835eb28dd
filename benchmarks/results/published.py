"""What papers report for CIFAR-100: test accuracy in percent by teacher, student and method.

Only numbers that were seen in the sources named here stand here, each with the epoch that it was
taken at, since the best of 240 epochs, chosen on the test set, is no fair match for the last one.
The sources train on all 50,000 images with teachers of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from kdcore.method import Pair

Rule = Literal["last epoch", "best epoch on the test set", "epoch not stated"]
TEACHER: Final = "teacher"
ALONE: Final = "alone"


@dataclass(frozen=True, slots=True)
class Published:
    """One number of a table."""

    percent: float
    rule: Rule
    source: str


REPDISTILLER: Final = "HobbitLong/RepDistiller, README (tables of arXiv:1910.10699)"
STANDARDISED: Final = "arXiv:2403.01427 (sunshangquan/logit-standardization-KD)"
MDISTILLER: Final = "megvii-research/mdistiller, README (tables of arXiv:2203.08679)"
DIST: Final = "hunto/DIST_KD, README (tables of arXiv:2205.10536)"

_SAME: Final = (
    Pair("resnet32x4", "resnet8x4"),
    Pair("vgg13", "vgg8"),
    Pair("wrn_40_2", "wrn_40_1"),
    Pair("wrn_40_2", "wrn_16_2"),
    Pair("resnet56", "resnet20"),
    Pair("resnet110", "resnet32"),
    Pair("resnet110", "resnet20"),
)
_ACROSS: Final = (
    Pair("vgg13", "mobilenet_v2"),
    Pair("resnet32x4", "shufflenet_v1"),
    Pair("resnet32x4", "shufflenet_v2"),
    Pair("wrn_40_2", "shufflenet_v1"),
)
_WIDER: Final = (
    Pair("resnet32x4", "shufflenet_v2"),
    Pair("resnet32x4", "wrn_16_2"),
    Pair("resnet32x4", "wrn_40_2"),
    Pair("wrn_40_2", "resnet8x4"),
    Pair("wrn_40_2", "mobilenet_v2"),
    Pair("vgg13", "mobilenet_v2"),
)
_REST: Final = _WIDER[1:5]
"""Pairs that the second source measured, or took from others, with methods of the first."""


def _rows(text: str) -> dict[str, list[float]]:
    rows = (line.split() for line in text.strip().splitlines())
    return {name: [float(number) for number in numbers] for name, *numbers in rows}


_LAST_SAME: Final = """
teacher  79.42 74.64 75.61 75.61 72.34 74.31 74.31
alone    72.50 70.36 71.98 73.26 69.06 71.14 69.06
kd       73.33 72.98 73.54 74.92 70.66 73.08 70.67
fitnet   73.50 71.02 72.24 73.58 69.21 71.06 68.99
at       73.44 71.43 72.77 74.08 70.55 72.31 70.22
sp       72.94 72.68 72.43 73.83 69.67 72.69 70.04
vid      73.09 71.23 73.30 74.11 70.38 72.61 70.16
rkd      71.90 71.48 72.22 73.35 69.61 71.82 69.25
pkt      73.64 72.88 73.45 74.54 70.34 72.61 70.25
nst      73.30 71.53 72.24 73.68 69.60 71.96 69.53
crd      75.51 73.94 74.14 75.48 71.16 73.48 71.46
"""
_LAST_ACROSS: Final = """
teacher  74.64 79.42 79.42 75.61
alone    64.60 70.50 71.82 70.50
kd       67.37 74.07 74.45 74.83
fitnet   64.14 73.59 73.54 73.73
at       59.40 71.73 72.73 73.32
sp       66.30 73.48 74.56 74.52
vid      65.56 73.38 73.40 73.61
rkd      64.52 72.28 73.21 72.21
pkt      67.13 74.10 74.69 73.89
nst      58.16 74.12 74.68 74.89
crd      69.73 75.11 75.65 76.05
"""
_BEST_SAME: Final = """
reviewkd 75.63 74.84 75.09 76.12 71.89 73.89 71.34
ls_kd    76.62 74.36 74.37 76.11 71.43 74.17 71.48
ctkd     73.39 73.52 73.93 75.45 71.19 73.52 70.99
dkd      76.32 74.68 74.81 76.24 71.97 74.11 71.06
"""
_BEST_WIDER: Final = """
reviewkd 77.78 76.11 78.96 74.34 71.28 70.37
ls_kd    75.56 75.26 77.92 77.11 69.23 68.61
ctkd     75.37 74.57 77.66 74.61 68.34 68.50
dkd      77.07 75.70 78.46 75.56 69.28 69.71
"""
_UNSTATED_SAME: Final = "simkd 78.08 74.89 74.53 75.53 71.05 73.92 71.06"
_UNSTATED_WIDER: Final = "simkd 78.39 77.17 79.29 75.29 70.10 69.44"
_UNSTATED_REST: Final = """
kd       74.90 77.70 73.97 68.36
fitnet   74.70 77.69 74.61 68.64
at       73.91 77.43 74.11 60.78
rkd      74.86 77.82 75.26 69.27
crd      75.65 78.15 75.24 70.28
"""


def _tables() -> Iterator[tuple[tuple[Pair, ...], str, Rule, str]]:
    yield _SAME, _LAST_SAME, "last epoch", REPDISTILLER
    yield _ACROSS, _LAST_ACROSS, "last epoch", REPDISTILLER
    yield _SAME, _BEST_SAME, "best epoch on the test set", STANDARDISED
    yield _WIDER, _BEST_WIDER, "best epoch on the test set", STANDARDISED
    yield _SAME, _UNSTATED_SAME, "epoch not stated", STANDARDISED
    yield _WIDER, _UNSTATED_WIDER, "epoch not stated", STANDARDISED
    yield _REST, _UNSTATED_REST, "epoch not stated", STANDARDISED
    shuffle = (Pair("resnet32x4", "shufflenet_v1"), Pair("wrn_40_2", "shufflenet_v1"))
    yield shuffle, "dkd 76.45 76.70", "best epoch on the test set", MDISTILLER
    theirs = (
        Pair("resnet32x4", "resnet8x4"),
        Pair("wrn_40_2", "wrn_40_1"),
        Pair("resnet56", "resnet20"),
        Pair("resnet32x4", "shufflenet_v1"),
        Pair("resnet32x4", "shufflenet_v2"),
    )
    yield theirs, "dist 76.31 74.43 71.75 76.34 77.35", "epoch not stated", DIST


def _published() -> Mapping[Pair, Mapping[str, Published]]:
    numbers: dict[Pair, dict[str, Published]] = {}
    for pairs, text, rule, source in _tables():
        for method, percents in _rows(text).items():
            for pair, percent in zip(pairs, percents, strict=True):
                known = numbers.setdefault(pair, {})
                if method in known:
                    raise ValueError(f"found two numbers for {method} and {pair}; expected one")
                known[method] = Published(percent, rule, source)
    return numbers


PUBLISHED: Final[Mapping[Pair, Mapping[str, Published]]] = _published()
"""By pair, then by method; `teacher` and `alone` stand for the networks themselves."""


def published(data: str, pair: Pair) -> Mapping[str, Published]:
    """Return what is published for a data set and a pair; nothing for most."""
    return PUBLISHED.get(pair, {}) if data == "cifar100" else {}
