"""Everything that runs under chaos, and what is to be undone later."""

import contextlib
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from proxy import FaultProxy
from psutil import Process
from servers import Redis, redis_program

from chaos.ledgers import Ledger, PostgresLedger, opened
from chaos.residents import Resident, Residents, left
from chaos.stream import Stream
from jobs.database import Database
from jobs.settings import Settings

LEASE_SECONDS = 5.0
GOES_ALONG_SECONDS = 10.0
WORKERS = ("worker-1", "worker-2")


@dataclass
class Town:
    """A house of real processes on a ledger and a broker, all of which may be treated badly."""

    settings: Settings
    """Those of a process that is left alone: no proxy, no wrong clock."""
    ledger: Ledger
    database: Database
    redis: Redis
    broker_link: FaultProxy
    residents: Residents
    stream: Stream
    undoing: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    drained: dict[str, set[tuple[str, int]]] = field(default_factory=dict)
    """Workers that were told to drain over the ledger, each with its attempts until then."""
    outlived: list[str] = field(default_factory=list)
    """Processes that stayed when the one that they belong to was killed."""

    def later(self, seconds: float, undo: Callable[[], None]) -> None:
        """Have something undone after a while."""
        self.undoing.append((time.monotonic() + seconds, undo))

    def keep(self, *, all_of_it: bool = False) -> None:
        """Undo what is due, or all of it, and start again who has died."""
        now = time.monotonic()
        due = [undo for at, undo in self.undoing if all_of_it or at <= now]
        self.undoing = [] if all_of_it else [one for one in self.undoing if one[0] > now]
        for undo in due:
            undo()
        self.residents.keep()

    def bury(self, family: list[Process]) -> None:
        """See in the background that a whole family of processes is gone soon."""

        def see() -> None:
            self.outlived += left(family, GOES_ALONG_SECONDS)

        threading.Thread(target=see, daemon=True).start()

    def victim(self, name: str) -> Resident:
        """Return a process by its name."""
        return self.residents.all[name]


@contextmanager
def town(kind: str, folder: Path, seed: int) -> Generator[Town]:
    """Give a running house on a kind of database."""
    data = folder / "data"
    (data / "inputs").mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        ledger = stack.enter_context(opened(kind, folder))
        redis = Redis(redis_program(), folder)
        redis.start()
        stack.callback(redis.kill)
        link = stack.enter_context(FaultProxy(("127.0.0.1", redis.port)))
        settings = Settings(
            data=data,
            database_url=ledger.url,
            broker_url=redis.url,
            lease_seconds=LEASE_SECONDS,
            poll_seconds=0.5,
            sweep_seconds=0.3,
            retry_seconds=0.1,
            hang_seconds=20.0,
            stop_seconds=10.0,
            database_seconds=LEASE_SECONDS,
            slots=2,
        )
        database = stack.enter_context(Database(ledger.url))
        environ = {
            name: _environment(
                settings.model_copy(
                    update={
                        "database_url": ledger.through(name),
                        "broker_url": f"redis://127.0.0.1:{link.port}/0",
                    }
                )
            )
            for name in ("api", "sweeper", *WORKERS)
        }
        residents = Residents(folder, environ)
        stream = Stream(f"http://127.0.0.1:{residents.port}", seed)
        yield Town(settings, ledger, database, redis, link, residents, stream)


def _environment(settings: Settings) -> dict[str, str]:
    return {
        f"STILLHOUSE_{name.upper()}": str(value)
        for name, value in settings.model_dump().items()
        if value is not None and name not in {"host", "port", "allowed_hosts"}
    }


def is_postgres(town: Town) -> PostgresLedger | None:
    """Return the server, where there is one."""
    return town.ledger if isinstance(town.ledger, PostgresLedger) else None
