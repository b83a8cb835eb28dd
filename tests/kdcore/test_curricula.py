"""In which order a student meets its samples, and how many of them it has met."""

import itertools
import math

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from kdcore.curricula.easy_to_hard import (
    EasyToHard,
    EasyToHardMethod,
    easiness,
    share_in_use,
)
from kdcore.curricula.everything import Everything
from kdcore.method import Pair
from kdcore.tensors import HIDDEN

PACINGS = ("linear", "root", "quadratic", "step", "exponential")
SCORINGS = ("confidence", "margin", "entropy")
ALONG = [step / 1000 for step in range(1001)]

LOGITS = torch.tensor([
    [-0.5, -1.7, 6.6], [0.5, -0.7, -0.6], [-1.3, -2.1, -0.8], [1.0, -0.5, 1.9],
    [-0.4, 0.0, 3.1], [1.1, -1.0, -0.4], [1.1, 3.9, -0.5], [-0.5, 2.0, -1.8],
    [-0.6, 1.8, 1.2], [0.2, 1.3, -5.7], [2.0, -1.9, -3.3], [0.6, 1.4, -0.9],
])  # fmt: skip
LABELS = torch.tensor([2, 1, 2, 1, 0, 1, 1, 0, 0, 2, 0, 2])


def easiest_first(scores: Tensor) -> list[int]:
    """Order as the lesson does."""
    return scores.argsort(descending=True, stable=True).tolist()


def probabilities(row: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in row)
    return [math.exp(value) / total for value in row]


def test_the_order_by_confidence_is_that_of_the_authors_code():
    """GuyHacohen/curriculum_learning, main_train_networks.py, executed: order_by_loss."""
    scores = EasyToHard(balanced=False).scores(LOGITS, LABELS)
    assert easiest_first(scores) == [0, 10, 6, 2, 1, 5, 7, 11, 3, 8, 4, 9]


def test_the_balanced_order_is_that_of_the_authors_code():
    """The same file, executed: balance_order after order_by_loss; classes are equally large."""
    scores = EasyToHard().scores(LOGITS, LABELS)
    assert easiest_first(scores) == [0, 10, 6, 2, 1, 7, 5, 11, 8, 3, 4, 9]


def test_exponential_pacing_is_that_of_the_authors_code():
    """The same file, executed: exponent_data_function_generator with 2500 samples, its defaults.

    It grows from 4 % by 1.9 every 100 batches, so that everything is in use at batch 600 of 1000.
    """
    expected = {0: 100, 50: 100, 99: 100, 100: 190, 199: 190, 200: 361, 300: 686, 350: 686,
                400: 1304, 500: 2477, 599: 2477, 600: 2500, 750: 2500, 1000: 2500}  # fmt: skip
    curriculum = EasyToHard(pacing="exponential", start=0.04, growth=1.9, full_at=0.6)
    sizes = {batch: math.ceil(2500 * curriculum.share(batch / 1000)) for batch in expected}
    assert sizes == expected


