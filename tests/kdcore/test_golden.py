"""Losses against numbers that were made by the authors' code and by independent formulas."""

import math

import pytest
import torch
from torch import Tensor

from kdcore.objectives.cross_entropy import cross_entropy_loss
from kdcore.objectives.dkd import decoupled_terms, dkd_loss
from kdcore.objectives.kd import kd_loss

Z_T = torch.tensor([[2.0, 1, 0, -1], [0, 3, 1, -2]], dtype=torch.float64)
Z_S = torch.tensor([[1.0, 2, -1, 0], [1, 1, 0, 0]], dtype=torch.float64)
Y = torch.tensor([0, 1])
EXACT = {"rel": 1e-9, "abs": 1e-9}


@pytest.fixture
def logits() -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(16, 10, generator=draw, dtype=torch.float64) for _ in range(2))
    return student, teacher, torch.randint(10, (16,), generator=draw)


def test_reference_vector():
    """Reference: mdistiller and RepDistiller executed on these logits (float64)."""
    assert float(cross_entropy_loss(Z_S, Y)) == pytest.approx(1.223299283, abs=1e-9)
    assert float(kd_loss(Z_S, Z_T, temperature=1)) == pytest.approx(0.515765061, abs=1e-9)
    assert float(kd_loss(Z_S, Z_T, temperature=4)) == pytest.approx(0.833805742, abs=1e-9)
    tckd, nckd = decoupled_terms(Z_S, Z_T, Y)
    assert float(tckd.mean()) == pytest.approx(0.424423648, abs=1e-9)
    assert float(nckd.mean()) == pytest.approx(0.414889746, abs=1e-9)
    tckd, nckd = decoupled_terms(Z_S / 4, Z_T / 4, Y)
    assert 16 * float(tckd.mean()) == pytest.approx(0.481616293, abs=1e-9)
    assert 16 * float(nckd.mean()) == pytest.approx(0.584139735, abs=1e-9)
    dkd = dkd_loss(Z_S, Z_T, Y, alpha=1, beta=8, temperature=4)
    assert float(dkd) == pytest.approx(5.154734174, abs=1e-9)


def test_g1_kd_is_zero_where_rows_differ_by_a_constant_and_ignores_such_constants(logits):
    student, teacher, _ = logits
    shift = torch.arange(16, dtype=torch.float64)[:, None]
    assert float(kd_loss(teacher + shift, teacher)) == pytest.approx(0, abs=1e-9)
    assert float(kd_loss(student + shift, teacher - 2 * shift)) == pytest.approx(
        float(kd_loss(student, teacher)), **EXACT
    )
    assert float(kd_loss(student, teacher)) > 0.1


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_g2_the_gradient_is_t_times_the_difference_of_the_distributions(logits, temperature):
    student, teacher, _ = logits
    student.requires_grad_()
    (gradient,) = torch.autograd.grad(kd_loss(student, teacher, temperature=temperature), student)
    q = torch.softmax(student.detach() / temperature, -1)
    p = torch.softmax(teacher / temperature, -1)
    torch.testing.assert_close(gradient, temperature * (q - p) / 16, atol=1e-12, rtol=1e-9)
    assert float(gradient.sum(-1).abs().max()) < 1e-12


def test_g2_a_uniform_and_a_one_hot_teacher(logits):
    student, _, labels = logits
    uniform = kd_loss(student, torch.zeros_like(student), temperature=1)
    to_uniform = -torch.log_softmax(student, -1).mean(-1).mean()
    assert float(uniform) == pytest.approx(float(to_uniform) - math.log(10), **EXACT)
    one_hot = 1e4 * torch.nn.functional.one_hot(labels, 10).double()
    assert float(kd_loss(student, one_hot, temperature=1)) == pytest.approx(
        float(cross_entropy_loss(student, labels)), **EXACT
    )
    smoothed = cross_entropy_loss(student, labels, label_smoothing=0.1)
    plain = cross_entropy_loss(student, labels)
    assert float(smoothed) == pytest.approx(
        float(0.9 * plain + 0.1 * (uniform + math.log(10))), **EXACT
    )


def test_g3_a_high_temperature_compares_centred_logits(logits):
    student, teacher, _ = logits
    centred = (student - student.mean(-1, keepdim=True)) - (
        teacher - teacher.mean(-1, keepdim=True)
    )
    limit = float(centred.pow(2).sum(-1).mean() / 20)
    assert float(kd_loss(student, teacher, temperature=1e5)) == pytest.approx(limit, rel=1e-4)


