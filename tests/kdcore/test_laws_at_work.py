"""Laws that every entry obeys in a step of the real loop, with real networks."""

import copy
import inspect
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kdcore.assign import assign
from kdcore.lesson import draw
from kdcore.network import build
from kdcore.objectives import OBJECTIVES
from kdcore.recipe import Recipe
from kdcore.run import prepare_run
from kdcore.tasks import TASKS
from kdcore.teaching import Teaching
from kdcore.temperatures import TEMPERATURES
from kdcore.weightings import WEIGHTINGS

TASK = {name: next(task for task in TASKS if one.serves(task)) for name, one in OBJECTIVES.items()}
TAUGHT = {
    name: [name] if one.needs_teacher else [name, TASKS[TASK[name]].words.get("kd", "kd")]
    for name, one in OBJECTIVES.items()
}
ENCODERS = {
    role: {
        "model": {
            "name": "huggingface_config",
            "config": {
                "model_type": "bert",
                "num_hidden_layers": layers,
                "hidden_size": width,
                "intermediate_size": width,
                "num_attention_heads": 2,
                "max_position_embeddings": 8,
                "hidden_dropout_prob": 0.0,  # chance is the loop's to restore, and not here
                "attention_probs_dropout_prob": 0.0,
            },
        }
    }
    for role, layers, width in (("teacher", 2, 12), ("student", 1, 8))
}
TEXTS = {**ENCODERS, "data": {"name": "synthetic_text", "length": 8, "train_size": 48}}
LEARNERS: dict[str, dict[str, object]] = {
    **{
        f"objective {name}": {
            "objectives": written,
            "task": TASK[name],
            **(TEXTS if OBJECTIVES[name].needs_tokens else {}),
        }
        for name, written in TAUGHT.items()
    },
    **{f"temperature {name}": {"temperature": name} for name in TEMPERATURES},
    **{f"weighting {name}": {"weighting": name} for name in WEIGHTINGS},
}


class Scene:
    """The student's first stage of a small recipe, with networks that nobody has trained."""

    def __init__(self, axes: dict[str, object], folder: Path) -> None:
        """Make the networks that teach or are taken over, and the student."""
        recipe = Recipe.model_validate(
            {
                "teacher": {"model": {"name": "plain_cnn", "stages": [[6], [8]], "hidden": []}},
                "student": {"model": {"name": "plain_cnn", "stages": [[3], [4]], "hidden": []}},
                "data": {"name": "synthetic", "shape": [1, 8, 8], "train_size": 48},
                "training": {"max_steps": 4, "per_device_train_batch_size": 16},
                "baseline": False,
                "objectives": ["kd"],
                **axes,
            }
        )
        run = prepare_run(recipe, folder, Path(), 60)
        shape, classes = run.corpus.input_shape, run.corpus.num_classes
        *earlier, self.stage = run.plan
        for place, stage in enumerate(earlier):
            run.keep(stage.name, stage.model, build(stage.model, shape, classes, seed=place))
        self.lesson = assign(self.stage, run, self.stage.link.taught_by)
        self.student = build(self.stage.model, shape, classes, seed=9)
        if self.lesson.inherits is not None:
            self.stage.model.inherit(self.student, self.lesson.inherits)
        self.student.train()

    def teaching(self) -> Teaching:
        """Return what makes the loss, its learned parts as they begin."""
        torch.manual_seed(0)
        return Teaching(self.stage, self.lesson, self.student)

    def loss(self, teaching: Teaching, step: int) -> Tensor:
        """Return the total loss of a step."""
        batch = draw(step, self.stage, self.lesson)
        return teaching.loss(self.student, batch, step=step, epoch=step // 3)[0]


def copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_step_reaches_student_and_learned_parts_and_leaves_the_teacher_alone(learner, tmp_path):
    """Even a teacher that could be trained gets no gradient, and its batch norms stand still."""
    scene = Scene(LEARNERS[learner], tmp_path)
    teachers = [one.network for one in scene.lesson.teachers]
    before = [copied(teacher.requires_grad_()) for teacher in teachers]
    teaching = scene.teaching()
    loss = scene.loss(teaching, step=0)
    assert loss.shape == ()
    assert bool(loss.isfinite())
    loss.backward()
    gradients = [one.grad for one in scene.student.parameters() if one.grad is not None]
    assert any(bool(gradient.any()) for gradient in gradients)
    for name, part in teaching.heads.named_parameters():
        assert part.grad is not None, name
    assert teachers
    for teacher, state in zip(teachers, before, strict=True):
        assert not any(module.training for module in teacher.modules())
        assert all(part.grad is None for part in teacher.parameters())
        assert all(torch.equal(value, state[name]) for name, value in copied(teacher).items())


@pytest.mark.parametrize("learner", LEARNERS)
def test_what_is_learned_and_remembered_goes_through_a_checkpoint(learner, tmp_path):
    scene = Scene(LEARNERS[learner], tmp_path / "run")
    teaching = scene.teaching()
    optimizer = torch.optim.SGD([*scene.student.parameters(), *teaching.heads.parameters()], 0.01)
    for step in range(2):
        optimizer.zero_grad()
        scene.loss(teaching, step).backward()
        optimizer.step()
    torch.save(teaching.heads.state_dict(), tmp_path / "heads.pt")
    student = copy.deepcopy(scene.student.state_dict())
    expected = scene.loss(teaching, step=2)
    again = scene.teaching()
    again.heads.load_state_dict(torch.load(tmp_path / "heads.pt", weights_only=True))
    scene.student.load_state_dict(student)
    assert torch.equal(scene.loss(again, step=2), expected)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_has_a_plain_function_of_its_name(name):
    """`from kdcore.objectives.dkd import dkd_loss`, for researchers."""
    loss = getattr(sys.modules[OBJECTIVES[name].__module__], f"{name}_loss")
    assert inspect.getdoc(loss)
    assert all(
        one.annotation is not one.empty for one in inspect.signature(loss).parameters.values()
    )
