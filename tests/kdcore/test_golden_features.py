"""FitNets, AT, SP, RKD, PKT and NST against the authors' code and against formulas with loops.

Numbers from code come from executing HobbitLong/RepDistiller, distiller_zoo/{FitNet,AT,SP,RKD,PKT,
NST}.py (commit b84f547) in float64 on the tensors of `patterns`; megvii-research/mdistiller,
mdistiller/distillers/{AT,SP,RKD,PKT,NST}.py gave the same ones.
"""

import math
from itertools import product

import pytest
import torch
from patterns import (
    F_S,
    F_T,
    LOSSES,
    MAPS_S,
    MAPS_T,
    POOLED_S,
    POOLED_T,
    VECTORS_S,
    VECTORS_T,
    rkd_angle,
    rkd_distance,
)
from torch import Tensor

from kdcore.objectives.at import at_loss
from kdcore.objectives.fitnet import fitnet_loss
from kdcore.objectives.nst import nst_loss
from kdcore.objectives.pkt import pkt_loss
from kdcore.objectives.rkd import rkd_loss
from kdcore.objectives.sp import sp_loss


@pytest.mark.parametrize(
    ("loss", "student", "teacher", "expected"),
    [
        (fitnet_loss, F_S, F_T[:, :2], 0.183727322),
        (at_loss, F_S, F_T, 0.062568286),
        (sp_loss, F_S, F_T, 0.247614399),
        (rkd_distance, POOLED_S, POOLED_T, 0.028455992),
        (rkd_angle, POOLED_S, POOLED_T, 0.011520259),
        (rkd_loss, POOLED_S, POOLED_T, 1.287412754),
        (pkt_loss, POOLED_S, POOLED_T, 0.002832703),
        (nst_loss, F_S, F_T, 0.647633087),
    ],
)
def test_reference_features(loss, student, teacher, expected):
    """Reference: RepDistiller's functions executed on two patterns."""
    assert loss(student, teacher).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("loss", "student", "teacher", "expected"),
    [
        (fitnet_loss, MAPS_S[:, :, :4, :4], MAPS_T[:, :4], 0.161117544656),
        (at_loss, MAPS_S, MAPS_T, 0.025583307052),
        (at_loss, MAPS_T, MAPS_S, 0.025583307052),
        (sp_loss, MAPS_S, MAPS_T, 0.007498640644),
        (rkd_distance, VECTORS_S, VECTORS_T, 0.020179191811),
        (rkd_angle, VECTORS_S, VECTORS_T, 0.018398869610),
        (rkd_loss, VECTORS_S, VECTORS_T, 1.424423275791),
        (pkt_loss, VECTORS_S, VECTORS_T, 0.006141773899),
        (nst_loss, MAPS_S, MAPS_T, 0.398862645984),
        (nst_loss, MAPS_T, MAPS_S, 0.398862645984),
    ],
)
def test_numbers_of_the_code_for_maps_and_vectors_of_unequal_sizes(
    loss, student, teacher, expected
):
    assert loss(student, teacher).item() == pytest.approx(expected, abs=1e-11)


def test_attention_of_the_fourth_power():
    """Reference: mdistiller's `at_loss` with p = 4."""
    assert at_loss(MAPS_S, MAPS_T, power=4).item() == pytest.approx(0.052511042130, abs=1e-11)
    assert at_loss(MAPS_S, MAPS_S.abs(), power=3).item() == pytest.approx(0, abs=1e-15)


def pooled_by_hand(maps: Tensor, side: int) -> list[list[list[float]]]:
    """Return one sample's maps `(C, H, H)` as [channel][place], averaged over equal squares."""
    step = maps.shape[1] // side
    return [
        [
            sum(
                float(channel[row * step + down, column * step + right])
                for down, right in product(range(step), repeat=2)
            )
            / step**2
            for row, column in product(range(side), repeat=2)
        ]
        for channel in maps
    ]


def unit(vector: list[float]) -> list[float]:
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length if length else 0.0 for value in vector]


def dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def huber(one: float, other: float) -> float:
    gap = abs(one - other)
    return gap * gap / 2 if gap < 1 else gap - 0.5


def test_at_is_the_formula_of_its_file():
    total = 0.0
    for ours, theirs in zip(MAPS_S, MAPS_T, strict=True):
        attention: list[list[float]] = []
        for maps in (pooled_by_hand(ours, 4), pooled_by_hand(theirs, 4)):
            means = [sum(channel[p] ** 2 for channel in maps) / len(maps) for p in range(16)]
            attention.append(unit(means))
        total += sum((a - b) ** 2 for a, b in zip(*attention, strict=True)) / 16
    assert at_loss(MAPS_S, MAPS_T).item() == pytest.approx(total / 6, rel=1e-12)


