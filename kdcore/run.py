"""One run: its data, its plan, and what it has finished."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from kdcore.arithmetic import Measurements, Precision, Work, laid_out
from kdcore.choices import Choices
from kdcore.cores import usable_cores
from kdcore.corpus import Corpus, load_corpus
from kdcore.crew import Crew
from kdcore.errors import CheckpointError, RecipeError
from kdcore.evaluate import count_parameters, scores_of
from kdcore.events import Warned
from kdcore.files import write_file
from kdcore.model import Model
from kdcore.network import measured
from kdcore.path import TEACHER
from kdcore.plan import Stage, plan_stages, training_set
from kdcore.recipe import Recipe
from kdcore.runtime import Threads, prepare
from kdcore.sense import check_without_validation
from kdcore.settling import settled, unlike_its_teacher
from kdcore.sides import models_in
from kdcore.starting import check_starts, given_teacher
from kdcore.teacher_cache.archive import Archive, Frozen, Part
from kdcore.teacher_cache.shelf import Shelf
from kdcore.tokens import blank
from kdcore.unlabelled import PARTS, check_without_labels
from kdcore.unwritten import require_written


@dataclass(slots=True)
class Run:
    """What the sentences of the story share."""

    recipe: Recipe
    workdir: Path
    corpus: Corpus
    plan: list[Stage]
    device: torch.device
    crew: Crew
    threads: Threads
    digests: dict[str, str]
    """sha256 of all that the run is made of, the `recipe` first."""
    report_every: float
    archive: Archive
    """What networks said of the data, in this run or before."""
    choices: Choices
    measurements: Measurements
    networks: dict[str, nn.Module] = field(default_factory=dict[str, nn.Module])
    """Finished networks by stage."""
    models: dict[str, Model] = field(default_factory=dict[str, Model])
    """What these were built from."""
    scores: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    """Test scores by stage."""
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    """Spent on each stage by the attempt that finished it."""
    teacher_logits: Tensor | None = None
    """`(N_test, C)`."""
    teacher_validation_logits: Tensor | None = None
    """`(N_validation, C)`; None where there are no validation samples, or no teacher yet."""
    steps_done: int = 0
    pace: float = 0.0
    """Seconds a step, as last seen."""

    @property
    def digest(self) -> str:
        """What tells this run from every other one."""
        return "-".join(self.digests.values())

    @property
    def steps_planned(self) -> int:
        """Optimiser steps of all stages."""
        return sum(stage.total_steps for stage in self.plan)

    @property
    def anchors(self) -> Path:
        """Folder of the networks that are kept on the way of the teacher's training."""
        return self.workdir / "anchors"

    def keep(self, name: str, model: Model, network: nn.Module) -> None:
        """Remember a finished network, which is not trained any more."""
        laid_out(network.eval().requires_grad_(requires_grad=False))
        self.networks[name], self.models[name] = network, model
        if name == TEACHER:
            self.teacher_logits = self.predictions(name, "test")
            for part in PARTS:
                if self.corpus.lacks_labels(part):
                    self.corpus = self.corpus.answered(part, self.predictions(name, part))
            if self.corpus.validation:
                self.teacher_validation_logits = self.predictions(name, "validation")

    def frozen(self, name: str) -> Frozen:
        """Return a finished network with what it was built from."""
        return Frozen(self.models[name], self.networks[name])

    def predictions(self, name: str, part: Part) -> Tensor:
        """Return the logits `(N, C)` of a finished network for a part of the data as it is."""
        return self.archive.predictions(self.frozen(name), part)

    def precision(self, model: Model, batch: int, work: Work) -> Precision:
        """Return the numbers that a network multiplies in; an attempt that goes on keeps to them.

        `batch` is the number of samples in a step of one process.
        """
        shape, classes = self.corpus.input_shape, self.corpus.num_classes
        chosen = self.choices.settle(
            f"precision to {work} with {model.model_dump_json()}",
            lambda: self.measurements.precision(model, shape, classes, batch, work),
        )
        return "bfloat16" if chosen == "bfloat16" else "float32"


