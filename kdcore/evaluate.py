"""How good a network is, and what it costs."""

from __future__ import annotations

import math
import statistics
import time
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from kdcore.dataset import Samples
from kdcore.errors import NonFiniteLossError
from kdcore.network import predict
from kdcore.sealed import Sealed
from kdcore.task import Task

_WARM_UP, _FEWEST, _TIMED = 3, 10, 100
_ENOUGH_SECONDS = 0.5


def score(
    network: nn.Module, samples: Samples, task: Task, teacher_logits: Tensor | None = None
) -> dict[str, float]:
    """Return the task's metric, its loss, and the agreement with a teacher's outputs `(N, C)`.

    Raises:
        NonFiniteLossError: the loss is NaN or infinite.
    """
    return scores_of(predict(network, samples.inputs), samples, task, teacher_logits)


def scores_of(
    logits: Tensor, samples: Samples, task: Task, teacher_logits: Tensor | None = None
) -> dict[str, float]:
    """Return the same scores for outputs `(N, C)` that are known already.

    Raises:
        NonFiniteLossError: the loss is NaN or infinite.
    """
    scores = task.score(logits, samples.labels, teacher_logits)
    if not math.isfinite(loss := scores["loss"]):
        raise NonFiniteLossError(f"the loss on {len(logits)} samples that are held out is {loss}")
    return scores


def count_parameters(network: nn.Module) -> int:
    """Return the number of trained numbers in a network."""
    if isinstance(network, Sealed):
        return network.numbers
    return sum(parameter.numel() for parameter in network.parameters())


def count_flops(network: nn.Module, sample: Tensor) -> int:
    """Return the operations for one sample `(1, *shape)`, two for each multiply-add."""
    network.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(sample)
    return int(cast("Any", counter).get_total_flops())


def latency_ms(network: nn.Module, sample: Tensor) -> float:
    """Return the median time of one sample `(1, *shape)` on one CPU thread, in milliseconds."""
    device, threads = sample.device, torch.get_num_threads()
    network.eval().cpu()
    sample = sample.cpu()
    torch.set_num_threads(1)
    times: list[float] = []
    with torch.no_grad():
        for _ in range(_WARM_UP):
            network(sample)
        while len(times) < _FEWEST or (len(times) < _TIMED and sum(times) < _ENOUGH_SECONDS):
            start = time.perf_counter()
            network(sample)
            times.append(time.perf_counter() - start)
    torch.set_num_threads(threads)
    network.to(device)
    return 1000 * statistics.median(times)
