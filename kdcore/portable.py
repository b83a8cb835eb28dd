"""Networks in forms that run without us: one ONNX file, or a program of torch.export."""

from __future__ import annotations

import io
import logging
import warnings
from dataclasses import dataclass
from typing import Any, Final, cast

import torch
from torch import Tensor, nn

from kdcore.errors import ExportError
from kdcore.network import predict

COMPARED: Final = 64
"""Samples on which a form is held against its network."""
_TOLERANCE: Final = 1e-4
_TRACED: Final = 2
_BATCH: Final = 256


@dataclass(frozen=True, slots=True)
class Difference:
    """How far a form's logits are from the network's."""

    largest: float
    allowed: float
    samples: int


def onnx_bytes(network: nn.Module, samples: Tensor) -> bytes:
    """Return a network as one ONNX file with a dynamic batch, from `inputs` to `logits`.

    Texts may be shorter than the samples, too.
    """
    # The exporter speaks a lot, and not to users of this engine.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network.eval(),
            (samples,),
            dynamo=True,
            input_names=["inputs"],
            output_names=["logits"],
            dynamic_shapes=(_sizes(samples),),
            verbose=False,
        )
    if program is None:
        raise ExportError("the ONNX exporter gave nothing back")
    return program.model_proto.SerializeToString()


def exported_bytes(network: nn.Module, samples: Tensor) -> bytes:
    """Return a network as a saved program of torch.export, with sizes as its ONNX file has them.

    Raises:
        ExportError: it cannot be traced.
    """
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program = torch.export.export(
                network.eval(), (samples[:_TRACED],), dynamic_shapes=(_sizes(samples),)
            )
            torch.export.save(program, file)
        except Exception as error:  # noqa: BLE001  # what torch finds wrong is of any kind
            told = str(error).partition("\n")[0][:300] or type(error).__name__
            raise ExportError(f"torch.export cannot trace the student: {told}") from None
    return file.getvalue()


def _sizes(samples: Tensor) -> dict[int, Any]:
    """Return the sizes that may be others than those of the samples."""
    sizes = {0: torch.export.Dim("batch", min=1)}
    if not samples.is_floating_point() and samples.shape[1] > 1:
        sizes[1] = torch.export.Dim("length", min=1, max=samples.shape[1])
    return sizes


def held_against(
    logits: Tensor, network: nn.Module, samples: Tensor, *, shown: str, form: str
) -> Difference:
    """Compare what a form gave for samples `(N, *shape)` with what the network gives.

    Raises:
        ExportError: they differ by more than rounding explains.
    """
    expected = predict(network, samples)
    difference = float((logits - expected).abs().max())
    allowed = _TOLERANCE * max(float(expected.abs().max()), 1.0)
    if not difference <= allowed:
        raise ExportError(
            f"{shown} differs from the network by {difference:g} on real samples; "
            f"at most {allowed:g} is allowed",
            hint=f"leave {form} out of `export`",
        )
    return Difference(difference, allowed, len(samples))


def asked_onnx(content: bytes, samples: Tensor) -> Tensor:
    """Return what an ONNX file of ours gives for samples `(N, *shape)`, by ONNX Runtime."""
    session = onnx_session(content, threads=torch.get_num_threads())
    logits = [
        session.run(None, {"inputs": batch.numpy()})[0]
        for batch in cast("tuple[Tensor, ...]", samples.split(_BATCH))
    ]
    return torch.cat([torch.from_numpy(one) for one in logits])  # pyright: ignore[reportUnknownMemberType]


def asked_program(content: bytes, samples: Tensor) -> Tensor:
    """Return what a saved program gives for samples `(N, *shape)`.

    Reading one can run code: this is for what was written a moment ago.
    """
    program = torch.export.load(io.BytesIO(content))
    with torch.no_grad():
        return cast("Tensor", program.module()(samples))


def onnx_session(content: bytes, *, threads: int) -> Any:
    """Return a session of ONNX Runtime on the CPU."""
    import onnxruntime

    options = cast("Any", onnxruntime).SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Threads that wait for the next batch by spinning take the cores from whoever is timed next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return cast("Any", onnxruntime).InferenceSession(
        content, options, providers=["CPUExecutionProvider"]
    )
