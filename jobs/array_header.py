"""The header of a NumPy array: in accord with the bytes behind it, and without Python objects.

NumPy reads it as an expression of Python. Here it is a text of one form, which `numpy.save` writes.
"""

import re
from typing import Final

import numpy as np

from kdcore.errors import DataError

HEAD_BYTES: Final = 10_012
"""What is to be seen of an array: no header is longer."""

_MAGIC: Final = b"\x93NUMPY"
_LENGTHS: Final = {1: 2, 2: 4, 3: 4}
"""Bytes of the header's own length, by the version of the format."""
_HEADER: Final = re.compile(
    r"\{'descr': '([^'\\]{1,20})', 'fortran_order': (?:True|False), "
    r"'shape': \(((?:\d{1,19}, ?)*(?:\d{1,19})?)\),? ?\} *\n",
    re.ASCII,
)
_SAVE: Final = "save arrays of numbers with numpy.savez"


def check_array(head: bytes, size_bytes: int, shown: str) -> None:
    """Hold an array of so many bytes, which people call `shown`, against its header.

    Raises:
        DataError: it is longer or shorter than it says, is made of Python objects, or is no array.
    """
    width = _LENGTHS.get(head[6]) if head.startswith(_MAGIC) and len(head) > len(_MAGIC) else None
    if width is None:
        raise DataError(f"{shown}: is no NumPy array; it begins with {head[:6]!r}", hint=_SAVE)
    start = len(_MAGIC) + 2 + width
    end = start + int.from_bytes(head[start - width : start], "little")
    found = _HEADER.fullmatch(head[start:end].decode("latin-1")) if end <= len(head) else None
    try:
        kind = np.dtype(found[1]) if found else None
    except (TypeError, ValueError, SyntaxError):
        kind = None
    if found is None or kind is None:
        raise DataError(f"{shown}: is no NumPy array with a header that can be read", hint=_SAVE)
    if kind.hasobject:
        raise DataError(
            f"{shown}: holds Python objects, which are pickles and can run code", hint=_SAVE
        )
    expected = kind.itemsize
    for length in re.findall(r"\d+", found[2]):
        expected *= int(length)
    if expected != size_bytes - end:
        raise DataError(
            f"{shown}: says that it has the shape ({found[2]}) of {kind}, and has"
            f" {size_bytes - end:,} bytes; expected {expected:,}",
            hint="save it again; it was cut short or changed",
        )
