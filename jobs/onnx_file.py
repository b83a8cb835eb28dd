"""The outermost fields of an ONNX model: whole, known, and one graph among them."""

from typing import BinaryIO, Final

from kdcore.errors import DataError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED: Final = {_FIXED64: 8, _FIXED32: 4}
_GRAPH: Final = 7
_FUNCTIONS: Final = 25
_MOST_FIELDS: Final = 100_000
_MOST_DIGITS: Final = 10


def check_onnx(content: BinaryIO, size_bytes: int, name: str) -> None:
    """Walk over the fields from length to length.

    Raises:
        DataError: they do not end where the file does, or a model looks otherwise.
    """
    content.seek(0)
    place, graphs = 0, 0
    for _ in range(_MOST_FIELDS):
        if place == size_bytes:
            break
        key, place = _varint(content, place, name)
        field, kind = key >> 3, key & 7
        length = 0
        if kind in {_VARINT, _BYTES}:
            length, place = _varint(content, place, name)
        place += length if kind == _BYTES else _FIXED.get(kind, 0)
        if kind not in {_VARINT, _BYTES, *_FIXED} or place > size_bytes:
            raise _cut(name)
        content.seek(place)
        graphs += field == _GRAPH
        if field == _FUNCTIONS:
            raise DataError(
                f"{name}: has functions of its own; expected standard operators alone",
                hint="inline them, by onnx.inliner.inline_local_functions",
            )
    if place != size_bytes or graphs != 1:
        raise _cut(name)


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
