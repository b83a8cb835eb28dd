"""The loop: one training, as a generator that steps, evaluates, checkpoints and yields.

Whoever iterates decides what becomes of the events and when to stop: closing the generator saves a
checkpoint, and the next call goes on from it as if nothing had happened. The order of the data is a
pure function of (seed, epoch, step), and nothing is read back from the device but once a chunk.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from kdcore import checkpoint
from kdcore.arithmetic import laid_out
from kdcore.corpus import Corpus
from kdcore.crew import Crew, Task
from kdcore.curves import Curves
from kdcore.evaluate import count_parameters, score
from kdcore.events import Checkpointed, Event, StageEvaluated, StageProgress, StageStarted
from kdcore.files import write_file
from kdcore.held import ForGradient, bytes_in
from kdcore.lesson import Lesson, draw
from kdcore.memory import peak_memory
from kdcore.network import weights_bytes
from kdcore.optim import build_optimizer, learning_rate, moving_average
from kdcore.plan import Stage
from kdcore.ranks import ALONE, Ranks
from kdcore.runtime import derive_seed, random_state, restore_random_state, seed_everything
from kdcore.starting import begin
from kdcore.teaching import Teaching

_DEFAULT_EVALUATIONS = 20


@dataclass(frozen=True, slots=True)
class Bench:
    """Where a stage works, and how often it speaks."""

    device: torch.device
    crew: Crew
    checkpoints: Path
    anchors: Path
    """Folder of the networks that are kept on the way."""
    curves: Path
    """File of the points that were reported."""
    digest: str
    """Of the recipe and the data: a checkpoint of another is refused."""
    report_every: float
    """Seconds between reports."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What a stage ends with."""

    network: nn.Module
    """In evaluation mode."""
    best: dict[str, Tensor] | None
    """The weights that did best on the validation samples, where there are any."""


