"""The same run on a GPU: it ends, resumes, and learns what the CPU learns."""

from contextlib import closing

import pytest
import torch
from recipes import tiny

from kdcore import distill, load_student
from kdcore.events import RunStarted, StageFinished, StageProgress

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]

CNN = {
    "teacher": {"model": {"name": "resnet", "depth": 8}},
    "student": {"model": {"name": "plain_cnn", "stages": [[8]], "hidden": []}},
    "data": {
        "shape": [3, 8, 8],
        "augmentation": {"crop_padding": 1, "horizontal_flip": True},
    },
    "export": ["safetensors", "onnx"],
}


@pytest.mark.parametrize("method", ["kd", "dkd"])
def test_a_run_on_the_gpu_learns_what_a_run_on_the_cpu_learns(tmp_path, method):
    accuracy: dict[str, list[float]] = {}
    for device in ("cpu", "cuda"):
        recipe = tiny(**CNN, method=method, runtime={"device": device})
        events = list(distill(recipe, tmp_path / device))
        started = next(event for event in events if isinstance(event, RunStarted))
        assert started.device.startswith(device)
        told = [event.memory_bytes or 0 for event in events if isinstance(event, StageProgress)]
        # Tensors of a small run on the GPU, all of a process with PyTorch in it elsewhere.
        assert (0 < max(told) < 10**8) if device == "cuda" else (max(told) > 10**8)
        accuracy[device] = [
            event.scores["accuracy"] for event in events if isinstance(event, StageFinished)
        ]
    assert accuracy["cuda"] == pytest.approx(accuracy["cpu"], abs=0.05)
    student = load_student(tmp_path / "cuda/artifacts")
    assert student(torch.zeros(1, 3, 8, 8)).shape == (1, 4)


def test_a_run_that_was_stopped_on_the_gpu_goes_on(tmp_path):
    recipe = tiny(**CNN, runtime={"device": "cuda"})
    with closing(distill(recipe, tmp_path, report_every=0)) as events:
        next(event for event in events if isinstance(event, StageProgress) and event.step == 7)
    assert any(isinstance(event, StageFinished) for event in distill(recipe, tmp_path))
