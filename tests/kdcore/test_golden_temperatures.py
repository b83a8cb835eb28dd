"""CTKD, ATS and standardised logits against the authors' code and loop formulas."""

import math

import pytest
import torch
from looks import Z_S, Z_T, Y, draw_logits, heads_of, look, softened_loss
from torch import Tensor, nn

from kdcore.objective import Objective
from kdcore.objectives.dist import DIST
from kdcore.objectives.dkd import DKD
from kdcore.objectives.kd import KD, kd_loss
from kdcore.objectives.nkd import NKD
from kdcore.temperature import Temperature
from kdcore.temperatures.ats import ATS, asymmetric
from kdcore.temperatures.ctkd import CTKD, curriculum_temperature, reversal
from kdcore.temperatures.standardized import Standardized, standardize
from kdcore.tensors import HIDDEN

EXACT = {"rel": 1e-9, "abs": 1e-9}
CLOSE = {"rtol": 1e-9, "atol": 1e-11}


@pytest.fixture
def logits() -> tuple[Tensor, Tensor, Tensor]:
    return draw_logits()


def test_reference_vector_of_standardised_kd():
    """logit-standardization-KD executed: mdistiller/distillers/KD.py and DKD.py (1e-7 on std)."""
    seen = look(Z_S, Z_T, Y)
    released, paper = Standardized(unbiased=True), Standardized()
    assert float(softened_loss(released, KD(), seen)) == pytest.approx(0.303881033207, abs=1e-7)
    assert float(softened_loss(paper, KD(), seen)) == pytest.approx(0.399744908, abs=1e-9)
    assert float(softened_loss(released, DKD(), seen)) == pytest.approx(2.921626960670, abs=1e-6)


def test_g17_standardised_logits_ignore_positive_affine_maps_of_each_row(logits):
    student, teacher, labels = logits
    scale = torch.linspace(0.1, 50, 16, dtype=torch.float64)[:, None]
    paper = softened_loss(Standardized(), KD(), look(student, teacher, labels))
    mapped = look(scale * student - scale, scale.flip(0) * teacher + 4, labels)
    assert float(softened_loss(Standardized(), KD(), mapped)) == pytest.approx(
        float(paper), **EXACT
    )
    torch.testing.assert_close(standardize(-2 * student), -standardize(student), **CLOSE)
    norm = nn.functional.layer_norm(student, (10,), eps=0)
    torch.testing.assert_close(standardize(student), norm, **CLOSE)
    torch.testing.assert_close(
        standardize(student), math.sqrt(10 / 9) * standardize(student, unbiased=True), **CLOSE
    )
    one_hot = 5 * torch.eye(10, dtype=torch.float64)
    assert float(standardize(one_hot).max()) == pytest.approx(3, **EXACT)
    assert float(standardize(one_hot, unbiased=True).max()) == pytest.approx(9 / math.sqrt(10))
    assert float(standardize(student).abs().max()) < 3


def test_a_flat_row_is_standardised_without_a_large_gradient():
    flat = torch.full((1, 5), 3.0, requires_grad=True)
    kd_loss(standardize(flat), torch.eye(1, 5), temperature=1).backward()
    assert flat.grad is not None
    assert float(flat.grad.abs().max()) < 1
    assert float(standardize(flat).detach().abs().max()) == 0


def test_reference_vector_of_ats():
    """ATS-LargeKD executed (lines of distill.py): a soft cross-entropy, so entropy on top of KL."""
    p = torch.softmax(asymmetric(Z_T, Y), -1)
    rows = [0.336201117560, 0.336201117560, 0.203916285630, 0.123681479249]
    rows += [0.194795047938, 0.412381119721, 0.321162738963, 0.071661093378]
    assert p.flatten().tolist() == pytest.approx(rows, **EXACT)
    entropy = -(p * p.log()).sum(-1).mean()
    seen = look(Z_S, Z_T, Y)
    plain = softened_loss(ATS(), KD(), seen) + entropy
    assert float(plain) == pytest.approx(1.517367665965, **EXACT)
    soft = softened_loss(ATS(student=3.0), KD(), seen) + 9 * entropy
    assert float(soft) == pytest.approx(12.228783023494, **EXACT)


