"""Every method on a GPU: it ends, goes on after a stop, and delivers a student for the CPU."""

from contextlib import closing

import pytest
import torch
from recipes import TEXTS, small_method, suited, tiny

from kdcore import distill, load_student
from kdcore.catalog import METHODS
from kdcore.events import StageProgress, VerdictReached

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
    # torch says which operations have no repeatable form on a GPU; they are used all the same.
    pytest.mark.filterwarnings("ignore:.*does not have a deterministic implementation"),
]


@pytest.mark.parametrize("name", METHODS)
def test_a_method_trains_stops_and_goes_on(tmp_path, name):
    recipe = tiny(**suited(name), method=small_method(name), runtime={"device": "cuda"})
    with closing(distill(recipe, tmp_path, report_every=0)) as events:
        next(
            event
            for event in events
            if isinstance(event, StageProgress) and event.role == "student" and event.step == 7
        )
    rest = list(distill(recipe, tmp_path, report_every=0))
    assert any(isinstance(event, VerdictReached) for event in rest)
    student = load_student(tmp_path / "artifacts")
    texts = suited(name) is TEXTS
    inputs = torch.ones(2, 10, dtype=torch.int64) if texts else torch.zeros(2, 1, 8, 8)
    assert student(inputs).shape == (2, 4)
