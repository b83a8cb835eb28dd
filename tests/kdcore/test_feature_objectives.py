"""FitNets, AT, SP, RKD, PKT and NST as objectives: gradients, stages, regressors, methods."""

import math
from collections.abc import Callable

import pytest
import torch
from patterns import (
    F_S,
    F_T,
    LOSSES,
    MAPS_S,
    MAPS_T,
    VECTORS_S,
    VECTORS_T,
    rkd_angle,
    rkd_distance,
    scramble,
)
from torch import Tensor, nn

from kdcore.errors import RecipeError
from kdcore.method import Pair
from kdcore.models.mlp import MLP
from kdcore.models.plain_cnn import PlainCNN
from kdcore.models.resnet import ResNet
from kdcore.objective import Objective
from kdcore.objectives.at import AT, ATMethod, at_loss
from kdcore.objectives.fitnet import FitNet, FitNetMethod, fitnet_loss
from kdcore.objectives.nst import NST, NSTMethod, nst_loss
from kdcore.objectives.pkt import PKT, PKTMethod, pkt_loss
from kdcore.objectives.rkd import RKD, RKDMethod, angles, distances, rkd_loss
from kdcore.objectives.sp import SP, SPMethod, sp_loss
from kdcore.temperature import Softened
from kdcore.tensors import Batch, Outputs, Seen, Shapes, Sizes

SOMEBODY = Pair("somebody", "somebody_else")


def sizes_of(student: Shapes, teacher: Shapes) -> Sizes:
    return Sizes(student, teacher, num_classes=5, num_samples=6)


def shown(objective: Objective, student: dict[str, Tensor], teacher: dict[str, Tensor]) -> Seen:
    """Return a step with these features, read as the objective asks for them."""
    shapes = [
        {name: tuple(value.shape[1:]) for name, value in features.items()} | {"head": (5,)}
        for features in (student, teacher)
    ]
    size = len(next(iter(student.values())))
    labels = torch.zeros(size, dtype=torch.int64)
    return Seen(
        Outputs(torch.zeros(size, 5), student),
        Outputs(torch.zeros(size, 5), teacher),
        Batch(torch.zeros(size, 1), labels, torch.arange(size), view=0),
        epoch=0,
        progress=0.5,
        taps=objective.taps(sizes_of(*shapes)),
        seed=7,
    )


def loss_of(objective: Objective, seen: Seen, heads: nn.Module | None = None) -> Tensor:
    return objective.loss(seen, Softened(seen.student.logits, seen.teacher.logits, 1.0), heads)


@pytest.mark.parametrize(
    ("found", "expected_shape", "kernel", "expected"),
    [
        ((4, 8, 8), (5, 4, 4), (5, 4, 3, 3), 0.136504275614),
        ((5, 4, 4), (4, 8, 8), (5, 4, 4, 4), 0.099015573224),
        ((4, 8, 8), (5, 8, 8), (5, 4, 1, 1), 0.132225219628),
        ((4, 8, 8), (5, 3, 3), (5, 4, 6, 6), 0.141114076930),
    ],
    ids=["halved", "doubled", "equal", "window"],
)
def test_fitnets_regressor_is_the_codes_for_every_ratio_of_sizes(
    found, expected_shape, kernel, expected
):
    """Reference: RepDistiller's `ConvReg` and `HintLoss` with weights of the pattern."""
    objective = FitNet()
    regressor = objective.heads(sizes_of({"stage1": found}, {"stage1": expected_shape})).double()
    with torch.no_grad():
        for place, part in enumerate(regressor.parameters()):
            part.copy_(scramble(tuple(part.shape), 3 + place, 127))
    assert tuple(next(regressor.parameters()).shape) == kernel
    student, teacher = scramble((6, *found), 5, 251), scramble((6, *expected_shape), 7, 241)
    loss = loss_of(
        objective, shown(objective, {"stage1": student}, {"stage1": teacher}), regressor
    ).detach()
    assert loss.shape == (6,)
    assert loss.mean().item() == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize(
    ("loss", "student", "teacher"),
    [
        (fitnet_loss, F_S, F_T[:, :2]),
        (at_loss, F_S, F_T),
        (at_loss, scramble((2, 2, 4, 4), 5, 251), F_T[:2]),
        (at_loss, scramble((2, 2, 5, 3), 5, 251), F_T[:2]),
        (nst_loss, F_S, F_T),
        (nst_loss, scramble((2, 2, 4, 4), 5, 251), F_T[:2]),
        (sp_loss, F_S, F_T),
        (rkd_distance, VECTORS_S, VECTORS_T),
        (rkd_angle, VECTORS_S, VECTORS_T),
        (pkt_loss, VECTORS_S, VECTORS_T),
    ],
)
def test_the_gradient_is_the_slope(loss, student, teacher):
    student = student.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda features: loss(features, teacher), student)


