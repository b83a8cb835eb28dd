"""Specs that need an extra which no worker has: refused at once, and not when one has tried."""

from __future__ import annotations

from collections.abc import Mapping

from api.dependencies import Visit
from api.problems import PayloadProblem
from api.schemas import FieldError
from jobs.spec import JobSpec
from kdcore.entry import Entry


def extras_of(spec: JobSpec) -> Mapping[str, Entry]:
    """Return the parts of a spec that need an extra, by their pointers."""
    parts: dict[str, Entry] = {
        "/teacher/model": spec.teacher.model,
        "/student/model": spec.student.model,
        "/data": spec.data,
    }
    return {pointer: one for pointer, one in parts.items() if one.extra}


def require_extras(visit: Visit, needed: Mapping[str, Entry]) -> None:
    """Refuse what none of the workers can run; where none is there, it waits for one.

    Raises:
        PayloadProblem: as above; the pointers say what needs it.
    """
    oldest = visit.house.oldest_beat()
    with visit.reading() as repository:
        alive = [row.about or {} for row in repository.workers() if row.seen_at >= oldest]
    # One that is older than the list of extras may have any.
    if not alive or any("extras" not in about for about in alive):
        return
    wanted = {one.extra for one in needed.values()}
    if any(wanted <= set(about["extras"]) for about in alive):
        return
    names = ", ".join(sorted(str(extra) for extra in wanted))
    raise PayloadProblem(
        [
            FieldError(
                pointer=pointer,
                code="extra_missing",
                message=f"found {one.name}, which needs the extra `{one.extra}`, and no worker that"
                f" has {names}; expected one",
                hint=f"pip install 'stillhouse-server[{names}]' on a worker, and start it again",
            )
            for pointer, one in needed.items()
        ],
        code="extra_missing",
    )
