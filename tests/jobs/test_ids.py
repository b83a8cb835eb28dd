"""Ids of jobs."""

import itertools
import time

import pytest

from jobs import ids


def test_ids_are_lower_case_ulids_in_the_order_in_which_they_were_made() -> None:
    made = [ids.new_job_id() for _ in range(2000)]
    assert made == sorted(set(made))
    assert all(ids.JOB_ID.fullmatch(job_id) for job_id in made)


def test_a_clock_that_steps_back_does_not_break_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    before = ids.new_job_id()
    an_hour_ago = itertools.count(time.time_ns() - 3600 * 10**9)
    monkeypatch.setattr(ids.time, "time_ns", lambda: next(an_hour_ago))
    assert ids.new_job_id() > before
