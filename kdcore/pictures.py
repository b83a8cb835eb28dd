"""PNG, as far as a report needs it: eight bits a channel, grey or red, green and blue.

W3C, Portable Network Graphics (PNG) Specification, third edition, sections 5 and 11.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_COLOURS: Final = {1: 0, 3: 2}


def png(values: bytes, width: int, height: int, channels: int) -> bytes:
    """Return an image from its bytes, row by row, 1 or 3 to a pixel."""
    line = width * channels
    rows = b"".join(b"\0" + values[row * line : (row + 1) * line] for row in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOURS[channels], 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
