"""What a training reads of a teacher, and whether it is worth keeping."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kdcore.arithmetic import Precision
from kdcore.caching import Caching
from kdcore.corpus import Corpus
from kdcore.dataset import Augmentation
from kdcore.lesson import Lesson
from kdcore.plan import Stage
from kdcore.scribe import Views, answers_of
from kdcore.teacher_cache.about import SheetAbout
from kdcore.teacher_cache.answers import LOGITS
from kdcore.tensors import Shapes


def why_live(caching: Caching, lesson: Lesson, taps: set[str]) -> str | None:
    """Return the word for why answers cannot be kept; None where they can."""
    how = lesson.augmentation
    if caching.use == "never":
        return "off"
    if how.changes and how.views == "fresh":
        return "fresh_views"
    if how.mixes and lesson.partners is not None:
        return "own_partners"
    if taps and not caching.features:
        return "features_off"
    return None


def is_earned_back(caching: Caching, plan: Iterable[Stage], name: str, views: Views) -> bool:
    """Return whether the run asks for at least as many answers as there are to be written."""
    if caching.use == "always":
        return True
    asked = sum(stage.answers_asked for stage in plan if name in stage.link.taught_by)
    return answers_of(views) <= asked


def wanted(  # noqa: PLR0913, PLR0917  # each of them names a sheet
    corpus: Corpus,
    caching: Caching,
    taps: set[str],
    shapes: Shapes,
    how: Augmentation,
    precision: Precision,
) -> list[list[SheetAbout]]:
    """Return the sheets that a training needs of a teacher, for each stored view."""
    classes, top_k = corpus.num_classes, caching.top_k
    numbers: Sequence[int | None] = [None]
    if how.changes and how.views != "fresh":
        numbers = range(how.views)
    changes = how.what_changes()
    shapes = {**shapes, LOGITS: (classes,)}
    return [
        [
            SheetAbout(
                part="train",
                view=number,
                augmentation=None if number is None else changes,
                tap=tap,
                precision=precision,
                dtype=caching.dtype,
                top_k=top_k if tap == LOGITS and top_k and top_k < classes else None,
                samples=len(corpus.train.labels),
                shape=list(shapes[tap]),
            )
            for tap in (LOGITS, *sorted(taps))
        ]
        for number in numbers
    ]
