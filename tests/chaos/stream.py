"""The stream of jobs: submitted under keys by a patient client, listened to, and compared later."""

import contextlib
import random
import threading
import time
from typing import Any

import httpx
from stillhouse import Client
from stillhouse.errors import StillhouseError

from jobs.states import TERMINAL, Status, Verb

TINY: dict[str, Any] = {
    "teacher": {"model": {"name": "mlp", "hidden": [24]}},
    "student": {"model": {"name": "mlp", "hidden": [6]}},
    "data": {"name": "digits", "labelled": 100, "validation_size": 97},
    "training": {"max_steps": 300, "save_steps": 25},
    "export": ["safetensors"],
    "max_attempts": 20,
}
KINDS: dict[str, dict[str, Any]] = {
    "kd": TINY,
    "dkd": TINY | {"method": "dkd", "baseline": False},
    "takd": TINY
    | {
        "method": {"name": "takd", "assistants": [{"name": "mlp", "hidden": [12]}]},
        "baseline": False,
    },
    "two seeds": TINY | {"seeds": [0, 1], "baseline": False},
}
"""Each is deterministic on a CPU: whatever happens to it, its files must come out the same."""
VERBS = (Verb.CANCEL, Verb.PAUSE, Verb.RESUME, Verb.RETRY)
PATIENCE_SECONDS = 600.0
LISTENS_SECONDS = 60.0
"""How long a listener waits for a server that is gone; what it was told until then counts."""
AHEAD = 6
"""Jobs that have not ended at any time."""


class Stream:
    """Submits jobs and listens to some of them, in threads of its own, until stopped."""

    def __init__(self, url: str, seed: int) -> None:
        """Get ready to speak to a server."""
        self.url = url
        self._seed = seed
        self._rng = random.Random(f"stream {seed}")
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.accepted: dict[str, str] = {}
        """The kind of each job that a 201 was heard for, by its id."""
        self.heard: dict[str, list[int]] = {}
        """The numbers of events that a listener was told, by job, in that order."""
        self.refused: list[str] = []

    def client(self, patience: float = PATIENCE_SECONDS) -> Client:
        """Return a client that waits for a server that comes back."""
        return Client(self.url, patience_seconds=patience, timeout_seconds=20.0)

    def calm(self) -> dict[str, str]:
        """Run one job of each kind undisturbed, in a single attempt; return their ids."""
        jobs: dict[str, str] = {}
        with self.client() as client:
            while missing := [kind for kind in KINDS if kind not in jobs]:
                made = {kind: client.submit(KINDS[kind])["id"] for kind in missing}
                for kind, job_id in made.items():
                    ended = client.wait(job_id, timeout_seconds=PATIENCE_SECONDS)
                    assert ended["status"] == "succeeded", (kind, ended["failure"])
                    if ended["attempt"] == 1:
                        jobs[kind] = job_id
        return jobs

    def start(self) -> None:
        """Begin to submit."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Submit no more; what is on its way is submitted still."""
        self._stopped.set()

    def has_stopped(self, seconds: float) -> bool:
        """Wait for so long, and say whether nothing is on its way any more."""
        if self._thread is not None:
            self._thread.join(seconds)
        return self._thread is None or not self._thread.is_alive()

    def _run(self) -> None:
        number = 0
        with self.client() as client:
            while not self._stopped.is_set():
                try:
                    queue = client.list(status=[one for one in Status if one not in TERMINAL])
                    while len(queue["data"]) < AHEAD and not self._stopped.is_set():
                        kind = self._rng.choice(list(KINDS))
                        key = f"chaos-{self._seed}-{number}"
                        job = client.submit({**KINDS[kind], "name": key}, idempotency_key=key)
                        self.accepted[job["id"]] = kind
                        if number % 3 == 0:
                            self._listen(job["id"])
                        number += 1
                        queue["data"].append(job)
                except StillhouseError as error:
                    self.refused.append(repr(error))
                self._stopped.wait(0.5)

    def _listen(self, job_id: str) -> None:
        numbers = self.heard[job_id] = []

        def listen() -> None:
            with self.client(LISTENS_SECONDS) as client, contextlib.suppress(StillhouseError):
                # Progress is told without a number, and not kept.
                told = (event["seq"] for event in client.watch(job_id))
                numbers.extend(number for number in told if number is not None)

        threading.Thread(target=listen, daemon=True).start()

    def ask(self, job_id: str, verb: Verb, body: dict[str, Any] | None = None) -> int | None:
        """Do something to a job; return the answer's status, None where there was none."""
        try:
            url = f"{self.url}/v1/jobs/{job_id}/{verb}"
            return httpx.post(url, json=body or {}, timeout=10.0).status_code
        except httpx.HTTPError:
            return None

    def status(self, job_id: str) -> Status | None:
        """Return a job's status, None where nobody answers."""
        with contextlib.suppress(httpx.HTTPError, ValueError, KeyError):
            return Status(httpx.get(f"{self.url}/v1/jobs/{job_id}", timeout=10.0).json()["status"])
        return None

    def settle(self, seconds: float) -> list[str]:
        """Wait until all jobs have ended, resuming the paused; return those that have not."""
        deadline = time.monotonic() + seconds
        open_jobs = list(self.accepted)
        while open_jobs and time.monotonic() < deadline:
            for job_id in list(open_jobs):
                status = self.status(job_id)
                if status in TERMINAL:
                    open_jobs.remove(job_id)
                elif status is Status.PAUSED:
                    self.ask(job_id, Verb.RESUME)
            time.sleep(0.5)
        return open_jobs