def test_nst_is_the_formula_of_its_file():
    def kernel(ones: list[list[float]], others: list[list[float]]) -> float:
        values = [dot(a, b) ** 2 for a, b in product(ones, others)]
        return sum(values) / len(values)

    total = 0.0
    for ours, theirs in zip(MAPS_S, MAPS_T, strict=True):
        s, t = ([unit(channel) for channel in pooled_by_hand(maps, 4)] for maps in (ours, theirs))
        total += kernel(t, t) + kernel(s, s) - 2 * kernel(s, t)
    assert nst_loss(MAPS_S, MAPS_T).item() == pytest.approx(total / 6, rel=1e-12)


def test_sp_is_the_formula_of_its_file():
    def similarities(features: Tensor) -> list[list[float]]:
        rows = features.flatten(1).tolist()
        return [unit([dot(one, other) for other in rows]) for one in rows]

    ours, theirs = similarities(MAPS_S), similarities(MAPS_T)
    total = sum((ours[i][j] - theirs[i][j]) ** 2 for i, j in product(range(6), repeat=2))
    assert sp_loss(MAPS_S, MAPS_T).item() == pytest.approx(total / 36, rel=1e-12)


def test_rkd_is_the_formula_of_its_file():
    def gap(one: list[float], other: list[float]) -> list[float]:
        return [b - a for a, b in zip(one, other, strict=True)]

    def relations(rows: list[list[float]]) -> tuple[dict[tuple[int, ...], float], ...]:
        apart = {
            (i, j): math.dist(rows[i], rows[j]) for i, j in product(range(len(rows)), repeat=2)
        }
        mean = sum(apart.values()) / sum(value > 0 for value in apart.values())
        cosines = {
            (i, j, k): dot(unit(gap(rows[i], rows[j])), unit(gap(rows[i], rows[k])))
            for i, j, k in product(range(len(rows)), repeat=3)
        }
        return {pair: value / mean for pair, value in apart.items()}, cosines

    ours, theirs = relations(VECTORS_S.tolist()), relations(VECTORS_T.tolist())
    terms = [
        sum(huber(mine[key], its[key]) for key in mine) / len(mine)
        for mine, its in zip(ours, theirs, strict=True)
    ]
    assert rkd_distance(VECTORS_S, VECTORS_T).item() == pytest.approx(terms[0], rel=1e-12)
    assert rkd_angle(VECTORS_S, VECTORS_T).item() == pytest.approx(terms[1], rel=1e-12)
    both = rkd_loss(VECTORS_S, VECTORS_T, distance_weight=3, angle_weight=7)
    assert both.item() == pytest.approx(3 * terms[0] + 7 * terms[1], rel=1e-12)


def test_pkt_is_the_formula_of_its_file():
    def neighbours(rows: list[list[float]]) -> list[list[float]]:
        units = [[value / (math.hypot(*row) + 1e-7) for value in row] for row in rows]
        alike = [[(dot(one, other) + 1) / 2 for other in units] for one in units]
        return [[value / sum(row) for value in row] for row in alike]

    ours, theirs = neighbours(VECTORS_S.tolist()), neighbours(VECTORS_T.tolist())
    total = sum(
        theirs[i][j] * math.log((theirs[i][j] + 1e-7) / (ours[i][j] + 1e-7))
        for i, j in product(range(6), repeat=2)
    )
    assert pkt_loss(VECTORS_S, VECTORS_T).item() == pytest.approx(total / 36, rel=1e-10)


def test_fitnet_is_the_mean_of_the_squares():
    gaps = [(a - b) ** 2 for a, b in zip(F_S.flatten(), F_T[:, :2].flatten(), strict=True)]
    assert fitnet_loss(F_S, F_T[:, :2]).item() == pytest.approx(float(sum(gaps)) / 24, rel=1e-12)


def rotation(width: int) -> Tensor:
    draw = torch.Generator().manual_seed(3)
    return torch.linalg.qr(torch.randn(width, width, generator=draw, dtype=torch.float64))[0]