@pytest.mark.parametrize("name", LOSSES)
def test_a_perfect_student_has_no_loss(name):
    assert LOSSES[name](MAPS_S, MAPS_S.clone()).item() == pytest.approx(0, abs=1e-15)


def dead(features: Tensor) -> Tensor:
    """Return features with a channel, or a number, and a whole sample at zero."""
    features = features.clone()
    features[:, 1] = 0
    features[2] = 0
    return features


def repeated(features: Tensor) -> Tensor:
    """Return features in which two samples are one, for the student and not for the teacher."""
    features = features.clone()
    features[4] = features[1]
    return features


@pytest.mark.parametrize("harm", [dead, repeated, torch.zeros_like, torch.ones_like])
@pytest.mark.parametrize("name", LOSSES)
def test_dead_and_equal_samples_have_a_finite_loss_and_a_gradient_of_ordinary_size(
    name: str, harm: Callable[[Tensor], Tensor]
):
    if name in {"rkd", "pkt"}:
        student, teacher = VECTORS_S.float(), VECTORS_T.float()
    else:
        student, teacher = MAPS_S[:, :, ::2, ::2].float(), MAPS_T[:, :4].float()
    student = harm(student).requires_grad_()
    loss = LOSSES[name](student, teacher)
    loss.backward()
    assert student.grad is not None
    assert math.isfinite(loss.item())
    assert student.grad.abs().max().item() < 1e3


def test_a_teacher_whose_samples_are_all_equal_is_no_division_by_zero():
    for loss in (sp_loss, rkd_loss, pkt_loss):
        assert math.isfinite(loss(VECTORS_S, torch.ones(6, 9, dtype=torch.float64)).item())
        assert math.isfinite(loss(VECTORS_S, torch.zeros(6, 9, dtype=torch.float64)).item())


def test_equal_samples_are_at_distance_zero_and_the_rest_at_one_on_average():
    found = distances(repeated(VECTORS_S))
    assert found[1, 4].item() == 0
    assert found[found > 0].mean().item() == pytest.approx(1, rel=1e-12)
    cosines = angles(repeated(VECTORS_S))
    assert cosines.shape == (6, 6, 6)
    assert float(cosines[1, 4].abs().max()) == 0
    assert cosines[0, 1, 1].item() == pytest.approx(1, rel=1e-12)


SMALL, LARGE = ResNet(depth=8), ResNet(depth=20, channels=[32, 64, 128])
FLAT = MLP(hidden=[12])


def sizes_between(student: ResNet | MLP | PlainCNN, teacher: ResNet | MLP | PlainCNN) -> Sizes:
    return sizes_of(student.shapes((3, 32, 32), 5), teacher.shapes((3, 32, 32), 5))


def test_each_reads_the_stages_that_the_code_does():
    sizes = sizes_between(SMALL, LARGE)
    stages = ("stage1", "stage2", "stage3")
    for objective, expected in (
        (FitNet(), ("stage2",)),
        (AT(), stages),
        (NST(), stages),
        (SP(), ("stage3",)),
        (RKD(), ("pool",)),
        (PKT(), ("pool",)),
    ):
        taps = objective.taps(sizes)
        assert (taps.student, taps.teacher) == (expected, expected)


def test_stages_can_be_named():
    sizes = sizes_between(SMALL, LARGE)
    for entry in (FitNet, SP, RKD, PKT):
        taps = entry(student_layer="stage1", teacher_layer="stage2").taps(sizes)
        assert (taps.student, taps.teacher) == (("stage1",), ("stage2",))
        with pytest.raises(RecipeError, match="found no stage 'stage9' in the student"):
            entry(student_layer="stage9").taps(sizes)
    for entry in (AT, NST):
        taps = entry(layers=[["stage3", "stage2"], ["stage3", "stage3"]]).taps(sizes)
        assert (taps.student, taps.teacher) == (("stage3", "stage3"), ("stage2", "stage3"))


