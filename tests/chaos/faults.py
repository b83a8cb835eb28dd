"""What can happen: each fault is one function, which does it and says what it did."""

import random
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import redis as redis_client
from psutil import Error, NoSuchProcess, Process
from sqlalchemy.exc import SQLAlchemyError

from chaos.ledgers import SqliteLedger
from chaos.residents import children_of
from chaos.stream import VERBS
from chaos.town import LEASE_SECONDS, WORKERS, Town, is_postgres
from chaos.verify import attempts_of
from jobs.operating import DrainMode
from jobs.queue import Bell
from jobs.repository import Repository
from jobs.states import Status, Verb, legal_verbs

HOUR = 3600
SMALL_FILE_BYTES = 8192
AT_ITS_START = 0.1
"""How often a process is ended that has not come up yet."""
Done = str | None
"""What was done; None where there was nobody to do it to."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that may happen."""

    name: str
    weight: int
    """How often, compared with the others."""
    act: Callable[[Town, random.Random], Done]
    kills: bool = False


def kill_trainer(town: Town, rng: random.Random) -> Done:
    """SIGKILL a trainer in the middle of a step."""
    trainers = town.residents.trainers(town.settings.work)
    if not trainers:
        return None
    victim = rng.choice(trainers)
    try:
        victim.kill()
    except NoSuchProcess:
        return None
    return f"trainer {victim.pid}"


def kill_worker(town: Town, rng: random.Random) -> Done:
    """SIGKILL a worker; its nursery and its trainers must go with it."""
    return _end(town, rng.choice(WORKERS), signal.SIGKILL, rng)


def drain_worker(town: Town, rng: random.Random) -> Done:
    """SIGTERM a worker: its attempts save and go back to the queue."""
    return _end(town, rng.choice(WORKERS), signal.SIGTERM, rng)


def drain_over_ledger(town: Town, rng: random.Random) -> Done:
    """Tell a worker over the ledger to take no more jobs and to end; another one comes after it."""
    victim = town.victim(rng.choice(WORKERS))
    process, mode = victim.process, rng.choice(list(DrainMode))
    try:
        with town.database.write() as session:
            ledger = Repository(session)
            listed = [worker.id for worker in ledger.workers()]
            mine = [one for one in listed if process and f"-{process.pid}-" in one]
            if not mine:
                return None
            ledger.drain_worker(mine[0], mode)
            # Its row is locked now, so these are all that it will ever have.
            had = attempts_of(session, mine[0])
    except SQLAlchemyError:
        return None
    town.drained.setdefault(mine[0], had)
    return f"{victim.name}, to {mode}"


def kill_api(town: Town, rng: random.Random) -> Done:
    """SIGKILL the API in the middle of whatever it answers."""
    return _end(town, "api", signal.SIGKILL, rng)


def kill_sweeper(town: Town, rng: random.Random) -> Done:
    """SIGKILL the sweeper that runs alone."""
    return _end(town, "sweeper", signal.SIGKILL, rng)


def _end(town: Town, name: str, signum: signal.Signals, rng: random.Random) -> Done:
    victim = town.victim(name)
    # On a slow machine most would die while they start, and no job would ever be met.
    if not victim.is_up() and rng.random() > AT_ITS_START:
        return None
    family = victim.end(signum, rng.uniform(0, 2))
    if family and signum is signal.SIGKILL:
        town.bury(family)
    return f"{name}, with {len(family) - 1} descendants" if family else None


def kill_redis(town: Town, rng: random.Random) -> Done:
    """SIGKILL Redis, which forgets everything, and start it again."""
    town.redis.kill()
    seconds = rng.uniform(0, 3)
    time.sleep(seconds)
    town.redis.start()
    return f"away for {seconds:.1f} s"


def flush_redis(town: Town, rng: random.Random) -> Done:
    """FLUSHALL: every bell that is on its way is gone."""
    with redis_client.Redis.from_url(town.redis.url) as client:
        client.flushall()
    return "all bells"


def restart_postgres(town: Town, rng: random.Random) -> Done:
    """Have PostgreSQL kill its backends and recover, as after a crash."""
    if (server := is_postgres(town)) is None:
        return None
    server.restart()
    return "immediate"


def cut_connections(town: Town, rng: random.Random) -> Done:
    """End every connection to PostgreSQL from the server's side."""
    server = is_postgres(town)
    return None if server is None else f"{server.terminate()} connections"


def swallow_database(town: Town, rng: random.Random) -> Done:
    """Have one process's link to PostgreSQL take everything and bring nothing."""
    server = is_postgres(town)
    if server is None:
        return None
    name = rng.choice(sorted(server.proxies))
    seconds = rng.uniform(1, 2.5 * LEASE_SECONDS)
    server.proxies[name].swallow()
    town.later(seconds, server.proxies[name].heal)
    return f"that of {name}, for {seconds:.1f} s"


def swallow_broker(town: Town, rng: random.Random) -> Done:
    """Have the link to Redis take everything and bring nothing."""
    seconds = rng.uniform(1, 6)
    town.broker_link.swallow()
    town.later(seconds, town.broker_link.heal)
    return f"for {seconds:.1f} s"


