"""How a job, or all jobs of a sweep, are cancelled."""

from __future__ import annotations

from typing import Literal

from api.checks import Sent


class Cancel(Sent):
    """How a job is cancelled."""

    mode: Literal["graceful", "now"] = "graceful"
    """`graceful` saves a checkpoint first, `now` kills the trainer."""