def prepare_run(  # noqa: PLR0913  # what the caller decides, and the recipe does not
    recipe: Recipe,
    workdir: Path,
    inputs: Path,
    report_every: float,
    *,
    shelf: Shelf | None = None,
    max_threads: int | None = None,
) -> Run:
    """Read the data, check that every network can be built, and read a teacher that is given.

    Without a `shelf` there is one in the working folder.
    """
    began_with = workdir / "run.threads"
    written = began_with.read_text() if began_with.exists() else ""
    before = int(written) if written.isdecimal() else None
    processes = recipe.runtime.processes
    share = max_threads
    if processes > 1:
        share = max(1, (max_threads or usable_cores()) // processes)
    threads = Threads(recipe.runtime.threads, share, before)
    device = prepare(recipe.runtime, threads.number)
    recipe = settled(recipe, inputs)
    corpus = load_corpus(recipe.data, inputs, device, recipe.task)
    weights = inputs / recipe.teacher.weights if recipe.teacher.weights else None
    digests = {
        "recipe": recipe.digest(),
        "data": corpus.fingerprint,
        "weights": _sha256(weights),
    }
    named = {name for model in models_in(recipe) for name in model.files()}
    if recipe.student.weights:
        named.add(str(recipe.student.weights))
    for name in sorted(named):
        digests[name] = _sha256(inputs / name)
    _claim_folder(workdir, "-".join(digests.values()))
    if threads.number != before:
        write_file(began_with, str(threads.number).encode())
    plan = checked_plan(recipe, corpus)
    shelf = shelf or Shelf(workdir / "teacher-caches")
    run = Run(
        recipe=recipe,
        workdir=workdir,
        corpus=corpus,
        plan=plan,
        device=device,
        crew=Crew(processes, device, threads.number, workdir / "crew.tmp"),
        threads=threads,
        digests=digests,
        report_every=report_every,
        archive=Archive(shelf, recipe.teacher_cache, recipe.data, corpus, device),
        choices=Choices(workdir / "choices.json"),
        measurements=Measurements(shelf.root / "measured", recipe.runtime, device),
    )
    if recipe.teacher.given:
        run.keep(TEACHER, recipe.teacher.model, given_teacher(recipe, corpus).to(device))
        assert run.teacher_logits is not None  # noqa: S101  # told when it was kept
        corpus = run.corpus
        run.scores[TEACHER] = scores_of(run.teacher_logits, corpus.test, recipe.task)
        if corpus.validation and run.teacher_validation_logits is not None:
            validated = scores_of(run.teacher_validation_logits, corpus.validation, recipe.task)
            metric = recipe.task.metric
            run.scores[TEACHER][f"validation_{metric}"] = validated[metric]
    return run


def checked_plan(recipe: Recipe, corpus: Corpus) -> list[Stage]:
    """Return the trainings of a recipe, once every network was built without numbers, and tried.

    Raises:
        RecipeError: networks, objectives and data do not fit; its pointer says what.
        WeightsError: a network cannot begin with the file that is named for it; as above.
    """
    check_without_labels(recipe, corpus)
    recipe.check_fit((corpus.input_shape, corpus.num_classes), measure=measured)
    if corpus.validation is None and recipe.data.may_validate():
        check_without_validation(recipe)
    plan = plan_stages(recipe, corpus)
    check_starts(recipe, corpus)
    for stage in plan:
        # Who it learns from changes the labels, and not which samples there are.
        _, pool = training_set(stage, recipe, corpus, corpus.train.labels)
        _try_out(stage, corpus, len(pool))
        if recipe.runtime.precision == "bfloat16" and corpus.train.inputs.device.type == "cpu":
            require_written(stage.model, corpus.input_shape, corpus.num_classes)
    return plan


def cautions(run: Run) -> Iterator[Warned]:
    """Warn of what is allowed, and probably not meant."""
    yield from run.corpus.warnings
    yield from unlike_its_teacher(run.recipe)
    yield from run.threads.cautions()
    yield from run.archive.damage()
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


def _try_out(stage: Stage, corpus: Corpus, samples: int) -> None:
    """Build a network and run a batch of its samples through it, without memory or arithmetic.

    Raises:
        RecipeError: it cannot be built for this data, or not be trained on batches of this size.
    """
    size = min(stage.batch_size, samples)
    if size < stage.processes:
        raise RecipeError(
            f"found {samples} samples that {stage.name} learns from, and {stage.processes} "
            "processes that share them; expected one or more each",
            hint="ask for fewer processes",
        )
    for objective in stage.objectives:
        if size < objective.smallest_batch:
            raise RecipeError(
                f"found {samples} samples that {stage.name} learns from, and {objective.name} "
                f"compares {objective.smallest_batch} or more with each other",
                hint="keep more labels, or let the student see the samples without (unlabelled)",
            )
    with torch.device("meta"):
        network = stage.model.build(corpus.input_shape, corpus.num_classes)
        try:
            network.train()(blank(corpus.input_shape, size))
        except (ValueError, RuntimeError, AssertionError) as error:
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
