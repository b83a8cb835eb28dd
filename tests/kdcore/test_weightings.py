"""How much each sample counts: formulas, bounds, and what the weights' own parts learn from."""

import math

import pytest
import torch
from torch import Tensor, nn

from kdcore.errors import RecipeError
from kdcore.method import Pair
from kdcore.objectives.kd import KD
from kdcore.temperature import Softened
from kdcore.temperatures.fixed import Fixed
from kdcore.tensors import HIDDEN, Batch, Outputs, Seen, Sizes, Taps
from kdcore.weightings.ipwd import IPWD, IPWDMethod, ipwd_weights
from kdcore.weightings.wsld import WSLD, WSLDMethod, wsld_weights

Z_T = torch.tensor([[2.0, 1, 0, -1], [0, 3, 1, -2]], dtype=torch.float64)
Z_S = torch.tensor([[1.0, 2, -1, 0], [1, 1, 0, 0]], dtype=torch.float64)
Y = torch.tensor([0, 1])
SIZES = Sizes(
    student={"stage1": (3, 4, 4), "pool": (6,), "head": (5,)},
    teacher={"stage1": (9, 4, 4), "pool": (20,), "head": (5,)},
    num_classes=5,
    num_samples=12,
)
PAIR = Pair("resnet56", "resnet20")


def seen(student: Tensor, teacher: Tensor, labels: Tensor, features: Tensor | None = None) -> Seen:
    batch = Batch(torch.zeros(len(labels), 1), labels, torch.arange(len(labels)), view=0)
    named = {} if features is None else {"pool": features, "stage1": torch.zeros(1)}
    taps = Taps() if features is None else Taps(student=("pool",))
    return Seen(
        Outputs(student, named),
        Outputs(teacher, {}),
        batch,
        epoch=0,
        progress=0.5,
        taps=taps,
        seed=0,
    )


@pytest.fixture
def logits() -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    student, teacher = (
        3 * torch.randn(12, 5, generator=draw, dtype=torch.float64) for _ in range(2)
    )
    return student, teacher, torch.randint(5, (12,), generator=draw)


@pytest.fixture
def lesson(logits: tuple[Tensor, Tensor, Tensor]) -> Seen:
    student, teacher, labels = logits
    draw = torch.Generator().manual_seed(1)
    features = torch.randn(12, 6, generator=draw, dtype=torch.float64)
    labels[0] = HIDDEN
    return seen(student.requires_grad_(), teacher, labels, features.requires_grad_())


def made(weighting: IPWD, *, alike: bool = False) -> nn.ModuleDict:
    """Return heads of float64 that differ from each other, as after some training."""
    torch.manual_seed(0)
    heads = weighting.heads(SIZES).double()
    assert isinstance(heads, nn.ModuleDict)
    if not alike:
        nn.init.normal_(heads["kd"].weight)
    return heads


def cross_entropy(row: list[float], label: int) -> float:
    return math.log(sum(math.exp(value) for value in row)) - row[label]


def standardised(row: list[float]) -> list[float]:
    mean = sum(row) / len(row)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in row) / len(row))
    return [(value - mean) / deviation for value in row]


def test_wsld_weights_are_those_of_the_authors_code():
    """bellymonster/Weighted-Soft-Label-Distillation, knowledge_distiller.py, executed (float64)."""
    weights = wsld_weights(Z_S, Z_T, Y)
    assert weights.tolist() == pytest.approx([0.962059916127, 0.996765944197], rel=1e-9)


def test_wsld_loss_is_the_authors_less_the_weighed_entropy_and_its_gradient_is_theirs():
    """The same code at its own T = 2: 5.226222891 before alpha; the gradient with alpha = 2.5."""
    student = Z_S.clone().requires_grad_()
    both = seen(student, Z_T, Y)
    softened = Fixed(value=2.0).soften(both, None)
    weighed = (WSLD().weights(both, None) * KD().loss(both, softened, None)).mean()
    assert weighed.item() == pytest.approx(0.722925766986, rel=1e-9)
    teacher = torch.softmax(Z_T / 2, -1)
    entropy = -(teacher * teacher.log()).sum(-1)
    theirs = weighed.item() + 4 * float((wsld_weights(Z_S, Z_T, Y) * entropy).mean())
    assert theirs == pytest.approx(5.226222890575, rel=1e-9)
    total = nn.functional.cross_entropy(student, Y) + 2.5 * weighed
    (gradient,) = torch.autograd.grad(total, student)
    expected = [
        [-0.812200394461, 0.752598933450, -0.142394964379, 0.201996425390],
        [0.625991377522, -1.031082166712, -0.010286389829, 0.415377179018],
    ]
    golden = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(gradient, golden, rtol=1e-9, atol=1e-9)


