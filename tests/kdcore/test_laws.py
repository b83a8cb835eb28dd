"""Laws that every objective obeys; a new file in the folder is under them without another edit."""

import dataclasses
import math

import pytest
import torch
from torch import Tensor, nn

from kdcore.catalog import AXES, HEADINGS, METHODS, describe
from kdcore.curricula import CURRICULA
from kdcore.learned import Learner
from kdcore.objective import Objective
from kdcore.objectives import OBJECTIVES
from kdcore.recipe import Recipe
from kdcore.stages import LayerShapes
from kdcore.temperature import Temperature
from kdcore.temperatures import TEMPERATURES
from kdcore.tensors import HIDDEN, Batch, Outputs, Seen, Shapes, Sizes
from kdcore.weighting import Weighting
from kdcore.weightings import WEIGHTINGS

ENTRIES = [(axis, name) for axis, entries in AXES.items() for name in entries]
STUDENT = {"stem": (3, 8, 8), "stage1": (3, 8, 8), "stage2": (4, 4, 4), "stage3": (5, 2, 2)}
TEACHER = {"stem": (3, 8, 8), "stage1": (4, 8, 8), "stage2": (6, 4, 4), "stage3": (7, 2, 2)}
VECTORS = {"pool": (6,), "head": (5,)}
PROJECTIONS = [f"encoder.0.{name}" for name in ("query", "key", "value")]
TOKENS = [
    LayerShapes(
        dict.fromkeys(["embeddings", *PROJECTIONS, "encoder.0"], (3, width)),
        maps=(),
        head=None,
        embedding=None,
        attention_heads=2,
    )
    for width in (4, 6)
]
"""A transformer of one layer for three tokens, as a student and as a teacher."""


@pytest.fixture(params=[name for name, one in OBJECTIVES.items() if one.serves("classification")])
def objective(request: pytest.FixtureRequest) -> Objective:
    return OBJECTIVES[request.param]()


@pytest.fixture(params=TEMPERATURES)
def temperature(request: pytest.FixtureRequest) -> Temperature:
    return TEMPERATURES[request.param]()


@pytest.fixture(params=WEIGHTINGS)
def weighting(request: pytest.FixtureRequest) -> Weighting:
    return WEIGHTINGS[request.param]()


def draw(size: float = 1.0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    source = torch.Generator().manual_seed(1)
    student, teacher = (
        size * torch.randn(8, 5, generator=source, dtype=torch.float64).clamp(-1, 1)
        for _ in range(2)
    )
    labels = torch.randint(5, (8,), generator=source)
    labels[0] = HIDDEN
    return student.to(dtype), teacher.to(dtype), labels


@dataclasses.dataclass
class Step:
    """One step as the loop shows it; features are made of the logits, so gradients reach them."""

    student: Tensor
    teacher: Tensor
    labels: Tensor
    index: Tensor = dataclasses.field(default_factory=lambda: torch.arange(8))
    training: bool = True

    def seen(self, learner: Learner) -> tuple[Seen, nn.Module | None]:
        """Return what the loop would show to an entry, and the entry's learned parts."""
        student = STUDENT | extra_stages(learner, STUDENT) | VECTORS
        teacher = TEACHER | extra_stages(learner, TEACHER) | VECTORS
        if isinstance(learner, Objective) and learner.needs_tokens:
            student, teacher = TOKENS
        sizes = Sizes(student, teacher, num_classes=5, num_samples=8)
        taps = learner.taps(sizes)
        torch.manual_seed(0)
        heads = learner.heads(sizes)
        if heads is not None:
            heads.to(self.student.dtype).train(self.training)
        seen = Seen(
            student=made_of(self.student, taps.student, sizes.student),
            teacher=made_of(self.teacher, taps.teacher, sizes.teacher),
            batch=Batch(torch.zeros(len(self.labels), 1), self.labels, self.index, view=3),
            epoch=3,
            progress=0.5,
            taps=taps,
            seed=7,
        )
        return seen, heads

    def losses(self, objective: Objective, temperature: Temperature) -> Tensor:
        """Return an objective's loss as the loop asks for it."""
        softened = temperature.soften(*self.seen(temperature))
        seen, heads = self.seen(objective)
        if objective.needs_indices:  # what it remembers begins with a step of its own
            earlier = Step(*draw(dtype=self.student.dtype), training=self.training)
            before = temperature.soften(*earlier.seen(temperature))
            objective.loss(earlier.seen(objective)[0], before, heads)
        return objective.loss(seen, softened, heads)


def extra_stages(learner: Learner, shapes: Shapes) -> Shapes:
    """Return the stages that a method puts into a network of these shapes by itself."""
    channels, *size = shapes["stage3"]
    match learner.name:
        case "simkd":
            return {"projector": TEACHER["stage3"]}
        case "maskd":
            return {"masks": (channels + learner.tokens * (2 if learner.weighted else 1), *size)}
        case _:
            return {}


def made_of(logits: Tensor, names: tuple[str, ...], shapes: Shapes) -> Outputs:
    """Return outputs whose features are smooth, different functions of the logits `(B, 5)`."""
    features: dict[str, Tensor] = {}
    for name in names:
        places = torch.arange(math.prod(shapes[name]), dtype=logits.dtype)
        mixing = torch.sin(places[:, None] + torch.arange(5, dtype=logits.dtype) + 1)
        features[name] = (logits @ mixing.T).view(-1, *shapes[name])
        if name == "masks":  # behind the map there are shares between 0 and 1
            features[name] = features[name].sigmoid()
    return Outputs(logits, features)


def losses(
    objective: Objective, temperature: Temperature, student: Tensor, teacher: Tensor, labels: Tensor
) -> Tensor:
    return Step(student, teacher, labels).losses(objective, temperature)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [1.0, 100.0])
