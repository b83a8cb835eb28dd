"""What can go wrong with sweeps; like all of the ledger's errors, without HTTP."""

# ruff: noqa: N818  # the names say what happened, as in `jobs/errors.py`

from jobs.errors import JobError


class SweepNotFound(JobError):
    """There is no such sweep."""

    code = "sweep_not_found"

    def __init__(self, sweep_id: str) -> None:
        """Name it."""
        super().__init__(
            f"there is no sweep {sweep_id[:80]!r}", hint="GET /v1/sweeps lists the sweeps"
        )


class SweepEnded(JobError):
    """All its trials have ended."""

    code = "sweep_completed"

    def __init__(self, sweep_id: str) -> None:
        """Name it."""
        super().__init__(
            f"{sweep_id} has come to its end; expected one that runs or was cancelled",
            hint="post another sweep; teachers' answers are kept",
        )
