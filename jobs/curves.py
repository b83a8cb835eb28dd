"""Curves in the ledger: written in small chunks, put together in large ones, read in part.

A trainer reports twice a second, so its chunks are small and their rows would cost more than the
points in them. Every so often those of an attempt are put together, each time with earlier ones
that are not much larger, so a point is written anew a few times in all. A chunk that has become
long gets an outline beside it, and a view of a long curve reads nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import delete, insert, select, update

from jobs.bulk import insert_rows
from jobs.database import dump_json
from jobs.journal import Journal
from jobs.metrics import (
    STEP,
    Chunk,
    Curves,
    Series,
    cuts,
    is_outline_enough,
    merge,
    outline,
    pack,
    stitch,
)
from jobs.tables import Job, MetricChunk, MetricView

MERGE_EVERY = 32
"""Batches of an attempt between two looks at what can be put together."""
LONG = 16_384
"""Rows in one chunk at most, if it was not reported so."""
OUTLINED = 2_048
"""Rows from which on a chunk has an outline."""
TOLD_AT_ONCE = 20_000
"""Rows of new points that are read at a time, and as many more as the last chunk has."""
_GROWTH = 4

_CHUNKS: Any = MetricChunk.__table__
_VIEWS: Any = MetricView.__table__
_SPANS = select(
    MetricChunk.id,
    MetricChunk.attempt,
    MetricChunk.stage,
    MetricChunk.seed,
    MetricChunk.first_step,
    MetricChunk.last_step,
    MetricChunk.count.label("rows"),
    MetricChunk.keys.label("names"),
).order_by(MetricChunk.id)
_CONTENT = select(*(_CHUNKS.c[field.name] for field in fields(Chunk)))


class CurveBook(Journal):
    """What is told of curves, and what is read of them."""

    def keep_points(
        self, job_id: str, token: int, events: Sequence[Mapping[str, Any]], batch: int
    ) -> None:
        """Store the points among the events of a batch, and tidy up now and then.

        The caller holds the job, as `record` does: nobody else writes for this attempt.
        """
        chunks = [
            pack(token, event["stage"], event["seed"], event["columns"])
            for event in events
            if event["type"] == "metrics"
        ]
        short = [chunk for chunk in chunks if chunk.count < OUTLINED]
        if short:
            rows = [{"job_id": job_id, **_columns(chunk)} for chunk in short]
            rows = [{**row, "keys": dump_json(row["keys"])} for row in rows]
            insert_rows(self._connection, MetricChunk, rows)
        for chunk in chunks:
            if chunk.count >= OUTLINED:
                new = insert(_CHUNKS).values(job_id=job_id, **_columns(chunk))
                made = self._session.connection().execute(new.returning(_CHUNKS.c.id))
                self._outline(made.scalar_one(), chunk)
        if token > 1:
            self._drop_retold(job_id, chunks)
        if batch % MERGE_EVERY == 0:
            self._merge(job_id, token)

    def _drop_retold(self, job_id: str, chunks: Sequence[Chunk]) -> None:
        """Forget what earlier attempts told of steps that this one tells again."""
        for chunk in chunks:
            self._session.execute(
                delete(MetricChunk)
                .where(
                    MetricChunk.job_id == job_id,
                    MetricChunk.stage == chunk.stage,
                    MetricChunk.attempt < chunk.attempt,
                    MetricChunk.first_step >= chunk.first_step,
                )
                .execution_options(synchronize_session=False)
            )

    def _merge(self, job_id: str, token: int) -> None:
        theirs = _SPANS.where(MetricChunk.job_id == job_id, MetricChunk.attempt == token)
        stages: dict[str, list[Any]] = {}
        for span in self._connection.execute(theirs):
            stages.setdefault(span.stage, []).append(span)
        for spans in stages.values():
            for group in _groups(spans):
                self._put_together(group)

    def _put_together(self, spans: Sequence[Any]) -> None:
        ids = [span.id for span in spans]
        chunk = merge(self._read(ids))
        # In the place of the first, so that the order of writing stays.
        first, *others = ids
        connection = self._connection
        if viewed := [span.id for span in spans if span.rows >= OUTLINED]:
            connection.execute(delete(_VIEWS).where(_VIEWS.c.chunk_id.in_(viewed)))
        connection.execute(delete(_CHUNKS).where(_CHUNKS.c.id.in_(others)))
        connection.execute(update(_CHUNKS).where(_CHUNKS.c.id == first).values(_columns(chunk)))
        if chunk.count >= OUTLINED:
            self._outline(first, chunk)

    def _outline(self, number: int, chunk: Chunk) -> None:
        view = outline(chunk)
        values = {"chunk_id": number, "count": view.count, "data": view.data}
        self._session.connection().execute(insert(_VIEWS), [values])

    def _read(self, ids: Sequence[int]) -> list[Chunk]:
        found = _CONTENT.where(_CHUNKS.c.id.in_(ids)).order_by(_CHUNKS.c.id)
        return [Chunk(*row) for row in self._connection.execute(found)]

    def new_points(self, job_id: str, position: Mapping[str, int]) -> list[tuple[str, Series]]:
        """Return points of a job behind the step that `position` holds for each stage.

        They come in the order of writing, as far as they count, and not all at once where they are
        many: ask again, from the last of these on, until there are none.
        """
        wanted: dict[int, tuple[int, int]] = {}
        rows = 0
        for stage, spans in self._spans(job_id).items():
            after = position.get(stage, -1)
            for span, cut in _beyond(spans, after):
                if rows < TOLD_AT_ONCE:
                    wanted[span.id] = (after, cut)
                    rows += span.rows
        found: list[tuple[str, Series]] = []
        ordered = sorted(wanted)
        for number, chunk in zip(ordered, self._read(ordered) if ordered else [], strict=True):
            after, cut = wanted[number]
            ((stage, series),) = stitch([chunk]).stages.items()
            steps = series.columns[STEP]
            kept = [row for row, step in enumerate(steps) if after < (step or 0) < cut]
            columns = {key: [column[row] for row in kept] for key, column in series.columns.items()}
            found.append((stage, Series(series.seed, columns)))
        return found

    def _spans(self, job_id: str) -> dict[str, list[Any]]:
        """Return what chunks there are of each stage since the job last began from scratch."""
        floor = select(Job.resume_floor).where(Job.id == job_id).scalar_subquery()
        theirs = _SPANS.where(MetricChunk.job_id == job_id, MetricChunk.attempt > floor)
        stages: dict[str, list[Any]] = {}
        for span in self._session.execute(theirs):
            stages.setdefault(span.stage, []).append(span)
        return stages

    def metrics(
        self,
        job_id: str,
        *,
        keys: Sequence[str] | None = None,
        max_points: int | None = None,
        after: Mapping[str, int] | None = None,
    ) -> Curves:
        """Return the curves of a job, read as if it had never been interrupted.

        `max_points` bounds the points of each stage; `keys` picks columns; `after` leaves out the
        steps of a stage up to one, and stages that have no others. What later attempts have told
        again is not read, and of a long curve that is to be thin, no more than the outlines.
        """
        known = after or {}
        self._require(job_id)
        whole: list[int] = []
        outlined: dict[int, Any] = {}
        for stage, spans in self._spans(job_id).items():
            kept = _beyond(spans, known.get(stage))
            names = {name for span in spans for name in span.names}
            wanted = len(names & set(keys)) if keys is not None else len(names)
            total = sum(span.rows for span, _ in kept)
            enough = is_outline_enough(total, wanted, max_points)
            for span, cut in kept:
                # The extremes of a part that is cut off may lie beyond the cut.
                is_whole = span.last_step < cut and span.first_step > known.get(stage, -1)
                if enough and span.rows >= OUTLINED and is_whole:
                    outlined[span.id] = span
                else:
                    whole.append(span.id)
        parts: dict[int, Chunk] = {}
        if outlined:
            views = select(MetricView).where(MetricView.chunk_id.in_(outlined))
            for view in self._session.scalars(views):
                span = outlined.pop(view.chunk_id)
                parts[view.chunk_id] = Chunk(
                    attempt=span.attempt,
                    stage=span.stage,
                    seed=span.seed,
                    keys=span.names,
                    count=view.count,
                    first_step=span.first_step,
                    last_step=span.last_step,
                    data=view.data,
                )
        whole = sorted([*whole, *outlined])
        parts.update(zip(whole, self._read(whole) if whole else [], strict=True))
        curves = stitch((parts[place] for place in sorted(parts)), keys, max_points, after)
        curves.downsampled |= len(parts) > len(whole)
        return curves


def _beyond(spans: Sequence[Any], after: int | None) -> list[tuple[Any, int]]:
    """Return the chunks that count, each with the step that it is cut off at.

    That is all whose steps were not told again, or of these what has steps `after` one.
    """
    counting = [(span, cut) for span, cut in zip(spans, cuts(spans), strict=True)]
    return [
        (span, cut)
        for span, cut in counting
        if span.first_step < cut and (after is None or min(span.last_step, cut - 1) > after)
    ]


def _groups(spans: Sequence[Any]) -> list[list[Any]]:
    """Return the runs of newest chunks that are to become one each, in the order of writing."""
    groups: list[list[Any]] = [[]]
    rows = 0
    for span in reversed(spans):
        if span.rows > max(_GROWTH * rows, LONG // _GROWTH if not rows else 0):
            break
        if rows + span.rows > LONG:
            groups.append([])
            rows = 0
        groups[-1].append(span)
        rows += span.rows
    return [group[::-1] for group in groups if len(group) > 1]


def _columns(chunk: Chunk) -> dict[str, Any]:
    return {
        "attempt": chunk.attempt,
        "stage": chunk.stage,
        "seed": chunk.seed,
        "first_step": chunk.first_step,
        "last_step": chunk.last_step,
        "count": chunk.count,
        "keys": chunk.keys,
        "data": chunk.data,
    }
