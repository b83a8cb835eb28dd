"""The moving average of the weights: what it is, and that it is what comes out."""

from pathlib import Path

import torch
from recipes import IMAGES, tiny
from safetensors.torch import load_file
from torch import Tensor

from kdcore import checkpoint, distill
from kdcore.events import Checkpointed, StageFinished

STEPS = {**IMAGES["training"], "save_steps": 1}


def teacher(folder: Path, **training: object) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
    """Train a teacher; return its weights, and the states of all checkpoints."""
    recipe = tiny(**{**IMAGES, "training": {**STEPS, **training}})
    states = []
    for event in distill(recipe, folder):
        if isinstance(event, Checkpointed):
            digest = (folder / "run.digest").read_text()
            found = checkpoint.latest(folder / "checkpoints/teacher", digest)
            assert found.state is not None
            states.append(found.state)
        if isinstance(event, StageFinished):
            break
    return load_file(folder / "stages/teacher.safetensors"), states


def test_it_keeps_its_share_and_takes_the_rest_of_what_the_step_made(tmp_path):
    _, states = teacher(tmp_path, ema_decay=0.75)
    average: dict[str, Tensor] = {}
    for state in states:
        for name, now in state["network"].items():
            kept = average.get(name, now)
            average[name] = 0.75 * kept + 0.25 * now if now.is_floating_point() else now
            if now.is_floating_point():  # batch norms' statistics, too
                torch.testing.assert_close(state["average"][f"module.{name}"], average[name])
    assert len(states) == 11
    assert any("running_mean" in name for name in average)


def test_one_that_forgets_at_once_is_the_network_and_one_that_never_does_is_its_beginning(tmp_path):
    plain, states = teacher(tmp_path / "plain")
    swift, _ = teacher(tmp_path / "swift", ema_decay=1e-7)
    stiff, _ = teacher(tmp_path / "stiff", ema_decay=1 - 1e-7)
    for name, last in plain.items():
        if last.is_floating_point():
            torch.testing.assert_close(swift[name], last, rtol=1e-3, atol=1e-4)
            torch.testing.assert_close(stiff[name], states[0]["network"][name], rtol=0, atol=1e-4)


def test_the_best_so_far_is_the_best_average(tmp_path):
    best, states = teacher(tmp_path, ema_decay=0.6, load_best_model_at_end=True, eval_steps=1)
    accuracies = [state["best"][0] for state in states]
    assert accuracies == sorted(accuracies)
    improved = [
        state
        for before, state in zip([None, *states], states, strict=False)
        if before is None or before["best"][0] < state["best"][0]
    ]
    for state in improved:
        for name, value in state["best"][1].items():
            assert torch.equal(value, state["average"][f"module.{name}"])
    assert set(best) == set(states[0]["network"])
