"""The only Celery-shaped code: a task that is a doorbell, and the step that puts it on a worker.

The worker is a real Celery worker with a pool of threads. Celery brings the bell and the pool;
which job is run, by whom and whether again, is decided in the ledger alone.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar, cast

from celery import bootsteps
from celery.apps import worker as celery_worker
from celery.signals import setup_logging, worker_shutting_down
from celery.worker import state
from celery.worker.consumer import Consumer

from jobs.artifacts import ArtifactStore
from jobs.database import Database, open_database
from jobs.doorbell import Doorbell
from jobs.errors import Unfit
from jobs.operating import DrainMode
from jobs.queue import QUEUE, WAKE, Bell, create_queue
from jobs.settings import Settings
from jobs.stores import open_store, prepare_store
from jobs.sweeper import Sweeper
from worker.attempt import Supervisor
from worker.collector import Collector
from worker.greeter import Greeter
from worker.inspecting import Inspecting
from worker.keeper import Keeper
from worker.machine import too_old
from worker.slots import Slots
from worker.stay import Stay

LISTEN_SECONDS = 0.1

log = logging.getLogger(__name__)
_bootsteps = cast("Any", bootsteps)
_state = cast("Any", state)
_shutting_down = cast("Any", worker_shutting_down)
_setup_logging = cast("Any", setup_logging)


class EngineRoom:
    """Everything that one worker process runs beside Celery: slots, inspections, sweepers."""

    def __init__(self, settings: Settings, database: Database, store: ArtifactStore) -> None:
        """Prepare the room; nothing runs before `open`."""
        self.settings = settings
        self._database = database
        self._store = store
        self._bell = Bell(settings)
        self.draining = threading.Event()
        self._over = threading.Event()
        # Elsewhere a process that has loaded this much is not safe to fork.
        self._keeper = Keeper() if settings.warm and sys.platform == "linux" else None
        self._doorbell: Doorbell | None = None
        self._slots: Slots | None = None
        self._stay = Stay(settings)
        self._inspecting = Inspecting(settings, database, store, self.draining, self._stay)
        self._threads: list[threading.Thread] = []

    def wake(self) -> None:
        """Look for a job, and for an inspection, now."""
        self._inspecting.ring()
        if self._slots is not None:
            self._slots.ring()

    def open(self, start: Callable[[Callable[[], None]], object]) -> None:
        """Begin to take jobs, running each through `start`."""
        supervisor = Supervisor(
            self.settings, self._database, self._store, self.draining, keeper=self._keeper
        )
        slots = self._slots = Slots(self.settings, self._database, supervisor, start, self._stay)
        sweeper = Sweeper(self.settings, self._database, self._bell)
        collector = Collector(self.settings, self._database, self._store)
        greeter = Greeter(self.settings, self._database, slots.worker_id, self._heed)
        for name, run in (
            ("slots", lambda: self._work(slots)),
            ("inspecting", self._inspecting.run),
            ("sweeper", lambda: sweeper.run(self.draining)),
            ("collector", lambda: collector.run(self.draining)),
            ("greeter", lambda: greeter.run(self._over)),
            *([("keeper", self._keeper.run)] if self._keeper else []),
            *([("doorbell", self._listen)] if self._hang_up_doorbell(slots.worker_id) else []),
        ):
            thread = threading.Thread(target=run, name=name, daemon=True)
            # A store may hang, and what a collector was about to do, the next one does.
            if name != "collector":
                self._threads.append(thread)
            thread.start()
        log.info("worker %s: %d slots", slots.worker_id, self.settings.slots)

    def hear_shutdown(self, **_: object) -> None:
        """Drain; this is called inside a signal handler, and maybe more than once."""
        if not self.draining.is_set():
            self.draining.set()

    def drain(self) -> None:
        """Take no more jobs, and have the running ones save and go back to the queue."""
        self.draining.set()
        self.wake()
        if self._keeper is not None:
            self._keeper.close()
        if self._doorbell is not None:
            self._doorbell.stop()

    def close(self) -> None:
        """Drain, and wait until nothing runs any more."""
        self.drain()
        for thread in self._threads:
            thread.join()
        self._bell.close()

    def _hang_up_doorbell(self, worker_id: str) -> bool:
        """Have a bell of its own, where no broker brings one; without any, there is the poll."""
        if not self.settings.rings:
            try:
                self._doorbell = Doorbell(self.settings.bells, worker_id)
            except (OSError, AttributeError) as error:  # Windows has no os.mkfifo
                log.warning("no bell can ring in %s: %s", self.settings.bells, error)
        return self._doorbell is not None

    def _listen(self) -> None:
        assert self._doorbell is not None  # noqa: S101  # hung up before
        with self._doorbell as bell:
            while bell.wait():
                self.wake()

    def _work(self, slots: Slots) -> None:
        try:
            slots.run()
        finally:
            self._over.set()
            self._end()

    def _heed(self, mode: DrainMode) -> None:
        """Do what the ledger asks for; it asks again and again."""
        if mode is DrainMode.SAVE:
            self._end()
        elif self._slots is not None:
            self._slots.leave()

    def _end(self) -> None:
        """End as at SIGTERM, which is the one way in which a worker ends."""
        if not self.draining.is_set():
            log.info("this worker ends: it is drained, told to save, or its stay is over")
            os.kill(os.getpid(), signal.SIGTERM)


class RoomStep(_bootsteps.StartStopStep):
    """Opens the engine room when Celery's pool is there, and closes it before the pool goes."""

    requires: ClassVar[set[str]] = {"celery.worker.components:Pool"}
    room: ClassVar[EngineRoom]

    def start(self, parent: Any) -> None:
        """Run attempts in the pool's threads."""
        self.room.open(parent.pool.apply_async)

    def stop(self, parent: Any) -> None:  # noqa: ARG002  # Celery's signature
        """Wait until the running attempts have saved."""
        self.room.close()

    terminate = stop


