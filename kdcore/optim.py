"""Optimisers and the course of the learning rate."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from kdcore.training import Training


def build_optimizer(
    training: Training, parameters: Iterable[nn.Parameter], device: torch.device
) -> torch.optim.Optimizer:
    """Build the optimiser that a recipe names; fused, one pass over the parameters a step."""
    fused = device.type in {"cpu", "cuda"}
    if training.optim == "sgd":
        optimizer = torch.optim.SGD(
            parameters,
            lr=training.learning_rate,
            momentum=training.momentum,
            weight_decay=training.weight_decay,
            nesterov=training.nesterov and training.momentum > 0,
            fused=fused,
        )
        if training.momentum:
            _stand_still(optimizer)
        return optimizer
    return torch.optim.AdamW(
        parameters, lr=training.learning_rate, weight_decay=training.weight_decay, fused=fused
    )


def _stand_still(optimizer: torch.optim.SGD) -> None:
    """Give every parameter a momentum of 0, which is what it has before its first gradient.

    torch's fused steps take either all parameters for new or none: they fail where the first
    gradient comes later than that of others, as for what belongs to a teacher that is not heard
    in every step.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(
                parameter, memory_format=torch.preserve_format
            )


def moving_average(training: Training, network: nn.Module) -> AveragedModel | None:
    """Return what follows the weights and buffers of a network, where the recipe asks for it.

    It begins as the network is after its first step.
    """
    if training.ema_decay is None:
        return None
    follow = cast("Any", get_ema_multi_avg_fn(training.ema_decay))
    return AveragedModel(network, multi_avg_fn=follow, use_buffers=True)


def learning_rate(
    training: Training, step: int, *, total_steps: int, steps_per_epoch: int
) -> float:
    """Return the learning rate of a step, counted from 0; it has no state to be saved."""
    if step < training.warmup_steps:
        return training.learning_rate * (step + 1) / training.warmup_steps
    done = (step - training.warmup_steps) / max(total_steps - training.warmup_steps, 1)
    match training.lr_scheduler_type:
        case "constant":
            factor = 1.0
        case "linear":
            factor = 1 - done
        case "cosine":
            factor = (1 + math.cos(math.pi * done)) / 2
        case "multistep":
            epochs = step / steps_per_epoch
            factor = training.lr_gamma ** sum(epochs >= each for each in training.lr_milestones)
    return training.learning_rate * factor
