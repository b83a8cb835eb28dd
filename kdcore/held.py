"""How many bytes of numbers something holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self, cast

import torch
from torch import Tensor, nn


def bytes_in(value: object) -> int:
    """Return the bytes of all tensors in it, however deep they lie."""
    if isinstance(value, Tensor):
        return value.nbytes
    if isinstance(value, Mapping):
        return sum(map(bytes_in, cast("Mapping[object, object]", value).values()))
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return sum(map(bytes_in, cast("Sequence[object]", value)))
    return 0


class ForGradient:
    """Counts what steps taken inside it keep until the gradient has passed, but for weights."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._storages: dict[int, int] = {}
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, self._unpack)

    @property
    def bytes(self) -> int:
        """What was kept: views of the same numbers count once."""
        return sum(self._storages.values())

    def _pack(self, kept: Tensor) -> Tensor:
        if not isinstance(kept, nn.Parameter):
            storage = kept.untyped_storage()
            self._storages[storage.data_ptr()] = storage.nbytes()
        return kept.detach()

    @staticmethod
    def _unpack(kept: Tensor) -> Tensor:
        return kept

    def __enter__(self) -> Self:
        """Begin to count."""
        self._hooks.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Count no more."""
        self._hooks.__exit__(kind, error, trace)
