"""The delivered student in the forms that the recipe asks for, each checked and measured.

This happens before the verdict, which tells of it, and changes no network.
"""

from __future__ import annotations

import statistics
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor, nn

from kdcore.dataset import Samples
from kdcore.errors import KdcoreError
from kdcore.evaluate import scores_of
from kdcore.measures import FormTold, Int8, Runtime, Timing
from kdcore.network import predict
from kdcore.onnx_network import OnnxNetwork
from kdcore.portable import (
    COMPARED,
    Difference,
    asked_onnx,
    asked_program,
    exported_bytes,
    held_against,
    onnx_bytes,
)
from kdcore.quantize import Quantized, calibration_samples, quantized
from kdcore.shipping import Form, Latency, Quantization
from kdcore.task import Task
from kdcore.timing import (
    Runner,
    batch_of,
    in_turns,
    onnx_runner,
    timed,
    torch_runner,
    torch_threads,
    untimed,
)

_TRACED: Final = 2
_REPEATS: Final = 50


@dataclass(frozen=True, slots=True)
class File:
    """One file of the delivery."""

    name: str
    kind: str
    content: bytes


@dataclass(slots=True)
class Parcel:
    """The student's other forms, and what was measured of them."""

    files: list[File] = field(default_factory=list[File])
    forms: list[FormTold] = field(default_factory=list[FormTold])
    int8: Int8 | None = None
    timings: list[Timing] = field(default_factory=list[Timing])


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be packed."""

    task: Task
    export: list[Form]
    quantization: Quantization
    latency: Latency
    student: nn.Module
    seed: int
    """Of the student."""
    teacher: nn.Module
    train: Tensor
    """Training samples `(N, *shape)`."""
    test: Samples
    most_threads: int
    """That may be used."""


def pack(order: Order) -> Parcel:
    """Make the forms that are asked for, and measure them.

    Raises:
        ExportError: a form cannot be made, or does not compute what the student computes.
    """
    parcel = Parcel()
    if set(order.export) == {"safetensors"} and not order.latency.targets:
        return parcel
    test = Samples(order.test.inputs.cpu(), order.test.labels.cpu())
    student, few = order.student, test.inputs[:COMPARED]
    with _on_cpu(student), _on_cpu(order.teacher):
        content = None
        if {"onnx", "int8"} & set(order.export) or _runs(order.latency, "onnxruntime"):
            content = onnx_bytes(student, test.inputs[:_TRACED])
        if content is not None and "onnx" in order.export:
            found = held_against(
                asked_onnx(content, few), student, few, shown="student.onnx", form="onnx"
            )
            _add(parcel, "onnx", File("student.onnx", "student_onnx", content), found)
        if "exported" in order.export:
            program = exported_bytes(student, test.inputs)
            found = held_against(
                asked_program(program, few), student, few, shown="student.pt2", form="exported"
            )
            _add(parcel, "exported", File("student.pt2", "student_exported", program), found)
        small = None
        if content is not None and "int8" in order.export:
            samples = calibration_samples(order.train, order.quantization.calibration_samples)
            small = quantized(content, order.quantization, samples, order.task)
            parcel.files.append(File("student.int8.onnx", "student_int8", small.content))
            parcel.int8 = _measured(small, content, order, test)
        parcel.timings = _timings(order, test.inputs, content, small)
    return parcel


def _add(parcel: Parcel, form: str, file: File, found: Difference) -> None:
    parcel.files.append(file)
    parcel.forms.append(
        FormTold.model_validate(
            {
                "form": form,
                "file": file.name,
                "size_bytes": len(file.content),
                "samples": found.samples,
                "largest_difference": found.largest,
                "tolerance": found.allowed,
            }
        )
    )


def _measured(small: Quantized, content: bytes, order: Order, test: Samples) -> Int8:
    said = predict(order.student, test.inputs)
    before = scores_of(said, test, order.task)
    after = scores_of(asked_onnx(small.content, test.inputs), test, order.task, said)
    one = test.inputs[:1]
    with torch_threads(1):
        runners = {
            "float": onnx_runner(content, one, 1),
            "int8": onnx_runner(small.content, one, 1),
        }
        times = in_turns(runners, _REPEATS)
    middle = {who: 1000 * statistics.median(took) for who, took in times.items()}
    return Int8(
        kind=small.kind,
        seed=order.seed,
        calibration_samples=small.samples,
        score=after[order.task.metric],
        float_score=before[order.task.metric],
        agreement=after["agreement"],
        size_bytes=len(small.content),
        float_size_bytes=len(content),
        latency_ms=middle["int8"],
        float_latency_ms=middle["float"],
    )


def _runs(latency: Latency, runtime: Runtime) -> bool:
    return bool(latency.targets) and runtime in latency.runtimes


def _timings(
    order: Order, samples: Tensor, student: bytes | None, small: Quantized | None
) -> list[Timing]:
    """Time the networks on each declared target."""
    files: dict[str, bytes | str] = {}
    if _runs(order.latency, "onnxruntime") and student is not None:
        files = {"teacher": _as_file(order.teacher, samples), "student": student}
        if small is not None:
            files["int8"] = small.content
    timings: list[Timing] = []
    for target in order.latency.targets:
        batch = batch_of(samples, target.batch)
        runners: dict[tuple[str, Runtime], Runner | str] = {}
        if "pytorch" in order.latency.runtimes:
            runners["teacher", "pytorch"] = _as_torch(order.teacher, batch)
            runners["student", "pytorch"] = torch_runner(order.student, batch)
        for who, content in files.items():
            runners[who, "onnxruntime"] = (
                content if isinstance(content, str) else onnx_runner(content, batch, target.threads)
            )
        if target.threads > order.most_threads:
            reason = f"{target.threads} threads, and the run's share is {order.most_threads} cores"
            runners = dict.fromkeys(runners, reason)
        reasons = {who: one for who, one in runners.items() if isinstance(one, str)}
        able = {who: one for who, one in runners.items() if not isinstance(one, str)}
        # One runtime after the other: threads of either wait by spinning for a while.
        for runtime in order.latency.runtimes:
            group = {who: one for who, one in able.items() if who[1] == runtime}
            timings += timed(group, target, order.latency.repeats)
        timings += [untimed(*who, target, reason) for who, reason in reasons.items()]
    return timings


def _as_torch(network: nn.Module, batch: Tensor) -> Runner | str:
    if isinstance(network, OnnxNetwork):
        return "it is an ONNX file, which PyTorch does not run"
    return torch_runner(network, batch)


def _as_file(network: nn.Module, samples: Tensor) -> bytes | str:
    """Return a network as an ONNX file, or why it cannot be one."""
    if isinstance(network, OnnxNetwork):
        return network.content
    try:
        return onnx_bytes(network, samples[:_TRACED])
    except (KdcoreError, torch.onnx.OnnxExporterError) as error:
        return f"it cannot be exported ({str(error).partition(chr(10))[0][:200]})"


@contextmanager
def _on_cpu(network: nn.Module) -> Generator[None]:
    """Have a network on the CPU for a while."""
    device = next((one.device for one in network.parameters()), torch.device("cpu"))
    network.cpu()
    try:
        yield
    finally:
        network.to(device)