@pytest.mark.parametrize("loss", [rkd_distance, rkd_angle])
def test_g25_rkd_does_not_see_a_student_turned_scaled_and_moved(loss):
    moved = 2.5 * VECTORS_S @ rotation(7) + torch.linspace(-3, 3, 7, dtype=torch.float64)
    plain = loss(VECTORS_S, VECTORS_T).item()
    assert loss(moved, VECTORS_T).item() == pytest.approx(plain, abs=1e-12)
    assert loss(moved, VECTORS_S).item() == pytest.approx(0, abs=1e-15)
    assert plain > 0.01


def test_g25_sp_does_not_see_a_turn_or_a_scale_and_is_bounded():
    plain = sp_loss(VECTORS_S, VECTORS_T).item()
    assert sp_loss(3 * VECTORS_S @ rotation(7), VECTORS_T).item() == pytest.approx(plain, rel=1e-12)
    assert sp_loss(VECTORS_S + 1, VECTORS_T).item() != pytest.approx(plain, rel=0.01)
    scaled = VECTORS_S * torch.arange(1, 7)[:, None]
    assert sp_loss(scaled, VECTORS_T).item() != pytest.approx(plain, rel=0.01)
    # Nobody is alike against everybody is: each row has 1 / sqrt(B) where the other has 1 and 0.
    apart, alike = torch.eye(6, dtype=torch.float64), torch.ones(6, 1, dtype=torch.float64)
    assert sp_loss(apart, alike).item() == pytest.approx((2 - 2 / math.sqrt(6)) / 6, rel=1e-12)
    assert sp_loss(apart, alike).item() < 4 / 6


def test_g25_pkt_does_not_see_the_length_of_a_vector():
    scaled = VECTORS_S * torch.arange(1, 7)[:, None]
    plain = pkt_loss(VECTORS_S, VECTORS_T, epsilon=1e-15).item()
    assert pkt_loss(scaled, VECTORS_T, epsilon=1e-15).item() == pytest.approx(plain, rel=1e-11)
    assert pkt_loss(scaled, VECTORS_S, epsilon=1e-15).item() == pytest.approx(0, abs=1e-15)
    assert pkt_loss(VECTORS_S + 1, VECTORS_T).item() != pytest.approx(plain, rel=0.01)


def test_g26_at_does_not_see_sign_scale_or_the_order_of_channels_and_is_bounded():
    changed = -3 * MAPS_S[:, [2, 0, 3, 1]]
    assert at_loss(changed[:, :, ::2, ::2], MAPS_T).item() == pytest.approx(
        at_loss(MAPS_S[:, :, ::2, ::2], MAPS_T).item(), rel=1e-12
    )
    assert at_loss(changed, MAPS_S).item() == pytest.approx(0, abs=1e-15)
    here, there = torch.zeros(2, 3, 4, 4), torch.zeros(2, 5, 4, 4)
    here[:, :, 0, 0] = there[:, :, 1, 2] = 0.7
    assert at_loss(here, there).item() == pytest.approx(2 / 16, rel=1e-6)


def test_g26_nst_is_zero_up_to_order_and_positive_scale_of_channels():
    factors = torch.tensor([0.5, 2, 3, 7])[:, None, None]
    assert nst_loss(MAPS_S[:, [2, 0, 3, 1]] * factors, MAPS_S).item() == pytest.approx(0, abs=1e-15)
    assert nst_loss(MAPS_S.roll(1, 3), MAPS_S).item() > 0.01
    here, there = torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 4)
    here[:, :, 0, 0] = there[:, :, 1, 2] = 0.7
    assert nst_loss(here, there).item() == pytest.approx(2, rel=1e-6)


@pytest.mark.parametrize("name", ["fitnet", "at", "nst"])
def test_g29_a_mean_over_samples_is_the_mean_of_the_halves(name):
    student, teacher = MAPS_S[:, :, ::2, ::2], MAPS_T[:, :4]
    loss = LOSSES[name]
    halves = (loss(student[:3], teacher[:3]) + loss(student[3:], teacher[3:])) / 2
    assert loss(student, teacher).item() == pytest.approx(halves.item(), rel=1e-12)


@pytest.mark.parametrize("name", ["sp", "rkd", "pkt"])
def test_g29_a_loss_that_couples_samples_is_not(name):
    loss = LOSSES[name]
    halves = (loss(VECTORS_S[:3], VECTORS_T[:3]) + loss(VECTORS_S[3:], VECTORS_T[3:])) / 2
    assert loss(VECTORS_S, VECTORS_T).item() != pytest.approx(halves.item(), rel=0.05)
