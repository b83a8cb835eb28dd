"""Runs a server's module so that it cannot outlive `stillhouse up`, however that ends.

`python -m stillhouse.leash GRACE MODULE [ARGUMENT]...` runs MODULE as `python -m` would, in this
process. Standard input is a pipe whose other end only `up` holds: when it closes, the module is
asked to end (SIGTERM) and after GRACE seconds is ended (SIGKILL). Unlike Linux's PR_SET_PDEATHSIG
this works on macOS too, and also against a module that does not heed the first signal.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time


def main() -> None:
    """Tie the knot, then become the module."""
    grace, module, *arguments = sys.argv[1:]
    leash = os.dup(0)
    # Nobody below may wait on the leash for input.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    threading.Thread(target=_hold, args=(leash, float(grace)), name="leash", daemon=True).start()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _hold(leash: int, grace_seconds: float) -> None:
    while os.read(leash, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace_seconds)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
