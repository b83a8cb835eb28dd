"""The fields of an ONNX model, from length to length: whole, with one graph, and safe to be run.

Graphs, operators and tensors are walked over; numbers are passed by, and nothing is held.
"""

from collections.abc import Mapping
from typing import BinaryIO, Final

from kdcore.errors import DataError
from kdcore.onnx_rules import STANDARD_DOMAINS

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED: Final = {_FIXED64: 8, _FIXED32: 4}
_GRAPH: Final = 7
_FUNCTIONS: Final = 25
_DOMAIN: Final = 7
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_WITHIN: Final[Mapping[str, Mapping[int, str]]] = {
    "model": {_GRAPH: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""What is looked into, by the numbers that fields have in onnx/onnx, onnx/onnx.proto."""
_MOST_FIELDS: Final = 2_000_000
_DEEPEST: Final = 64
_MOST_DIGITS: Final = 10
_LONGEST: Final = 80


def check_onnx(content: BinaryIO, size_bytes: int, name: str) -> None:
    """Walk over the fields of a file of so many bytes.

    Raises:
        DataError: they do not end where the file does, it needs code or data of others, or a model
            looks otherwise.
    """
    content.seek(0)
    place, graphs = 0, 0
    around = [("model", size_bytes)]
    for _ in range(_MOST_FIELDS):
        while around and place == around[-1][1]:
            around.pop()
        if not around:
            break
        message, end = around[-1]
        key, place = _varint(content, place, name)
        field, kind = key >> 3, key & 7
        number = 0
        if kind in {_VARINT, _BYTES}:
            number, place = _varint(content, place, name)
        length = number if kind == _BYTES else _FIXED.get(kind, 0)
        if kind not in {_VARINT, _BYTES, *_FIXED} or place + length > end:
            raise _cut(name)
        graphs += message == "model" and field == _GRAPH
        _check_field(message, field, number, name)
        within = _WITHIN[message].get(field) if kind == _BYTES else None
        if within is not None:
            around.append((within, place + length))
            if len(around) > _DEEPEST:
                raise DataError(
                    f"{name}: has graphs in graphs, deeper than {_DEEPEST} messages",
                    hint="export it anew without such",
                )
            continue
        if (message, field, kind) == ("node", _DOMAIN, _BYTES):
            _check_domain(content.read(min(length, _LONGEST)), name)
        place += length
        content.seek(place)
    if around or graphs != 1:
        raise _cut(name)


def _check_field(message: str, field: int, number: int, name: str) -> None:
    """Refuse what would be code, or numbers, from elsewhere."""
    if message == "model" and field == _FUNCTIONS:
        raise DataError(
            f"{name}: has functions of its own; expected standard operators alone",
            hint="inline them, by onnx.inliner.inline_local_functions",
        )
    if message == "tensor" and (
        field == _EXTERNAL_DATA or (field == _DATA_LOCATION and number != 0)
    ):
        raise DataError(
            f"{name}: has a tensor whose numbers lie outside of the file; expected all in one file",
            hint="export it anew with external_data=False",
        )


def _check_domain(written: bytes, name: str) -> None:
    domain = written.decode("utf-8", "replace")
    if domain not in STANDARD_DOMAINS:
        raise DataError(
            f"{name}: has operators of {domain!r}; expected operators of the standard domains "
            "alone",
            hint="export it anew without operators of others",
        )


def _varint(content: BinaryIO, place: int, name: str) -> tuple[int, int]:
    number = 0
    for digit in range(_MOST_DIGITS):
        byte = content.read(1)
        if not byte:
            break
        number |= (byte[0] & 127) << 7 * digit
        if byte[0] < 128:  # noqa: PLR2004 - the highest bit says that more follow
            return number, place + digit + 1
    raise _cut(name)


def _cut(name: str) -> DataError:
    return DataError(
        f"{name}: is no whole ONNX model; its parts do not end where the file does",
        hint="upload the whole file, as torch.onnx.export or onnx.save wrote it, in one file",
    )