def test_g18_ats_softens_the_target_class_alone(logits):
    _, teacher, labels = logits
    torch.testing.assert_close(asymmetric(teacher, labels, target=3, others=3), teacher / 3)
    for row, y in enumerate(labels.tolist()):
        for i in range(10):
            expected = float(teacher[row, i]) / (5 if i == y else 2)
            assert float(asymmetric(teacher, labels, target=5)[row, i]) == pytest.approx(expected)

    def chance(target: float, others: float = 2, shift: float = 0) -> Tensor:
        soft = asymmetric(teacher + shift, labels, target=target, others=others)
        return torch.softmax(soft, -1)

    def wrong(p: Tensor) -> Tensor:
        rest = p[torch.arange(10) != labels[:, None]].reshape(16, 9)
        return rest / rest.sum(-1, keepdim=True)

    torch.testing.assert_close(wrong(chance(6)), wrong(chance(1.5)), **CLOSE)
    assert float((wrong(chance(6, 3)) - wrong(chance(6))).abs().max()) > 0.01
    place = labels[:, None]
    lower = (chance(6).gather(1, place) < chance(3).gather(1, place)).flatten()
    assert torch.equal(lower, teacher.gather(1, place).flatten() > 0)
    assert 0 < int(lower.sum()) < 16
    assert float((chance(4, shift=5) - chance(4)).abs().max()) > 0.05


@pytest.mark.parametrize(("temperature", "objective"), [(ATS(), KD()), (ATS(), NKD())])
def test_the_teachers_best_class_stands_for_a_hidden_label(logits, temperature, objective):
    student, teacher, labels = logits
    hidden, guessed = labels.clone(), labels.clone()
    hidden[:5], guessed[:5] = HIDDEN, teacher[:5].argmax(-1)
    first, second = (
        softened_loss(temperature, objective, look(student, teacher, each))
        for each in (hidden, guessed)
    )
    assert float(first) == float(second)
    assert temperature.needs_labels


def test_g9_the_curriculum_of_ctkd():
    """CTKD executed: CosineDecay of train_student.py, epochs 1 to 12, its sign turned."""
    assert float(curriculum_temperature(torch.ones(()).double(), strength=1)) == pytest.approx(
        15.62117157, abs=1e-8
    )
    theirs = [0.024471742, 0.095491503, 0.206107374, 0.345491503, 0.5, 0.654508497, 0.793892626]
    theirs += [0.904508497, 0.975528258, 1, 1, 1]
    assert [reversal(epoch) for epoch in range(1, 13)] == pytest.approx(theirs, abs=1e-9)
    assert reversal(0) == 0
    assert reversal(5, epochs=5) == 1


@pytest.mark.parametrize(
    ("epoch", "gradient"), [(0, -0.000034966452), (9, -0.001428850129), (50, -0.001428850129)]
)
def test_reference_vector_of_ctkd(epoch, gradient):
    """CTKD executed: models/temp_global.py, distiller_zoo/KD.py, helper/loops.py."""
    student = Z_S.clone().requires_grad_()
    temperature, seen = CTKD(), look(student, Z_T, Y, epoch)
    heads = heads_of(temperature, 4)
    assert heads is not None
    loss = KD().loss(seen, temperature.soften(seen, heads), None).mean()
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.872150928103, **EXACT)
    (learned,) = heads.parameters()
    assert learned.grad is not None
    assert float(learned.grad) == pytest.approx(gradient, abs=1e-12)
    assert student.grad is not None
    assert student.grad[0].tolist() == pytest.approx(
        [-0.132945649897, 0.132945649897, -0.116969009910, 0.116969009910], abs=1e-11
    )


def test_g11_the_temperature_of_ctkd_learns_through_both_softmaxes_and_the_scale(logits):
    student, teacher, labels = logits
    temperature = CTKD(initial=-1.0)
    tau = 1 + 20 / (1 + math.e)

    def kl(t: float) -> float:
        return float(kd_loss(student, teacher, temperature=t)) / t**2

    step = 1e-5
    slope = (kl(tau + step) - kl(tau - step)) / (2 * step)
    expected = 2 * tau * kl(tau) + tau**2 * slope
    heads = heads_of(temperature, 10)
    assert heads is not None
    seen = look(student, teacher, labels, epoch=20)
    KD().loss(seen, temperature.soften(seen, heads), None).mean().backward()
    (learned,) = heads.parameters()
    assert learned.grad is not None
    share = (tau - 1) / 20
    reversed_chain = -20 * share * (1 - share)  # to the temperature from what is learned
    assert float(learned.grad) == pytest.approx(reversed_chain * expected, rel=1e-6)


def test_g10_without_strength_the_temperature_of_ctkd_stands_still():
    learned = torch.ones((), dtype=torch.float64, requires_grad=True)
    curriculum_temperature(learned, strength=0).backward()
    assert learned.grad is not None
    assert float(learned.grad) == 0