def test_wsld_weights_follow_the_formula_sample_by_sample(logits):
    student, teacher, labels = logits
    expected = [
        1 - math.exp(-cross_entropy(ours, label) / (cross_entropy(theirs, label) + 1e-7))
        for ours, theirs, label in zip(
            student.tolist(), teacher.tolist(), labels.tolist(), strict=True
        )
    ]
    assert wsld_weights(student, teacher, labels).tolist() == pytest.approx(expected, rel=1e-9)


def test_g19_wsld_weight_is_one_less_one_over_e_for_equals_and_runs_from_0_to_1(logits):
    student, _, labels = logits
    equal = wsld_weights(student, student, labels)
    assert equal.tolist() == pytest.approx([1 - math.exp(-1)] * 12, abs=1e-6)
    certain = 60 * nn.functional.one_hot(labels, 5).double()
    assert float(wsld_weights(certain, student, labels).max()) < 1e-9
    assert float(wsld_weights(student, certain, labels).min()) > 1 - 1e-9


def test_a_hidden_label_is_the_teachers_best_class_to_wsld(logits):
    student, teacher, labels = logits
    hidden = labels.clone()
    hidden[::2] = HIDDEN
    known = labels.clone()
    known[::2] = teacher.argmax(-1)[::2]
    torch.testing.assert_close(
        WSLD().weights(seen(student, teacher, hidden), None),
        WSLD().weights(seen(student, teacher, known), None),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [0.0, 1.0, 100.0])
def test_weights_are_finite_and_bounded_at_every_size_of_the_logits(logits, dtype, size):
    student, teacher, labels = logits
    ours, theirs = ((size * value.sign()).to(dtype) for value in (student, teacher))
    weights = wsld_weights(ours, theirs, labels)
    assert bool(((weights >= 0) & (weights <= 1)).all())
    weights = ipwd_weights(ours, theirs, labels, largest=7.0)
    assert bool(((weights >= 1) & (weights <= 7)).all())


def test_no_weight_carries_a_gradient(lesson):
    assert not WSLD().weights(lesson, None).requires_grad
    for shared in (False, True):
        weighting = IPWD(shared_backbone=shared)
        assert not weighting.weights(lesson, made(weighting)).requires_grad
    assert not ipwd_weights(lesson.student.logits, lesson.teacher.logits, Y.repeat(6)).requires_grad


def test_ipwd_weights_follow_the_formula_sample_by_sample(lesson):
    weighting = IPWD(largest=1e6)
    heads = made(weighting)
    labels = lesson.batch.labels.clone()
    labels[0] = lesson.teacher.logits[0].argmax()
    features = lesson.student.features["pool"]
    expected = [
        1
        + cross_entropy(standardised(heads["cls"](row).tolist()), label)
        / cross_entropy(standardised(heads["kd"](row).tolist()), label)
        for row, label in zip(features, labels.tolist(), strict=True)
    ]
    assert weighting.weights(lesson, heads).tolist() == pytest.approx(expected, rel=1e-9)
    assert max(expected) - min(expected) > 1


def test_g19_equal_heads_give_2_and_so_every_sample_begins(lesson, logits):
    student, _, labels = logits
    with torch.no_grad():
        weights = ipwd_weights(student, student.clone(), labels.clamp(min=0))
    assert weights.tolist() == pytest.approx([2.0] * 12, rel=1e-12)
    weighting = IPWD()
    fresh = weighting.weights(lesson, made(weighting, alike=True))
    assert fresh.tolist() == pytest.approx([2.0] * 12, rel=1e-12)


