"""`stillhouse up`: API and workers on this machine, as one thing that starts and stops together."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path
from typing import Final, TextIO

import httpx

from stillhouse.address import SERVER_FILE, Running, running
from stillhouse.children import Child, Killing, environment, stop
from stillhouse.errors import UpError

DEFAULT_PORT: Final = 8000
_READY_SECONDS: Final = 90.0
_WORKER_GRACE_SECONDS: Final = 75.0
"""A trainer finishes its step and saves; the worker itself ends one that takes over a minute."""
_API_GRACE_SECONDS: Final = 5.0
"""Open event streams are cut; their readers come back by themselves."""
_API_DEATHS: Final = 3
_NEEDED: Final = ("api", "worker", "torch")


@dataclass
class House:
    """One server on this machine: an API process, workers, and the data folder they share."""

    data: Path
    host: str
    port: int | None
    """None: 8000, or any free one. 0: any free one."""
    workers: int
    tell: Callable[[str], None]
    """Told what people should know."""
    url: str = ""
    asked_to_stop: threading.Event = field(default_factory=threading.Event)
    killing: Killing = field(default_factory=Killing)

    def run(self, ready: Callable[[], None]) -> None:
        """Start everything, call `ready`, and stay until a signal asks for the end.

        Raises:
            UpError: it cannot start, or the API keeps dying.
        """
        missing = [name for name in _NEEDED if find_spec(name) is None]
        if missing:
            raise UpError(
                f"the server is not installed here (no {', '.join(missing)}): this is the client "
                "alone. Install it with: pip install 'stillhouse-server[train]'"
            )
        with only_one(self.data), self._signals():
            (self.data / "inputs").mkdir(exist_ok=True)  # where specs look for files
            api = self._start_api()
            crew = [self._worker(number) for number in range(1, self.workers + 1)]
            try:
                if api is None:
                    return
                for child in crew:
                    child.start()
                self._write_server_file()
                ready()
                self._watch(api, crew)
            finally:
                (self.data / SERVER_FILE).unlink(missing_ok=True)
                self.tell("Stopping; running jobs are being saved. Ctrl-C again does not wait …")
                # Workers first: watchers still see how their jobs were put back.
                late = stop(crew, self.killing) + stop([api] if api else [], self.killing)
                killed = f" (killed: {', '.join(late)})" if late else ""
                self.tell(f"Stopped{killed}. Jobs that were running go on at the next start.")

    def _start_api(self) -> Child | None:
        """The API, once it answers; None if the end was asked for meanwhile."""
        for _ in range(_API_DEATHS):
            port = choose_port(self.host, self.port)
            shown = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104
            self.url = f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
            api = self._child("api", ["api", "--host", self.host, "--port", str(port)])
            api.grace_seconds = _API_GRACE_SECONDS
            api.start()
            try:
                if self._answers(api):
                    return api
            except BaseException:
                stop([api], Killing(now=True))
                raise
            if self.asked_to_stop.is_set():
                stop([api], self.killing)
                return None
            obituary = api.mourn()
            # Somebody took the port between our look and the API's: only then try another.
            if self.port or "address already in use" not in obituary.lower():
                raise UpError(f"the API does not start: {obituary}")
        raise UpError("no port stayed free long enough for the API; name one with --port")

    def _answers(self, api: Child) -> bool:
        """Wait until the API is ready; False if it ended or the end was asked for."""
        until = time.monotonic() + _READY_SECONDS
        said = "nothing"
        while api.running and not self.asked_to_stop.wait(0.1):
            with contextlib.suppress(httpx.HTTPError):
                response = httpx.get(f"{self.url}/readyz", timeout=5.0, trust_env=False)
                if response.status_code == HTTPStatus.OK:
                    return True
                said = response.text[:500]
            if time.monotonic() > until:
                raise UpError(
                    f"the API is not ready after {_READY_SECONDS:g} s; /readyz said: {said}\n"
                    f"the end of {api.log}:\n{api.tail()}"
                )
        return False

    def _watch(self, api: Child, crew: list[Child]) -> None:
        while not self.asked_to_stop.wait(0.2):
            for child in (api, *crew):
                if child is not api and child.ended_in_order:
                    child.retire()
                    again = "the next `stillhouse up` has it again"
                    self.tell(f"{child.name} has drained; {again}, jobs go to those that are left")
                elif child.process is not None and not child.running:
                    self.tell(child.mourn())
                    if child is api and len(child.deaths) >= _API_DEATHS:
                        raise UpError("the API keeps ending; everything is stopped")
                if child.process is None and time.monotonic() >= child.again_at:
                    self.tell(f"{child.name} starts again")
                    child.start()

    def _worker(self, number: int) -> Child:
        return self._child(f"worker-{number}", ["worker"])

    def _child(self, name: str, command: list[str]) -> Child:
        log = self.data / "logs" / f"{name}.log"
        return Child(name, command, log, environment(self.data), _WORKER_GRACE_SECONDS)

    def _write_server_file(self) -> None:
        file, beside = self.data / SERVER_FILE, self.data / f"{SERVER_FILE}.tmp"
        beside.write_text(json.dumps(Running(url=self.url, pid=os.getpid())), encoding="utf-8")
        beside.replace(file)

    @contextlib.contextmanager
    def _signals(self) -> Generator[None]:
        def asked(_number: int, _frame: object) -> None:
            if self.asked_to_stop.is_set():
                self.killing.now = True
            self.asked_to_stop.set()

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, asked) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def only_one(data: Path) -> Generator[None]:
    """Hold the data folder for this process; the system lets go of it however the process ends.

    Raises:
        UpError: another `up` holds it, or it cannot be written.
    """
    import fcntl

    try:
        data.mkdir(parents=True, exist_ok=True)
        lock: TextIO = (data / "up.lock").open("w")
    except OSError as error:
        raise UpError(
            f"the data folder cannot be written: {error}; name another with --data"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            found = running(data)
            where = f"at {found['url']} (process {found['pid']})" if found else "and is starting"
            raise UpError(
                f"Stillhouse already runs on {data} {where}. Use that one, stop it with Ctrl-C "
                "there, or name another folder with --data"
            ) from None
        yield


def choose_port(host: str, wanted: int | None) -> int:
    """A port that is free now: `wanted`, or for None the default one if it is free.

    Raises:
        UpError: the wanted port is taken, or the host is not this machine's.
    """
    problem = OSError()
    for port in (DEFAULT_PORT, 0) if wanted is None else (wanted,):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                problem = error
                continue
            return int(probe.getsockname()[1])
    raise UpError(
        f"cannot listen on {host}:{wanted}: {problem.strerror}; "
        "leave --port out and a free one is found"
    )