def test_g4_closed_forms():
    teacher = torch.tensor([[math.log(4), 0, 0]], dtype=torch.float64)
    student = torch.zeros_like(teacher)
    assert float(kd_loss(student, teacher, temperature=1)) == pytest.approx(
        0.231049060187, abs=1e-11
    )
    assert float(kd_loss(student, teacher, temperature=2)) == pytest.approx(
        0.235566071313, abs=1e-11
    )


def test_g5_torchs_default_mean_is_weaker_by_the_number_of_classes(logits):
    student, teacher, _ = logits
    with pytest.warns(UserWarning, match="batchmean"):
        theirs = torch.nn.functional.kl_div(
            torch.log_softmax(student, -1), torch.softmax(teacher, -1), reduction="mean"
        )
    assert 10 * float(theirs) == pytest.approx(
        float(kd_loss(student, teacher, temperature=1)), **EXACT
    )


def test_g12_kd_is_tckd_plus_nckd_weighted_by_the_teachers_doubt(logits):
    student, teacher, labels = logits
    tckd, nckd = decoupled_terms(student / 4, teacher / 4, labels)
    doubt = 1 - torch.softmax(teacher / 4, -1).gather(1, labels[:, None])[:, 0]
    assert 16 * float((tckd + doubt * nckd).mean()) == pytest.approx(
        float(kd_loss(student, teacher, temperature=4)), **EXACT
    )


def test_g13_nckd_ignores_the_target_logits_and_tckd_follows_them(logits):
    student, teacher, labels = logits
    target = torch.nn.functional.one_hot(labels, 10).double()
    _, nckd = decoupled_terms(student, teacher, labels)
    _, moved = decoupled_terms(student + 7 * target, teacher - 5 * target, labels)
    torch.testing.assert_close(moved, nckd, atol=1e-12, rtol=1e-9)
    for temperature in (1.0, 4.0):
        z = student.clone().requires_grad_()
        tckd, nckd = decoupled_terms(z / temperature, teacher / temperature, labels)
        (of_nckd,) = torch.autograd.grad(nckd.sum(), z, retain_graph=True)
        assert float((of_nckd * target).abs().max()) < 1e-12
        (of_tckd,) = torch.autograd.grad(temperature**2 * tckd.sum(), z)
        q = torch.softmax(student / temperature, -1)
        p = torch.softmax(teacher / temperature, -1)
        expected = (temperature * (q - p) * target).sum(-1)
        torch.testing.assert_close((of_tckd * target).sum(-1), expected, atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_g14_dropping_the_class_equals_masking_it_after_the_division(logits, dtype):
    """The mask of -1000 is mdistiller's, mdistiller/distillers/DKD.py."""
    student, teacher, labels = (
        value.to(dtype) if value.is_floating_point() else value for value in logits
    )
    mask = 1000 * torch.nn.functional.one_hot(labels, 10)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    masked = torch.nn.functional.kl_div(
        torch.log_softmax((student / 4).to(wide) - mask, -1),
        torch.log_softmax((teacher / 4).to(wide) - mask, -1),
        reduction="none",
        log_target=True,
    ).sum(-1)
    _, nckd = decoupled_terms(student / 4, teacher / 4, labels)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(nckd, masked, atol=tolerance, rtol=tolerance)


def test_g15_with_two_classes_nothing_is_left_beside_the_target(logits):
    student, teacher, labels = logits
    _, nckd = decoupled_terms(student[:, :2], teacher[:, :2], labels % 2)
    assert float(nckd.abs().max()) == 0


@pytest.mark.parametrize("size", [100.0, 1000.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dkd_and_its_gradient_are_finite_at_huge_logits(size, dtype):
    student = torch.tensor([[size, -size, 0], [-size, size, size]], dtype=dtype, requires_grad=True)
    teacher = torch.tensor([[-size, size, 0], [size, -size, -size]], dtype=dtype)
    loss = dkd_loss(student, teacher, torch.tensor([0, 1]), temperature=1)
    loss.backward()
    assert math.isfinite(loss.item())
    assert student.grad is not None
    assert bool(student.grad.isfinite().all())
