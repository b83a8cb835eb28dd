"""What a job's trainers wrote beside their events: warnings of libraries, a crash's last words."""

from __future__ import annotations

import re
from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.responses import PlainTextResponse, Response

from api.answers import NO_STORE, problems
from api.dependencies import JobId, Ledger
from api.problems import Problem
from jobs.logs import plain
from jobs.operations import KeptLog
from jobs.repository import Repository

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["watch"])

MOST_LINES: Final = 10_000
MOST_BYTES: Final = 4 << 20
_LINE_END: Final = re.compile(r"\r\n|\n|\r")


@router.get(
    "/logs",
    operation_id="get_logs",
    response_class=PlainTextResponse,
    responses={
        200: {"description": "The last lines; each attempt begins with a line that names it."}
    }
    | problems(404, 410, 422),
)
def get_logs(
    visit: Ledger,
    job_id: JobId,
    attempt: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="This one alone")] = None,
    tail: Annotated[int, Query(ge=1, le=MOST_LINES, description="Lines at most")] = 1000,
) -> Response:
    """Return the last lines that a job's trainers wrote, as plain text, newest last.

    The beginning and the end of each attempt are kept; a line says how much was left out between.
    Characters that could not be printed are spelt out.
    """
    with visit.reading() as repository:
        repository.get(job_id)
        lines = last_lines(repository, job_id, attempt, most=tail)
    text = "".join(f"{line}\n" for line in lines)
    # Its own type, so that no browser takes it for a page, whatever is in it.
    return PlainTextResponse(text, headers=NO_STORE)


def last_lines(
    repository: Repository, job_id: str, attempt: int | None = None, *, most: int
) -> list[str]:
    """Return the last lines that a job's trainers wrote, or one attempt's, the newest last.

    Raises:
        Problem: 404; there is no such attempt.
    """
    kept = repository.trainer_log(job_id, attempt=attempt)
    if kept is None and attempt is not None:
        raise Problem(
            404,
            "attempt_not_found",
            f"job {job_id} has no attempt {attempt}",
            hint="GET …/attempts lists them",
        )
    lines: list[str] = []
    size = 0
    while kept is not None:
        told = _told(kept)
        size += sum(map(len, told))
        lines = [*told, *lines]
        if attempt is not None or len(lines) >= most or size > MOST_BYTES:
            break
        kept = repository.trainer_log(job_id, before=kept.attempt)
    return lines[-most:]


def _told(kept: KeptLog) -> list[str]:
    how = kept.reason or kept.status
    first = f"--- attempt {kept.attempt} on {plain(kept.worker)}: {plain(how)} ---"
    if not kept.left_out:
        return [first, *_split(kept.head + kept.tail)]
    gap = f"--- {kept.left_out} bytes were left out here ---"
    return [first, *_split(kept.head), gap, *_split(kept.tail)]


def _split(written: bytes) -> list[str]:
    text = written.decode(errors="replace")
    # A line that is drawn again and again, a bar of progress, is told as that many lines.
    lines = _LINE_END.split(text.removesuffix("\n")) if text else []
    return [plain(line.expandtabs()) for line in lines]
