"""A sweep is gone on with by anybody, at any moment, and every trial is begun once."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from jobs.database import Database
from jobs.repository import Repository
from jobs.space import Grid, PlaceError, Random, Range, at, points
from jobs.sweep_spec import SweepSpec
from jobs.sweep_tables import Trial
from jobs.sweeps import NewSweep, NewTrial, new_sweep_id
from jobs.tables import Job

SPEC: dict[str, Any] = {"teacher": "mlp", "student": "mlp", "data": "digits"}


def stored(database: Database, trials: int, max_parallel: int) -> str:
    """Store a sweep over seeds, not begun."""
    body = SweepSpec.model_validate(
        {
            "spec": SPEC,
            "space": {"/seeds": [[n] for n in range(trials)]},
            "max_parallel": max_parallel,
        }
    )
    planned = [
        NewTrial(n, 0, {"/seeds": [n]}, SPEC | {"seeds": [n]}, {}, {}) for n in range(trials)
    ]
    sweep_id = new_sweep_id()
    with database.write() as session:
        Repository(session).add_sweep(NewSweep(sweep_id, "default", body, planned))
    return sweep_id


def test_many_who_go_on_at_once_begin_each_trial_once(database: Database) -> None:
    sweep_id = stored(database, trials=24, max_parallel=24)
    start = threading.Barrier(6)

    def go_on() -> None:
        start.wait()
        for _ in range(4):
            with database.write() as session:
                Repository(session).advance_sweep(sweep_id)

    threads = [threading.Thread(target=go_on) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        jobs = [job.recipe for job in session.query(Job)]
        trials = session.query(Trial).all()
    assert len(jobs) == 24
    assert len({trial.job_id for trial in trials}) == 24
    assert {trial.state for trial in trials} == {"started"}


def test_who_is_killed_before_the_commit_has_begun_nothing(database: Database) -> None:
    sweep_id = stored(database, trials=3, max_parallel=2)

    class Killed(Exception):  # noqa: N818  # it says what happened
        pass

    def die() -> None:
        with database.write() as session:
            assert len(Repository(session).advance_sweep(sweep_id)) == 2
            raise Killed

    with pytest.raises(Killed):
        die()
    with database.read() as session:
        assert session.query(Job).count() == 0
    with database.write() as session:
        assert len(Repository(session).advance_sweep(sweep_id)) == 2


def test_a_job_that_ends_while_its_sweep_is_cancelled_keeps_its_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep_id = stored(database, trials=3, max_parallel=3)
    with database.write() as session:
        first, *rest = Repository(session).advance_sweep(sweep_id)
    with database.write() as session:
        repository = Repository(session)
        tried = repository.tried(sweep_id)  # as they were a moment ago
        repository.request_cancel(first)
        repository.delete(first)
        monkeypatch.setattr(Repository, "tried", lambda *_: tried)
        assert repository.cancel_sweep(sweep_id).status == "cancelled"
        assert repository.standing([sweep_id])[sweep_id] == {"cancelled": 3}
        assert {repository.get(job_id).status for job_id in rest} == {"cancelled"}


def test_a_full_project_is_waited_for(database: Database) -> None:
    sweep_id = stored(database, trials=4, max_parallel=4)
    with database.write() as session:
        Repository(session).limit_project("default", {"max_waiting": 3})
    with database.write() as session:
        assert len(Repository(session).advance_sweep(sweep_id)) == 3
    with database.write() as session:
        assert Repository(session).claim("a-worker", 60.0)
    with database.write() as session:
        assert len(Repository(session).advance_sweep(sweep_id)) == 1


def test_points_are_the_same_for_the_same_seed_and_none_comes_twice() -> None:
    space: dict[str, Any] = {"/a": Range(min=0.001, max=1, log=True), "b.c": [1, 2]}
    first, again = (points(space, Random(trials=20, seed=5)) for _ in range(2))
    assert first == again
    assert first != points(space, Random(trials=20, seed=6))
    assert len({str(one) for one in first}) == 20
    small = sum(one["/a"] < 0.03 for one in first)  # type: ignore[operator]
    assert 4 < small < 16, "the exponent is drawn"
    assert {one["/b/c"] for one in first} == {1, 2}
    whole = points({"/n": Range(min=1, max=3, integer=True)}, Random(trials=9))
    assert sorted(one["/n"] for one in whole) == [1, 2, 3]  # type: ignore[type-var]
    assert points({"/x": [1, 2], "/y": ["a", "b"]}, Grid()) == [
        {"/x": x, "/y": y} for x in (1, 2) for y in ("a", "b")
    ]


def test_a_spec_at_a_point_is_a_copy_with_what_was_missing() -> None:
    spec: dict[str, Any] = {"a": [{"w": 1}], "s": "word"}
    assert at(spec, {"/a/0/w": 2, "/n/m": 3, "/a~1b": 4}) == {
        "a": [{"w": 2}],
        "s": "word",
        "n": {"m": 3},
        "a/b": 4,
    }
    assert spec == {"a": [{"w": 1}], "s": "word"}
    for pointer in ("/a/1/w", "/a/x", "/s/t", "/s/t/u"):
        with pytest.raises(PlaceError):
            at(spec, {pointer: 1})
