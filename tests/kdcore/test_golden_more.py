"""Golden facts about several teachers, temperatures and batches; more of the reference vector."""

import pytest
import torch
from looks import Z_S, Z_T, draw_logits, look
from torch import Tensor

from kdcore.objective import Objective
from kdcore.objectives.dist import DIST, relations
from kdcore.objectives.dkd import DKD
from kdcore.objectives.kd import KD, kd_loss
from kdcore.objectives.nkd import NKD
from kdcore.temperature import Softened

EXACT = {"rel": 1e-9, "abs": 1e-9}


@pytest.fixture
def logits() -> tuple[Tensor, Tensor, Tensor]:
    return draw_logits()


def test_reference_vector_in_the_other_direction():
    """KL(q || p): what the loss would be if teacher and student were swapped, and is not."""
    assert float(kd_loss(Z_T, Z_S, temperature=4)) == pytest.approx(0.859244121, abs=1e-9)
    assert float(kd_loss(Z_T, Z_S, temperature=1)) == pytest.approx(0.700082537, abs=1e-9)


def test_reference_vector_of_dist_relation_by_relation():
    """The second is theirs with the 1e-8 that they add to a product of norms, and we do not."""
    inter, intra = relations(Z_S, Z_T)
    assert float(inter.mean()) == pytest.approx(0.589650975, abs=1e-7)
    assert float(intra) == pytest.approx(1.499997754, abs=5e-6)


def test_g8_several_teachers_are_their_mean_distribution_and_what_they_disagree_in(logits):
    student, first, _ = logits
    teachers = [first, first.flip(0), 3 * first.roll(1, 1)]
    mean = torch.stack([torch.softmax(one, -1) for one in teachers]).mean(0).log()
    apart = sum(kd_loss(mean, one, temperature=1) for one in teachers)
    added = sum(kd_loss(student, one, temperature=1) for one in teachers)
    assert float(added) == pytest.approx(
        float(3 * kd_loss(student, mean, temperature=1) + apart), **EXACT
    )


def test_g16_each_relation_of_dist_runs_from_0_at_equality_to_2_at_the_opposite():
    draw = torch.Generator().manual_seed(1)
    logits = torch.randn(16, 3, generator=draw, dtype=torch.float64)
    opposite = ((1 - torch.softmax(logits, -1)) / 2).log()  # falls where the other rises
    for student, expected in ((logits, 0), (opposite, 2)):
        inter, intra = relations(student, logits)
        assert inter.tolist() == pytest.approx([expected] * 16, abs=1e-12)
        assert float(intra) == pytest.approx(expected, abs=1e-12)


def test_g28_the_square_of_the_temperature_keeps_the_gradient_at_its_size():
    """Logits of N(0, 1), 8 x 100: .0604, .0500, .0495 at T = 1, 4, 64, but for the draw's luck."""
    draw = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(8, 100, generator=draw, dtype=torch.float64) for _ in range(2))

    def size(temperature: float) -> float:
        z = student.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(kd_loss(z, teacher, temperature=temperature), z)
        return float(gradient.norm())

    for temperature, published in ((1, 0.0604), (4, 0.0500), (64, 0.0495)):
        assert size(temperature) == pytest.approx(published, rel=0.15)
    assert size(1) > size(4) > size(64)
    assert size(64) / 64**2 == pytest.approx(size(4) / 4**2 / 256, rel=0.05)


def halves(objective: Objective, logits: tuple[Tensor, Tensor, Tensor]) -> tuple[float, float]:
    """Return an objective's mean loss of a batch, and the mean of those of its halves."""

    def mean(part: slice) -> float:
        student, teacher, labels = (one[part] for one in logits)
        softened = Softened(student / 2, teacher / 2, 4.0)
        return float(objective.loss(look(student, teacher, labels), softened, None).mean())

    return mean(slice(0, 16)), (mean(slice(0, 8)) + mean(slice(8, 16))) / 2


@pytest.mark.parametrize("objective", [KD(), DKD(), NKD(), DIST(gamma=0)])
def test_g29_a_mean_over_samples_is_the_mean_over_the_halves(logits, objective):
    whole, parts = halves(objective, logits)
    assert whole == pytest.approx(parts, **EXACT)


def test_g29_the_columns_of_dist_couple_the_samples(logits):
    """So micro-batches and shards change the loss; 1.0927 became 1.0126 in another draw."""
    whole, parts = halves(DIST(beta=0), logits)
    assert abs(whole - parts) > 0.01
