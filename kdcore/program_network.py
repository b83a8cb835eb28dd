"""A network in a file of torch.export: run on the CPU, never trained.

Reading such a file can run code of whoever made it. So it is read only where an operator has
written its sha256 into the inputs folder.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final, cast

import torch
from torch import Tensor, nn

from kdcore.errors import RecipeError
from kdcore.sealed import Sealed
from kdcore.stages import LayerShapes
from kdcore.tensors import Outputs
from kdcore.tokens import blank

TRUSTED: Final = "trusted.sha256"
"""The operator's list, in the inputs folder, as `sha256sum` writes one."""
LOGITS: Final = "logits"
_TRIED: Final = 2
_LINE: Final = re.compile(r"^([0-9a-f]{64})\b", re.MULTILINE)


def require_trust(content: bytes, inputs: Path, shown: str) -> None:
    """Refuse a program that no operator has vouched for.

    Raises:
        RecipeError: its sha256 is not on the list.
    """
    digest = hashlib.sha256(content).hexdigest()
    try:
        trusted = set(_LINE.findall((inputs / TRUSTED).read_text()))
    except (OSError, UnicodeDecodeError):
        trusted = set[str]()
    if digest not in trusted:
        raise RecipeError(
            f"{shown}: found a program, sha256 {digest}, that is not in {TRUSTED} of the inputs "
            "folder; reading a program can run code of whoever made it",
            hint=f"if it is yours: sha256sum {shown} >> {TRUSTED}, on the workers; else export it "
            "to ONNX, which is data",
        )


class ProgramNetwork(Sealed):
    """From inputs `(B, *shape)` to logits `(B, C)`."""

    sha256: Tensor

    def __init__(self, content: bytes, *, shown: str, input_shape: tuple[int, ...]) -> None:
        """Read a program that is trusted.

        Raises:
            RecipeError: it cannot be read, or takes or gives something else.
        """
        super().__init__()
        self._content = content
        self._program: Any = None
        self.size_bytes = len(content)
        digest = list(hashlib.sha256(content).digest())
        self.register_buffer("sha256", torch.tensor(digest, dtype=torch.uint8))
        with torch.device("cpu"):
            try:
                found: Any = self._running()(blank(input_shape, _TRIED))
            except Exception as error:  # noqa: BLE001  # what torch finds wrong is of any kind
                told = str(error).partition("\n")[0][:300] or type(error).__name__
                raise RecipeError(
                    f"{shown}: torch.export cannot read it, or run it on {_TRIED} samples of shape "
                    f"{tuple(input_shape)}: {told}",
                    hint="export it anew, with a dynamic batch, for samples of this size, with "
                    "this version of torch",
                ) from None
        if not isinstance(found, Tensor) or found.dim() != 2 or not found.is_floating_point():  # noqa: PLR2004
            raise RecipeError(
                f"{shown}: found {type(found).__name__} that is no logits (batch, classes); "
                "expected one tensor of these",
                hint="export a network that gives its logits alone",
            )
        self.num_classes = found.shape[1]
        program = cast("nn.Module", self._running())
        self.numbers = sum(one.numel() for one in program.parameters())
        self.layer_shapes = LayerShapes(
            {LOGITS: (self.num_classes,)}, maps=(), head=LOGITS, embedding=None
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits `(B, C)`."""
        if inputs.device.type == "meta":
            return inputs.new_empty(len(inputs), self.num_classes, dtype=torch.float32)
        given = inputs.detach().cpu().contiguous()
        with torch.no_grad():
            logits = self._running()(given.float() if given.is_floating_point() else given)
        return cast("Tensor", logits).float().to(inputs.device)

    def observed(self, inputs: Tensor, taps: Collection[str]) -> Outputs:
        """Return the logits, also under their name."""
        logits = self(inputs)
        return Outputs(logits, {LOGITS: logits} if LOGITS in taps else {})

    def __getstate__(self) -> dict[str, Any]:
        """Leave the read program out: another process, or a copy, reads its own."""
        return {**self.__dict__, "_program": None}

    def _running(self) -> Any:
        if self._program is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                # In a list, so that it is no part of this module: it stays on the CPU.
                self._program = [torch.export.load(io.BytesIO(self._content)).module()]
        return self._program[0]
