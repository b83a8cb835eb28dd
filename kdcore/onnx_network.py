"""A network in an ONNX file: checked, run by ONNX Runtime on the CPU, never trained.

What is refused: data outside of the file, functions of its own, operators outside of the standard
domains. Such operators are code that somebody would have to load.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final, cast

import torch
from torch import Tensor

from kdcore.errors import RecipeError
from kdcore.onnx_inputs import OnnxInputs, only_input
from kdcore.onnx_rules import STANDARD_DOMAINS
from kdcore.sealed import Sealed
from kdcore.stages import LayerShapes
from kdcore.tensors import Outputs
from kdcore.tokens import Ids

LARGEST: Final = 2**30
"""Bytes of a file."""
_TRIED: Final = 2
_MAP = 3


class OnnxNetwork(Sealed):
    """From inputs `(B, *shape)` to logits `(B, C)`; further outputs are its layers.

    Inputs may be ids; an encoder's mask of attention and types of tokens are made out of them.
    """

    sha256: Tensor

    def __init__(
        self, content: bytes, *, shown: str, input_shape: tuple[int, ...], output: str | None
    ) -> None:
        """Check a file's content; `output` is the name of the logits, the first one if not given.

        Raises:
            RecipeError: it is not to be trusted, or takes or gives something else.
        """
        super().__init__()
        self._content = content
        self.size_bytes = len(content)
        self._shown = shown
        self._session: Any = None
        graph = _checked(content, shown)
        self.numbers = sum(math.prod(cast("list[int]", one.dims)) for one in graph.initializer)
        """How many there are in its tensors."""
        self._inputs = OnnxInputs(graph, shown, input_shape)
        names = [str(one.name) for one in graph.output]
        if output is not None and output not in names:
            raise RecipeError(
                f"{shown}: found no output {output!r}; expected one of {', '.join(names[:20])}",
                hint="name the output that gives the logits",
            )
        self._logits = output or ("logits" if "logits" in names else names[0])
        self._names = names
        # Its file is its weights: what is kept of its answers is told from others by these.
        digest = list(hashlib.sha256(content).digest())
        self.register_buffer("sha256", torch.tensor(digest, dtype=torch.uint8))
        self.layer_shapes = self._try_out(input_shape)

    @property
    def content(self) -> bytes:
        """The file."""
        return self._content

    @property
    def num_classes(self) -> int:
        """How many logits it gives."""
        return self.layer_shapes[self._logits][0]

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits `(B, C)`."""
        if inputs.device.type == "meta":
            return inputs.new_empty(len(inputs), self.num_classes, dtype=torch.float32)
        return self._run(inputs, [self._logits])[0]

    def observed(self, inputs: Tensor, taps: Collection[str]) -> Outputs:
        """Return the logits, and the outputs of these names."""
        names = [name for name in taps if name != self._logits]
        logits, *found = self._run(inputs, [self._logits, *names])
        features = dict(zip(names, found, strict=True))
        return Outputs(logits, features | ({self._logits: logits} if self._logits in taps else {}))

    def __getstate__(self) -> dict[str, Any]:
        """Leave the running session out: another process, or a copy, starts its own."""
        return {**self.__dict__, "_session": None}

    def _run(self, inputs: Tensor, names: list[str]) -> list[Tensor]:
        found = cast("list[Any]", self._running().run(names, self._inputs.of(inputs)))
        return [torch.from_numpy(one).to(inputs.device) for one in found]  # pyright: ignore[reportUnknownMemberType]

    def _running(self) -> Any:
        if self._session is None:
            import onnxruntime

            options = cast("Any", onnxruntime).SessionOptions()
            options.intra_op_num_threads = torch.get_num_threads()
            options.inter_op_num_threads = 1
            options.log_severity_level = 4
            options.add_session_config_entry("session.load_model_format", "ONNX")
            self._session = cast("Any", onnxruntime).InferenceSession(
                self._content, options, providers=["CPUExecutionProvider"]
            )
        return self._session

    def _try_out(self, input_shape: tuple[int, ...]) -> LayerShapes:
        """Run it on samples that say nothing, and return what it gives."""
        given = self._inputs.of(self._inputs.tried(_TRIED))
        texts = isinstance(input_shape, Ids)
        try:
            found = self._running().run(self._names, given)
        except Exception as error:  # noqa: BLE001  # what the runtime finds wrong is of any kind
            told = str(error).partition("\n")[0][:300]
            raise RecipeError(
                f"{self._shown}: ONNX Runtime cannot run it on inputs of shape "
                f"{tuple(input_shape)}: {told}",
                hint="take the tokenizer that it was made with, and texts of no more tokens"
                if texts
                else "export it anew, with a dynamic batch, for images of this size",
            ) from None
        shapes: dict[str, tuple[int, ...]] = {}
        for name, one in zip(self._names, cast("list[Any]", found), strict=True):
            if getattr(one, "dtype", None) == "float32" and one.shape[:1] == (_TRIED,):
                shapes[name] = tuple(one.shape[1:])
        if len(shapes.get(self._logits, ())) != 1:
            raise RecipeError(
                f"{self._shown}: output {self._logits!r} gives no float32 logits (batch, classes)",
                hint="name the output that does",
            )
        others = {name: shape for name, shape in shapes.items() if name != self._logits}
        vectors = [name for name, shape in others.items() if len(shape) == 1]
        return LayerShapes(
            shapes,
            maps=tuple(name for name, shape in others.items() if len(shape) == _MAP),
            head=self._logits,
            embedding=vectors[-1] if vectors else None,
        )


