"""CRD against the authors' code and against its formula, and the negatives that it draws."""

import math
from typing import Any

import pytest
import torch
from patterns import line
from single_step import EXACT, fill, loss_of, number
from torch import Tensor, nn

from kdcore.errors import RecipeError
from kdcore.objectives.crd import CRD, crd_loss, negatives
from kdcore.tensors import HIDDEN, Shapes, Sizes


def mean(values: Any) -> float:
    numbers = [float(value) for value in values]
    return sum(numbers) / len(numbers)


def crd_state() -> tuple[CRD, Any]:
    """Return CRD of 12 samples, and its parts filled with patterns."""
    objective = CRD(dimensions=6, negatives=5)
    parts = objective.heads(
        Sizes({"pool": (4,), "head": (5,)}, {"pool": (3,), "head": (5,)}, 5, 12)
    )
    parts.double()
    fill(parts)
    parts.student_bank = line((12, 6), 7, 37, 0.5)
    parts.teacher_bank = line((12, 6), 5, 41, 0.5)
    return objective, parts


CRD_STEPS = (
    (torch.tensor([3, 0, 7, 10]), torch.tensor([3, 0, 3, 2]), 9.781657861597),
    (torch.tensor([3, 1, 6, 8]), torch.tensor([3, 1, HIDDEN, 0]), 20.908243472332),
    (torch.tensor([0, 3, 5, 11]), torch.tensor([0, 3, 1, 3]), 17.769474299974),
)


def crd_step(objective: CRD, parts: Any, step: int) -> Tensor:
    index, labels, _ = CRD_STEPS[step]
    student = {"pool": line((4, 4), 7 + step, 11, 0.3)}
    teacher = {"pool": line((4, 3), 5 + step, 13, 0.4)}
    return loss_of(objective, parts, student, teacher, index=index, labels=labels, view=step)


def test_crd_is_the_authors_number_over_three_steps_with_the_same_banks_and_negatives():
    """HobbitLong/RepDistiller, crd/criterion.py and crd/memory.py executed beside ours."""
    objective, parts = crd_state()
    for step, (_, _, theirs) in enumerate(CRD_STEPS):
        loss = crd_step(objective, parts, step)
        assert loss.shape == (4,)
        assert number(loss.mean()) == pytest.approx(theirs, **EXACT)
    theirs_z = (3743.49783408432, 146.47546951012998)  # set in the first step
    assert number(parts.student_log_z.exp()) == pytest.approx(theirs_z[0], **EXACT)
    assert number(parts.teacher_log_z.exp()) == pytest.approx(theirs_z[1], **EXACT)
    theirs_bank = [-5.809721020428, -1.045908347666, 1.698464929009]
    assert parts.student_bank.sum(0)[:3].tolist() == pytest.approx(theirs_bank, **EXACT)


def test_crd_is_the_formula_and_its_positive_is_what_was_remembered():
    objective, parts = crd_state()
    index, labels, _ = CRD_STEPS[0]
    known = torch.full((12,), HIDDEN).index_copy(0, index, labels)
    drawn = negatives(index, known, 5, seed=7, view=0)
    banks = {"student": parts.teacher_bank.clone(), "teacher": parts.student_bank.clone()}
    features = {"student": line((4, 4), 7, 11, 0.3), "teacher": line((4, 3), 5, 13, 0.4)}
    loss = crd_step(objective, parts, 0)
    expected, by_side = [0.0] * 4, 0.0
    for side, bank in banks.items():
        embedded = parts[side](features[side])
        embedded = embedded / embedded.square().sum(1, keepdim=True).sqrt()
        scores = [
            [math.exp(number(embedded[i] @ bank[k]) / 0.07) for k in (index[i], *drawn[i])]
            for i in range(4)
        ]
        constant = 12 * mean(value for row in scores for value in row)
        for i, row in enumerate(scores):
            positive, *rest = (value / constant for value in row)
            expected[i] -= math.log(positive / (positive + 5 / 12 + 1e-7))
            expected[i] -= sum(math.log(5 / 12 / (other + 5 / 12 + 1e-7)) for other in rest)
        places = torch.cat([index[:, None], drawn], 1)
        log_z = torch.tensor(math.log(constant), dtype=torch.float64)
        by_side += number(crd_loss(embedded, bank, places, log_z))
    assert loss.detach().tolist() == pytest.approx(expected, **EXACT)
    assert by_side == pytest.approx(mean(expected), **EXACT)


def test_crd_remembers_what_it_saw_and_nothing_else():
    objective, parts = crd_state()
    before = {name: value.clone() for name, value in parts.named_buffers()}
    crd_step(objective, parts, 0)
    index, labels, _ = CRD_STEPS[0]
    others = [i for i in range(12) if i not in index.tolist()]
    for side, features in (
        ("student", line((4, 4), 7, 11, 0.3)),
        ("teacher", line((4, 3), 5, 13, 0.4)),
    ):
        bank = parts.get_buffer(f"{side}_bank")
        assert torch.equal(bank[others], before[f"{side}_bank"][others])
        embedded = nn.functional.normalize(parts[side](features))
        halfway = 0.5 * before[f"{side}_bank"][index] + 0.5 * embedded
        torch.testing.assert_close(bank[index], nn.functional.normalize(halfway).detach())
        assert not bank.requires_grad
    assert parts.labels[index].tolist() == labels.tolist()
    assert parts.labels[others].tolist() == [HIDDEN] * 8


