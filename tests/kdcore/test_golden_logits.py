"""NKD and DIST against the authors' code and loop formulas; what their methods write."""

import math

import pytest
import torch
from looks import Z_S, Z_T, Y, draw_logits, look
from torch import Tensor

from kdcore.method import Method, Pair
from kdcore.objectives.dist import DIST, DISTMethod, dist_loss, relations
from kdcore.objectives.dkd import DKDMethod, decoupled_terms
from kdcore.objectives.kd import KDMethod
from kdcore.objectives.nkd import NKD, NKDMethod, nkd_loss
from kdcore.temperature import Softened
from kdcore.temperatures.ats import ATSMethod
from kdcore.temperatures.ctkd import CTKDMethod
from kdcore.temperatures.standardized import LSKDMethod

EXACT = {"rel": 1e-9, "abs": 1e-9}
CLOSE = {"rtol": 1e-9, "atol": 1e-11}


@pytest.fixture
def logits() -> tuple[Tensor, Tensor, Tensor]:
    return draw_logits()


def test_reference_vector_of_nkd():
    """cls_KD executed: mmcls/models/dis_losses/nkd.py."""
    assert float(nkd_loss(Z_S, Z_T, Y)) == pytest.approx(2.667910818835, **EXACT)
    cifar = nkd_loss(Z_S, Z_T, Y, gamma=3.5, temperature=3)
    assert float(cifar) == pytest.approx(35.766979642820, **EXACT)
    entry = NKD(gamma=3.5).loss(look(Z_S, Z_T, Y), Softened(Z_S / 3, Z_T / 3, 9.0), None)
    assert float(entry.mean()) == pytest.approx(35.766979642820, **EXACT)


def test_nkd_is_its_formula_class_by_class(logits):
    student, teacher, labels = logits
    total = 0.0
    for s, t, y in zip(student.tolist(), teacher.tolist(), labels.tolist(), strict=True):
        p, q = (math.exp(z[y]) / sum(map(math.exp, z)) for z in (t, s))
        total -= p * math.log(q)
        rest = [i for i in range(10) if i != y]
        soft, ours = ([math.exp(z[i] / 2) for i in rest] for z in (t, s))
        for a, b in zip(soft, ours, strict=True):
            total -= 0.7 * 4 * a / sum(soft) * math.log(b / sum(ours))
    loss = nkd_loss(student, teacher, labels, gamma=0.7, temperature=2)
    assert float(loss) == pytest.approx(total / 16, **EXACT)


def test_g15_the_second_term_of_nkd_is_nckd_and_the_teachers_entropy(logits):
    student, teacher, labels = logits
    two = nkd_loss(student[:, :2], teacher[:, :2], labels % 2, gamma=9, temperature=3)
    one = nkd_loss(student[:, :2], teacher[:, :2], labels % 2, gamma=0)
    assert float(two) == pytest.approx(float(one), **EXACT)
    target = nkd_loss(student, teacher, labels, gamma=0)
    second = nkd_loss(student, teacher, labels, gamma=1, temperature=3) - target
    _, nckd = decoupled_terms(student / 3, teacher / 3, labels)
    keep = torch.arange(10) != labels[:, None]
    rest = torch.softmax(teacher[keep].reshape(16, 9) / 3, -1)
    entropy = -(rest * rest.log()).sum(-1)
    assert float(second) == pytest.approx(9 * float((nckd + entropy).mean()), **EXACT)
    matched = nkd_loss(teacher, teacher, labels, gamma=1, temperature=3)
    p = torch.softmax(teacher, -1).gather(1, labels[:, None])
    expected = 9 * entropy.mean() - (p * p.log()).mean()
    assert float(matched) == pytest.approx(float(expected), **EXACT)


def loop_relation(ours: Tensor, theirs: Tensor, epsilon: float) -> float:
    """Return 1 less the mean correlation of the rows, with a number added to the norms' product."""
    total = 0.0
    for a, b in zip(ours.tolist(), theirs.tolist(), strict=True):
        x = [value - sum(a) / len(a) for value in a]
        y = [value - sum(b) / len(b) for value in b]
        product = math.hypot(*x) * math.hypot(*y) + epsilon
        total += sum(u * v for u, v in zip(x, y, strict=True)) / product
    return 1 - total / len(ours)