COMBINATIONS = [
    (temperature, objective)
    for temperature in (CTKD(), CTKD(scope="instance", hidden=7), CTKD(initial=-2.0))
    for objective in (KD(), DKD(), DIST(), NKD())
]


@pytest.mark.parametrize(("temperature", "objective"), COMBINATIONS)
def test_g10_a_step_of_ctkds_heads_raises_the_loss(logits, temperature, objective):
    student, teacher, labels = logits
    student = (2 * student).requires_grad_()
    seen = look(student, teacher, labels, epoch=3)
    heads = heads_of(temperature, 10)
    assert heads is not None
    optimizer = torch.optim.SGD(heads.parameters(), lr=1e-3)
    losses: list[float] = []
    for _ in range(4):
        loss = objective.loss(seen, temperature.soften(seen, heads), None).mean()
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses == sorted(losses)
    assert losses[-1] > losses[0]
    assert all(
        each.grad is not None and float(each.grad.abs().max()) for each in heads.parameters()
    )
    assert student.grad is not None
    assert float(student.grad.abs().max()) > 0


def test_each_sample_has_its_own_temperature_where_the_scope_is_instance(logits):
    """The README of CTKD: the KL of each row at its own temperature, times its square."""
    student, teacher, labels = logits
    temperature = CTKD(scope="instance", hidden=7)
    heads = heads_of(temperature, 10)
    assert isinstance(heads, nn.Sequential)
    seen = look(student, teacher, labels)
    at_start = temperature.soften(seen, heads).scale
    assert isinstance(at_start, Tensor)
    assert at_start.tolist() == pytest.approx([15.6211715726**2] * 16, rel=1e-9)
    with torch.no_grad():
        for each in heads.parameters():
            each.copy_(torch.randn_like(each))
        softened = temperature.soften(seen, heads)
        losses = KD().loss(seen, softened, None)
        fed = torch.cat([teacher, student], dim=1)
        predicted = torch.relu(fed @ heads[0].weight.T + heads[0].bias) @ heads[2].weight.T
        learned = (predicted + heads[2].bias).flatten().tolist()
    assert isinstance(softened.scale, Tensor)
    assert softened.scale.shape == (16,)
    assert len(set(softened.scale.tolist())) == 16
    for row, x in enumerate(learned):
        one = slice(row, row + 1)
        tau = 1 + 20 / (1 + math.exp(-x))
        expected = kd_loss(student[one], teacher[one], temperature=tau)
        assert float(losses[row]) == pytest.approx(float(expected), **EXACT)


def test_the_student_is_not_pulled_through_the_perceptron_of_ctkd(logits):
    student, teacher, labels = logits
    temperature = CTKD(scope="instance", hidden=7)
    heads = heads_of(temperature, 10)
    assert isinstance(heads, nn.Sequential)
    nn.init.normal_(heads[2].weight)
    student.requires_grad_()
    seen = look(student, teacher, labels, epoch=20)
    softened = temperature.soften(seen, heads)
    assert isinstance(softened.scale, Tensor)
    (gradient,) = torch.autograd.grad(KD().loss(seen, softened, None).mean(), student)
    tau = softened.scale.detach().sqrt()[:, None]
    q, p = torch.softmax(student.detach() / tau, -1), torch.softmax(teacher / tau, -1)
    torch.testing.assert_close(gradient, tau * (q - p) / 16, **CLOSE)


@pytest.mark.parametrize("temperature", [CTKD(), CTKD(scope="instance"), ATS(), Standardized()])
@pytest.mark.parametrize("objective", [KD(), DKD(), NKD(), DIST()])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [1.0, 100.0])
def test_every_temperature_goes_with_every_objective_at_any_size(
    logits, temperature: Temperature, objective: Objective, dtype: torch.dtype, size: float
):
    student, teacher, labels = logits
    student = (size * student.clamp(-1, 1)).to(dtype).requires_grad_()
    teacher = (size * teacher.clamp(-1, 1)).to(dtype)
    seen = look(student, teacher, labels)
    heads = heads_of(temperature, 10)
    softened = temperature.soften(seen, heads.float() if heads is not None else None)
    loss = objective.loss(seen, softened, None).mean()
    loss.backward()
    assert loss.dtype == torch.float32
    assert bool(loss.isfinite())
    assert student.grad is not None
    assert bool(student.grad.isfinite().all())
    assert float(student.grad.abs().max()) > 0
