"""Batch norm over several processes is batch norm over all of their samples."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kdcore.crew import join, leave
from kdcore.ranks import Ranks

CASES: dict[str, tuple[nn.Module, tuple[int, ...], float, float]] = {
    "images": (nn.BatchNorm2d(3), (8, 3, 5, 5), 0.0, 1.0),
    "far from nought": (nn.BatchNorm2d(3), (8, 3, 5, 5), 1000.0, 0.1),
    "all alike": (nn.BatchNorm2d(3), (8, 3, 5, 5), 100.1, 0.0),
    "vectors": (nn.BatchNorm1d(4), (6, 4), 3.0, 2.0),
    "sequences": (nn.BatchNorm1d(4), (6, 4, 5), 3.0, 2.0),
    "mean of all batches": (nn.BatchNorm2d(2, momentum=None), (6, 2, 3, 3), 1.0, 1.0),
    "nothing remembered": (nn.BatchNorm2d(2, track_running_stats=False), (6, 2, 3, 3), 1.0, 1.0),
    "nothing learned": (nn.BatchNorm2d(2, affine=False), (7, 2, 3, 3), 1.0, 1.0),
}
STEPS = 3


def computed(case: str, ranks: Ranks) -> dict[str, Any]:
    """Return what a process gets for its part, and what all of them come to."""
    norm, shape, mean, spread = CASES[case]
    torch.manual_seed(7)
    plain = nn.Sequential(copy.deepcopy(norm).double())
    network = ranks.in_step(plain)
    outputs = gradient = torch.empty(0)
    for _ in range(STEPS):
        whole = (mean + spread * torch.randn(shape)).double().requires_grad_()
        weights = torch.randn(shape).double()
        part = whole.tensor_split(ranks.size)[ranks.rank]
        outputs = network(part)
        plain.zero_grad(set_to_none=True)
        # The loss that every process takes is the sum over all: here each adds its own part.
        (outputs * weights.tensor_split(ranks.size)[ranks.rank]).sum().backward()
        assert whole.grad is not None
        gradient = whole.grad.tensor_split(ranks.size)[ranks.rank]
    named = {name: value.tolist() for name, value in plain.state_dict().items()}
    return {
        "outputs": outputs.tolist(),
        "gradient": gradient.tolist(),
        "learned": [_listed(one.grad) for one in plain.parameters()],
        "remembered": {name: value for name, value in named.items() if "running" in name},
    }


def _listed(gradient: Tensor | None) -> Any:
    assert gradient is not None
    return gradient.tolist()


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes says, by case."""
    folder = tmp_path_factory.mktemp("norms")
    command = [sys.executable, __file__, str(folder / "meeting")]
    processes = [
        subprocess.Popen([*command, str(rank)], stdout=subprocess.PIPE, env=os.environ)
        for rank in range(2)
    ]
    said = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    return [json.loads(one) for one in said]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_normalise_as_one(case, parts):
    whole = computed(case, Ranks())
    first, second = (part[case] for part in parts)
    close = {"rel": 1e-6, "abs": 1e-6}
    for name in ("outputs", "gradient"):
        together = torch.tensor(first[name] + second[name])
        assert together.numpy() == pytest.approx(torch.tensor(whole[name]).numpy(), **close), name
    for one, other, both in zip(first["learned"], second["learned"], whole["learned"], strict=True):
        assert [a + b for a, b in zip(one, other, strict=True)] == pytest.approx(both, **close)
    assert first["remembered"] == second["remembered"]
    for name, value in whole["remembered"].items():
        assert first["remembered"][name] == pytest.approx(value, **close), name


def main() -> None:
    meeting, rank = Path(sys.argv[1]), int(sys.argv[2])
    ranks = Ranks(rank, 2)
    join(ranks, torch.device("cpu"), meeting)
    sys.stdout.write(json.dumps({case: computed(case, ranks) for case in CASES}))
    leave()


if __name__ == "__main__":
    main()
