"""Several processes that share each step: every one runs its part of the batch through the network.

What the networks say of the parts is put together again, so each process takes the loss of the
whole batch, and every objective means the same as in one process: also those that compare samples,
learn layers of their own, or remember what they saw. What is left to agree on are the statistics of
batch norms, and the gradients.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, cast

import torch
from torch import Tensor, distributed, nn

from kdcore.errors import CrewError, RecipeError
from kdcore.tensors import Batch, Outputs

_BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


@contextmanager
def between_processes() -> Generator[None]:
    """Say of whatever goes wrong between processes that one of them is gone.

    Raises:
        CrewError: a message did not get through.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        message = f"a process that shares the steps is gone: {str(error).partition(chr(10))[0]}"
        raise CrewError(message) from error


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process's place among those that share each step."""

    rank: int = 0
    """0 leads: it reports, measures and writes."""
    size: int = 1

    def together(self, batch: Batch, ask: Callable[[Batch], Outputs]) -> Outputs:
        """Ask about this process's part of a batch; return what all said, of the whole batch."""
        if self.size == 1:
            return ask(batch)
        sizes = [len(part) for part in batch.index.tensor_split(self.size)]
        said = ask(self._part(batch))
        return Outputs(
            self._whole(said.logits, sizes),
            {name: self._whole(one, sizes) for name, one in said.features.items()},
        )

    def _part(self, batch: Batch) -> Batch:
        """Return this process's samples; the first processes may have one more than the last."""
        parts: dict[str, Any] = {
            field.name: value.tensor_split(self.size)[self.rank]
            for field in fields(batch)
            if isinstance(value := getattr(batch, field.name), Tensor)
        }
        return replace(batch, **parts)

    def _whole(self, own: Tensor, sizes: Sequence[int]) -> Tensor:
        return cast("Tensor", _Gathered.apply(own, self.rank, sizes))

    def in_step(self, network: nn.Module) -> nn.Module:
        """Return the network as it is trained here; weights and buffers are the same tensors.

        Raises:
            RecipeError: it normalises batches in a way that processes cannot share.
        """
        if self.size == 1:
            return network
        own = [*network.parameters(), *network.buffers()]
        twin = copy.deepcopy(network, {id(one): one for one in own})
        for parent in list(twin.modules()):
            for name, child in parent.named_children():
                if isinstance(child, _BatchNorm):
                    _need_plain(child)
                    parent.register_module(name, _CommonBatchNorm(child, self))
        return twin

    def average(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace each gradient by its mean over all processes."""
        if self.size == 1:
            return
        # The same ones everywhere: all processes took the same loss.
        gradients = [one.grad for one in parameters if one.grad is not None]
        joined = torch.cat([one.flatten() for one in gradients])
        with between_processes():
            distributed.all_reduce(joined)  # pyright: ignore[reportUnknownMemberType]  # torch leaves it half typed
        sizes = [one.numel() for one in gradients]
        means = cast("tuple[Tensor, ...]", (joined / self.size).split(sizes))  # pyright: ignore[reportUnknownMemberType]  # as above
        for one, mean in zip(gradients, means, strict=True):
            one.copy_(mean.view_as(one))


class _Gathered(torch.autograd.Function):
    """The parts of all processes, one after the other along the first dimension."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, rank: int, sizes: Sequence[int]) -> Tensor:
        ctx.first, ctx.last, ctx.processes = sum(sizes[:rank]), sum(sizes[: rank + 1]), len(sizes)
        # Equally long, which is all that every backend can gather.
        padded = own.new_zeros(max(sizes), *own.shape[1:])
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in sizes]
        with between_processes():
            distributed.all_gather(parts, padded)  # pyright: ignore[reportUnknownMemberType]  # as above
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        # Every process takes the loss of the whole, so there are as many of them as processes;
        # `average` divides by that.
        return gradients[0][ctx.first : ctx.last] * ctx.processes, None, None


class _Rows(torch.autograd.Function):
    """The vectors of all processes, a row each."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, rank: int, size: int) -> Tensor:
        ctx.rank = rank
        rows = [torch.empty_like(own) for _ in range(size)]
        with between_processes():
            distributed.all_gather(rows, own)  # pyright: ignore[reportUnknownMemberType]  # as above
        return torch.stack(rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        # Every process has used every row.
        summed = gradients[0].contiguous()
        with between_processes():
            distributed.all_reduce(summed)  # pyright: ignore[reportUnknownMemberType]  # as above
        return summed[ctx.rank], None, None


def _need_plain(norm: _BatchNorm) -> None:
    if type(norm) not in {nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d}:
        raise RecipeError(
            f"found {type(norm).__name__} in a network whose steps processes share; expected plain "
            "batch norms, or none",
            hint="set runtime.processes to 1, or take another architecture",
            pointer="/runtime/processes",
        )


class _CommonBatchNorm(nn.Module):
    """Batch norm with the mean and the variance of all processes' samples.

    torch's own (nn.SyncBatchNorm) computes on GPUs alone. This one is checked where it can be run.
    """

    def __init__(self, norm: _BatchNorm, ranks: Ranks) -> None:
        super().__init__()
        self.norm = norm
        self._ranks = ranks

    def forward(self, inputs: Tensor) -> Tensor:
        norm = self.norm
        if not norm.training and norm.running_mean is not None:
            return norm(inputs)  # one that is frozen in a network that learns
        over = [0, *range(2, inputs.dim())]
        line = (1, -1, *(1 for _ in over[1:]))
        numbers = inputs.to(torch.promote_types(inputs.dtype, torch.float32))
        # Chan, Golub and LeVeque 1983: from the means and variances of the parts to those of the
        # whole, without the difference of two large sums.
        variance, mean = torch.var_mean(numbers, over, correction=0)
        count = torch.full_like(mean[:1], numbers.numel() / mean.numel())
        own = torch.cat([mean, variance, count])
        rows = cast("Tensor", _Rows.apply(own, self._ranks.rank, self._ranks.size))
        shares = rows[:, -1:].detach() / rows[:, -1].detach().sum()  # (processes, 1)
        means, variances = rows[:, :-1].view(self._ranks.size, 2, -1).unbind(1)
        mean = (shares * means).sum(0)
        variance = (shares * (variances + (means - mean).square())).sum(0)
        if norm.training:
            counted = rows[:, -1].detach().sum()
            self._remember(mean.detach(), variance.detach() * counted / (counted - 1))
        scale = (variance + norm.eps).rsqrt()
        if norm.affine:
            scale = scale * norm.weight
        centred = numbers - mean.view(line)
        if not norm.affine:
            return (centred * scale.view(line)).to(inputs.dtype)
        return torch.addcmul(norm.bias.view(line), centred, scale.view(line)).to(inputs.dtype)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        norm = self.norm
        if norm.running_mean is None or norm.running_var is None:
            return
        assert norm.num_batches_tracked is not None  # noqa: S101  # torch has all three or none
        norm.num_batches_tracked.add_(1)
        share = norm.momentum
        if share is None:
            share = 1.0 / float(norm.num_batches_tracked)
        norm.running_mean.lerp_(mean, share)
        norm.running_var.lerp_(variance, share)


ALONE = Ranks()
"""One process that does everything."""
