"""Handwritten digits as image files of every kind, in folders and archives."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

Files = dict[str, bytes]
_BUNCH: Any = load_digits()


def picture(place: int, *, kind: str = "PNG", mode: str = "L", **options: Any) -> bytes:
    """Return the digit at `place` as an image file of 8 x 8 pixels."""
    pixels = (_BUNCH.images[place] * 15.9).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, kind, **options)
    return stream.getvalue()


def digits(each: int, *, classes: int = 3, start: int = 0, under: str = "") -> Files:
    """Return `each` images of the digits below `classes`, in a folder apiece."""
    names = ["zero", "one", "two", "three"]
    files: Files = {}
    for label in range(classes):
        places = np.flatnonzero(_BUNCH.target == label)[start : start + each]
        for place in places:
            files[f"{under}{names[label]}/{place}.png"] = picture(int(place))
    return files


def parts(each: int = 6) -> Files:
    return digits(each, under="train/") | digits(each // 2, start=each, under="test/")


def unpacked(folder: Path, files: Files) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def packed(file: Path, files: Files) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file
