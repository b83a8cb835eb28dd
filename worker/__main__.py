"""`python -m worker` runs a worker; `python -m worker sweeper` runs a sweeper alone."""

import argparse
import logging
import signal
import sys
import threading

from pydantic import ValidationError
from pydantic_settings import SettingsError

from jobs.database import UNREACHABLE, open_database
from jobs.errors import JobError
from jobs.logs import set_up_logging
from jobs.queue import Bell
from jobs.secrecy import hide_environment
from jobs.settings import Settings
from jobs.stores import open_store, prepare_store
from jobs.sweeper import SweeperThread
from jobs.traces import set_up_traces
from worker.blinkers import can_hide, hidden_files
from worker.collector import Collector
from worker.tasks import run_worker

CONFIGURATION_ERROR = 78
UNAVAILABLE = 69

log = logging.getLogger("worker")


def main() -> int:
    """Run the process that the command line names; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m worker", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["worker", "sweeper"], default="worker")
    arguments = parser.parse_args()
    try:
        settings = Settings()
    except (SettingsError, ValidationError) as error:
        parser.error(str(error))
    set_up_logging(settings, arguments.what)
    hide_environment()
    set_up_traces(arguments.what)
    if arguments.what == "worker" and hidden_files() and not can_hide():
        log.warning(
            "trainers can read the files that %s name: this system has no Landlock (Linux 5.19)",
            ", ".join(hidden_files()),
        )
    try:
        return run_sweeper(settings) if arguments.what == "sweeper" else run_worker(settings)
    except UNREACHABLE as error:
        log.error("the database does not answer: %s", error.__cause__ or error)  # noqa: TRY400
        return UNAVAILABLE
    except JobError as error:
        log.error("%s (%s)", error, error.hint)  # noqa: TRY400  # a sentence, not a trace
        return CONFIGURATION_ERROR


def run_sweeper(settings: Settings) -> int:
    """Sweep and collect until told to end by SIGTERM or SIGINT.

    Raises:
        StoreMisconfigured: the artifact store refuses us.
    """
    # Waited for instead of handled: a handler that sets an event which its own thread waits on can
    # block for ever.
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    stop = threading.Event()
    store = open_store(settings)
    prepare_store(store)
    with open_database(settings) as database:
        bell = Bell(settings)
        sweeper = SweeperThread(settings, database, bell)
        collector = Collector(settings, database, store)
        # Not waited for: a store may hang, and what was about to be removed, the next one removes.
        threading.Thread(target=collector.run, args=(stop,), name="collector", daemon=True).start()
        signal.sigwait(ends)
        stop.set()
        sweeper.close()
        bell.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
