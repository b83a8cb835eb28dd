"""In which numbers networks compute, and how their memory lies.

A network that learns keeps float32 weights, and multiplies in bfloat16 where that is faster here
(autocast). A frozen network that only answers is copied: batch norms folded into the convolutions
before them, everything in bfloat16. Images lie with their channels last. Which numbers are faster
depends on network and processor: depthwise convolutions lose in bfloat16 on processors where
others gain twofold. So it is measured, once for each network on each machine.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import itertools
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils.flop_counter import FlopCounterMode

from kdcore.computing import Runtime
from kdcore.errors import DiskFullError
from kdcore.files import write_file
from kdcore.model import Model
from kdcore.network import build, has_stages
from kdcore.probe import dtype_of
from kdcore.tokens import blank, in_numbers
from kdcore.unwritten import leaves_unwritten

Precision: TypeAlias = Literal["float32", "bfloat16"]
Work: TypeAlias = Literal["learn", "answer"]

_WORTH_IT: Final = 1.15
"""bfloat16 must be so many times as fast to be chosen: rounding is not free."""
_SMALLEST: Final = 50_000_000
"""Operations of a batch below which nothing is measured: the casts alone would take longer."""
_MEASURED_BATCH: Final = 16
_REPEATS: Final = 3
_IMAGE_DIMENSIONS: Final = 4


def laid_out(network: nn.Module) -> nn.Module:
    """Lay the weights of convolutions out with their channels last, in place."""
    return cast("nn.Module", cast("Any", network).to(memory_format=torch.channels_last))


def as_images(inputs: Tensor) -> Tensor:
    """Lay images `(B, C, H, W)` out with their channels last; others stay as they are."""
    if inputs.dim() != _IMAGE_DIMENSIONS:
        return inputs
    return inputs.contiguous(memory_format=torch.channels_last)


def casting(device: torch.device, precision: Precision) -> contextlib.AbstractContextManager[Any]:
    """Multiply in these numbers while a network runs that learns."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def answering(network: nn.Module, precision: Precision) -> nn.Module:
    """Return a frozen copy that answers in these numbers; its stages are named as before.

    In float32 it is the network as it is, so its answers are those of an evaluation.
    """
    if precision == "float32":
        return network
    copied = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)
    if has_stages(copied):  # in others somebody may read what is folded away
        _fold(copied)
    return laid_out(copied.to(torch.bfloat16))


def _fold(module: nn.Module) -> None:
    """Fold each batch norm into the convolution right before it."""
    for (name, child), (following, norm) in itertools.pairwise(list(module.named_children())):
        if (
            isinstance(module, nn.Sequential)
            and isinstance(child, nn.Conv2d)
            and isinstance(norm, nn.BatchNorm2d)
        ):
            module.register_module(name, fuse_conv_bn_eval(child, norm))
            module.register_module(following, nn.Identity())
    for child in module.children():
        _fold(child)


class Measurements:
    """Which numbers are faster for which network on this machine; measured once, and kept."""

    def __init__(self, folder: Path, runtime: Runtime, device: torch.device) -> None:
        """Keep the measurements in `folder`."""
        self._folder = folder
        self._runtime = runtime
        self._device = device

    def precision(
        self, model: Model, shape: tuple[int, ...], num_classes: int, batch: int, work: Work
    ) -> Precision:
        """Return the numbers in which a network is to learn, or to answer, on this machine."""
        if self._runtime.precision != "auto":
            return self._runtime.precision
        with torch.device("meta"), FlopCounterMode(display=False) as counter:
            model.build(shape, num_classes).eval()(blank(shape, 1))
        if batch * counter.get_total_flops() < _SMALLEST or not self._knows_bfloat16():
            return "float32"
        if (
            work == "learn"
            and self._device.type == "cpu"
            and leaves_unwritten(model, shape, num_classes)
        ):
            return "float32"
        question = {
            "machine": _machine(self._device),
            "model": model.model_dump(mode="json"),
            "shape": shape,
            "num_classes": num_classes,
            "work": work,
        }
        name = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:32]
        file = self._folder / f"{name}.json"
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            found = json.loads(file.read_bytes())["precision"]
            if found in {"float32", "bfloat16"}:
                return cast("Precision", found)
        seconds = self._measure(model, shape, num_classes, work)
        faster = seconds["float32"] >= _WORTH_IT * seconds["bfloat16"]
        precision: Precision = "bfloat16" if faster else "float32"
        kept = {**question, "seconds": seconds, "precision": precision}
        with contextlib.suppress(OSError, DiskFullError):  # then the next run measures again
            write_file(file, json.dumps(kept, indent=1).encode())
        return precision

    def _knows_bfloat16(self) -> bool:
        if self._device.type == "cuda":
            return torch.cuda.is_bf16_supported(including_emulation=False)
        return self._device.type == "cpu"

    def _measure(
        self, model: Model, shape: tuple[int, ...], num_classes: int, work: Work
    ) -> dict[str, float]:
        """Time both kinds in turn, and take the quickest of each: what is slower was disturbed."""
        inputs = as_images(blank(shape, _MEASURED_BATCH, device=self._device))
        kinds: tuple[Precision, Precision] = ("float32", "bfloat16")
        run: dict[Precision, Callable[[], object]] = {}
        for kind in kinds:
            network = laid_out(build(model, shape, num_classes, seed=0).to(self._device))
            run[kind] = (
                _answer_once(answering(network.eval(), kind), inputs)
                if work == "answer"
                else _learn_once(network.train(), inputs, kind)
            )
        best = dict.fromkeys(kinds, float("inf"))
        for repeat in range(_REPEATS + 1):
            for kind in kinds:
                self._wait()
                began = time.perf_counter()
                run[kind]()
                self._wait()
                if repeat:  # the first time pays for what is set up
                    best[kind] = min(best[kind], time.perf_counter() - began)
        return {str(kind): seconds for kind, seconds in best.items()}

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def _learn_once(network: nn.Module, inputs: Tensor, kind: Precision) -> Callable[[], object]:
    def step() -> None:
        with casting(inputs.device, kind):
            logits = cast("Tensor", network(inputs))
        network.zero_grad(set_to_none=True)
        logits.float().logsumexp(-1).mean().backward()  # pyright: ignore[reportUnknownMemberType]  # torch leaves it half typed

    return step


def _answer_once(network: nn.Module, inputs: Tensor) -> Callable[[], object]:
    own = in_numbers(inputs, dtype_of(network))

    def ask() -> object:
        with torch.no_grad():
            return network(own)

    return ask


def _machine(device: torch.device) -> list[object]:
    """Return what a measurement may depend on."""
    if device.type == "cuda":
        return [torch.__version__, torch.cuda.get_device_name(device)]
    capability = torch.backends.cpu.get_cpu_capability()
    return [
        torch.__version__,
        platform.machine(),
        processor(),
        capability,
        torch.get_num_threads(),
    ]


def processor() -> str:
    """Return what the CPU calls itself."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
