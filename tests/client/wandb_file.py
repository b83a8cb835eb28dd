"""What wandb wrote offline, read back: its own records, in LevelDB's log format."""

import struct
from collections.abc import Iterator
from pathlib import Path

from wandb.proto.wandb_internal_pb2 import Record

_BLOCK, _HEADER = 32_768, 7
_FULL, _FIRST, _LAST = 1, 2, 4


def records(file: Path) -> Iterator["Record"]:
    """Yield the records of a run's `.wandb` file."""
    content, place, pending = file.read_bytes(), _HEADER, b""
    assert content.startswith(b":W&B")
    while place < len(content):
        left = _BLOCK - place % _BLOCK
        if left < _HEADER:
            place += left  # the rest of a block that holds no header is empty
            continue
        _, size, kind = struct.unpack_from("<IHB", content, place)
        pending = (b"" if kind in {_FULL, _FIRST} else pending) + content[
            place + _HEADER : place + _HEADER + size
        ]
        place += _HEADER + size
        if kind in {_FULL, _LAST}:
            record = Record()
            record.ParseFromString(pending)
            yield record