def test_ipwd_weighs_more_what_the_distilled_head_knows_less():
    labels = torch.tensor([0, 0])
    cls = torch.tensor([[1.0, 0, 0], [1, 0, 0]])
    kd = torch.tensor([[1.0, 0.9, 0], [0, 1, 0.9]])
    known_less_by_labels, known_less_by_teacher = (
        ipwd_weights(kd, cls, labels),
        ipwd_weights(cls, kd, labels),
    )
    assert bool((known_less_by_labels > 2).all())
    assert bool((known_less_by_teacher < 2).all())
    assert float(known_less_by_teacher.min()) > 1


def test_ipwd_ignores_shift_and_positive_scale_of_a_heads_logits(logits):
    cls, kd, labels = logits
    scale = torch.arange(1, 13, dtype=torch.float64)[:, None]
    torch.testing.assert_close(
        ipwd_weights(cls * scale + 5 * scale, kd / scale - scale, labels, largest=1e6),
        ipwd_weights(cls, kd, labels, largest=1e6),
    )


def test_a_certain_head_cannot_make_a_weight_larger_than_the_bound():
    labels = torch.zeros(3, dtype=torch.int64)
    certain = nn.functional.one_hot(labels, 20_000).float()  # its cross-entropy underflows
    wrong = -certain
    assert ipwd_weights(wrong, certain, labels, largest=50.0).tolist() == [50.0] * 3
    assert ipwd_weights(certain, wrong, labels, largest=50.0).tolist() == [1.0] * 3
    assert ipwd_weights(certain, certain, labels).tolist() == [2.0] * 3


def test_normalised_weights_have_mean_1_and_the_same_proportions(lesson):
    plain, normalised = IPWD(), IPWD(normalised=True)
    heads = made(plain)
    weights, scaled = plain.weights(lesson, heads), normalised.weights(lesson, heads)
    assert float(scaled.mean()) == pytest.approx(1, rel=1e-12)
    torch.testing.assert_close(scaled / scaled[0], weights / weights[0])


@pytest.mark.parametrize("by_sample", [False, True])
def test_the_heads_learn_one_from_the_labels_and_one_from_the_teacher(lesson, by_sample):
    weighting = IPWD()
    heads = made(weighting)
    temperatures = [2.0 + 0.3 * place * by_sample for place in range(12)]
    divisors = torch.tensor(temperatures, dtype=torch.float64)
    scale = divisors**2 if by_sample else 4.0
    divided = lesson.teacher.logits / divisors[:, None]
    softened = Softened(lesson.student.logits / 2, divided, scale)
    labels = lesson.batch.labels.clone()
    labels[0] = lesson.teacher.logits[0].argmax()
    total = 0.0
    for place, row in enumerate(lesson.student.features["pool"]):
        total += cross_entropy(heads["cls"](row).tolist(), int(labels[place]))
        temperature = temperatures[place]
        soft = [value / temperature for value in heads["kd"](row).tolist()]
        teacher = divided[place].tolist()
        for label in range(5):
            log_p, log_q = -cross_entropy(teacher, label), -cross_entropy(soft, label)
            total += temperature**2 * math.exp(log_p) * (log_p - log_q)
    loss = weighting.own_loss(lesson, softened, heads)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(total / 12, rel=1e-9)


