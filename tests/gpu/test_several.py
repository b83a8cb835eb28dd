"""Two GPUs that share each step do what one does with the same samples."""

import pytest
import torch
from recipes import shared_recipe

from kdcore import Recipe, distill
from kdcore.events import StageFinished

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two CUDA devices here"),
]


@pytest.mark.parametrize("method", ["kd", "crd", "mgd", "ctkd"])
def test_two_gpus_learn_what_one_learns(method, tmp_path):
    losses: list[list[float]] = []
    for processes in (1, 2):
        document = shared_recipe(method, processes).model_dump(mode="json")
        runtime = {**document["runtime"], "device": "cuda"}
        recipe = Recipe.model_validate({**document, "runtime": runtime})
        events = list(distill(recipe, tmp_path / str(processes)))
        losses.append([one.scores["loss"] for one in events if isinstance(one, StageFinished)])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