@pytest.mark.parametrize("pacing", PACINGS)
@pytest.mark.parametrize("full_at", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("start", [0.001, 0.3, 1.0])
def test_the_share_begins_at_the_start_never_falls_and_ends_at_everything(pacing, full_at, start):
    shares = [share_in_use(x, pacing=pacing, start=start, full_at=full_at) for x in ALONG]
    assert all(later >= earlier for earlier, later in itertools.pairwise(shares))
    assert all(start <= share <= 1 for share in shares)
    if full_at > 0:
        assert shares[0] == pytest.approx(start)
    assert all(share == 1 for x, share in zip(ALONG, shares, strict=True) if x >= full_at)
    assert shares[-1] == 1


@pytest.mark.parametrize(
    ("pacing", "at_a_quarter", "at_half"),
    [
        ("linear", 0.2 + 0.8 / 4, 0.2 + 0.8 / 2),
        ("root", math.sqrt(0.04 + 0.96 / 4), math.sqrt(0.04 + 0.96 / 2)),
        ("quadratic", 0.2 + 0.8 / 16, 0.2 + 0.8 / 4),
        ("step", 0.2, 0.2),
        ("exponential", 0.2, 0.2 * 1.9),  # three growths lead from 0.2 to 1
    ],
)
def test_the_share_follows_its_formula(pacing, at_a_quarter, at_half):
    curriculum = EasyToHard(pacing=pacing, start=0.2, full_at=0.8)
    assert curriculum.share(0.2) == pytest.approx(at_a_quarter, rel=1e-12)
    assert curriculum.share(0.4) == pytest.approx(at_half, rel=1e-12)


def test_exponential_pacing_takes_no_growth_more_or_later_than_needed():
    """Rounding must neither add a growth nor put one off by a step."""
    cubed = EasyToHard(pacing="exponential", start=5.0**-3, growth=5.0, full_at=0.9)
    assert [cubed.share(x) for x in (0.0, 0.29, 0.31, 0.59, 0.61)] == pytest.approx(
        [1 / 125, 1 / 125, 1 / 25, 1 / 25, 1 / 5]
    )
    fifths = EasyToHard(pacing="exponential", start=1 / 32, growth=2.0, full_at=0.9)
    shares = [fifths.share(step / 600) for step in (107, 108, 215, 216, 431, 432)]
    assert shares == pytest.approx([1 / 32, 1 / 16, 1 / 16, 1 / 8, 1 / 4, 1 / 2])
    almost = EasyToHard(pacing="exponential", full_at=1.0)
    assert almost.share(1 - 1e-12) == 1


def test_root_pacing_brings_new_samples_ever_more_slowly_and_quadratic_ever_faster():
    for pacing, sign in (("root", -1), ("quadratic", 1)):
        shares = [share_in_use(x, pacing=pacing, start=0.1, full_at=1) for x in ALONG[:-1]]
        gains = [later - earlier for earlier, later in itertools.pairwise(shares)]
        changes = [sign * (later - earlier) for earlier, later in itertools.pairwise(gains)]
        assert min(changes) > 0


def test_scores_follow_their_formulas_sample_by_sample():
    confidence, margin, entropy = (
        easiness(LOGITS, LABELS, scoring=scoring).tolist() for scoring in SCORINGS
    )
    for place, (row, label) in enumerate(zip(LOGITS.tolist(), LABELS.tolist(), strict=True)):
        p = probabilities(row)
        others = [value for which, value in enumerate(p) if which != label]
        odds = p[label] / (1 - p[label])
        assert confidence[place] == pytest.approx(math.log(odds), rel=1e-9)
        assert margin[place] == pytest.approx(p[label] - max(others), rel=1e-9)
        assert (margin[place] > 0) == (max(p) == p[label])
        assert entropy[place] == pytest.approx(sum(q * math.log(q) for q in p), rel=1e-9)


def test_confidence_tells_samples_apart_that_are_all_but_certain():
    logits = torch.tensor([[50.0, 0, 0], [90, 0, 0], [70, 0, 0]])
    scores = easiness(logits, torch.zeros(3, dtype=torch.int64))
    assert easiest_first(scores) == [1, 2, 0]


@pytest.mark.parametrize("scoring", SCORINGS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("balanced", [False, True])
def test_scores_are_finite_at_huge_logits(scoring, dtype, balanced):
    curriculum = EasyToHard(scoring=scoring, balanced=balanced)
    scores = curriculum.scores((100 * LOGITS.sign()).to(dtype), LABELS)
    assert scores.dtype == torch.float64
    assert bool(scores.isfinite().all())


@pytest.mark.parametrize("scoring", SCORINGS)
@pytest.mark.parametrize("balanced", [False, True])
def test_a_hidden_label_is_the_teachers_best_class(scoring, balanced):
    hidden, known = LABELS.clone(), LABELS.clone()
    hidden[::3] = HIDDEN
    known[::3] = LOGITS.argmax(-1)[::3]
    curriculum = EasyToHard(scoring=scoring, balanced=balanced)
    assert torch.equal(curriculum.scores(LOGITS, hidden), curriculum.scores(LOGITS, known))


def test_samples_that_are_equally_easy_stay_in_their_order():
    logits = torch.zeros(6, 2)
    same = torch.zeros(6, dtype=torch.int64)
    for balanced in (False, True):
        scores = EasyToHard(balanced=balanced).scores(logits, same)
        assert easiest_first(scores) == [0, 1, 2, 3, 4, 5]


def test_a_balanced_curriculum_shows_every_class_in_proportion_from_the_beginning():
    """Class 0 is hard, and three times as large as class 1."""
    draw = torch.Generator().manual_seed(0)
    labels = (torch.arange(400) % 4 == 3).long()
    logits = torch.randn(400, 2, generator=draw)
    logits[:, 1] += 4
    plain, balanced = (
        labels[easiest_first(EasyToHard(balanced=balanced).scores(logits, labels))]
        for balanced in (False, True)
    )
    for share in (0.1, 0.3, 0.5, 1.0):
        assert int(balanced[: int(400 * share)].sum()) == pytest.approx(100 * share, abs=1)
    assert int(plain[:100].sum()) > 90


def test_a_balanced_curriculum_keeps_the_order_within_each_class():
    scores = easiness(LOGITS, LABELS)
    order = easiest_first(EasyToHard().scores(LOGITS, LABELS))
    for label in range(3):
        of_class = [float(scores[place]) for place in order if LABELS[place] == label]
        assert of_class == sorted(of_class, reverse=True)


def test_a_class_that_no_sample_has_changes_nothing():
    wide = torch.cat([LOGITS, torch.full((12, 4), -20.0)], dim=1)
    moved = torch.where(LABELS == 2, 6, LABELS)
    wide[:, [2, 6]] = wide[:, [6, 2]]
    assert easiest_first(EasyToHard().scores(wide, moved)) == easiest_first(
        EasyToHard().scores(LOGITS, LABELS)
    )


@pytest.mark.parametrize(
    "wrong", [{"start": 0.0}, {"start": 1.1}, {"full_at": 1.5}, {"growth": 1.0}, {"pacing": "fast"}]
)
def test_a_curriculum_that_would_never_begin_or_end_is_refused(wrong):
    with pytest.raises(ValidationError):
        EasyToHard(**wrong)


def test_without_a_curriculum_everything_is_in_use():
    assert Everything().share(0.0) == 1
    assert Everything().scores(LOGITS, LABELS) is None


def test_the_method_is_kd_with_this_curriculum():
    axes = EasyToHardMethod(start=0.1, full_at=0.75, pacing="root", scoring="margin").axes(
        Pair("resnet56", "resnet20")
    )
    assert axes["objectives"] == [
        {"name": "cross_entropy", "weight": 0.1},
        {"name": "kd", "weight": 0.9},
    ]
    assert axes["temperature"] == {"name": "fixed", "value": 4.0}
    assert EasyToHard.model_validate(axes["curriculum"]) == EasyToHard(
        start=0.1, full_at=0.75, pacing="root", scoring="margin"
    )