def test_the_label_head_never_hears_the_teacher_and_the_other_never_the_labels(lesson, logits):
    weighting, teacher = IPWD(), lesson.teacher.logits
    visible = (lesson.batch.labels + 1).clamp(max=4)

    def gradients(labels: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        heads = made(weighting)
        shown = seen(lesson.student.logits, teacher, labels, lesson.student.features["pool"])
        weighting.own_loss(shown, Fixed().soften(shown, None), heads).backward()
        return heads["cls"].weight.grad, heads["kd"].weight.grad

    cls, kd = gradients(visible, teacher)
    cls_other_teacher, kd_other_teacher = gradients(visible, -teacher)
    cls_other_labels, kd_other_labels = gradients((visible + 1) % 5, teacher)
    torch.testing.assert_close(cls_other_teacher, cls, rtol=0, atol=0)
    torch.testing.assert_close(kd_other_labels, kd, rtol=0, atol=0)
    assert not torch.allclose(kd_other_teacher, kd)
    assert not torch.allclose(cls_other_labels, cls)


@pytest.mark.parametrize("shared", [False, True])
def test_own_loss_trains_the_heads_and_the_backbone_only_where_it_is_shared(lesson, shared):
    weighting = IPWD(shared_backbone=shared)
    heads = made(weighting)
    temperature = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    teacher = lesson.teacher.logits.clone().requires_grad_()
    softened = Softened(lesson.student.logits / temperature, teacher / temperature, temperature**2)
    weighting.own_loss(lesson, softened, heads).backward()
    for part in heads.parameters():
        assert part.grad is not None
        assert float(part.grad.abs().max()) > 0
    reached = lesson.student.features["pool"].grad
    assert (reached is not None) is shared
    assert lesson.student.logits.grad is None
    assert teacher.grad is None
    assert temperature.grad is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_own_loss_and_its_gradient_are_finite_at_huge_logits(logits, dtype):
    student, teacher, labels = logits
    shown = seen(
        student.to(dtype), (100 * teacher.sign()).to(dtype), labels, torch.full((12, 6), 100.0)
    )
    shown.student.features["pool"] = shown.student.features["pool"].to(dtype)
    weighting = IPWD()
    heads = weighting.heads(SIZES).to(dtype)
    loss = weighting.own_loss(shown, Fixed(value=1.0).soften(shown, None), heads)
    loss.backward()
    assert math.isfinite(loss.item())
    assert all(bool(part.grad.isfinite().all()) for part in heads.parameters())


def test_trained_heads_find_the_samples_that_the_teacher_teaches_wrongly():
    labels = torch.arange(40) % 5
    features = nn.functional.one_hot(torch.arange(40) % 10, 10).double()
    wrong = torch.arange(40) % 10 >= 5  # the teacher says another class on half of the inputs
    teacher = 6 * nn.functional.one_hot(torch.where(wrong, (labels + 1) % 5, labels), 5).double()
    shown = seen(teacher, teacher, labels, features)
    weighting = IPWD()
    torch.manual_seed(0)
    sizes = Sizes(student={"pool": (10,), "head": (5,)}, teacher={}, num_classes=5)
    heads = weighting.heads(sizes).double()
    optimizer = torch.optim.SGD(heads.parameters(), lr=1.0)
    for _ in range(100):
        optimizer.zero_grad()
        weighting.own_loss(shown, Fixed().soften(shown, None), heads).backward()
        optimizer.step()
    weights = weighting.weights(shown, heads)
    assert float(weights[wrong].max()) < 1.5
    assert float(weights[~wrong].min()) > 1.8


def test_the_heads_fit_the_embedding_and_a_student_without_one_is_refused():
    weighting = IPWD()
    assert weighting.taps(SIZES) == Taps(student=("pool",))
    heads = weighting.heads(SIZES)
    assert {name: tuple(part.shape) for name, part in heads.named_parameters()} == {
        "cls.weight": (5, 6),
        "cls.bias": (5,),
        "kd.weight": (5, 6),
        "kd.bias": (5,),
    }
    flat = Sizes(student={"stage1": (3, 4, 4), "head": (5,)}, teacher={}, num_classes=5)
    with pytest.raises(RecipeError, match="no vector before the head of the student"):
        weighting.taps(flat)


def test_methods_put_their_knobs_on_the_axes():
    wsld = WSLDMethod().axes(PAIR)
    assert wsld == {
        "objectives": [{"name": "cross_entropy", "weight": 1.0}, {"name": "kd", "weight": 2.25}],
        "temperature": {"name": "fixed", "value": 4.0},
        "weighting": {"name": "wsld"},
    }
    imagenet = WSLDMethod(alpha=2.5, temperature=2.0).axes(PAIR)
    assert imagenet["objectives"][1]["weight"] == 2.5
    assert imagenet["temperature"]["value"] == 2.0
    ipwd = IPWDMethod(alpha=0.5, largest=4.0, normalised=True, shared_backbone=True).axes(PAIR)
    assert ipwd["objectives"][1] == {"name": "kd", "weight": 0.5}
    assert IPWD.model_validate(ipwd["weighting"]) == IPWD(
        largest=4.0, normalised=True, shared_backbone=True
    )
    assert IPWD.model_validate(IPWDMethod().axes(PAIR)["weighting"]) == IPWD()