def test_one_finite_loss_a_sample_or_a_batch_and_a_finite_gradient(
    objective, temperature, dtype, size
):
    student, teacher, labels = draw(size, dtype)
    student.requires_grad_()
    term = losses(objective, temperature, student, teacher, labels)
    assert term.shape in {(8,), ()}
    assert bool(term.isfinite().all())
    term.mean().backward()
    assert student.grad is not None
    assert bool(student.grad.isfinite().all())


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


def test_the_gradient_reaches_what_is_learned(objective, temperature):
    student, teacher, labels = draw()
    step = Step(student, teacher, labels)
    seen, heads = step.seen(objective)
    asked, softening = step.seen(temperature)
    asking = [heads, softening if objective.softens else None]
    learned = {name: part for one in asking if one for name, part in one.named_parameters()}
    if not learned:
        return
    objective.loss(seen, temperature.soften(asked, softening), heads).mean().backward()
    for name, part in learned.items():
        assert part.grad is not None, name
        assert bool(part.grad.isfinite().all()), name


def test_the_order_of_the_batch_does_not_matter(objective, temperature):
    student, teacher, labels = draw()
    order = torch.randperm(8, generator=torch.Generator().manual_seed(2))
    plain = losses(objective, temperature, student, teacher, labels).mean()
    moved = Step(student[order], teacher[order], labels[order], order)
    again = moved.losses(objective, temperature).mean()
    assert again.item() == pytest.approx(plain.item(), rel=1e-10)


def test_a_sample_has_a_loss_of_its_own_unless_samples_are_coupled(objective):
    """Golden fact G29: what is a mean over the samples may be split into smaller batches."""
    fixed = TEMPERATURES["fixed"]()
    student, teacher, labels = draw()
    labels[0] = 0
    whole = Step(student, teacher, labels, training=False).losses(objective, fixed)
    if objective.couples_samples:
        assert whole.shape == ()
        return
    if not objective.needs_teacher:
        return  # labels alone: the mean over the labelled
    half = Step(student[:4], teacher[:4], labels[:4], torch.arange(4), training=False)
    torch.testing.assert_close(half.losses(objective, fixed), whole[:4])


def test_what_is_remembered_is_part_of_the_checkpoint(objective, temperature):
    """After a save and a load in the middle, the next loss is the same."""
    student, teacher, labels = draw()
    step = Step(student, teacher, labels)
    softened = temperature.soften(*step.seen(temperature))
    seen, heads = step.seen(objective)
    if heads is None:
        return
    objective.loss(seen, softened, heads)
    state = {name: value.clone() for name, value in heads.state_dict().items()}
    expected = objective.loss(seen, softened, heads)
    _, again = step.seen(objective)
    assert again is not None
    again.load_state_dict(state)
    assert torch.equal(objective.loss(seen, softened, again), expected)


def test_weights_are_finite_positive_and_without_gradient(weighting):
    for size in (1.0, 100.0):
        student, teacher, labels = draw(size, torch.float32)
        student.requires_grad_()
        step = Step(student, teacher, labels)
        seen, heads = step.seen(weighting)
        own = weighting.own_loss(seen, TEMPERATURES["fixed"]().soften(seen, None), heads)
        if own is not None:
            assert own.shape == ()
            assert bool(own.isfinite())
        weights = weighting.weights(seen, heads)
        if weights is None:
            continue
        assert weights.shape == (8,)
        assert not weights.requires_grad
        assert bool(weights.isfinite().all())
        assert bool((weights >= 0).all())


def test_a_batch_without_any_label_has_a_finite_loss(objective, temperature):
    student, teacher, labels = draw()
    hidden = torch.full_like(labels, HIDDEN)
    assert bool(losses(objective, temperature, student, teacher, hidden).isfinite().all())


@pytest.mark.parametrize("name", CURRICULA)
def test_a_curriculum_grows_to_everything_and_scores_every_sample(name):
    curriculum = CURRICULA[name]()
    shares = [curriculum.share(step / 100) for step in range(101)]
    assert shares == sorted(shares)
    assert shares[0] > 0
    assert shares[-1] == 1
    for size in (1.0, 100.0):
        _, teacher, labels = draw(size, torch.float32)
        scores = curriculum.scores(teacher, labels)
        if scores is not None:
            assert scores.shape == (8,)
            assert bool(scores.isfinite().all())


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
        method["assistants"] = ["plain_cnn"]
    pair = {"model": {"name": "huggingface_config", "config": {"model_type": "bert"}}}
    networks: dict[str, object] = {"teacher": "plain_cnn", "student": "plain_cnn"}
    networks["data"] = {"name": "synthetic", "shape": [1, 8, 8]}
    if describe("methods", METHODS[name])["needs_tokens"]:
        networks = {"teacher": pair, "student": pair, "data": "synthetic_text"}
    recipe = Recipe.model_validate({**networks, "method": method})
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
