"""The story: from a recipe to a student that is proven, told as events.

    teacher -> for every seed: baseline, (controls,) assistants, student -> verdict -> files

Read `distill` from top to bottom; everything else in this file is one sentence of it. Whatever a
stage finished is kept in the working folder, so a run that is started again there does nothing
twice.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import cast

from kdcore.assign import assign, nearest_midpoint
from kdcore.consult import consult
from kdcore.curves import Curves
from kdcore.evaluate import score
from kdcore.events import (
    Event,
    PhaseStarted,
    RunFinished,
    RunStarted,
    StageFinished,
    StageProgress,
    VerdictReached,
    Warned,
)
from kdcore.export import deliver
from kdcore.judge import delivery, doubts, pack_student, weigh
from kdcore.lesson import Lesson
from kdcore.lock import begin_locked, compare_with_lock, hold_to_lock
from kdcore.path import anchor
from kdcore.plan import Stage
from kdcore.recipe import Recipe
from kdcore.results import Result, keep, read_network, recall
from kdcore.run import Run, cautions, prepare_run
from kdcore.runtime import versions
from kdcore.stage import Bench, Trained, anchor_file, train
from kdcore.teacher_cache.shelf import Shelf

Tale = Generator[Event, None, None]


def distill(  # noqa: PLR0913  # what the caller decides, and the recipe does not
    recipe: Recipe,
    workdir: Path,
    *,
    inputs: Path | None = None,
    report_every: float = 0.5,
    shelf: Shelf | None = None,
    max_threads: int | None = None,
) -> Iterator[Event]:
    """Run a recipe in a working folder; files that it names are looked for under `inputs`.

    What teachers say is kept on the `shelf`, in the working folder where none is given.
    `max_threads` bounds the CPU threads, whatever the recipe asks for. A report comes every
    `report_every` seconds, 0 for every step. Closing the iterator saves a checkpoint; calling again
    with the same folder goes on from there, to the same student.

    Raises:
        KdcoreError: the run cannot go on; see `kdcore.errors`.
    """
    started = time.monotonic()
    yield PhaseStarted(phase="preparing")
    begin_locked(recipe.lock, workdir)
    run = prepare_run(
        recipe, workdir, inputs or Path(), report_every, shelf=shelf, max_threads=max_threads
    )
    yield RunStarted(
        stages=[stage.described() for stage in run.plan],
        device=str(run.device),
        processes=run.crew.ranks.size,
        threads=run.threads.number,
        versions=versions(),
    )
    yield from hold_to_lock(run)
    yield from cautions(run)
    yield PhaseStarted(phase="training")
    with run.crew:
        for stage in run.plan:
            yield from _finish(stage, run)
    yield PhaseStarted(phase="evaluating")
    parcel = pack_student(run)
    verdict = weigh(run, parcel)
    yield from compare_with_lock(run)
    yield from doubts(verdict, run)
    yield VerdictReached(verdict=verdict)
    yield PhaseStarted(phase="exporting")
    yield from deliver(delivery(run, verdict, parcel))
    yield RunFinished(seconds=time.monotonic() - started)


def _finish(stage: Stage, run: Run) -> Tale:
    """Train a stage, or go on with it, or take what an earlier attempt finished."""
    started = time.monotonic()
    finished = recall(stage, run)
    if isinstance(finished, Warned):
        yield finished
    if isinstance(finished, Result):
        result = finished
        yield Curves(stage, _curves(stage, run)).retell(stage.total_steps)
    else:
        trained = yield from _train(stage, run)
        scores = _scores(trained, run)
        result = Result(trained.network, scores, time.monotonic() - started)
        keep(stage, result, run)
    for place, step in enumerate(stage.anchors, start=1):
        network = read_network(stage, anchor_file(run.anchors, step), run)
        run.keep(anchor(place), stage.model, network)
    if stage.role not in {"baseline", "hard_labels"}:
        run.keep(stage.name, stage.model, result.network)
    run.scores[stage.name] = result.scores
    run.seconds[stage.name] = result.seconds
    run.steps_done += stage.total_steps
    yield StageFinished(
        stage=stage.name,
        role=stage.role,
        seed=stage.seed,
        step=stage.total_steps,
        seconds=time.monotonic() - started,
        metric=run.recipe.task.metric,
        scores=result.scores,
        reused=isinstance(finished, Result),
    )


def _scores(trained: Trained, run: Run) -> dict[str, float]:
    """Measure a trained network; where there are validation samples, on them as well.

    `selected_accuracy`, or whatever the metric is, is that on the test samples of the weights that
    did best on the validation samples: both are told, because papers report either.
    """
    network, corpus, task = trained.network, run.corpus, run.recipe.task
    metric, validation = task.metric, corpus.validation
    scores = score(network, corpus.test, task, run.teacher_logits)
    if validation is not None and trained.best is not None:
        scores[f"validation_{metric}"] = score(network, validation, task)[metric]
        last = {name: value.clone() for name, value in network.state_dict().items()}
        network.load_state_dict(trained.best)
        scores[f"selected_{metric}"] = score(network, corpus.test, task)[metric]
        network.load_state_dict(last)
    return scores


def _curves(stage: Stage, run: Run) -> Path:
    return run.workdir / "curves" / f"{stage.name}.jsonl"


def _train(stage: Stage, run: Run) -> Generator[Event, None, Trained]:
    """Pass on what the loop reports, with the place of the stage in the whole run filled in."""
    taught_by = stage.link.taught_by
    if stage.link.teachers == "nearest_midpoint":
        chosen = nearest_midpoint(stage, run.scores, run.recipe.task.metric)
        yield chosen
        taught_by = (chosen.teacher,)
    with contextlib.ExitStack() as held:
        lesson = yield from consult(stage, assign(stage, run, taught_by), run, taught_by, held)
        return (yield from _follow(stage, lesson, run))


def _follow(stage: Stage, lesson: Lesson, run: Run) -> Generator[Event, None, Trained]:
    bench = Bench(
        device=run.device,
        crew=run.crew,
        checkpoints=run.workdir / "checkpoints" / stage.name,
        anchors=run.anchors,
        curves=_curves(stage, run),
        digest=run.digest,
        report_every=run.report_every,
    )
    loop = train(stage, lesson, bench)
    try:
        while True:
            event = next(loop)
            yield _placed(event, run) if isinstance(event, StageProgress) else event
    except StopIteration as end:
        return cast("Trained", end.value)
    finally:
        loop.close()


def _placed(event: StageProgress, run: Run) -> StageProgress:
    """Fill in the run's percent, and its end if all steps that remain take as long as these."""
    done = run.steps_done + event.step
    left_here = event.total_steps - event.step
    pace = event.eta_seconds / left_here if left_here else run.pace
    run.pace = pace
    return event.model_copy(
        update={
            "percent": 100 * done / run.steps_planned,
            "run_eta_seconds": (run.steps_planned - done) * pace,
        }
    )
