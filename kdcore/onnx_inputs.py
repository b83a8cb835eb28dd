"""What a network in an ONNX file takes: numbers, or ids of tokens and what is made out of these."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from kdcore.errors import RecipeError
from kdcore.lazy import torch
from kdcore.tokens import Ids, blank

if TYPE_CHECKING:
    from torch import Tensor

_FLOAT32, _INT64 = 1, 7
_IDS: Final = ("input_ids", "inputs", "ids")
_MASK: Final = "attention_mask"
_TYPES: Final = "token_type_ids"


class OnnxInputs:
    """The inputs of a graph, which take a batch of samples of one shape."""

    def __init__(self, graph: Any, shown: str, input_shape: tuple[int, ...]) -> None:
        """Look whether the graph of the file `shown` takes such samples.

        Raises:
            RecipeError: it does not.
        """
        self._shape = input_shape
        given = _given(graph)
        if isinstance(input_shape, Ids):
            self._name = _name_of_ids(given, shown)
            self._beside = [name for name in given if name != self._name]
            for one in given.values():
                _check(one, shown, input_shape, _INT64)
        else:
            one = only_input(graph, shown)
            self._name, self._beside = str(one.name), list[str]()
            _check(one, shown, input_shape, _FLOAT32)

    def of(self, inputs: Tensor) -> dict[str, Any]:
        """Return what the runtime is given for a batch."""
        batch = inputs.detach().cpu()
        if not isinstance(self._shape, Ids):
            return {self._name: batch.float().contiguous().numpy()}
        fed = {self._name: batch.contiguous().numpy()}
        return fed | {name: _MADE[name](batch, self._shape).numpy() for name in self._beside}

    def tried(self, count: int) -> Tensor:
        """Return samples that say nothing, among them the last id where they are texts."""
        with torch.device("cpu"):
            samples = blank(self._shape, count)
        if isinstance(self._shape, Ids):
            samples[-1] = self._shape.vocabulary - 1
        return samples


def only_input(graph: Any, shown: str) -> Any:
    """Return the one input of a graph.

    Raises:
        RecipeError: it has several, or none.
    """
    given = _given(graph)
    if len(given) != 1:
        raise RecipeError(
            f"{shown}: found {len(given)} inputs; expected one", hint="export it with one input"
        )
    return next(iter(given.values()))


def _given(graph: Any) -> Mapping[str, Any]:
    held = {one.name for one in graph.initializer}
    return {str(one.name): one for one in graph.input if one.name not in held}


def _name_of_ids(given: Mapping[str, Any], shown: str) -> str:
    names = [name for name in given if name not in _MADE]
    if len(names) == 1 and (len(given) == 1 or names[0] in _IDS):
        return names[0]
    told = ", ".join(repr(name[:80]) for name in given) or "none"
    raise RecipeError(
        f"{shown}: found the inputs {told}; expected ids of tokens as {_IDS[0]}, and beside them "
        f"{_MASK} or {_TYPES} at most",
        hint="export the encoder with these inputs alone",
    )


def _check(one: Any, shown: str, input_shape: tuple[int, ...], wanted: int) -> None:
    """Refuse an input that does not take a batch of such samples."""
    kind = one.type.tensor_type
    sizes = [side.dim_value or None for side in kind.shape.dim]
    fits = len(sizes) == 1 + len(input_shape) and all(
        size in {None, side} for size, side in zip(sizes[1:], input_shape, strict=True)
    )
    if kind.elem_type == wanted and fits and sizes[0] is None:
        return
    texts = wanted == _INT64
    told = ", ".join("any" if size is None else str(size) for size in sizes)
    raise RecipeError(
        f"{shown}: found the input {one.name[:80]!r} of shape ({told}); expected "
        f"{'int64' if texts else 'float32'} of a batch of any size, and samples of shape "
        f"{tuple(input_shape)}",
        hint="export it anew, with a dynamic batch, for "
        + ("texts of any length" if texts else "images of this size"),
    )


def _mask(batch: Tensor, ids: Ids) -> Tensor:
    return (batch != ids.pad).long()


def _types(batch: Tensor, ids: Ids) -> Tensor:
    if ids.separator is None:
        return torch.zeros_like(batch)
    ends = (batch == ids.separator).long()
    return ((ends.cumsum(1) > ends) & (batch != ids.pad)).long()


_MADE: Final[Mapping[str, Callable[[Any, Ids], Any]]] = {_MASK: _mask, _TYPES: _types}
"""What is worked out of the ids, as for encoders of transformers."""
