"""Zip archives that no decent program writes."""

import io
import struct
import zipfile
import zlib


def plain(*entries: tuple[str | zipfile.ZipInfo, bytes], packed: bool = True) -> bytes:
    """Return an archive of these files."""
    file = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return file.getvalue()


def raw(*entries: tuple[bytes, bytes], **fields: int) -> bytes:
    """Return an archive with names as bytes, and fields of each directory entry set at will."""
    body, directory = b"", b""
    for name, content in entries:
        size, crc = len(content), zlib.crc32(content)
        flags, method = fields.get("flags", 0), fields.get("method", 0)
        told, packed = fields.get("size", size), fields.get("packed", size)
        attributes = fields.get("attributes", 0)
        offset = fields.get("offset", len(body))
        directory += struct.pack(
            "<4s6H3I5H2I",
            b"PK\x01\x02", 0x0314, 20, flags, method, 0, 0x21, crc, packed, told,
            len(name), 0, 0, 0, 0, attributes, offset,
        ) + name  # fmt: skip
        body += struct.pack(
            "<4s5H3I2H", b"PK\x03\x04", 20, flags, method, 0, 0x21, crc, packed, told, len(name), 0
        ) + name + content  # fmt: skip
    count = fields.get("count", len(entries))
    long = fields.get("directory", len(directory))
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, long, len(body), 0)
    return body + directory + end


def with_mode(name: str, mode: int) -> zipfile.ZipInfo:
    """Return an entry of a kind that only a Unix file system has."""
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    info.create_system = 3
    return info


def changed(content: bytes, old: bytes, new: bytes) -> bytes:
    """Return the content with one place of it changed, which must be there."""
    assert old in content
    return content.replace(old, new, 1)