@pytest.mark.parametrize(("temperature", "theirs"), [(1, 2.089648729017), (4, 31.008987760731)])
def test_reference_vector_of_dist(temperature, theirs):
    """image_classification_sota executed: lib/models/losses/dist_kd.py, which adds 1e-8."""
    s, t = torch.softmax(Z_S / temperature, -1), torch.softmax(Z_T / temperature, -1)
    released, exact = (
        temperature**2 * (loop_relation(s, t, epsilon) + loop_relation(s.T, t.T, epsilon))
        for epsilon in (1e-8, 0)
    )
    assert released == pytest.approx(theirs, **EXACT)
    assert float(dist_loss(Z_S, Z_T, temperature=temperature)) == pytest.approx(exact, **EXACT)
    assert exact == pytest.approx(theirs, rel=2e-5)  # all that theirs adds


def test_dist_has_a_factor_for_each_relation_and_a_scale_for_each_row(logits):
    student, teacher, labels = logits
    s, t = torch.softmax(student, -1), torch.softmax(teacher, -1)
    scale = torch.linspace(1, 9, 16, dtype=torch.float64)
    loss = DIST(beta=0.5, gamma=3).loss(
        look(student, teacher, labels), Softened(student, teacher, scale), None
    )
    rows = [loop_relation(s[i : i + 1], t[i : i + 1], 0) for i in range(16)]
    inter = sum(weight * row for weight, row in zip(scale.tolist(), rows, strict=True)) / 16
    expected = 0.5 * inter + 3 * float(scale.mean()) * loop_relation(s.T, t.T, 0)
    assert float(loss) == pytest.approx(expected, **EXACT)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dist_of_a_sharp_teacher_is_exactly_0_where_the_student_agrees(dtype):
    """The released code says 0.72 (float32) for the columns of these logits."""
    draw = torch.Generator().manual_seed(0)
    sharp = (10 * torch.randn(32, 1000, generator=draw)).to(dtype)
    inter, intra = relations(sharp, sharp)
    assert float(inter.abs().max()) == float(intra) == 0
    student = sharp.clone().requires_grad_()
    dist_loss(student, sharp.flip(0), temperature=1).backward()
    assert student.grad is not None
    assert bool(student.grad.isfinite().all())
    assert 1e-6 < float(student.grad.abs().max()) < 1


def test_dist_compares_columns_of_any_size(logits):
    """At e^-120 a probability is 0 in float32, yet the column says as much as before."""
    student, teacher, _ = logits
    lower = torch.tensor([120.0] + [0] * 9, dtype=torch.float64)
    s, t = (torch.softmax(z - lower, -1) for z in (student, teacher))
    expected = loop_relation(1e52 * s.T[:1], 1e52 * t.T[:1], 0)
    expected = (expected + 9 * loop_relation(s.T[1:], t.T[1:], 0)) / 10
    _, intra = relations((student - lower).float(), (teacher - lower).float())
    assert float(intra) == pytest.approx(expected, rel=1e-4)
    assert abs(loop_relation(1e52 * s.T[:1], 1e52 * t.T[:1], 0)) > 0.1


def test_in_dist_rounding_is_no_variation():
    noisy = torch.full((8, 5), 7.1)
    noisy[::2, ::2] = torch.nextafter(noisy[::2, ::2], torch.tensor(8.0))
    student = noisy.clone().requires_grad_()
    dist_loss(student, torch.eye(8, 5), temperature=1).backward()
    assert student.grad is not None
    assert float(student.grad.abs().max()) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_in_dist_what_does_not_vary_is_matched_by_its_like_and_by_nothing_else(dtype):
    flat, teacher = torch.full((4, 3), 7.1, dtype=dtype), torch.eye(4, 3, dtype=dtype)
    inter, intra = relations(flat, flat + 1)
    assert float(inter.abs().max()) == float(intra) == 0
    student = flat.clone().requires_grad_()
    loss = dist_loss(student, teacher, temperature=1)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(
        3 / 4 + 1
    )  # the last row of the teacher is flat as well
    assert student.grad is not None
    assert float(student.grad.abs().max()) == 0


def test_g16_dist_ignores_affine_maps_of_probabilities_and_shifts_of_logits(logits):
    student, teacher, _ = logits
    draw = torch.Generator().manual_seed(3)
    inter, intra = relations(student, teacher)
    shift = 9 * torch.randn(16, 1, generator=draw, dtype=torch.float64)
    torch.testing.assert_close(relations(student + shift, teacher), (inter, intra), **CLOSE)
    # Mixed with the uniform distribution, a row of probabilities is a * Y + b and stays one.
    kept = 0.2 + 0.6 * torch.rand(16, 1, generator=draw, dtype=torch.float64)
    mixed = kept * torch.softmax(student, -1) + (1 - kept) / 10
    torch.testing.assert_close(relations(mixed.log(), teacher)[0], inter, **CLOSE)
    # One share for all rows is an affine map of the columns too.
    even = 0.3 * torch.softmax(student, -1) + 0.07
    torch.testing.assert_close(relations(even.log(), teacher), (inter, intra), **CLOSE)
    scaled = relations(2 * student, teacher)
    assert float((scaled[0] - inter).abs().mean()) > 0.01
    assert abs(float(scaled[1] - intra)) > 0.005
    assert float(inter.min()) >= 0
    assert float(inter.max()) <= 2


