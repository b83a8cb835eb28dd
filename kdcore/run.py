"""One run: its data, its plan, and what it has finished."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from kdcore.corpus import Corpus, load_corpus
from kdcore.errors import CheckpointError, RecipeError
from kdcore.evaluate import count_parameters, score
from kdcore.events import Warned
from kdcore.files import write_file
from kdcore.network import build, load_weights, predict
from kdcore.path import TEACHER
from kdcore.plan import Stage, plan_stages
from kdcore.recipe import Recipe
from kdcore.runtime import Threads, prepare


@dataclass(slots=True)
class Run:
    """What the sentences of the story share."""

    recipe: Recipe
    workdir: Path
    corpus: Corpus
    plan: list[Stage]
    device: torch.device
    threads: Threads
    digest: str
    report_every: float
    networks: dict[str, nn.Sequential] = field(default_factory=dict[str, nn.Sequential])
    """Finished networks by stage."""
    scores: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    """Test scores by stage."""
    teacher_logits: Tensor | None = None
    """`(N_test, C)`."""
    steps_done: int = 0
    pace: float = 0.0
    """Seconds a step, as last seen."""

    @property
    def steps_planned(self) -> int:
        """Optimiser steps of all stages."""
        return sum(stage.total_steps for stage in self.plan)

    def keep(self, name: str, network: nn.Sequential, *, needed: bool = True) -> None:
        """Remember a finished network, which is not trained any more, if it is needed again."""
        if not needed:
            return
        network.eval().requires_grad_(requires_grad=False)
        self.networks[name] = network
        if name == TEACHER:
            self.teacher_logits = predict(network, self.corpus.test.inputs)


def prepare_run(
    recipe: Recipe, workdir: Path, inputs: Path, report_every: float, max_threads: int | None
) -> Run:
    """Read the data, check that every network can be built, and read a teacher that is given."""
    began_with = workdir / "run.threads"
    before = int(began_with.read_text()) if began_with.exists() else None
    threads = Threads(recipe.runtime.threads, max_threads, before)
    device = prepare(recipe.runtime, threads.number)
    corpus = load_corpus(recipe.data, inputs, device)
    weights = inputs / recipe.teacher.weights if recipe.teacher.weights else None
    digest = f"{recipe.digest()}-{corpus.fingerprint}-{_sha256(weights)}"
    _claim_folder(workdir, digest)
    if threads.number != before:
        write_file(began_with, str(threads.number).encode())
    shape, classes = corpus.input_shape, corpus.num_classes
    recipe.check_fit((shape, classes))
    plan = plan_stages(recipe, corpus)
    for stage in plan:
        _try_out(stage, corpus)
    run = Run(recipe, workdir, corpus, plan, device, threads, digest, report_every)
    if weights is not None:
        teacher = build(recipe.teacher.model, shape, classes, seed=0)
        load_weights(teacher, weights, str(recipe.teacher.weights))
        run.keep(TEACHER, teacher.to(device))
        run.scores[TEACHER] = score(teacher, corpus.test)
        if corpus.validation:
            validated = score(teacher, corpus.validation)["accuracy"]
            run.scores[TEACHER]["validation_accuracy"] = validated
    return run


def cautions(run: Run) -> Iterator[Warned]:
    """Warn of what is allowed, and probably not meant."""
    yield from run.threads.cautions()
    sizes = {stage.name: _parameters(stage, run.corpus) for stage in run.plan}
    if TEACHER in run.networks:
        sizes[TEACHER] = count_parameters(run.networks[TEACHER])
    seed = run.recipe.seeds[0]
    for stage in run.plan:
        for teacher in stage.link.taught_by if stage.seed == seed else ():
            known = TEACHER if teacher.partition("@")[0] == TEACHER else teacher
            if sizes[stage.name] > sizes[known]:
                yield Warned(
                    code="larger_than_its_teacher",
                    message=f"{stage.name} has {sizes[stage.name]:,} parameters, more than the "
                    f"{sizes[known]:,} of {teacher}, which teaches it",
                    hint="order a chain from the largest network to the smallest",
                )


def _parameters(stage: Stage, corpus: Corpus) -> int:
    with torch.device("meta"):
        return count_parameters(stage.model.build(corpus.input_shape, corpus.num_classes))


def _try_out(stage: Stage, corpus: Corpus) -> None:
    """Build a network and run a batch through it, without memory or arithmetic.

    Raises:
        RecipeError: it cannot be built for this data, or not be trained on batches of this size.
    """
    size = min(stage.training.per_device_train_batch_size, len(corpus.train.labels))
    with torch.device("meta"):
        network = stage.model.build(corpus.input_shape, corpus.num_classes)
        try:
            network.train()(torch.empty(size, *corpus.input_shape))
        except (ValueError, RuntimeError) as error:
            raise RecipeError(
                f"{stage.model.name} cannot be trained on batches of shape "
                f"{(size, *corpus.input_shape)}: {error}",
                hint="use larger batches or images, or another model",
            ) from None


def _claim_folder(workdir: Path, digest: str) -> None:
    """Mark the folder as this run's.

    Raises:
        CheckpointError: it is another run's.
    """
    mark = workdir / "run.digest"
    if mark.exists() and mark.stat().st_size:
        if mark.read_text() != digest:
            raise CheckpointError(
                "the working folder belongs to another recipe, or the data has changed since"
            )
        return
    write_file(mark, digest.encode())


def _sha256(file: Path | None) -> str:
    """Return the digest of a file, or of nothing where there is none: reading it will complain."""
    if file is None or not file.is_file():
        return ""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
