"""Laws that every objective obeys; a new file in the folder is under them without another edit."""

import pytest
import torch
from torch import Tensor

from kdcore.catalog import AXES, HEADINGS, METHODS, describe
from kdcore.objective import Objective
from kdcore.objectives import OBJECTIVES
from kdcore.recipe import Recipe
from kdcore.temperature import Temperature
from kdcore.temperatures import TEMPERATURES
from kdcore.tensors import HIDDEN, Batch, Outputs, Seen, Sizes

ENTRIES = [(axis, name) for axis, entries in AXES.items() for name in entries]


@pytest.fixture(params=OBJECTIVES)
def objective(request: pytest.FixtureRequest) -> Objective:
    return OBJECTIVES[request.param]()


@pytest.fixture(params=TEMPERATURES)
def temperature(request: pytest.FixtureRequest) -> Temperature:
    return TEMPERATURES[request.param]()


def draw(size: float = 1.0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    source = torch.Generator().manual_seed(1)
    student, teacher = (
        size * torch.randn(8, 5, generator=source, dtype=torch.float64).clamp(-1, 1)
        for _ in range(2)
    )
    labels = torch.randint(5, (8,), generator=source)
    labels[0] = HIDDEN
    return student.to(dtype), teacher.to(dtype), labels


def losses(
    objective: Objective, temperature: Temperature, student: Tensor, teacher: Tensor, labels: Tensor
) -> Tensor:
    """Return an objective's loss as the loop asks for it, learned parts and features included.

    Features, where an objective wants them, are made of the logits, so that a gradient through
    them is one to the logits.
    """
    taps = objective.taps()
    shapes = {"student": (5, 4, 4), "teacher": (5, 4, 4)}
    sizes = Sizes(
        student=dict.fromkeys(taps.student, shapes["student"]),
        teacher=dict.fromkeys(taps.teacher, shapes["teacher"]),
        num_classes=5,
        num_samples=len(labels),
    )

    def outputs(logits: Tensor, names: tuple[str, ...]) -> Outputs:
        maps = logits[:, :, None, None].expand(-1, -1, 4, 4)
        return Outputs(logits, dict.fromkeys(names, maps))

    torch.manual_seed(0)
    heads, softening = objective.heads(sizes), temperature.heads(sizes)
    for part in (heads, softening):
        if part is not None:
            part.to(student.dtype)
    batch = Batch(torch.zeros(len(labels), 1), labels, torch.arange(len(labels)), view=0)
    seen = Seen(
        outputs(student, taps.student), outputs(teacher, taps.teacher), batch, epoch=0, progress=0.5
    )
    return objective.loss(seen, temperature.soften(seen, softening), heads)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [1.0, 100.0])
def test_one_finite_loss_a_sample_or_a_batch(objective, temperature, dtype, size):
    term = losses(objective, temperature, *draw(size, dtype))
    assert term.shape in {(8,), ()}
    assert bool(term.isfinite().all())


def test_the_gradient_reaches_the_student(objective, temperature):
    student, teacher, labels = draw()
    student.requires_grad_()
    losses(objective, temperature, student, teacher, labels).mean().backward()
    assert student.grad is not None
    assert float(student.grad.abs().max()) > 0


def test_the_gradient_is_the_slope(objective, temperature):
    student, teacher, labels = draw()
    student.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda z: losses(objective, temperature, z, teacher, labels).mean(), student
    )


def test_the_order_of_the_batch_does_not_matter(objective, temperature):
    student, teacher, labels = draw()
    order = torch.randperm(8, generator=torch.Generator().manual_seed(2))
    plain = losses(objective, temperature, student, teacher, labels).mean()
    moved = losses(objective, temperature, student[order], teacher[order], labels[order]).mean()
    assert float(moved) == pytest.approx(float(plain), rel=1e-12)


def test_a_batch_without_any_label_has_a_finite_loss(objective, temperature):
    student, teacher, labels = draw()
    hidden = torch.full_like(labels, HIDDEN)
    assert bool(losses(objective, temperature, student, teacher, hidden).isfinite().all())


@pytest.mark.parametrize(("axis", "name"), ENTRIES)
def test_every_entry_tells_what_it_is(axis, name):
    entry = AXES[axis][name]
    described = describe(axis, entry)
    assert described["summary"]
    for heading in HEADINGS:
        assert described[heading.lower()], f"{name} lacks {heading}"
    for field, info in entry.model_fields.items():
        assert field == "name" or info.description, f"{name}.{field} has no description"


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_one_word_and_a_resolved_recipe_is_its_own_resolved_form(name):
    method: dict[str, object] = {"name": name}
    if "assistants" in METHODS[name].model_fields:
        method["assistants"] = ["mlp"]
    recipe = Recipe.model_validate(
        {"teacher": "mlp", "student": "mlp", "data": "synthetic", "method": method}
    )
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe
    assert recipe.method is not None
    assert recipe.method.name == name


def test_dkd_takes_the_teachers_guess_where_the_label_is_hidden():
    student, teacher, labels = draw()
    objective, fixed = OBJECTIVES["dkd"](), TEMPERATURES["fixed"]()
    guessed = labels.clone()
    guessed[0] = teacher[0].argmax()
    torch.testing.assert_close(
        losses(objective, fixed, student, teacher, labels),
        losses(objective, fixed, student, teacher, guessed),
    )


def test_cross_entropy_is_the_mean_over_the_labelled_samples():
    student, teacher, labels = draw()
    term = losses(OBJECTIVES["cross_entropy"](), TEMPERATURES["fixed"](), student, teacher, labels)
    expected = torch.nn.functional.cross_entropy(student, labels, ignore_index=HIDDEN)
    assert float(term.mean()) == pytest.approx(float(expected), rel=1e-12)