def test_crd_goes_on_from_its_saved_state_as_if_nothing_had_happened():
    objective, parts = crd_state()
    crd_step(objective, parts, 0)
    _, restored = crd_state()
    restored.load_state_dict({name: value.clone() for name, value in parts.state_dict().items()})
    assert torch.equal(crd_step(objective, restored, 1), crd_step(objective, parts, 1))
    _, fresh = crd_state()
    assert not torch.equal(crd_step(objective, fresh, 1), crd_step(objective, parts, 1))


def test_crd_trains_both_embeddings_and_the_student():
    objective, parts = crd_state()
    student = {"pool": line((4, 4), 7, 11, 0.3).requires_grad_()}
    teacher = {"pool": line((4, 3), 5, 13, 0.4)}
    loss_of(objective, parts, student, teacher, labels=torch.tensor([0, 1, 2, 0])).mean().backward()
    for trained in (student["pool"], *parts.parameters()):
        assert trained.grad is not None
        assert number(trained.grad.abs().max()) > 0


def test_the_negatives_of_crd_are_distinct_samples_of_other_classes():
    labels = torch.arange(64) % 4
    index = torch.tensor([0, 5, 63])
    drawn = negatives(index, labels, 40, seed=1, view=0)
    assert drawn.shape == (3, 40)
    for sample, row in zip(index.tolist(), drawn.tolist(), strict=True):
        assert len(set(row)) == 40
        assert all(labels[other] != labels[sample] for other in row)


def test_fewer_samples_of_other_classes_than_negatives_are_repeated_evenly():
    labels = torch.arange(64) % 2
    drawn = negatives(torch.tensor([9]), labels, 63, seed=1, view=0)
    counts = drawn[0].bincount(minlength=64)
    assert counts[labels == 1].tolist() == [0] * 32
    assert set(counts[labels == 0].tolist()) == {1, 2}


def test_a_hidden_label_keeps_only_the_sample_itself_from_being_a_negative():
    labels = torch.full((64,), HIDDEN)
    drawn = negatives(torch.arange(64), labels, 63, seed=1, view=0)
    for sample, row in enumerate(drawn.tolist()):
        assert sorted([*row, sample]) == list(range(64))
    alike = negatives(torch.arange(64), torch.zeros_like(labels), 63, seed=1, view=0)
    assert sorted([*alike[5].tolist(), 5]) == list(range(64))  # nobody is of another class
    labels[:32] = 3
    drawn = negatives(torch.tensor([40, 2]), labels, 32, seed=1, view=0)
    assert 40 not in drawn[0]
    assert bool((drawn[1] >= 32).all())


def test_every_sample_of_another_class_is_equally_likely_a_negative():
    labels = torch.arange(300) % 3
    index = torch.arange(1, 300, 3)  # all of class 1
    counts = torch.zeros(300)
    for view in range(40):
        drawn = negatives(index, labels, 70, seed=3, view=view)
        counts += drawn.flatten().bincount(minlength=300)
    assert counts[index].tolist() == [0] * 100
    expected = 40 * 100 * 70 / 200
    assert float((counts[labels != 1] - expected).abs().max()) < 5 * math.sqrt(expected)


def test_the_negatives_of_a_sample_do_not_depend_on_its_place_in_the_batch():
    labels = torch.arange(64) % 4
    index = torch.tensor([8, 30, 2])
    drawn = negatives(index, labels, 20, seed=1, view=4)
    moved = negatives(index.flip(0), labels, 20, seed=1, view=4)
    assert torch.equal(moved.flip(0), drawn)
    assert not torch.equal(drawn, negatives(index, labels, 20, seed=1, view=5))
    assert not torch.equal(drawn, negatives(index, labels, 20, seed=2, view=4))


def test_crd_takes_no_more_negatives_than_there_are_others_and_needs_at_least_one():
    objective = CRD()
    shapes: Shapes = {"stage1": (2, 3, 3), "pool": (4,), "head": (5,)}
    parts = objective.heads(Sizes(shapes, shapes, 5, 64))
    features = {"stage1": torch.ones(2, 2, 3, 3), "pool": torch.ones(2, 4)}
    loss = loss_of(objective, parts, features, features, index=torch.tensor([60, 63]))
    assert bool(loss.isfinite().all())
    torch.manual_seed(4)
    first = CRD(negatives=63).heads(Sizes(shapes, shapes, 5, 64))
    torch.manual_seed(4)
    second = CRD(negatives=1_000_000).heads(Sizes(shapes, shapes, 5, 64))
    torch.testing.assert_close(
        loss_of(CRD(negatives=63), first, features, features),
        loss_of(CRD(negatives=1_000_000), second, features, features),
    )
    limit = math.sqrt(3 / 128)
    assert number(parts.student_bank[:60].abs().max()) <= limit
    assert number(parts.student_bank[:60].std()) == pytest.approx(1 / math.sqrt(128), rel=0.05)
    with pytest.raises(RecipeError, match="found 1 training samples"):
        objective.heads(Sizes(shapes, shapes, 5, 1))
    mapped = CRD(student_layer="stage1").heads(Sizes(shapes, shapes, 5, 64))
    assert mapped["student"].in_features == 18
