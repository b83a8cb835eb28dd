"""Curves: packed, stitched over attempts, thinned."""

import math

import pytest

from jobs.metrics import Chunk, pack, stitch


def chunk(attempt: int, steps: range, stage: str = "student-0", **columns: float) -> Chunk:
    count = len(steps)
    filled = {key: [value] * count for key, value in columns.items()}
    return pack(attempt, stage, 0, {"step": list(steps), **filled})


def test_a_chunk_reads_back_as_it_was_with_nulls() -> None:
    columns = {"step": [1, 2, 2**40], "loss": [0.1, None, 3.0], "loss/kd": [None, None, -1e-3]}
    series = stitch([pack(1, "teacher", 7, columns)]).stages["teacher"]
    assert series.columns == columns
    assert series.seed == 7


def test_what_json_cannot_say_becomes_null() -> None:
    columns = {"step": [1, 2, 3], "loss": [math.inf, math.nan, 1e300]}
    assert stitch([pack(1, "teacher", 0, columns)]).stages["teacher"].columns["loss"] == [None] * 3


@pytest.mark.parametrize("columns", [{}, {"step": []}, {"step": [1], "loss": [1.0, 2.0]}])
def test_crooked_columns_are_refused(columns: dict[str, list[float | None]]) -> None:
    with pytest.raises(ValueError, match="expected step and equal lengths"):
        pack(1, "teacher", 0, columns)


def test_a_step_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="expected whole numbers"):
        pack(1, "teacher", 0, {"step": [1, None]})


def test_a_key_that_appears_later_is_null_before() -> None:
    curves = stitch([chunk(1, range(1, 3), loss=1.0), chunk(1, range(3, 5), loss=1.0, extra=2.0)])
    assert curves.stages["student-0"].columns["extra"] == [None, None, 2.0, 2.0]
    assert curves.points == 4


def test_a_resumed_run_reads_as_if_it_had_never_been_interrupted() -> None:
    curves = stitch(
        [
            chunk(1, range(1, 11), loss=1.0),
            chunk(1, range(11, 21), loss=1.0),
            chunk(2, range(9, 15), loss=2.0),  # resumed at the checkpoint of step 8
            chunk(3, range(13, 31), loss=3.0),
            chunk(3, range(1, 4), "student-1", loss=3.0),
        ]
    )
    columns = curves.stages["student-0"].columns
    assert columns["step"] == list(range(1, 31))
    assert columns["loss"] == [1.0] * 8 + [2.0] * 4 + [3.0] * 18
    assert curves.stages["student-1"].columns["step"] == [1, 2, 3]


def test_an_attempt_that_went_further_back_than_one_before_it_wins() -> None:
    chunks = [
        chunk(1, range(1, 21), loss=1.0),
        chunk(2, range(11, 21), loss=2.0),
        chunk(3, range(1, 6), loss=3.0),
    ]
    columns = stitch(chunks).stages["student-0"].columns
    assert columns["step"] == [1, 2, 3, 4, 5]
    assert columns["loss"] == [3.0] * 5


def test_two_chunks_of_one_attempt_may_share_a_step() -> None:
    columns = stitch([chunk(1, range(1, 4), loss=1.0), chunk(1, range(3, 5), loss=2.0)])
    assert columns.stages["student-0"].columns["step"] == [1, 2, 3, 3, 4]


def test_thinning_keeps_ends_spikes_and_rare_points_of_every_key() -> None:
    count = 10_000
    steps = list(range(1, count + 1))
    loss: list[float | None] = [1.0] * count
    loss[4321] = 50.0
    loss[8765] = -50.0
    validation: list[float | None] = [None] * count
    validation[6000] = 0.5
    columns = {"step": steps, "loss": loss, "validation/accuracy": validation}
    curves = stitch([pack(1, "teacher", 0, columns)], max_points=100)
    thin = curves.stages["teacher"].columns
    assert curves.downsampled
    assert len(thin["step"]) <= 100
    assert thin["step"] == sorted(set(thin["step"]))
    assert (thin["step"][0], thin["step"][-1]) == (1, count)
    assert {50.0, -50.0} <= set(thin["loss"])
    assert 0.5 in thin["validation/accuracy"]


def test_even_one_point_can_be_asked_for() -> None:
    curves = stitch([chunk(1, range(1, 100), a=1.0, b=2.0, c=3.0)], max_points=1)
    assert curves.points == 1


def test_keys_can_be_picked() -> None:
    curves = stitch([chunk(1, range(1, 4), loss=1.0, rate=2.0)], keys=["rate", "absent"])
    assert list(curves.stages["student-0"].columns) == ["step", "rate"]
