"""How long networks take on the targets that a recipe declares.

Networks of one target are timed in turns, so that what disturbs the machine meets all of them, and
their medians can be held against each other. Each is run a few times before.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn

from kdcore.measures import Runtime, Timing
from kdcore.portable import onnx_session
from kdcore.shipping import Target

Runner = Callable[[], object]
_WARM_UP: Final = 3
_FEWEST: Final = 5
_MOST_SECONDS: Final = 10.0


def in_turns(runners: Mapping[Any, Runner], repeats: int) -> dict[Any, list[float]]:
    """Return the seconds that each took, one after the other, again and again.

    There are fewer repeats than asked for where they would take more than ten seconds.
    """
    times: dict[Any, list[float]] = {who: [] for who in runners}
    for run in runners.values():
        for _ in range(_WARM_UP):
            run()
    began = time.perf_counter()
    for done in range(repeats):
        if done >= _FEWEST and time.perf_counter() - began > _MOST_SECONDS:
            break
        for who, run in runners.items():
            start = time.perf_counter()
            run()
            times[who].append(time.perf_counter() - start)
    return times


@contextmanager
def torch_threads(number: int) -> Generator[None]:
    """Compute with so many CPU threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def torch_runner(network: nn.Module, inputs: Tensor) -> Runner:
    """Return what runs a network on inputs `(B, *shape)`, both on the CPU."""
    network.eval()

    def run() -> object:
        with torch.no_grad():
            return network(inputs)

    return run


def onnx_runner(content: bytes, inputs: Tensor, threads: int) -> Runner:
    """Return what runs an ONNX file with one input on inputs `(B, *shape)`."""
    session = onnx_session(content, threads=threads)
    given = {session.get_inputs()[0].name: inputs.numpy()}
    return lambda: session.run(None, given)


def timed(
    runners: Mapping[tuple[str, Runtime], Runner], target: Target, repeats: int
) -> list[Timing]:
    """Time networks, each by what runs it, on a target."""
    with torch_threads(target.threads):
        times = in_turns(runners, repeats)
    return [_told(who, runtime, target, times[who, runtime]) for who, runtime in runners]


def untimed(who: str, runtime: Runtime, target: Target, reason: str) -> Timing:
    """Return what is told of a network that is not timed on a target."""
    return _told(who, runtime, target, [], reason)


def batch_of(samples: Tensor, size: int) -> Tensor:
    """Return `size` samples `(B, *shape)`, the first ones again where there are fewer."""
    rounds = -(-size // len(samples))
    return (
        samples[:size] if rounds == 1 else samples.repeat(rounds, *[1] * (samples.dim() - 1))[:size]
    )


def _told(
    who: str, runtime: Runtime, target: Target, seconds: Sequence[float], reason: str | None = None
) -> Timing:
    low, median, high = (
        (1000 * one for one in statistics.quantiles(seconds, n=4, method="inclusive"))
        if seconds
        else (None, None, None)
    )
    return Timing.model_validate(
        {
            "network": who,
            "runtime": runtime,
            "threads": target.threads,
            "batch": target.batch,
            "median_ms": median,
            "low_ms": low,
            "high_ms": high,
            "repeats": len(seconds),
            "reason": reason,
        }
    )