def lock_ledger(town: Town, rng: random.Random) -> Done:
    """Hold SQLite's file as a foreign writer would."""
    if not isinstance(town.ledger, SqliteLedger):
        return None
    seconds = rng.uniform(0.5, 3)
    town.ledger.lock(seconds)
    return f"for {seconds:.1f} s"


def freeze_worker(town: Town, rng: random.Random) -> Done:
    """SIGSTOP a worker for longer than its lease; its trainers go on."""
    victim = town.victim(rng.choice(WORKERS))
    process = victim.process if victim.is_up() else None
    return _freeze(town, process, rng.uniform(1.1, 2.5) * LEASE_SECONDS)


def freeze_trainer(town: Town, rng: random.Random) -> Done:
    """SIGSTOP a trainer for a while."""
    trainers = town.residents.trainers(town.settings.work)
    return _freeze(town, rng.choice(trainers), rng.uniform(1, 5)) if trainers else None


def _freeze(town: Town, process: Process | None, seconds: float) -> Done:
    if process is None:
        return None

    def thaw() -> None:
        try:
            process.send_signal(signal.SIGCONT)
        except Error:
            return

    try:
        process.send_signal(signal.SIGSTOP)
    except Error:
        return None
    town.later(seconds, thaw)
    return f"{process.pid} for {seconds:.1f} s"


def fill_disk(town: Town, rng: random.Random) -> Done:
    """Let a worker and its trainers, or the API, write no file beyond a few kilobytes (EFBIG)."""
    name = rng.choice([*WORKERS, "api"])
    process = town.victim(name).process
    if process is None or not town.victim(name).is_up():
        return None
    seconds = rng.uniform(0.5, 4)
    _limit(process, SMALL_FILE_BYTES)
    town.later(seconds, lambda: _limit(process, resource.RLIM_INFINITY))
    return f"that of {name}, for {seconds:.1f} s"


def _limit(process: Process, size: int) -> None:
    # Who is forked meanwhile inherits it, so it is lifted from everybody who is there then.
    for one in [process, *children_of(process)]:
        try:
            limits = (size, resource.RLIM_INFINITY)
            resource.prlimit(one.pid, resource.RLIMIT_FSIZE, limits)
        except (OSError, ValueError):
            continue


def skew_clock(town: Town, rng: random.Random) -> Done:
    """Have a worker's wall clock step by an hour; on SQLite that of the whole machine."""
    step = rng.choice([-HOUR, HOUR])
    names = [rng.choice(WORKERS)] if is_postgres(town) else sorted(town.residents.all)
    seconds = rng.uniform(2, 3 * LEASE_SECONDS)

    def set_clocks(shift: int) -> None:
        for name in names:
            town.victim(name).clock.write_text(str(shift))

    set_clocks(step)
    town.later(seconds, lambda: set_clocks(0))
    return f"{' '.join(names)} by {step:+} s, for {seconds:.1f} s"


def ring_wrongly(town: Town, rng: random.Random) -> Done:
    """Ring for jobs twice, late, after their end, and for jobs that never were."""
    known = list(town.stream.accepted)
    rung = [rng.choice(known) for _ in range(3) if known] * 2 + ["job_00000000000000000000000000"]
    bell = Bell(town.settings)
    try:
        for job_id in rung:
            bell.ring(job_id)
    finally:
        bell.close()
    return f"{len(rung)} bells"


def do_verb(town: Town, rng: random.Random) -> Done:
    """Cancel, pause, resume or retry a job, whatever fits its status at that moment."""
    known = list(town.stream.accepted)[-12:]
    if not known:
        return None
    job_id = rng.choice(known)
    status = town.stream.status(job_id)
    fitting = [verb for verb in legal_verbs(status) if verb in VERBS] if status else []
    if status is None or not fitting:
        return None
    verb = rng.choice(fitting)
    body: dict[str, str] = {}
    if verb is Verb.CANCEL:
        body = {"mode": rng.choice(["graceful", "now"])}
    elif verb is Verb.RETRY:
        body = {"from": rng.choice(["checkpoint", "scratch"])}
    return f"{verb} of a job that is {Status(status)}: {town.stream.ask(job_id, verb, body)}"


FAULTS = (
    Fault("kill trainer", 12, kill_trainer, kills=True),
    Fault("kill worker", 2, kill_worker, kills=True),
    Fault("kill API", 2, kill_api, kills=True),
    Fault("kill sweeper", 1, kill_sweeper, kills=True),
    Fault("kill Redis", 1, kill_redis, kills=True),
    Fault("flush Redis", 1, flush_redis),
    Fault("restart PostgreSQL", 1, restart_postgres, kills=True),
    Fault("cut database connections", 2, cut_connections),
    Fault("swallow link to PostgreSQL", 2, swallow_database),
    Fault("swallow link to Redis", 1, swallow_broker),
    Fault("lock SQLite", 2, lock_ledger),
    Fault("freeze worker", 2, freeze_worker),
    Fault("freeze trainer", 1, freeze_trainer),
    Fault("drain worker", 1, drain_worker),
    Fault("drain over the ledger", 1, drain_over_ledger),
    Fault("fill disk", 2, fill_disk),
    Fault("skew clock", 2, skew_clock),
    Fault("ring wrongly", 2, ring_wrongly),
    Fault("verb", 4, do_verb),
)
