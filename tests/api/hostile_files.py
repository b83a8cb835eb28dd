"""Files that must be refused when they are uploaded: name, content, a word of the refusal."""

from __future__ import annotations

import io
import json
import pickle
import stat
import tarfile
from typing import Any

import numpy as np
from hostile_zips import HOSTILE as ARCHIVES
from zips import plain, with_mode


def npz(**arrays: Any) -> bytes:
    """Return arrays as NumPy writes them."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def npy(header: str, data: bytes = b"") -> bytes:
    """Return an array with any header."""
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


def safetensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    """Return a safetensors file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def tensor(shape: list[Any], first: Any, end: Any, dtype: str = "F32") -> dict[str, Any]:
    """Return what a header says of a tensor."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, end]}


def onnx(*fields: tuple[int, bytes]) -> bytes:
    """Return a model: its version, and then any fields."""
    said = b"".join(bytes([8 * n + 2, len(data)]) + data for n, data in fields)
    return b"\x08\x0a\x12\x03ptq" + said


def pytorch() -> bytes:
    """Return what `torch.save` writes, as far as names go."""
    return plain(("archive/data.pkl", pickle.dumps({"a": 1})), ("archive/version", b"3\n"))


def tar() -> bytes:
    """Return a tar archive with a way out."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../../etc/passwd"))
    return file.getvalue()


def long_header() -> bytes:
    """Return a header that is all there, and larger than any should be."""
    return safetensors(b"{" + b" " * 2**23 + b"}")


def tokenizer(model: object, **more: Any) -> bytes:
    """Return a tokenizer's file with any model."""
    return json.dumps({"version": "1.0", "model": model, **more}).encode()


GOOD_NPZ = npz(x_train=np.zeros((4, 2), "float32"))
GOOD_TENSORS = safetensors({"w": tensor([2], 0, 8)}, bytes(8))
GOOD_ONNX = onnx((7, b"\x12\x03abc"))
GOOD_TOKENIZER = tokenizer({"type": "WordPiece", "vocab": {"[PAD]": 0, "a": 1}})
OBJECTS = npz(x_train=np.array([{"a": 1}], dtype=object))

