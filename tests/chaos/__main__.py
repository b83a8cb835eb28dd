"""`python -m chaos`: run it, print what happens, and say at the end whether anything was wrong."""

import argparse
import json
import random
import shlex
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from sqlalchemy import func, select
from waiting import wait_until

from chaos.faults import FAULTS, Fault
from chaos.stream import PATIENCE_SECONDS
from chaos.telling import Told, as_markdown
from chaos.town import Town, town
from chaos.verify import claims_in_vain, violations
from jobs.tables import Attempt, Event, Job

KINDS = ("sqlite", "postgresql")
FASTEST, SLOWEST = 0.2, 1.4
"""Seconds between two faults."""


def main(words: list[str] | None = None) -> int:
    """Run chaos on each database asked for; return 1 where anything was not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--database", choices=KINDS, action="append", help="both, if not given")
    parser.add_argument("--seconds", type=float, default=25.0, help="of chaos, on each database")
    parser.add_argument("--kills", type=int, default=0, help="go on until so many were killed")
    parser.add_argument("--seed", type=int, default=None, help="a new one, if not given")
    parser.add_argument("--only", action="append", help="a fault by its name; may be repeated")
    parser.add_argument("--settle", type=float, default=PATIENCE_SECONDS, help="seconds to end in")
    parser.add_argument("--json", type=Path, help="where to write everything")
    parser.add_argument("--markdown", type=Path, help="where to write the table")
    parser.add_argument("--keep", type=Path, help="a folder for logs and files, which is kept")
    asked = parser.parse_args(words)
    known = [fault.name for fault in FAULTS]
    if unknown := set(asked.only or ()) - set(known):
        parser.error(f"found the fault {', '.join(unknown)}; expected any of {', '.join(known)}")
    seed = random.SystemRandom().randrange(1_000_000) if asked.seed is None else asked.seed
    runs = [run(kind, seed, asked) for kind in asked.database or KINDS]
    print("\n" + as_markdown(runs))
    if asked.json:
        asked.json.write_text(json.dumps([one.as_json() for one in runs], indent=1))
    if asked.markdown:
        asked.markdown.write_text(as_markdown(runs))
    return int(any(one.violations for one in runs))


def run(kind: str, seed: int, asked: argparse.Namespace) -> Told:
    """Run chaos on one kind of database."""
    told = Told(kind, seed, shlex.join(["python", "-m", "chaos", *sys.argv[1:]]))
    print(f"chaos on {kind}, seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="stillhouse-chaos-") as folder:
        place = asked.keep / kind if asked.keep else Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        with town(kind, place, seed) as house:
            try:
                _live_through(house, told, asked)
            finally:
                house.keep(all_of_it=True)
                told.violations += [f"outlived its worker: {who}" for who in house.outlived]
                told.violations += [f"an orphan: {who}" for who in house.residents.close()]
    for what in told.violations:
        print(f"VIOLATION: {what}", flush=True)
    return told


def _live_through(house: Town, told: Told, asked: argparse.Namespace) -> None:
    house.residents.keep()
    calm = house.stream.calm()
    house.stream.start()
    wait_until(lambda: house.stream.accepted, seconds=60)
    began = time.monotonic()
    _disturb(house, told, asked, began)
    told.seconds = time.monotonic() - began
    house.keep(all_of_it=True)
    house.stream.stop()
    # A server that came up while its database was away has ended again, and must be started anew.
    while not house.stream.has_stopped(0.2):
        house.keep()
    print(f"quiet again after {told.seconds:.0f} s", flush=True)
    deadline = time.monotonic() + asked.settle
    open_jobs = list(house.stream.accepted)
    while open_jobs and time.monotonic() < deadline:
        house.keep()
        open_jobs = house.stream.settle(2)
    told.violations += [f"{job_id} has not ended" for job_id in open_jobs]
    wait_until(lambda: not house.residents.trainers(house.settings.work), seconds=30)
    told.violations += house.stream.refused
    stream = house.stream
    told.violations += violations(
        house.database, house.settings.artifacts, stream.accepted, calm, stream.heard
    )
    told.violations += claims_in_vain(house.database, house.drained)
    _count(house, told, calm)


def _disturb(house: Town, told: Told, asked: argparse.Namespace, began: float) -> None:
    rng = random.Random(f"faults {told.seed}")
    faults = [fault for fault in FAULTS if not asked.only or fault.name in asked.only]
    weights = [fault.weight for fault in faults]
    while time.monotonic() - began < asked.seconds or told.kills < asked.kills:
        (fault,) = rng.choices(faults, weights)
        # Its own chance, so that what one fault finds does not change what comes after it.
        own = random.Random(rng.random())
        if not _do(house, told, fault, own, time.monotonic() - began):
            house.keep()
            time.sleep(FASTEST)
            continue
        until = time.monotonic() + rng.uniform(FASTEST, SLOWEST)
        while time.monotonic() < until:
            house.keep()
            time.sleep(0.1)


def _do(house: Town, told: Told, fault: Fault, rng: random.Random, second: float) -> bool:
    done = fault.act(house, rng)
    if done is None:
        return False
    told.kills += fault.kills
    told.actions.append({"second": round(second, 1), "fault": fault.name, "what": done})
    print(f"{second:7.1f} s  {fault.name}: {done}", flush=True)
    return True


def _count(house: Town, told: Told, calm: dict[str, str]) -> None:
    ours = Job.id.not_in(list(calm.values()))
    with house.database.read() as session:
        told.statuses = dict(Counter(session.scalars(select(Job.status).where(ours))))
        reasons = session.scalars(
            select(Attempt.reason).where(Attempt.job_id.not_in(list(calm.values())))
        )
        told.attempts = dict(Counter(str(reason) for reason in reasons))
        events = select(func.count()).where(Event.job_id.not_in(list(calm.values())))
        told.events = session.scalar(events) or 0
    told.listeners = len(house.stream.heard)


if __name__ == "__main__":
    sys.exit(main())
