"""The header of a safetensors file: small, plain, and in accord with the bytes behind it."""

import json
from typing import Any, BinaryIO, Final

from kdcore.errors import DataError

MAX_HEADER_BYTES: Final = 2**23
"""Some 80,000 tensors."""
_LENGTH: Final = 8
_MOST_NUMBERS: Final = 64
_METADATA: Final = "__metadata__"
_BITS: Final = {
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "BOOL": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "U8": 8, "I8": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32,
    "U64": 64, "I64": 64, "F64": 64, "C64": 64,
}  # fmt: skip


def check_safetensors(content: BinaryIO, size_bytes: int, name: str) -> None:
    """Read the header, and see that the tensors fill the rest of the file.

    Raises:
        DataError: it is absurd, or the file was cut short.
    """
    content.seek(0)
    length = int.from_bytes(content.read(_LENGTH), "little")
    if not 0 < length <= min(MAX_HEADER_BYTES, size_bytes - _LENGTH):
        raise _refused(
            name,
            f"says that its header has {length:,} bytes; expected at most"
            f" {min(MAX_HEADER_BYTES, max(size_bytes - _LENGTH, 0)):,}",
        )
    try:
        header: Any = json.loads(content.read(length), object_pairs_hook=_once)
        spans = sorted(_span(tensor) for key, tensor in header.items() if key != _METADATA)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise _refused(name, "has a header that does not describe tensors") from None
    place = 0
    for first, end in spans:
        if first != place:
            raise _refused(name, f"has a hole, or tensors that overlap, at byte {place:,}")
        place = end
    if place != size_bytes - _LENGTH - length:
        raise _refused(
            name,
            f"has {size_bytes - _LENGTH - length:,} bytes of numbers; expected {place:,}, as its"
            " header says",
        )


def _span(tensor: dict[str, Any]) -> tuple[int, int]:
    """Return where a tensor lies.

    Raises:
        ValueError, TypeError, KeyError: it is none.
    """
    bits = _BITS[tensor["dtype"]]
    first, end = tensor["data_offsets"]
    numbers = [first, end, *tensor["shape"]]
    if len(numbers) > _MOST_NUMBERS or any(
        type(number) is not int or number < 0 for number in numbers
    ):
        raise ValueError
    for length in tensor["shape"]:
        bits *= length
    if bits != 8 * (end - first):
        raise ValueError
    return first, end


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _refused(name: str, found: str) -> DataError:
    return DataError(
        f"{name}: {found}", hint="upload the whole file, as safetensors' save_file wrote it"
    )
