"""The keeper: has a nursery at hand for as long as the worker runs, and trainers forked from it."""

import contextlib
import ctypes
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from worker.environment import bare_environment

NURSERY = (sys.executable, "-P", "-m", "worker.nursery")
ANSWER_SECONDS = 5.0
"""How long a nursery may take to fork; a cold start takes about as long."""
PAUSE_SECONDS = 1.0
"""Before a nursery that has served is replaced."""
MAX_PAUSE_SECONDS = 600.0
"""Before another try where one after the other ends before it is ready."""
_PR_SET_CHILD_SUBREAPER = 36
_ONE_THREAD = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""What keeps libraries that are loaded along from starting threads: pandas loads Arrow, if it is
installed, and nothing can be forked beside a thread."""
_MAX_ANSWER_BYTES = 32

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ends:
    """What a trainer is born with: its folder, and its ends of what it reads and writes."""

    order: int
    events: int
    log: int
    workdir: Path


class Adopted:
    """A process that the nursery forked, and that the system made a child of this one."""

    def __init__(self, pid: int) -> None:
        """Take the process for what it is.

        Raises:
            ChildProcessError: it is no child of this process.
        """
        self.pid = pid
        self.returncode: int | None = None
        # Looks without waiting for it: its number is its own until it has been waited for.
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)

    def wait(self) -> int:
        """Wait for its end; return its exit code, or minus the signal."""
        if self.returncode is None:
            _, status = os.waitpid(self.pid, 0)
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


class Keeper:
    """Keeps one nursery; where there is none that is ready, trainers are started cold."""

    def __init__(self, command: Sequence[str] = NURSERY) -> None:
        """Get ready to keep what the command starts."""
        self._command = command
        self._asking = threading.Lock()
        self._channel: socket.socket | None = None
        """To a nursery that is ready."""
        self._starting = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = threading.Event()
        self.ready = threading.Event()
        """Set while trainers can be forked."""

    @property
    def pid(self) -> int | None:
        """The nursery's process id, while it runs."""
        return self._process.pid if self._process else None

    def run(self) -> None:
        """Start a nursery, and another one whenever it has ended, until closed.

        A nursery ends with the thread that calls this; its trainers do not.
        """
        pause = PAUSE_SECONDS
        while not self._closed.is_set():
            try:
                served = self._keep_one()
            except OSError as error:
                log.warning("the nursery could not be started: %s", error)
                served = False
            if self._closed.is_set():
                return
            pause = PAUSE_SECONDS if served else min(4 * pause, MAX_PAUSE_SECONDS)
            log.warning("there is no nursery; trainers start cold until the next one is ready")
            self._closed.wait(pause)

    def _keep_one(self) -> bool:
        """Keep a nursery until it ends; tell whether it was ever ready."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs, self._starting:
                if self._closed.is_set():
                    return False
                words = ["--channel-fd", str(theirs.fileno()), "--parent", str(os.getpid())]
                self._process = process = subprocess.Popen(  # noqa: S603  # our own program
                    [*self._command, *words],
                    stdin=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                    cwd="/",
                    env={**_ONE_THREAD, **bare_environment()},
                )
            served = bool(ours.recv(_MAX_ANSWER_BYTES))
            if served:
                ours.settimeout(ANSWER_SECONDS)
                self._channel = ours
                self.ready.set()
                log.info("the nursery is ready: trainers start warm")
            # Reaped only where nobody can be about to kill it, so that its number stays its own.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            with self._starting:
                process.wait()
            with self._asking:
                self.ready.clear()
                self._channel = None
        return served

    def fork(self, ends: Ends) -> Adopted | None:
        """Have a trainer forked; None where that cannot be had.

        One that is forked and whose id is not heard gets no order, and so ends by itself.
        """
        with self._asking:
            if self._channel is None:
                return None
            try:
                with _adopting():
                    request = json.dumps({"workdir": str(ends.workdir)}).encode()
                    descriptors = (ends.order, ends.events, ends.log)
                    socket.send_fds(self._channel, [request], descriptors)
                    answer = self._channel.recv(_MAX_ANSWER_BYTES)
                return Adopted(int(answer))
            except (OSError, ValueError) as error:
                log.warning("the nursery forked no trainer: %r", error)
                # What it may answer later would be taken for the answer to another request.
                self._channel = None
                with self._starting:
                    self._kill()
                return None

    def close(self) -> None:
        """End the nursery, if there is one, and let `run` return."""
        self._closed.set()
        with self._starting:
            self._kill()

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()


@contextmanager
def _adopting() -> Generator[None]:
    """Be given the orphans of this process's descendants.

    Only for as long as it takes: what else a trainer leaves behind is for the system to reap.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "this system gives no orphans away")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
