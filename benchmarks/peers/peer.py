"""What an adapter is given, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, cast

import torch
from stand.photographs import Photographs
from torch import Tensor, nn

Steps = Callable[[int], None]
"""Takes so many training steps of the toolkit's own, its data loader included."""
BATCH = 64


@dataclass(frozen=True, slots=True)
class Task:
    """One student to be taught."""

    method: str
    teacher: str
    student: str
    """Names of the papers, which are those of the toolkits."""
    data: Photographs
    weights: Sequence[Tensor]
    """Of the teacher, in the order of its layers."""
    sample: Tensor
    """`(B, 3, 32, 32)`, and"""
    logits: Tensor
    """`(B, C)`: what the teacher says of it."""
    network: Callable[[str], nn.Module]
    """Builds ours of that name, for a toolkit that takes any."""


class Peer(Protocol):
    """A toolkit that can be asked for a training."""

    name: ClassVar[str]
    methods: ClassVar[frozenset[str]]
    """Those that it is asked for."""

    def start(self, task: Task) -> Steps:
        """Return what takes the toolkit's own steps."""
        ...


def given_weights(network: nn.Module, task: Task) -> nn.Module:
    """Put the teacher's weights into the toolkit's own network, and see that it says the same.

    Raises:
        SystemExit: it is another network.
    """
    theirs = [one for name, one in network.state_dict().items() if "num_batches" not in name]
    if [one.shape for one in theirs] != [one.shape for one in task.weights]:
        raise SystemExit(f"{task.teacher}: the toolkit's network has weights of other shapes")
    for their, our in zip(theirs, task.weights, strict=True):
        their.copy_(our)
    with torch.no_grad():
        said: Any = network.eval()(task.sample)
    logits: Tensor = cast("Any", said)[0] if isinstance(said, tuple) else said
    if not torch.allclose(logits, task.logits, atol=1e-3, rtol=1e-3):
        raise SystemExit(f"{task.teacher}: the toolkit's network says something else")
    return network
