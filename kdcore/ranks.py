"""Several processes that share each step: every one runs its part of the batch through the network.

What the networks say of the parts is put together again, so each process takes the loss of the
whole batch, and every objective means the same as in one process: also those that compare samples,
learn layers of their own, or remember what they saw. What is left to agree on are the statistics of
batch norms, and the gradients.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, cast

import torch
from torch import Tensor, distributed, nn

from kdcore.tensors import Batch, Outputs

_BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


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

    def in_step(self, network: nn.Sequential) -> nn.Sequential:
        """Return the network as it is trained here; weights and buffers are the same tensors."""
        if self.size == 1:
            return network
        own = [*network.parameters(), *network.buffers()]
        twin = copy.deepcopy(network, {id(one): one for one in own})
        for parent in list(twin.modules()):
            for name, child in parent.named_children():
                if isinstance(child, _BatchNorm):
                    parent.register_module(name, _CommonBatchNorm(child))
        return twin

    def average(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace each gradient by its mean over all processes."""
        if self.size == 1:
            return
        # The same ones everywhere: all processes took the same loss.
        gradients = [one.grad for one in parameters if one.grad is not None]
        joined = torch.cat([one.flatten() for one in gradients])
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
        distributed.all_gather(parts, padded)  # pyright: ignore[reportUnknownMemberType]  # as above
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        # Every process takes the loss of the whole, so there are as many of them as processes;
        # `average` divides by that.
        return gradients[0][ctx.first : ctx.last] * ctx.processes, None, None


class _Summed(torch.autograd.Function):
    """The sum over all processes of what each of them has."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:  # noqa: ARG004  # torch passes it
        summed = own.clone()
        distributed.all_reduce(summed)  # pyright: ignore[reportUnknownMemberType]  # as above
        return summed

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:  # noqa: ARG004  # as above
        return cast("Any", _Summed).apply(gradients[0].contiguous())


class _CommonBatchNorm(nn.Module):
    """Batch norm with the mean and the variance of all processes' samples.

    torch's own (nn.SyncBatchNorm) computes on GPUs alone. This one is checked where it can be run.
    """

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, inputs: Tensor) -> Tensor:
        norm = self.norm
        if not norm.training:
            return norm(inputs)  # one that is frozen in a network that learns
        over = [0, *range(2, inputs.dim())]
        line = (1, -1, *(1 for _ in over[1:]))
        numbers = inputs.to(torch.promote_types(inputs.dtype, torch.float32))
        # Both sums in one message. Around the running mean, or a variance that is small beside the
        # mean would be lost in the difference of two large sums.
        variance, mean = torch.var_mean(numbers, over, correction=0)
        around = torch.zeros_like(mean) if norm.running_mean is None else norm.running_mean.clone()
        apart = mean - around
        count = torch.full_like(around[:1], numbers.numel() / len(around))
        sums = torch.cat([count * apart, count * (variance + apart.square()), count])
        summed = cast("Tensor", _Summed.apply(sums))
        first, second = summed[:-1].view(2, -1)
        counted = summed[-1].detach()
        apart = first / counted
        mean, variance = around + apart, second / counted - apart.square()
        self._remember(mean.detach(), variance.detach() * counted / (counted - 1))
        scale = (variance + norm.eps).rsqrt()
        if norm.affine:
            scale = scale * norm.weight
        shift = -mean * scale
        if norm.affine:
            shift = shift + norm.bias
        return torch.addcmul(shift.view(line), numbers, scale.view(line)).to(inputs.dtype)

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