class UnshakenConsumer(Consumer):
    """Celery's consumer, for which a message that makes no sense is no reason to end the worker.

    Celery 5.7 ends with "Unrecoverable error" when what lies in the queue is not even JSON. The bad
    message is gone by then: connecting anew is all that is needed.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Take any error of the broker's connection for one that passes."""
        super().__init__(*arguments, **options)
        self.connection_errors: tuple[type[Exception], ...] = (Exception,)


class BrokerlessConsumer(UnshakenConsumer):
    """The consumer of a worker without a broker, which only waits for the worker's end.

    Celery's own loop looks into an in-process queue, where nothing can come, and while it does so
    it takes up to three seconds to hear that the worker shall end.
    """

    def loop(self, *_: object) -> None:
        """Wait until the worker ends; takes the place of Celery's loop."""
        consumer = cast("Any", self)
        consumer.on_ready()
        while consumer.blueprint.state == _bootsteps.RUN:
            _state.maybe_shutdown()
            # Not for an event: the signal's handler, in this very thread, could not set it.
            time.sleep(LISTEN_SECONDS)


def _leave_logging(**_: object) -> None:
    """Answer Celery's question who sets up the logs: `jobs.logs` does."""


def _say_nothing(*_: object) -> None:
    """Stand in for Celery's printing."""


def create_worker_app(settings: Settings, room: EngineRoom) -> Any:
    """Return the Celery app of a worker process: the bell's task, and the engine room."""
    app = create_queue(settings)
    consumer = UnshakenConsumer if settings.rings else BrokerlessConsumer
    app.conf.worker_consumer = f"{__name__}:{consumer.__name__}"

    @app.task(name=WAKE, ignore_result=True)
    def wake(job_id: str) -> None:  # pyright: ignore[reportUnusedFunction]  # Celery calls it
        """Look for a job; which one the bell was rung for does not matter."""
        log.debug("the bell rang for %.40s", job_id)
        room.wake()

    app.steps["worker"].add(type("Room", (RoomStep,), {"room": room}))
    # Whoever answers this signal has set up the logs; Celery then leaves them alone.
    _setup_logging.connect(_leave_logging, weak=False)
    # Sent from the signal handler, at once: the stop of the steps comes later.
    _shutting_down.connect(room.hear_shutdown, weak=False)
    return app


def run_worker(settings: Settings) -> int:
    """Run a worker until it is told to end; return the process's exit code.

    Raises:
        StoreMisconfigured: the artifact store could never take a file.
        Unfit: trainers cannot be run here.
    """
    if reason := too_old():
        raise Unfit(reason, hint="install what a trainer needs: 'stillhouse-server[train]'")
    if settings.log_format == "json":
        # What Celery's signal handlers print, past all logs, is no entry of one.
        cast("Any", celery_worker).safe_say = _say_nothing
    store = open_store(settings)
    prepare_store(store)
    with open_database(settings) as database:
        app = create_worker_app(settings, EngineRoom(settings, database, store))
        app.worker_main(
            [
                "--quiet",  # its banner is no line of a log
                "worker",
                "--pool=threads",
                f"--concurrency={settings.slots}",
                f"--queues={QUEUE}",
                "--without-gossip",
                "--without-mingle",
                "--without-heartbeat",
                f"--loglevel={settings.log_level}",
            ]
        )
    return 0
