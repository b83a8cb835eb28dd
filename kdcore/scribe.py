"""Who writes down what a teacher says: sheet by sheet, beside others who write other sheets."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import torch
from torch import Tensor

from kdcore.dataset import Augmentation
from kdcore.errors import DiskFullError
from kdcore.events import AnswersProgress, Event
from kdcore.teacher_cache.about import SheetAbout
from kdcore.teacher_cache.archive import Archive, Frozen
from kdcore.teacher_cache.locks import Lock
from kdcore.teacher_cache.sheet import OutOfRangeError, size_of

Views = Sequence[Sequence[SheetAbout]]
"""For each view of the samples, the sheets that a training reads."""
_WAIT_SECONDS: Final = 0.2
_TRIED: Final = 16


@dataclass(frozen=True, slots=True)
class Scribe:
    """Writes one teacher's answers."""

    archive: Archive
    frozen: Frozen
    name: str
    how: Augmentation
    use: Lock | None
    """By which the cache is read meanwhile, where other sheets of it may make way."""
    report_every: float
    """Seconds between reports."""

    def missing(self, views: Views) -> list[list[SheetAbout]]:
        """Return the sheets that are not there as they should be, by view."""
        cache = self.archive.cache(self.frozen)
        missing = [[one for one in sheets if self.archive.fault(cache, one)] for sheets in views]
        return [sheets for sheets in missing if sheets]

    def write(self, views: Views) -> Generator[Event, None, str]:
        """Write what is missing, and wait for what others write; return the word for the outcome.

        It is `found` where others have written all of it meanwhile.
        """
        outcome = "found"
        while missing := self.missing(views):
            yield from self.archive.damage()
            with self.archive.room(
                self.frozen,
                list(chain.from_iterable(missing)),
                use=self.use,
                keep=[one.name() for one in chain.from_iterable(views)],
            ) as room:
                if room is None:
                    return "over_budget"
                mine = [[one for one in sheets if one.name() in room] for sheets in missing]
                # Whoever had promised one may have finished it just before.
                if mine := self.missing(mine):
                    outcome = "written"
                    if trouble := (yield from self._write(mine)):
                        return trouble
                    continue
            yield self._progress(missing, 0, 0.0, waiting=True)
            time.sleep(_WAIT_SECONDS)
        return outcome

    def _write(self, views: Views) -> Generator[Event, None, str | None]:
        """Write sheets that nobody else writes; return the word for what went wrong."""
        try:
            ask = self.archive.asker(self.frozen, views[0], self.how)
            pace = seconds_a_sample(ask, views[0][0].samples)
            yield self._progress(views, 0, pace)
            done, reported = 0, time.monotonic()
            for sheets in views:
                for place in self.archive.write(self.frozen, sheets, self.how):
                    if time.monotonic() - reported >= self.report_every:
                        reported = time.monotonic()
                        yield self._progress(views, done + place, pace)
                done += sheets[0].samples
        except OutOfRangeError:
            return "out_of_range"
        except DiskFullError:
            return "disk_full"
        return None

    def _progress(
        self, views: Views, done: int, pace: float, *, waiting: bool = False
    ) -> AnswersProgress:
        total = answers_of(views)
        return AnswersProgress(
            teacher=self.name,
            done=done,
            total=total,
            bytes=bytes_of(views),
            eta_seconds=(total - done) * pace,
            waiting=waiting,
        )


def answers_of(views: Views) -> int:
    """Return how often a teacher is asked about a sample for all sheets."""
    return sum(sheets[0].samples for sheets in views)


def bytes_of(views: Views) -> int:
    """Return what sheets take on the disk."""
    return sum(map(size_of, chain.from_iterable(views)))


def seconds_a_sample(ask: Callable[[Tensor], Mapping[str, Tensor]], samples: int) -> float:
    """Time a few answers, which are thrown away: how long all will take is told before."""
    few = torch.arange(min(samples, _TRIED))

    def answered() -> None:
        for said in ask(few).values():
            said.cpu()  # a GPU has only been told until somebody waits for it

    answered()  # kernels are chosen, and memory is set aside, once
    began = time.monotonic()
    answered()
    return (time.monotonic() - began) / len(few)
