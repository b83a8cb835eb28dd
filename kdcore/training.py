"""How one network is trained: steps, optimiser, schedule. Hugging Face's names where they exist."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from kdcore.entry import Record

DEFAULT_EPOCHS = 20


def steps_per_epoch(samples: int, batch_size: int) -> int:
    """Return the whole batches in one pass; a smaller last one is left out."""
    return max(samples // batch_size, 1)


class Training(Record):
    """One training run of one network."""

    num_train_epochs: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Passes over the training samples; 20 where neither this nor max_steps is given."""
    max_steps: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Optimiser steps, instead of num_train_epochs."""
    per_device_train_batch_size: Annotated[int, Field(ge=1, le=65_536)] = 64
    """Samples in a step of one process; with runtime.processes a step has as many times more."""
    optim: Literal["sgd", "adamw"] = "sgd"
    """Stochastic gradient descent with momentum, or AdamW."""
    learning_rate: Annotated[float, Field(gt=0, le=1e12)] = 0.05
    """Highest learning rate."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum of sgd."""
    nesterov: bool = True
    """Look ahead by the momentum (sgd)."""
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 5e-4
    """Decay of all weights."""
    lr_scheduler_type: Literal["constant", "linear", "cosine", "multistep"] = "cosine"
    """Course of the learning rate after the warm-up; linear and cosine end at 0, multistep falls by
    lr_gamma at each of lr_milestones."""
    lr_milestones: Annotated[
        list[Annotated[float, Field(gt=0, le=10_000)]], Field(max_length=100)
    ] = []
    """Epochs after which the learning rate falls (multistep)."""
    lr_gamma: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Factor of each fall (multistep)."""
    warmup_steps: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    """Steps over which the learning rate grows to its full value."""
    max_grad_norm: Annotated[float, Field(gt=0, le=1e9)] | None = None
    """Longest gradient; longer ones are scaled down to it."""
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Follow the weights (and statistics of batch norms) by an exponential moving average, which
    keeps this share of itself in each step. The average is then what is evaluated, kept on the way,
    teaches and is delivered."""
    eval_steps: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Steps between looks at the validation samples; a twentieth of the run where not given."""
    save_steps: Annotated[int, Field(ge=1, le=10_000_000)] = 500
    """Steps between checkpoints."""
    save_total_limit: Annotated[int, Field(ge=1, le=100)] = 2
    """Checkpoints that are kept, the newest ones; the best weights so far are part of each."""
    load_best_model_at_end: bool = False
    """Keep the weights that did best on the validation samples instead of the last ones."""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.num_train_epochs is not None and self.max_steps is not None:
            raise PydanticCustomError(
                "two_lengths", "found num_train_epochs and max_steps; expected one of them"
            )
        if (self.lr_scheduler_type == "multistep") != bool(self.lr_milestones):
            raise PydanticCustomError(
                "milestones",
                "found lr_scheduler_type {kind} with {count} lr_milestones; expected milestones "
                "with multistep and with nothing else",
                {"kind": self.lr_scheduler_type, "count": len(self.lr_milestones)},
            )
        return self

    def total_steps(self, steps_per_epoch: int) -> int:
        """Return the optimiser steps of the run."""
        if self.max_steps is not None:
            return self.max_steps
        return (self.num_train_epochs or DEFAULT_EPOCHS) * steps_per_epoch
