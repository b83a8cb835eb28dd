"""The list of jobs, the newest first: by id, page after page, under any filters.

No page may cost more where there are a million jobs. A page under one filter is a walk along that
filter's index. Under several, or in a search for words, the walk follows the rarest of them and
ends after `LOOK` jobs: the page then holds what it found, perhaps nothing, and where to go on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, union_all
from sqlalchemy.orm import QueryableAttribute, defer

from jobs.ids import JOB_ID
from jobs.journal import Journal
from jobs.states import Status
from jobs.tables import Job, JobLabel

LOOK = 10_000
"""Jobs that one page looks at, at most, for those that meet several conditions."""


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of the list of jobs, the newest first."""

    items: Sequence[Job]
    """Without `spec` and `recipe`, which no list shows."""
    next_after: str | None
    """Id to go on after; None on the last page."""


@dataclass(frozen=True, slots=True)
class _Filter:
    """One condition, as an index knows it and as a row meets it."""

    walks: Sequence[tuple[QueryableAttribute[str], ColumnElement[bool] | None]]
    """Ids in an index and what they are picked by; several walks find jobs of several kinds."""
    met: ColumnElement[bool] | None

    def newest(self, project: str | None, after: str | None, limit: int) -> Select[str]:
        """Return the statement for the newest ids after an id, each found by its own walk."""
        parts: list[Select[str]] = []
        for column, condition in self.walks:
            part = select(column.label("id")).order_by(column.desc()).limit(limit)
            if project is not None:  # which each of the indexes begins with
                part = part.where(column.class_.project == project)
            part = part if condition is None else part.where(condition)
            parts.append(part if after is None else part.where(column < after))
        if len(parts) == 1:
            return parts[0]
        # SQLite takes no ORDER BY inside a UNION, but it does inside a subquery.
        found = union_all(*(select(part.subquery().c.id) for part in parts)).subquery()
        return select(found.c.id).order_by(found.c.id.desc()).limit(limit)


_ALL = _Filter([(Job.id, None)], None)


class Listing(Journal):
    """Finding jobs."""

    def list(  # noqa: PLR0913  # one argument a filter
        self,
        *,
        status: Sequence[Status] = (),
        labels: Mapping[str, str | None] | None = None,
        teacher: str | None = None,
        student: str | None = None,
        method: str | None = None,
        q: str | None = None,
        limit: int = 20,
        after: str | None = None,
    ) -> Page:
        """Return jobs that meet all the filters, the newest first.

        A label without a value asks only that it is there. `q` is looked for in names and ids; the
        whole id of a job finds this job alone. Under several filters, or with `q`, a page may be
        short of `limit` and still not be the last (see the head of this file).
        """
        filters: list[_Filter] = []
        if status:
            found = dict.fromkeys(status)
            walks = [(Job.id, Job.status == one) for one in found]
            filters.append(_Filter(walks, Job.status.in_(list(found))))
        filters += [_of_label(key, value) for key, value in (labels or {}).items()]
        exact = {Job.teacher: teacher, Job.student: student, Job.method: method}
        for column, wanted in exact.items():
            if wanted is not None:
                filters.append(_Filter([(Job.id, column == wanted)], column == wanted))
        if q and (whole := _whole_id(q)):
            filters.append(_Filter([(Job.id, Job.id == whole)], Job.id == whole))
            q = None
        if not q and len(filters) <= 1:
            return self._walk(*filters or [_ALL], after=after, limit=limit)
        return self._search(filters, q, after=after, limit=limit)

    def _walk(self, one: _Filter, *, after: str | None, limit: int) -> Page:
        ids = one.newest(self._project, after, limit + 1).subquery()
        jobs = self._jobs(Job.id.in_(select(ids.c.id)), limit=limit + 1)
        page = jobs[:limit]
        return Page(page, page[-1].id if len(jobs) > limit else None)

    def _search(
        self, filters: Sequence[_Filter], q: str | None, *, after: str | None, limit: int
    ) -> Page:
        # Most pages are full after a short look.
        for look in (max(1, LOOK // 20), LOOK):
            page, is_last_look = self._look(filters, q, after=after, limit=limit, look=look)
            if is_last_look or len(page.items) == limit:
                break
        return page

    def _look(
        self,
        filters: Sequence[_Filter],
        q: str | None,
        *,
        after: str | None,
        limit: int,
        look: int,
    ) -> tuple[Page, bool]:
        """Return what is among so many jobs, and whether there are no more to look at."""
        rarest = self._rarest(filters, after, look)
        walk = rarest.newest(self._project, after, look)
        met = [one.met for one in filters if one is not rarest and one.met is not None]
        window = walk.subquery()
        inside = select(window.c.id)
        if q and filters:
            met.append(_named(Job, q))
        elif q:
            # An index has names as well: most jobs are passed by without a look at their rows.
            window = walk.add_columns(Job.name).subquery()
            inside = select(window.c.id).where(_named(window.c, q))
        jobs = self._jobs(Job.id.in_(inside), *met, limit=limit + 1)
        page = jobs[:limit]
        if len(jobs) > limit:
            return Page(page, page[-1].id), False
        last = self._session.scalar(walk.limit(1).offset(look - 1))
        return Page(page, last), last is None

    def _rarest(self, filters: Sequence[_Filter], after: str | None, look: int) -> _Filter:
        """Return the filter that the fewest jobs meet, as far as anybody will look."""
        if len(filters) <= 1:
            return filters[0] if filters else _ALL

        def found(one: _Filter) -> int:
            walk = one.newest(self._project, after, look).subquery()
            return self._session.scalar(select(func.count()).select_from(walk)) or 0

        return min(filters, key=found)

    def _jobs(self, *where: ColumnElement[bool], limit: int) -> Sequence[Job]:
        wide = defer(Job.spec, raiseload=True), defer(Job.recipe, raiseload=True)
        statement = select(Job).where(*where).order_by(Job.id.desc()).limit(limit).options(*wide)
        return self._session.scalars(statement).all()


def _of_label(key: str, value: str | None) -> _Filter:
    picked = JobLabel.key == key
    if value is not None:
        picked &= JobLabel.value == value
    theirs = select(JobLabel.job_id).where(JobLabel.job_id == Job.id, picked)
    return _Filter([(JobLabel.job_id, picked)], theirs.exists())


def _named(columns: Any, q: str) -> ColumnElement[bool]:
    named: ColumnElement[bool] = columns.name.icontains(q, autoescape=True)
    return named | columns.id.icontains(q, autoescape=True)


def _whole_id(q: str) -> str | None:
    """Return the id of a job, where that is what was asked for, with or without `job_`."""
    text = q.strip().lower()
    return next((whole for whole in (text, f"job_{text}") if JOB_ID.fullmatch(whole)), None)
