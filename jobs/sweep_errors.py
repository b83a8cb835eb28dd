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
            f"{sweep_id} has come to its end; expected one that runs, was cancelled, or was ended "
            "by its budget",
            hint="post another sweep; teachers' answers are kept",
        )


class BudgetSpent(JobError):
    """A sweep may not go on with what it was given."""

    code = "sweep_budget_spent"

    def __init__(self, sweep_id: str, granted: float, spent: float) -> None:
        """Name both."""
        super().__init__(
            f"{sweep_id} has spent {spent:,.0f} seconds, of a budget of {granted:,.0f}; expected a "
            "larger one",
            hint='resume it with a larger budget: {"budget": {"seconds": …}}, or null for none',
        )