def test_unequal_numbers_of_maps_are_paired_from_the_last_one():
    sizes = sizes_between(PlainCNN(stages=[[4], [8]]), LARGE)
    taps = AT().taps(sizes)
    assert (taps.student, taps.teacher) == (("stage1", "stage2"), ("stage2", "stage3"))
    only = FitNet().taps(sizes_between(PlainCNN(stages=[[4]]), LARGE))
    assert (only.student, only.teacher) == (("stage1",), ("stage2",))


def test_relations_need_no_maps_and_maps_are_missed_where_they_are_needed():
    sizes = sizes_between(FLAT, SMALL)
    for objective, theirs in ((RKD(), "pool"), (PKT(), "pool"), (SP(), "stage3")):
        taps = objective.taps(sizes)
        assert (taps.student, taps.teacher) == (("hidden1",), (theirs,))
    for objective in (FitNet(), AT(), NST()):
        with pytest.raises(RecipeError, match="found no feature map in the student"):
            objective.taps(sizes)


def test_fitnet_refuses_sizes_that_no_regressor_fits():
    sizes = sizes_of({"stage1": (4, 4, 4)}, {"stage1": (5, 16, 16)})
    with pytest.raises(RecipeError, match="student is 4x4, stage 'stage1' of the teacher 16x16"):
        FitNet().taps(sizes)


@pytest.mark.parametrize(("objective", "loss"), [(AT(), at_loss), (NST(), nst_loss)])
def test_several_pairs_add_up_and_a_sample_has_a_loss_of_its_own(objective, loss):
    student = {"stage1": MAPS_S, "stage2": MAPS_S[:, :2, ::2, ::2]}
    teacher = {"stage1": MAPS_T, "stage2": MAPS_T.square()}
    total = loss_of(objective, shown(objective, student, teacher))
    assert total.shape == (6,)
    for sample in range(6):
        apart = sum(
            loss(student[name][sample : sample + 1], teacher[name][sample : sample + 1]).item()
            for name in student
        )
        assert total[sample].item() == pytest.approx(apart, rel=1e-12)


def test_options_reach_the_loss():
    maps = {"stage1": MAPS_S}, {"stage1": MAPS_T}
    vectors = {"pool": VECTORS_S}, {"pool": VECTORS_T}
    power = AT(power=4)
    assert loss_of(power, shown(power, *maps)).mean().item() == pytest.approx(
        at_loss(MAPS_S, MAPS_T, power=4).item(), rel=1e-12
    )
    for objective, expected in (
        (SP(), sp_loss(VECTORS_S, VECTORS_T)),
        (RKD(), rkd_loss(VECTORS_S, VECTORS_T)),
        (RKD(distance_weight=0), 50 * rkd_angle(VECTORS_S, VECTORS_T)),
        (RKD(angle_weight=0), 25 * rkd_distance(VECTORS_S, VECTORS_T)),
        (PKT(), pkt_loss(VECTORS_S, VECTORS_T)),
        (PKT(epsilon=0.01), pkt_loss(VECTORS_S, VECTORS_T, epsilon=0.01)),
    ):
        loss = loss_of(objective, shown(objective, *vectors))
        assert loss.shape == ()
        assert loss.item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize(
    ("method", "weight"),
    [
        (FitNetMethod(), 100.0),
        (ATMethod(), 1000.0),
        (SPMethod(), 3000.0),
        (RKDMethod(), 1.0),
        (PKTMethod(), 30_000.0),
        (NSTMethod(), 50.0),
    ],
)
def test_a_method_is_the_labels_and_the_usual_factor(method, weight):
    """Reference: RepDistiller, scripts/run_cifar_distill.sh."""
    axes = method.axes(SOMEBODY)
    assert list(axes) == ["objectives"]
    labels, term = axes["objectives"]
    assert labels == {"name": "cross_entropy", "weight": 1.0}
    assert (term["name"], term["weight"]) == (method.name, weight)


def test_fitnets_first_phase_is_the_hint_alone_and_the_second_has_none():
    axes = FitNetMethod(hint_share=0.25).axes(SOMEBODY)
    assert axes == {
        "objectives": [
            {"name": "cross_entropy", "weight": 0.1, "begin": 0.25},
            {"name": "kd", "weight": 0.9, "begin": 0.25},
            {"name": "fitnet", "weight": 100.0, "end": 0.25},
        ],
        "temperature": {"name": "fixed", "value": 4.0},
    }
