"""VID and MGD against the authors' code and against formulas written with loops; four methods.

Numbers from the authors' code come from executing it in float64 on `line`s, with weights filled
likewise; the docstrings name the repository and the file.
"""

import itertools
import math
import zlib
from typing import Any

import pytest
import torch
from patterns import line
from single_step import EXACT, fill, heads_of, loss_of, number, sizes_of
from torch import Tensor, nn

from kdcore.counters import uniform
from kdcore.errors import RecipeError
from kdcore.method import Pair
from kdcore.objectives.crd import CRDMethod
from kdcore.objectives.mgd import MGD, MGDMethod, mgd_loss
from kdcore.objectives.reviewkd import ReviewKDMethod
from kdcore.objectives.vid import VID, VIDMethod, vid_loss

SOMEBODY = Pair("somebody", "somebody_else")


def vid_pair(student_side: int, teacher_side: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    student = line((3, 2, student_side, student_side), 7, 11, 0.3)
    teacher = line((3, 3, teacher_side, teacher_side), 5, 13, 0.4)
    return {"stage1": student}, {"stage1": teacher}


def vid_heads(student: dict[str, Tensor], teacher: dict[str, Tensor]) -> Any:
    heads = heads_of(VID(), student, teacher)
    with torch.no_grad():
        for place, layer in enumerate((heads[0][0], heads[0][2], heads[0][4])):
            layer.weight.copy_(line(tuple(layer.weight.shape), 3 + 2 * place, 17, 0.45))
    return heads


@pytest.mark.parametrize(
    ("student_side", "teacher_side", "at_first", "later"),
    [
        (4, 2, 0.813373880393, -0.327477708046),
        (2, 4, 0.806099091759, -0.412801187344),
    ],
)
def test_vid_is_the_authors_number_whichever_map_is_larger(
    student_side, teacher_side, at_first, later
):
    """HobbitLong/RepDistiller, distiller_zoo/VID.py executed with these weights."""
    student, teacher = vid_pair(student_side, teacher_side)
    heads = vid_heads(student, teacher)
    loss = loss_of(VID(), heads, student, teacher)
    assert loss.shape == (3,)
    assert number(loss.mean()) == pytest.approx(at_first, rel=1e-6)  # 5 is made in float32
    with torch.no_grad():
        heads[0].spread.copy_(line((3,), 3, 5, 0.9))
    assert number(loss_of(VID(), heads, student, teacher).mean()) == pytest.approx(later, **EXACT)


def test_vid_is_the_gaussian_formula_added_up_over_the_pairs():
    student, teacher = vid_pair(4, 4)
    student["stage2"] = line((3, 2, 2, 2), 3, 7, 0.5)
    teacher["stage2"] = line((3, 4, 2, 2), 3, 5, 0.5)
    heads = heads_of(VID(initial_variance=0.7), student, teacher)
    expected = torch.zeros(3, dtype=torch.float64)
    for name, regressor in zip(("stage1", "stage2"), heads, strict=True):
        predicted, target = regressor(student[name]), teacher[name]
        _, channels, height, width = target.shape
        with torch.no_grad():
            regressor.spread.copy_(line((channels,), 2, 5, 0.3))
        for sample, c, y, x in itertools.product(
            range(3), range(channels), range(height), range(width)
        ):
            variance = math.log(1 + math.exp(number(regressor.spread[c]))) + 1e-5
            error = number(predicted[sample, c, y, x] - target[sample, c, y, x])
            expected[sample] += (
                0.5 * (error**2 / variance + math.log(variance)) / (channels * height * width)
            )
    torch.testing.assert_close(
        loss_of(VID(), heads, student, teacher), expected, atol=1e-12, rtol=1e-9
    )


def test_vid_of_a_perfect_prediction_is_half_the_logarithm_of_the_first_variance():
    student, teacher = vid_pair(4, 4)
    heads = heads_of(VID(), student, teacher)
    teacher = {"stage1": heads[0](student["stage1"]).detach()}
    loss = loss_of(VID(), heads, student, teacher)
    assert loss.detach().tolist() == pytest.approx([math.log(5) / 2] * 3, rel=1e-6)
    predicted = teacher["stage1"]
    variance = torch.full((3,), 5.0)
    assert number(vid_loss(predicted, predicted, variance)) == pytest.approx(0.8047, abs=1e-4)


def test_g27_the_variance_of_vid_is_trained_towards_the_mean_squared_error_of_its_channel():
    student, teacher = vid_pair(4, 4)
    heads = vid_heads(student, teacher)
    spread = heads[0].spread
    with torch.no_grad():
        error = (heads[0](student["stage1"]) - teacher["stage1"]).square().mean((0, 2, 3))

    def slope(variance: Tensor) -> Tensor:
        with torch.no_grad():
            spread.copy_((variance - 1e-5).expm1().log())
        (gradient,) = torch.autograd.grad(loss_of(VID(), heads, student, teacher).mean(), spread)
        return gradient

    assert float(slope(error).abs().max()) < 1e-12
    assert bool((slope(0.9 * error) < 0).all())
    assert bool((slope(1.1 * error) > 0).all())
    optimizer = torch.optim.SGD(heads.parameters(), lr=0.1)
    before = spread.detach().clone()
    loss_of(VID(), heads, student, teacher).mean().backward()
    optimizer.step()
    assert bool((spread < before).all())


def mgd_pair(channels: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    student = line((3, channels, 4, 4), 7, 11, 0.3)
    return {"stage1": student}, {"stage1": line((3, 3, 4, 4), 5, 13, 0.4)}


@pytest.mark.parametrize(
    ("mask", "channels", "theirs"),
    [
        ("channel", 2, 15.887028258254),
        ("channel", 3, 13.718447752726),
        ("spatial", 2, 15.884578619101),
        ("spatial", 3, 12.810860207915),
    ],
)
def test_mgd_is_the_authors_number_with_and_without_alignment(mask, channels, theirs):
    """yzd-v/MGD, cls/mmcls/distillation/losses/mgd.py executed with these weights and masks.

    The spatial mask is the line that stands there as a comment.
    """
    student, teacher = mgd_pair(channels)
    objective = MGD(mask=mask, mask_ratio=0.4)
    heads = heads_of(objective, student, teacher)
    assert isinstance(heads["align"], nn.Identity) == (channels == 3)
    fill(heads)
    loss = loss_of(objective, heads, student, teacher, index=torch.tensor([5, 0, 9]), view=2)
    assert loss.shape == (3,)
    assert number(loss.mean()) == pytest.approx(theirs, **EXACT)


def identity(heads: Any, shift: float = 10.0) -> None:
    """Make the generator hand through what it is given, lifted over the ReLU and put back."""
    with torch.no_grad():
        for layer, bias in ((heads["generator"][0], shift), (heads["generator"][2], -shift)):
            layer.weight.zero_()
            layer.bias.fill_(bias)
            for channel in range(len(layer.bias)):
                layer.weight[channel, channel, 1, 1] = 1


@pytest.mark.parametrize("mask", ["channel", "spatial"])
def test_mgd_hides_the_student_and_keeps_the_whole_teacher_as_the_target(mask):
    student, teacher = mgd_pair(3)
    objective = MGD(mask=mask, mask_ratio=0.4)
    heads = heads_of(objective, student, teacher)
    identity(heads)
    index, view = torch.tensor([11, 2, 30]), 3
    loss = loss_of(objective, heads, student, teacher, index=index, view=view)
    hidden = 0
    for sample in range(3):
        expected = 0.0
        for c, y, x in itertools.product(range(3), range(4), range(4)):
            place, count = (c, 3) if mask == "channel" else (4 * y + x, 16)
            counter = index[sample : sample + 1] * count + place
            keep = number(uniform(7, zlib.crc32(b"mgd"), counter, view)) >= 0.4
            hidden += not keep
            rebuilt = number(student["stage1"][sample, c, y, x]) if keep else 0.0
            expected += (rebuilt - number(teacher["stage1"][sample, c, y, x])) ** 2
        assert number(loss[sample]) == pytest.approx(expected, rel=1e-9)
    assert 0 < hidden < 144


@pytest.mark.parametrize("mask", ["channel", "spatial"])
def test_mgd_masks_belong_to_the_sample_and_change_with_the_view(mask):
    student, teacher = mgd_pair(3)
    objective = MGD(mask=mask, mask_ratio=0.4)
    heads = heads_of(objective, student, teacher)
    index, order = torch.tensor([4, 8, 6]), torch.tensor([2, 0, 1])
    plain = loss_of(objective, heads, student, teacher, index=index)
    moved = loss_of(
        objective,
        heads,
        {"stage1": student["stage1"][order]},
        {"stage1": teacher["stage1"][order]},
        index=index[order],
    )
    torch.testing.assert_close(moved, plain[order], atol=1e-12, rtol=1e-12)
    assert not torch.equal(plain, loss_of(objective, heads, student, teacher, index=index, view=1))


@pytest.mark.parametrize("mask", ["channel", "spatial"])
def test_mgd_hides_the_share_that_was_asked_for(mask):
    ones, zeros = {"stage1": torch.ones(500, 16, 4, 4)}, {"stage1": torch.zeros(500, 16, 4, 4)}
    objective = MGD(mask=mask, mask_ratio=0.15)
    heads = heads_of(objective, ones, zeros)
    identity(heads)
    kept = loss_of(objective, heads.float(), ones, zeros) / 256
    assert number(kept.mean()) == pytest.approx(0.85, abs=0.01)
    assert number(kept.std()) == pytest.approx(math.sqrt(0.15 * 0.85 / 16), rel=0.1)


def test_mgd_without_a_mask_is_the_sum_of_squares():
    student, teacher = mgd_pair(3)
    heads = heads_of(MGD(mask_ratio=0), student, teacher)
    identity(heads)
    squares = (student["stage1"] - teacher["stage1"]).square().sum((1, 2, 3))
    loss = loss_of(MGD(mask_ratio=0), heads, student, teacher)
    torch.testing.assert_close(loss, squares)
    assert number(mgd_loss(student["stage1"], teacher["stage1"])) == pytest.approx(
        number(squares.mean()), **EXACT
    )


def test_mgd_refuses_maps_of_unequal_resolution_and_says_the_way_out():
    student = {"stage1": torch.zeros(1, 2, 8, 8), "stage2": torch.zeros(1, 4, 4, 4)}
    teacher = {"stage1": torch.zeros(1, 3, 8, 8)}
    with pytest.raises(RecipeError, match=r"stage2.*\(4, 4, 4\).*stage1.*\(3, 8, 8\)") as refused:
        MGD().taps(sizes_of(student, teacher))
    assert "student_layer" in str(refused.value.hint)
    taps = MGD(student_layer="stage1").taps(sizes_of(student, teacher))
    assert (taps.student, taps.teacher) == (("stage1",), ("stage1",))


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (VIDMethod(), {"name": "vid", "weight": 1.0}),
        (MGDMethod(), {"name": "mgd", "weight": 7e-5, "mask": "channel", "mask_ratio": 0.15}),
        (CRDMethod(), {"name": "crd", "weight": 0.8, "negatives": 16384, "tau": 0.07}),
        (ReviewKDMethod(), {"name": "reviewkd", "weight": 1.0, "warmup_epochs": 20.0}),
    ],
)
def test_a_method_is_the_labels_and_the_published_factor(method, expected):
    labels, term = method.axes(SOMEBODY)["objectives"]
    assert labels == {"name": "cross_entropy", "weight": 1.0}
    assert term == expected


@pytest.mark.parametrize(
    ("teacher", "student", "weight"),
    [
        ("wrn_40_2", "wrn_16_2", 5.0),
        ("resnet32x4", "shufflenet_v2", 8.0),
        ("resnet56", "resnet20", 0.6),
        ("resnet110", "resnet32", 1.0),
    ],
)
def test_reviewkd_takes_the_factor_of_the_pair_unless_one_is_given(teacher, student, weight):
    """dvlab-research/ReviewKD, CIFAR-100/script/reviewKD.sh."""
    pair = Pair(teacher, student)
    assert ReviewKDMethod().axes(pair)["objectives"][1]["weight"] == weight
    assert ReviewKDMethod(weight=3.0).axes(pair)["objectives"][1]["weight"] == 3.0
