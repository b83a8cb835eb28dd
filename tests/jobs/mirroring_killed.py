"""Mirrors that are killed in the middle: `python mirroring_killed.py <step> …`, one for each step.

MLflow has what the step sends, when its mirror is killed: nobody has written down that it has.
Settings come from the environment.
"""

import os
import signal
import sys
from typing import Any

from jobs import rounds
from jobs.database import Database
from jobs.mirror import Mirror
from jobs.mlflow_client import Mlflow
from jobs.settings import Settings
from jobs.stores import open_store


def main() -> None:
    """Run a mirror for each step, until it is killed."""
    settings = Settings()
    mlflow = Mlflow(settings.mlflow_url)  # loaded once: it takes seconds
    for step in sys.argv[1:]:
        child = os.fork()
        if not child:
            tell_until(step, settings, mlflow)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            sys.exit(f"{step} was never reached")


def tell_until(step: str, settings: Settings, mlflow: Mlflow) -> None:
    """Tell what is due, and be killed once a step is done."""
    real = getattr(Mlflow, step)

    def killed(*arguments: Any) -> Any:
        real(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(Mlflow, step, killed)
    rounds.LOOK_SECONDS = 0.1  # type: ignore[misc]  # sooner, for a test
    with Database(settings.database_url) as database:
        Mirror(settings, database, open_store(settings), mlflow, lease_seconds=0.5).run()


if __name__ == "__main__":
    main()
