"""Formats of files that clients bring: which are taken, and whether content is what a name says."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from jobs.input_errors import ContentRefused, FormatRefused

InputKind = Literal["dataset", "model"]
KINDS: Final[tuple[InputKind, ...]] = ("dataset", "model")
HEAD_BYTES: Final = 4096
"""How much of a file's beginning is looked at."""

_SAFETENSORS_HEADER: Final = range(2, 100_000_001)
"""How long the header of safetensors may be."""
_PICKLES: Final = frozenset({"pt", "pth", "bin", "pkl", "pickle", "ckpt", "joblib"})
_CONVERT: Final = (
    "pickles can run code when they are loaded and are never taken; save the weights with"
    " safetensors.torch.save_file(model.state_dict(), 'model.safetensors')"
)
_PICKLE: Final = re.compile(rb"\x80[\x02-\x05]")
_KNOWN: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!", "rar"),
    (b"\x7fELF", "a program (ELF)"),
    (b"MZ", "a program (Windows)"),
    (b"\xcf\xfa\xed\xfe", "a program (macOS)"),
    (b"\xca\xfe\xba\xbe", "a program (macOS or Java)"),
    (b"#!", "a script"),
    (b"\x89HDF\r\n", "HDF5"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"%PDF", "a PDF"),
    (b"PAR1", "parquet"),
    (b"\x93NUMPY", "one NumPy array (.npy)"),
)
# The fields of an ONNX model, as protobuf writes them: the version first, then any other.
_ONNX: Final = re.compile(rb"\x08[\x01-\x1f][\x12\x1a\x22\x28\x32\x3a\x42\x72\xa2\xca]")
_MARKUP: Final = re.compile(rb"\s*<(?:!doctype|html|\?xml|script|svg)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Format:
    """One format of files."""

    suffix: str
    media_type: str


_BINARY: Final = "application/octet-stream"
_FORMATS: Final = {
    one.suffix: one
    for one in (
        Format("npz", _BINARY),
        Format("zip", "application/zip"),
        Format("safetensors", _BINARY),
        Format("csv", "text/csv"),
        Format("jsonl", "application/jsonl"),
        Format("json", "application/json"),
        Format("parquet", "application/vnd.apache.parquet"),
        Format("onnx", _BINARY),
    )
}
TAKEN: Final[dict[InputKind, tuple[str, ...]]] = {
    "dataset": ("npz", "zip", "csv", "jsonl", "json", "parquet", "safetensors"),
    "model": ("safetensors", "onnx", "zip"),
}
"""Suffixes of the names that files of each kind may have."""


def format_of(kind: InputKind, name: str) -> Format:
    """Return the format that a name claims.

    Raises:
        FormatRefused: files of this kind are not taken in it.
    """
    suffix = name.rpartition(".")[2].lower() if "." in name else ""
    if suffix not in TAKEN[kind]:
        expected = ", ".join(f".{one}" for one in TAKEN[kind])
        hint = _CONVERT if suffix in _PICKLES else None
        if suffix in {"tar", "gz", "tgz", "xz", "bz2"}:
            hint = "archives are taken as .zip only"
        raise FormatRefused(
            f"found the name {name[:80]!r} of a {kind}; expected one that ends in {expected}",
            hint=hint,
        )
    return _FORMATS[suffix]


def check_head(claimed: Format, head: bytes) -> None:
    """Hold the beginning of a file (all of a short one) against what its name says.

    Raises:
        ContentRefused: it is something else.
    """
    if not _LOOKS[claimed.suffix](head):
        found = _told(head)
        is_pickle = "pickle" in found
        raise ContentRefused(
            f"found {found}; expected {claimed.suffix}, as the name says",
            hint=_CONVERT if is_pickle else "name the file after what it holds, or convert it",
        )


def _header_bytes(head: bytes) -> int:
    return int.from_bytes(head[:8], "little")


def _is_safetensors(head: bytes) -> bool:
    return _header_bytes(head) in _SAFETENSORS_HEADER and head[8:9] == b"{"


def _is_zip(head: bytes) -> bool:
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def _first_entry(head: bytes) -> str:
    """Return the name of the first file in a zip; empty where there is none."""
    if not head.startswith(b"PK\x03\x04"):
        return ""
    length = int.from_bytes(head[26:28], "little")
    return head[30 : 30 + length].decode("utf-8", "replace")


def _is_torch(head: bytes) -> bool:
    return _first_entry(head).endswith((".pkl", ".pickle", ".pt", ".pth", "/.format_version"))


def _is_text(head: bytes) -> bool:
    if not head.strip() or b"\0" in head or _MARKUP.match(head) or _named(head):
        return False
    try:
        head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # A character may be cut in two where the look ends.
        return error.start >= HEAD_BYTES - 4
    return True


def _named(head: bytes) -> str:
    return next((name for magic, name in _KNOWN if head.startswith(magic)), "")


_LOOKS: Final[dict[str, Callable[[bytes], bool]]] = {
    "npz": lambda head: _is_zip(head) and _first_entry(head).endswith(".npy"),
    "zip": lambda head: _is_zip(head) and not _is_torch(head),
    "safetensors": _is_safetensors,
    "parquet": lambda head: head.startswith(b"PAR1"),
    "onnx": lambda head: _ONNX.match(head) is not None,
    "jsonl": lambda head: _is_text(head) and head.lstrip()[:1] in {b"{", b"["},
    "json": lambda head: _is_text(head) and head.lstrip()[:1] == b"{",
    "csv": _is_text,
}
"""Whether the beginning of a file is that of each format."""
_WORDS: Final[tuple[tuple[Callable[[bytes], object], str], ...]] = (
    (lambda head: not head, "an empty file"),
    (_PICKLE.match, "a Python pickle"),
    (lambda head: _is_zip(head) and _is_torch(head), "a PyTorch file (a pickle in a zip)"),
    (_LOOKS["npz"], "npz"),
    (lambda head: _is_zip(head) and _first_entry(head), "a zip of other files"),
    (_is_zip, "a zip without files"),
    (lambda head: head[257:262] == b"ustar", "a tar archive"),
    (_is_safetensors, "safetensors"),
    (_MARKUP.match, "a page of markup"),
    (_LOOKS["onnx"], "onnx"),
    (_is_text, "text"),
)


def _told(head: bytes) -> str:
    """Say in a few words what content is."""
    known = (words for fits, words in _WORDS if fits(head))
    return next(known, "") or _named(head) or f"bytes that begin with {head[:8].hex(' ')}"
