"""A compiled training is the same training, and goes on where it was stopped."""

import shutil
from contextlib import closing

import pytest
from recipes import IMAGES, tiny
from resumed import curve, weights

from kdcore import distill
from kdcore.events import StageProgress, StageStarted

pytestmark = [
    pytest.mark.slow,
    # torch warns of itself while it loads its compiler.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
    pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler"),
]


def test_compiled_it_is_the_same_training_and_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    training = {"max_steps": 6, "learning_rate": 1e-3, "per_device_train_batch_size": 16}
    changes = {**IMAGES, "method": "fitnet", "training": training, "baseline": False}
    plain = tiny(**changes, runtime={"device": "cpu", "compile": "never"})
    recipe = tiny(**changes, runtime={"device": "cpu", "compile": "always"})
    expected = curve(list(distill(plain, tmp_path / "plain")))
    events = list(distill(recipe, tmp_path / "compiled", report_every=0))
    assert all(event.compiled for event in events if isinstance(event, StageStarted))
    points = curve(events)
    assert points.keys() == expected.keys()
    for key, point in expected.items():
        assert points[key] == pytest.approx(point, rel=1e-4, abs=1e-4), key
    with closing(distill(recipe, tmp_path / "parts", report_every=0)) as story:
        next(
            event
            for event in story
            if isinstance(event, StageProgress) and event.stage == "student-0" and event.step == 3
        )
    list(distill(recipe, tmp_path / "parts"))
    assert weights(tmp_path / "parts") == weights(tmp_path / "compiled")