class _Training:
    """Everything that changes while a stage runs; what is not in here is not part of its state."""

    def __init__(self, stage: Stage, lesson: Lesson, device: torch.device, ranks: Ranks) -> None:
        shape, classes = lesson.corpus.input_shape, lesson.corpus.num_classes
        weights_seed = derive_seed("initial weights", stage.seed)
        self.network = laid_out(
            begin(stage.model, shape, classes, weights_seed, stage.start).to(device)
        )
        if lesson.inherits is not None:
            stage.model.inherit(self.network, lesson.inherits)
        seed_everything(derive_seed("training", stage.seed, stage.name))
        self.teaching = Teaching(stage, lesson, self.network, ranks)
        self.teaching.heads.to(device)
        self.network.train()
        self.in_step = ranks.in_step(self.network)
        """The network as it is trained: the same weights."""
        everything = (*self.network.parameters(), *self.teaching.heads.parameters())
        self.parameters = [one for one in everything if one.requires_grad]
        self.optimizer = build_optimizer(stage.training, self.parameters, device)
        self.average = moving_average(stage.training, self.network)
        self.device = device
        self.ranks = ranks
        self.step = 0
        self.best: tuple[float, dict[str, Tensor]] | None = None

    @property
    def outcome(self) -> nn.Module:
        """The network that is evaluated and delivered: as it is, or the average of its weights."""
        return self.average.module if self.average else self.network

    def state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "heads": self.teaching.heads.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict() if self.average else None,
            "best": self.best,
            "random": random_state(self.device),
        }

    def restore(self, step: int, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.teaching.heads.load_state_dict(state["heads"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average:
            self.average.load_state_dict(state["average"])
        self.best = state["best"]
        self.step = step
        restore_random_state(state["random"], self.device)


def train(stage: Stage, lesson: Lesson, bench: Bench) -> Generator[Event, None, Trained]:
    """Train one network to its last step.

    Raises:
        NonFiniteLossError: the loss became NaN or infinite; the message names the step.
        DiskFullError: no room for a checkpoint.
        CheckpointError: the folder holds checkpoints of another recipe.
    """
    run = _Training(stage, lesson, bench.device, bench.crew.ranks)
    found = checkpoint.latest(bench.checkpoints, bench.digest)
    yield from found.cautions(stage.name)
    if found.state is not None:
        run.restore(found.step, found.state)
    _lead(run, stage, lesson, bench.crew)
    yield StageStarted(
        stage=stage.name,
        role=stage.role,
        seed=stage.seed,
        step=run.step,
        total_steps=stage.total_steps,
        parameters=count_parameters(run.network),
        precision=lesson.precision,
        compiled=lesson.compiled,
    )
    curves = Curves(stage, bench.curves, run.teaching.learned)
    yield curves.retell(run.step)
    evaluate_every = stage.training.eval_steps or max(stage.total_steps // _DEFAULT_EVALUATIONS, 1)
    first_step, started, reported = run.step, time.monotonic(), -math.inf  # the first step is told
    try:
        while run.step < stage.total_steps:
            rate, loss, terms = _step(run, stage, lesson)
            if run.step in stage.anchors:
                write_file(anchor_file(bench.anchors, run.step), weights_bytes(run.outcome))
            curves.add(run.step, rate, loss, terms)
            at_end = run.step == stage.total_steps
            evaluated = None
            if lesson.corpus.validation and (run.step % evaluate_every == 0 or at_end):
                curves.check()  # a diverged run is told by its step, not by what it predicts
                evaluated = _evaluate(run, stage, lesson, curves)
            save = run.step % stage.training.save_steps == 0 and not at_end
            now = time.monotonic()
            if evaluated or save or at_end or now - reported >= bench.report_every:
                reported = now
                # First: whoever stops at a later event goes on behind these points. A run that
                # diverged ends here, before it can be saved.
                yield curves.flush()
                if evaluated:
                    yield evaluated
                yield _progress(run, stage, lesson, curves, (run.step - first_step, now - started))
            if save:
                _save(run, stage, bench)
                yield Checkpointed(stage=stage.name, seed=stage.seed, step=run.step)
    except GeneratorExit:
        curves.check()
        _save(run, stage, bench)
        raise
    if stage.training.load_best_model_at_end and run.best:
        run.outcome.load_state_dict(run.best[1])
    return Trained(run.outcome.eval(), run.best[1] if run.best else None)


@dataclass(frozen=True, slots=True)
class FirstStep:
    """What the first step of a training showed, of its own network alone."""

    loss: float
    weights_bytes: int
    checkpoint_bytes: int
    memory_bytes: int
    """Of the state, the gradients, and what the step kept for them."""


def first_step(stage: Stage, lesson: Lesson, device: torch.device) -> FirstStep:
    """Take the first step of a training, and keep nothing of it.

    Raises:
        RecipeError: an objective reads a layer that a network does not have.
    """
    run = _Training(stage, lesson, device, ALONE)
    with ForGradient() as kept:
        _, loss, _ = _step(run, stage, lesson)
    weights, state = bytes_in(run.network.state_dict()), bytes_in(run.state())
    gradients = bytes_in(run.parameters)
    return FirstStep(float(loss), weights, state, state + gradients + kept.bytes)


def _save(run: _Training, stage: Stage, bench: Bench) -> None:
    kept = stage.training.save_total_limit
    checkpoint.save(bench.checkpoints, run.step, run.state(), bench.digest, keep=kept)


def _lead(run: _Training, stage: Stage, lesson: Lesson, crew: Crew) -> None:
    """Have the other processes take part in the steps that are left."""
    if run.step < stage.total_steps:
        # The corpus is sent once for all trainings; who leads is the one that evaluates.
        own = stage, replace(lesson, corpus=None, teacher_said=None)
        crew.lead(lambda: (lesson.corpus, own, run.step, run.state()))


def accompany(task: Task, device: torch.device, ranks: Ranks) -> None:
    """Take part in a training that another process leads, and that tells and keeps everything."""
    stage, lesson = cast("tuple[Stage, Lesson]", task.own)
    lesson = replace(lesson, corpus=cast("Corpus", task.common))
    run = _Training(stage, lesson, device, ranks)
    run.restore(task.step, task.state)
    while run.step < stage.total_steps:
        _step(run, stage, lesson)


def anchor_file(folder: Path, step: int) -> Path:
    """Return where a network is kept as it is after a step."""
    return folder / f"{step}.safetensors"


def _step(run: _Training, stage: Stage, lesson: Lesson) -> tuple[float, Tensor, list[Tensor]]:
    """Take one optimiser step; return the learning rate, and the loss and its terms on device."""
    steps_per_epoch = lesson.steps_per_epoch(stage)
    rate = learning_rate(
        stage.training, run.step, total_steps=stage.total_steps, steps_per_epoch=steps_per_epoch
    )
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    total, terms = run.teaching.loss(
        run.in_step,
        draw(run.step, stage, lesson),
        step=run.step,
        epoch=run.step // steps_per_epoch,
    )
    run.optimizer.zero_grad(set_to_none=True)
    total.backward()  # pyright: ignore[reportUnknownMemberType]  # torch leaves it half typed
    run.ranks.average(run.parameters)
    if stage.training.max_grad_norm is not None:
        nn.utils.clip_grad_norm_(run.parameters, stage.training.max_grad_norm)
    run.optimizer.step()
    if run.average:
        run.average.update_parameters(run.network)
    run.step += 1
    return rate, total.detach(), terms


def _evaluate(run: _Training, stage: Stage, lesson: Lesson, curves: Curves) -> StageEvaluated:
    """Measure the network on the validation samples, and keep it where it is the best so far."""
    assert lesson.corpus.validation is not None  # noqa: S101  # the caller has looked
    task = lesson.corpus.task
    scores = score(run.outcome, lesson.corpus.validation, task, lesson.teacher_said)
    reached = scores[task.metric]
    curves.add_validation(run.step, {name: one for name, one in scores.items() if name != "loss"})
    if run.best is None or reached > run.best[0]:
        weights = {name: value.clone() for name, value in run.outcome.state_dict().items()}
        run.best = (reached, weights)
    return StageEvaluated(
        stage=stage.name,
        seed=stage.seed,
        step=run.step,
        split="validation",
        metric=task.metric,
        scores=scores,
    )


def _progress(
    run: _Training, stage: Stage, lesson: Lesson, curves: Curves, pace: tuple[int, float]
) -> StageProgress:
    """Say where the stage is; the run as a whole is filled in by the story."""
    steps, seconds = pace
    rate = steps / seconds if seconds > 0 else 0.0
    return StageProgress(
        stage=stage.name,
        role=stage.role,
        seed=stage.seed,
        step=run.step,
        total_steps=stage.total_steps,
        epoch=run.step / lesson.steps_per_epoch(stage),
        samples_per_second=rate * min(stage.batch_size, len(lesson.pool)),
        eta_seconds=(stage.total_steps - run.step) / rate if rate else 0.0,
        percent=0.0,
        run_eta_seconds=0.0,
        metrics=curves.latest,
        memory_bytes=peak_memory(run.device),
    )