@pytest.mark.parametrize("size", [100.0, 1000.0])
def test_nkd_and_its_gradient_are_finite_at_huge_logits(size):
    student = torch.tensor([[size, -size, 0], [-size, size, size]], requires_grad=True)
    teacher = torch.tensor([[-size, size, 0], [size, -size, -size]])
    loss = nkd_loss(student, teacher, torch.tensor([0, 1]))
    loss.backward()
    assert math.isfinite(float(loss.detach()))
    assert student.grad is not None
    assert bool(student.grad.isfinite().all())


def test_nkd_takes_a_scale_for_each_sample(logits):
    student, teacher, labels = logits
    scale = torch.linspace(1, 9, 16, dtype=torch.float64)
    seen = look(student, teacher, labels)
    loss = NKD(gamma=2).loss(seen, Softened(student / 3, teacher / 3, scale), None)
    for row in range(16):
        one = slice(row, row + 1)
        seen = look(student[one], teacher[one], labels[one])
        lone = Softened(student[one] / 3, teacher[one] / 3, float(scale[row]))
        assert float(NKD(gamma=2).loss(seen, lone, None)) == pytest.approx(float(loss[row]))


@pytest.mark.parametrize(
    ("method", "labels", "term", "temperature"),
    [
        (KDMethod(), 0.1, {"name": "kd", "weight": 0.9}, {"name": "fixed", "value": 4.0}),
        (NKDMethod(), 1.0, {"name": "nkd", "gamma": 1.5}, {"name": "fixed", "value": 1.0}),
        (DISTMethod(), 1.0, {"name": "dist", "weight": 2.0}, {"name": "fixed", "value": 4.0}),
        (
            CTKDMethod(),
            0.1,
            {"name": "kd", "weight": 0.9},
            {"name": "ctkd", "scope": "global", "epochs": 10},
        ),
        (
            ATSMethod(),
            0.5,
            {"name": "kd", "weight": 0.5},
            {"name": "ats", "target": 4.0, "others": 2.0},
        ),
        (
            LSKDMethod(),
            0.1,
            {"name": "kd", "weight": 9.0},
            {"name": "standardized", "value": 2.0},
        ),
    ],
)
def test_a_method_writes_the_papers_proportions(
    method: Method, labels: float, term: dict[str, object], temperature: dict[str, object]
):
    assert method.axes(Pair("", "")) == {
        "objectives": [{"name": "cross_entropy", "weight": labels}, term],
        "temperature": temperature,
    }


def term_of(method: Method, pair: Pair) -> dict[str, object]:
    axes = method.axes(pair)
    assert isinstance(axes["objectives"], list)
    term = axes["objectives"][1]
    assert isinstance(term, dict)
    return dict(term)


def test_dkd_takes_the_beta_that_the_paper_has_for_the_pair():
    """Beta by pair: mdistiller, configs/cifar100/dkd."""
    betas = {("resnet56", "resnet20"): 2, ("vgg13", "vgg8"): 6, ("resnet32x4", "resnet8x4"): 8}
    for names, beta in betas.items():
        assert term_of(DKDMethod(), Pair(*names))["beta"] == beta
    assert term_of(DKDMethod(), Pair("mlp", "mlp"))["beta"] == 8
    assert term_of(DKDMethod(beta=0.0), Pair("vgg13", "vgg8"))["beta"] == 0


def test_standardised_kd_takes_what_the_released_logs_have_for_the_pair():
    """Names of the logs in the README: kd,resnet110,resnet20,4,12 and kd,vgg13,vgg8,3,9."""
    small, other = Pair("resnet110", "resnet20"), Pair("vgg13", "vgg8")
    assert term_of(LSKDMethod(), small)["weight"] == 12
    assert term_of(LSKDMethod(), other)["weight"] == 9
    assert term_of(LSKDMethod(weight=1.0), small)["weight"] == 1
    assert LSKDMethod().axes(small)["temperature"] == {"name": "standardized", "value": 4.0}
    assert LSKDMethod().axes(other)["temperature"] == {"name": "standardized", "value": 3.0}
    own = LSKDMethod(temperature=1.5).axes(small)["temperature"]
    assert own == {"name": "standardized", "value": 1.5}
