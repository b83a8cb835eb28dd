"""An API that dies while it stores a job: `python crashing_api.py written|committed ARGUMENTS`."""

import os
import signal
import sys
from typing import Any

from api import dependencies
from api.__main__ import main
from jobs import intake


def die() -> None:
    """Be killed, with no chance to clean up."""
    os.kill(os.getpid(), signal.SIGKILL)


def lay(point: str) -> None:
    """Have this process die before or after the commit of a submission."""
    holder, name = (intake, "store") if point == "written" else (dependencies, "store_all")
    real = getattr(holder, name)

    def dying(*arguments: Any) -> Any:
        real(*arguments)
        die()

    setattr(holder, name, dying)


if __name__ == "__main__":
    lay(sys.argv.pop(1))
    sys.exit(main())