def sample_shape(content: bytes, shown: str) -> tuple[int, ...]:
    """Return the shape of one sample that a file takes, as it says itself.

    Raises:
        RecipeError: it is not to be trusted, has several inputs, or takes samples of any size.
    """
    kind = only_input(_checked(content, shown), shown).type.tensor_type
    sizes = [one.dim_value for one in kind.shape.dim][1:]
    if not sizes or not all(sizes):
        raise RecipeError(
            f"{shown}: found an input of samples of any size; expected one size",
            hint="export it anew with a dynamic batch alone, or ask by a spec and its data",
        )
    return tuple(sizes)


def _checked(content: bytes, shown: str) -> Any:
    """Return the graph of a file's content, which is one that may be run.

    Raises:
        RecipeError: it may not.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model: Any = onnx.load_model_from_string(content)
        outside = next((one.name for one in _tensors(model.graph) if _is_outside(one)), None)
        if outside is not None:
            raise RecipeError(
                f"{shown}: found the tensor {outside[:80]!r} whose numbers lie outside of the "
                "file; expected all in one file",
                hint="export it anew with external_data=False",
            )
        if model.functions:
            raise RecipeError(
                f"{shown}: found functions of its own; expected standard operators alone",
                hint="inline them, by onnx.inliner.inline_local_functions",
            )
        for node in _nodes(model.graph):
            if node.domain not in STANDARD_DOMAINS:
                raise RecipeError(
                    f"{shown}: found the operator {node.op_type[:80]!r} of {node.domain[:80]!r}; "
                    "expected operators of the standard domains alone",
                    hint="export it anew without operators of others",
                )
        cast("Any", onnx).checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, RecursionError) as error:
        raise RecipeError(
            f"{shown}: not a readable ONNX file ({str(error).partition(chr(10))[0][:200]})",
            hint="export it anew",
        ) from None
    if not model.graph.output:
        raise RecipeError(f"{shown}: found no outputs; expected logits", hint="export it anew")
    return model.graph


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for within in (attribute.g, *attribute.graphs):
                yield from _nodes(within)


def _tensors(graph: Any) -> Iterator[Any]:
    graphs = [graph]
    for node in _nodes(graph):
        for attribute in node.attribute:
            yield from cast("Iterable[Any]", (attribute.t, *attribute.tensors))
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            graphs += [attribute.g, *attribute.graphs]
    for one in graphs:
        yield from one.initializer
        for sparse in one.sparse_initializer:
            yield from (sparse.values, sparse.indices)


def _is_outside(tensor: Any) -> bool:
    return bool(tensor.external_data) or tensor.data_location != 0