_SAVED = (("own/state.json", b"{}"), ("own/a.arrow", b"x"))
DATASETS: dict[str, tuple[str, bytes, str]] = {
    "nothing": ("a.csv", b"", "an empty file"),
    "a program": ("a.csv", b"\x7fELF" + bytes(90), "a program (ELF)"),
    "a page": ("a.csv", b"<!DOCTYPE html><script>alert(1)</script>", "a page of markup"),
    "a script": ("a.jsonl", b"#!/bin/sh\nrm -rf /\n", "a script"),
    "bytes as text": ("a.csv", b"a,b\n\xff\xfe\xfd\n", "bytes that begin with"),
    "NUL in text": ("a.csv", b"a,b\n1,\0\n", "bytes that begin with"),
    "a table as lines": ("a.jsonl", b"a,b\n1,2\n", "found text"),
    "a pickle as an archive": ("a.zip", pickle.dumps({"a": 1}), "a Python pickle"),
    "a pickle as arrays": ("a.npz", pickle.dumps({"a": 1}), "a Python pickle"),
    "a PyTorch file": ("a.zip", pytorch(), "a PyTorch file"),
    "a tar": ("a.zip", tar(), "a tar archive"),
    "gzip": ("a.zip", b"\x1f\x8b\x08" + bytes(50), "gzip"),
    "images as arrays": ("a.npz", plain(("a.png", b"x")), "a zip of other files"),
    "an empty archive": ("a.zip", b"PK\x05\x06" + bytes(18), "holds no files"),
    "an archive cut short": ("a.zip", plain(("a/b.png", b"x" * 99))[:-30], "cut short"),
    "saved data with a program": (
        "a.zip",
        plain(*_SAVED, ("own/loader.py", b"import os")),
        "holds 'own/loader.py'; expected files that end in .arrow, .json",
    ),
    "saved data twice": (
        "a.zip",
        plain(*_SAVED, ("more/state.json", b"{}")),
        "outside of the folder",
    ),
    "saved data deep down": (
        "a.zip",
        plain(*((f"a/b/{name}", content) for name, content in _SAVED)),
        "outside of the folder 'a/b/own/'",
    ),
    "saved data that leads up": (
        "a.zip",
        plain(("../state.json", b"{}"), ("../a.arrow", b"x")),
        "leads out of the archive",
    ),
    "saved data with a link": (
        "a.zip",
        plain(*_SAVED, (with_mode("own/b.arrow", stat.S_IFLNK | 0o777), b"/etc/passwd")),
        "'own/b.arrow' is a link",
    ),
    "saved data that unpacks to anything": (
        "a.zip",
        plain(*_SAVED, ("own/b.arrow", bytes(2**22))),
        "at most 200 times as much",
    ),
    "shards among images": ("a.zip", plain(("a/1.tar", b"x"), ("a/1.png", b"x")), "in the archive"),
    "packed shards": ("a.zip", plain(("a/1.tar", b"x"), ("a/2.tar.gz", b"x")), "in the archive"),
    "shards in two folders": (
        "a.zip",
        plain(("a/1.tar", b"x"), ("b/2.tar", b"x")),
        "outside of the",
    ),
    "arrays cut short": ("a.npz", GOOD_NPZ[:-30], "cut short"),
    "objects among arrays": ("a.npz", OBJECTS, "holds Python objects"),
    "an array with code": (
        "a.npz",
        plain(("x.npy", npy("{'descr': __import__('os').system('id')}"))),
        "is no NumPy array",
    ),
    "an array of an absurd shape": (
        "a.npz",
        plain(
            ("x.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999,), }"))
        ),
        "says that it has the shape",
    ),
    "an array and a program": (
        "a.npz",
        plain(
            ("x.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (), }", bytes(4))),
            ("run.exe", b"MZ"),
        ),
        "is no NumPy array",
    ),
    "arrays that unpack to anything": (
        "a.npz",
        plain(("x.npy", bytes(2**26 + 1))),
        "at most 200 times as much",
    ),
    "Parquet cut short": ("a.parquet", b"PAR1" + bytes(50), "has no end of a Parquet file"),
    "Parquet with an absurd end": (
        "a.parquet",
        b"PAR1" + bytes(9) + b"\xff\xff\xff\x7fPAR1",
        "has no end of a Parquet file",
    ),
    "a tokenizer cut short": ("a.json", GOOD_TOKENIZER[:-1], "is no JSON from its beginning"),
    "a tokenizer and more": ("a.json", GOOD_TOKENIZER + b"{}", "is no JSON from its beginning"),
    "a tokenizer of no letters": ("a.json", GOOD_TOKENIZER[:-1] + b"\xff}", "bytes that begin"),
    "other JSON": ("a.json", b'{"model_type": "bert"}', "has no `model`, so it is no tokenizer"),
    "a list": ("a.json", b"[1]", "found text"),
    "a list in a list": ("a.json", b'{"model":' + b"[" * 99_999, "is no JSON from its beginning"),
    "lists without end": ("a.json", b'{"a":[' + b"[]," * 2**20 + b"0]}", "lists and objects"),
    "a tokenizer beyond all bounds": ("a.json", b"{" + b" " * 2**25 + b"}", "expected at most"),
    "a tokenizer of another kind": (
        "a.json",
        tokenizer({"type": "Pickle", "vocab": {"a": 1}}),
        "has a model of the type 'Pickle'",
    ),
    "a tokenizer without tokens": (
        "a.json",
        tokenizer({"type": "BPE", "vocab": {}}),
        "`vocab` is not tokens with their numbers",
    ),
    "a tokenizer of negative ids": (
        "a.json",
        tokenizer({"type": "BPE", "vocab": {"a": -1}}),
        "`vocab` is not tokens with their numbers",
    ),
    "a tokenizer without scores": (
        "a.json",
        tokenizer({"type": "Unigram", "vocab": [["a"]]}),
        "`vocab` is not pairs",
    ),
    "a tokenizer with strange additions": (
        "a.json",
        tokenizer({"type": "BPE", "vocab": {"a": 0}}, added_tokens=[{"id": True, "content": "b"}]),
        "has `added_tokens` that are not",
    ),
    "a tokenizer with code": (
        "a.json",
        tokenizer({"type": "BPE", "vocab": {"a": 0}}, pre_tokenizer="os.system('id')"),
        "has a 'pre_tokenizer' that is neither",
    ),
    "tensors cut short": ("a.safetensors", GOOD_TENSORS[:-1], "has 7 bytes of numbers"),
}
_CONFIG = ("vit/config.json", b"{}")
MODELS: dict[str, tuple[str, bytes, str]] = {
    "a folder with a pickle": (
        "a.zip",
        plain(_CONFIG, ("vit/pytorch_model.bin", b"x")),
        "expected files that end in",
    ),
    "a folder with a program": (
        "a.zip",
        plain(_CONFIG, ("vit/model.safetensors", b"x"), ("vit/modeling.py", b"import os")),
        "holds 'vit/modeling.py'",
    ),
    "a folder without weights": ("a.zip", plain(_CONFIG), "at least one .safetensors"),
    "a folder without a description": (
        "a.zip",
        plain(("model.safetensors", b"x")),
        "holds 0 files config.json",
    ),
    "two folders": (
        "a.zip",
        plain(_CONFIG, ("bit/config.json", b"{}")),
        "holds 2 files config.json",
    ),
    "a folder beside others": (
        "a.zip",
        plain(_CONFIG, ("vit/model.safetensors", b"x"), ("more/model.safetensors", b"x")),
        "outside of the model's folder",
    ),
    "a folder that leads up": (
        "a.zip",
        plain(("../config.json", b"{}"), ("../model.safetensors", b"x")),
        "'../config.json'",
    ),
    "a pickle": ("a.safetensors", pickle.dumps({"a": 1}), "a Python pickle"),
    "a PyTorch file": ("a.safetensors", pytorch(), "a PyTorch file"),
    "a header longer than the file": (
        "a.safetensors",
        safetensors(b"{}", length=99_999_999),
        "says that its header has",
    ),
    "a header beyond all bounds": ("a.safetensors", long_header(), "says that its header has"),
    "a header that is no JSON": ("a.safetensors", safetensors(b"{nope"), "not describe tensors"),
    "a header of lists": (
        "a.safetensors",
        safetensors(b'{"a":' + b"[" * 9999 + b"]" * 9999 + b"}"),
        "not describe tensors",
    ),
    "tensors over each other": (
        "a.safetensors",
        safetensors({"a": tensor([2], 0, 8), "b": tensor([2], 4, 12)}, bytes(12)),
        "overlap",
    ),
    "a tensor out of the file": (
        "a.safetensors",
        safetensors({"a": tensor([2**40], 0, 2**42)}),
        "has 0 bytes of numbers",
    ),
    "a negative place": (
        "a.safetensors",
        safetensors({"a": tensor([2], -8, 0)}),
        "not describe tensors",
    ),
    "a tensor of objects": (
        "a.safetensors",
        safetensors({"a": tensor([1], 0, 4, "OBJ")}, bytes(4)),
        "not describe tensors",
    ),
    "a tensor twice": (
        "a.safetensors",
        safetensors(b'{"a":%b,"a":%b}' % ((json.dumps(tensor([1], 0, 4)).encode(),) * 2), bytes(4)),
        "not describe tensors",
    ),
    "a model cut short": ("a.onnx", GOOD_ONNX[:-1], "is no whole ONNX model"),
    "a model without a graph": ("a.onnx", onnx((18, b"x")), "is no whole ONNX model"),
    "a model and more": ("a.onnx", GOOD_ONNX + b"\xff" * 40, "is no whole ONNX model"),
    "a model with functions": (
        "a.onnx",
        GOOD_ONNX + b"\xca\x01\x02fn",
        "has functions of its own",
    ),
    "JSON as a model": ("a.onnx", b'{"graph": 1}', "found text"),
}


def _archive(case: str) -> tuple[str, bytes, str]:
    content, words = ARCHIVES[case]
    return "a.zip", content if isinstance(content, bytes) else content(), words


# The look at the first bytes refuses the other one already.
_ARCHIVES = sorted(set(ARCHIVES) - {"no header"})
HOSTILE = {
    **{f"dataset: {case}": ("datasets", *DATASETS[case]) for case in DATASETS},
    **{f"model: {case}": ("models", *MODELS[case]) for case in MODELS},
    **{f"archive: {case}": ("datasets", *_archive(case)) for case in _ARCHIVES},
}
"""Case -> where it is sent, its name, its content, and what must be said."""
