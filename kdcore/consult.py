"""Whether a stage's teachers are asked in every step, or once for all.

What a frozen teacher says of a stored view never changes. So it is written down the first time that
anybody needs it, where the steps that are planned earn it back and the shelf has room, and looked
up from then on: by later passes, other seeds, other jobs.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

from kdcore.arithmetic import Precision
from kdcore.events import AnswersReady, Event, PhaseStarted, Warned
from kdcore.keeping import is_earned_back, wanted, why_live
from kdcore.lesson import Lesson
from kdcore.plan import Stage
from kdcore.run import Run
from kdcore.scribe import Scribe, Views, answers_of, bytes_of
from kdcore.teacher_cache.about import SheetAbout
from kdcore.teacher_cache.answers import Answering
from kdcore.teacher_cache.archive import UNUSABLE, Frozen
from kdcore.teaching import teacher_taps

_REASONS: Final = {
    "over_budget": (
        "{size:,} bytes of answers of {name} do not fit into the teacher cache's budget",
        "raise the budget, ask for fewer views, or remove caches",
    ),
    "out_of_range": (
        "an answer of {name} is too large for the numbers that it would be kept in",
        "set teacher_cache.dtype to bfloat16 or float32",
    ),
    "unusable": (
        "the folder of the teacher caches cannot be used for {name}",
        "see that the folder can be written to",
    ),
    "disk_full": ("no room is left on the disk for the answers of {name}", "free some space"),
}


def consult(
    stage: Stage, lesson: Lesson, run: Run, taught_by: tuple[str, ...], held: ExitStack
) -> Generator[Event, None, Lesson]:
    """Return the lesson, its teachers replaced by what is kept of them where that is of use.

    The caches that it reads stay on the shelf until `held` is closed.
    """
    yield from run.archive.damage()  # met where a network was asked about samples as they are
    if not taught_by:
        return lesson
    teachers: list[Answering] = []
    read = zip(lesson.teachers, taught_by, teacher_taps(stage, lesson), strict=True)
    for live, name, taps in read:
        question = _Question(stage, lesson, run, name, taps, live)
        teachers.append((yield from question.settle(held)))
    return replace(lesson, teachers=tuple(teachers))


@dataclass(slots=True)
class _Question:
    """Who answers for one teacher in one stage."""

    stage: Stage
    lesson: Lesson
    run: Run
    name: str
    taps: set[str]
    live: Answering

    def settle(self, held: ExitStack) -> Generator[Event, None, Answering]:
        """Decide, and note it; return who answers."""
        caching = self.run.recipe.teacher_cache
        if reason := why_live(caching, self.lesson, self.taps):
            yield self._live(reason)
            return self.live
        with ExitStack() as reading:
            try:
                kept, reason = yield from self._keep(reading)
            except UNUSABLE as error:
                kept, reason = None, "unusable"
                yield self._warned(reason, f": {error}")
            before = self.run.choices.known(self._question)
            outcome = "live" if kept is None else "kept"
            if before not in {None, outcome}:
                yield Warned(
                    code="answers_changed",
                    message=f"{self.name} is now {outcome} for {self.stage.name}, which began with "
                    f"{before}: the last bits of its answers may differ",
                    hint="give the teacher caches more room",
                )
            self.run.choices.settle(self._question, lambda: outcome)
            if kept is None:
                yield self._live(reason)
                return self.live
            held.push(reading.pop_all())
            return kept

    @property
    def _question(self) -> str:
        return f"who answers for {self.name} in {self.stage.name}"

    def _keep(self, reading: ExitStack) -> Generator[Event, None, tuple[Answering | None, str]]:
        """Return the kept answers, or None, and the word for why."""
        started, before = time.monotonic(), self.run.choices.known(self._question)
        if before == "live":
            return None, "settled"
        frozen, views = self.run.frozen(self.name), self._views()
        archive = self.run.archive
        cache = archive.cache(frozen)
        key = (cache.key, *(one.name() for one in chain.from_iterable(views)))
        if failed := archive.failed.get(key):
            return None, failed
        use = reading.enter_context(cache.using())
        reason, run = "found", self.run
        how = self.lesson.augmentation
        scribe = Scribe(archive, frozen, self.name, how, use, run.report_every)
        missing = scribe.missing(views)
        yield from archive.damage()
        if missing:
            caching = run.recipe.teacher_cache
            if before is None and not is_earned_back(caching, run.plan, self.name, views):
                return None, "not_worth_it"
            yield PhaseStarted(phase="caching_teacher")
            reason = yield from scribe.write(views)
            yield PhaseStarted(phase="training")
        if reason in _REASONS:
            archive.failed[key] = reason
            yield self._warned(reason)
            return None, reason
        kept = archive.open(frozen, views, self.live.shapes)
        yield self._kept(frozen, views, reason, time.monotonic() - started)
        return kept, reason

    def _warned(self, reason: str, more: str = "") -> Warned:
        message, hint = _REASONS[reason]
        message = message.format(name=self.name, size=bytes_of(self._views()))
        return Warned(
            code=f"teacher_cache_{reason}",
            message=f"{message}{more}; it is asked in every step",
            hint=hint,
        )

    def _views(self) -> list[list[SheetAbout]]:
        run, how = self.run, self.lesson.augmentation
        caching = run.recipe.teacher_cache
        return wanted(run.corpus, caching, self.taps, self.live.shapes, how, self._precision())

    def _precision(self) -> Precision:
        batch = self.stage.training.per_device_train_batch_size
        return self.run.precision(self.run.models[self.name], batch, "answer")

    def _live(self, reason: str) -> AnswersReady:
        return AnswersReady(
            stage=self.stage.name,
            seed=self.stage.seed,
            teacher=self.name,
            answers="live",
            reason=reason,
            precision=self._precision(),
        )

    def _kept(
        self,
        frozen: Frozen,
        views: Views,
        reason: str,
        seconds: float,
    ) -> AnswersReady:
        cache = self.run.archive.cache(frozen)
        manifests = [cache.manifest(one.name()) for one in chain.from_iterable(views)]
        took = sum(manifest.seconds for manifest in manifests if manifest)
        live = self.stage.answers_asked * took / answers_of(views)
        return self._live(reason).model_copy(
            update={
                "answers": "kept",
                "cache": cache.key,
                "views": len(views),
                "samples": answers_of(views),
                "bytes": bytes_of(views),
                "seconds": seconds,
                "seconds_saved": live - seconds,
            }
        )
