"""ReviewKD against the authors' code and against formulas written out."""

import itertools
from typing import Any

import pytest
import torch
from patterns import line
from single_step import EXACT, fill, heads_of, loss_of, number, sizes_of
from torch import Tensor, nn

from kdcore.errors import RecipeError
from kdcore.objectives.mgd import MGD
from kdcore.objectives.reviewkd import ReviewKD, reviewkd_loss
from kdcore.objectives.vid import VID


def test_hcl_is_the_reference_number():
    """dvlab-research/ReviewKD, CIFAR-100/model/reviewkd.py, `hcl` executed on these maps."""
    student, teacher = line((2, 2, 8, 8), 7, 11, 0.3), line((2, 2, 8, 8), 5, 13, 0.4)
    assert number(reviewkd_loss([student], [teacher])) == pytest.approx(0.106197869, abs=1e-9)


def review_pair() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return two maps and an embedding each; the second maps differ in resolution."""
    student = {
        "stage1": line((4, 2, 8, 8), 7, 11, 0.3),
        "stage2": line((4, 3, 4, 4), 5, 19, 0.5),
        "pool": line((4, 3), 11, 23, 0.4),
    }
    teacher = {
        "stage1": line((4, 3, 8, 8), 5, 13, 0.4),
        "stage2": line((4, 4, 8, 8), 3, 29, 0.5),
        "pool": line((4, 4), 13, 31, 0.4),
    }
    return student, teacher


def test_reviewkd_is_the_authors_number_through_all_fusions():
    """megvii-research/mdistiller, mdistiller/distillers/ReviewKD.py executed with these weights."""
    student, teacher = review_pair()
    heads = heads_of(ReviewKD(), student, teacher)
    fill(heads)
    loss = loss_of(ReviewKD(), heads, student, teacher)
    assert loss.shape == (4,)
    assert number(loss.mean()) == pytest.approx(0.979119566072, **EXACT)


def pooled(values: Tensor, size: int) -> Tensor:
    """Return the means of `size` windows each way, which overlap where they do not divide it."""
    side = values.shape[-1]
    windows = [slice(a * side // size, -(-(a + 1) * side // size)) for a in range(size)]
    means = [[values[..., y, x].mean((-2, -1)) for x in windows] for y in windows]
    return torch.stack([torch.stack(row, -1) for row in means], -2)


@pytest.mark.parametrize(
    ("side", "levels"), [(8, (4, 2, 1)), (7, (4, 2, 1)), (4, (2, 1)), (2, (1,)), (1, ())]
)
def test_hcl_is_the_mean_over_the_levels_that_are_smaller_than_the_map(side, levels):
    student, teacher = (
        line((3, 2, side, side), 7, 11, 0.3),
        line((3, 2, side, side), 5, 13, 0.4),
    )
    total, weights = number((student - teacher).square().mean()), 1.0
    for place, size in enumerate(levels, start=1):
        difference = pooled(student, size) - pooled(teacher, size)
        total += number(difference.square().mean()) / 2**place
        weights += 1 / 2**place
    assert number(reviewkd_loss([student], [teacher])) == pytest.approx(total / weights, **EXACT)


def test_g26_hcl_of_a_constant_offset_is_its_square_and_hcl_is_at_most_the_mean_squared_error():
    student, teacher = line((3, 2, 8, 8), 7, 11, 0.3), line((3, 2, 8, 8), 5, 13, 0.4)
    assert number(reviewkd_loss([teacher + 0.3], [teacher])) == pytest.approx(0.09, **EXACT)
    squares = number((student - teacher).square().mean())
    assert 0 < number(reviewkd_loss([student], [teacher])) < squares
    assert number(reviewkd_loss([student, teacher + 0.3], [teacher, teacher])) == pytest.approx(
        number(reviewkd_loss([student], [teacher])) + 0.09, **EXACT
    )


def test_reviewkd_fuses_from_deep_to_shallow_as_the_formula_says():
    student, teacher = review_pair()
    heads = heads_of(ReviewKD(), student, teacher)
    fill(heads)
    first, second, deepest = heads

    def normalised(values: Tensor) -> Tensor:
        spread = values.var((0, 2, 3), correction=0, keepdim=True) + 1e-5
        return (values - values.mean((0, 2, 3), keepdim=True)) / spread.sqrt()

    def batch_norm(values: Tensor, layer: nn.Module) -> Tensor:
        return normalised(values) * layer.weight[:, None, None] + layer.bias[:, None, None]

    def narrow(values: Tensor, level: Any) -> Tensor:
        convolved = torch.einsum("bchw,oc->bohw", values, level["narrow"][0].weight[:, :, 0, 0])
        return batch_norm(convolved, level["narrow"][1])

    def repeated(values: Tensor, times: int) -> Tensor:
        return values.repeat_interleave(times, 2).repeat_interleave(times, 3)

    def gated(values: Tensor, above: Tensor, level: Any) -> Tensor:
        both = torch.cat([values, above], 1)
        layer = level["attention"][0]
        gates = torch.einsum("bchw,oc->bohw", both, layer.weight[:, :, 0, 0])
        gates = 1 / (1 + torch.exp(-gates - layer.bias[:, None, None]))
        return values * gates[:, 0:1] + above * gates[:, 1:2]

    def widened(values: Tensor, level: Any) -> Tensor:
        height, width = values.shape[2:]
        framed = torch.zeros(*values.shape[:2], height + 2, width + 2, dtype=values.dtype)
        framed[:, :, 1:-1, 1:-1] = values
        weight = level["widen"][0].weight
        total = sum(
            torch.einsum("bchw,oc->bohw", framed[:, :, y : y + height, x : x + width], part)
            for (y, x), part in (
                ((y, x), weight[:, :, y, x]) for y, x in itertools.product(range(3), range(3))
            )
        )
        return batch_norm(total, level["widen"][1])

    top = narrow(student["pool"][:, :, None, None], deepest)
    middle = repeated(gated(narrow(student["stage2"], second), repeated(top, 4), second), 2)
    bottom = gated(narrow(student["stage1"], first), middle, first)
    expected = sum(
        number(reviewkd_loss([widened(fused, level)], [target]))
        for fused, level, target in (
            (top, deepest, teacher["pool"][:, :, None, None]),
            (middle, second, teacher["stage2"]),
            (bottom, first, teacher["stage1"]),
        )
    )
    assert number(loss_of(ReviewKD(), heads, student, teacher).mean()) == pytest.approx(
        expected, **EXACT
    )


def test_reviewkd_teaches_the_deep_stages_by_the_teachers_early_ones():
    student, teacher = review_pair()
    heads = heads_of(ReviewKD(), student, teacher)
    deep = student["pool"].requires_grad_()
    first = loss_of(ReviewKD(), heads, student, teacher).sum()
    (gradient,) = torch.autograd.grad(first, deep)
    changed = teacher | {"stage1": teacher["stage1"].flip(0)}
    (other,) = torch.autograd.grad(loss_of(ReviewKD(), heads, student, changed).sum(), deep)
    assert number((gradient - other).abs().max()) > 1e-6


def test_reviewkd_hands_on_at_most_as_many_channels_as_the_students_deepest_stage_has():
    student, teacher = review_pair()
    assert heads_of(ReviewKD(), student, teacher)[0]["narrow"][0].out_channels == 3
    assert heads_of(ReviewKD(middle=2), student, teacher)[0]["narrow"][0].out_channels == 2


def test_reviewkd_takes_the_levels_that_are_named_and_refuses_networks_without_maps():
    student, teacher = review_pair()
    named = ReviewKD(layers=[["stage1", "stage2"]])
    taps = named.taps(sizes_of(student, teacher))
    assert (taps.student, taps.teacher) == (("stage1",), ("stage2",))
    assert loss_of(named, heads_of(named, student, teacher), student, teacher).shape == (4,)
    flat = {"hidden1": torch.zeros(4, 6)}
    for objective in (ReviewKD(), VID(), MGD()):
        with pytest.raises(RecipeError, match="no feature map in the student"):
            objective.taps(sizes_of(flat, teacher))
    with pytest.raises(RecipeError, match="no stage 'stage9' in the teacher"):
        ReviewKD(layers=[["stage1", "stage9"]]).taps(sizes_of(student, teacher))
