"""Writes scikit-learn's digits as files of every kind that a data set may be.

    python examples/digit_files.py stillhouse-data/inputs

Two thirds of the training images come without a label, so that there is something to distil.
"""  # noqa: INP001 - a script, not a package

from __future__ import annotations

import csv
import io
import json
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image
from sklearn.datasets import (  # pyright: ignore[reportMissingTypeStubs]
    load_digits,  # pyright: ignore[reportUnknownVariableType]
)

PROPERTIES = {"odd": (1, 3, 5, 7, 9), "large": (5, 6, 7, 8, 9), "loop": (0, 6, 8, 9)}
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEST_FROM = 1297


@dataclass(frozen=True)
class Digit:
    """One image."""

    place: int
    pixels: np.ndarray[Any, Any]
    """`(8, 8)`, 0 to 16."""
    label: int
    """-1 where it is hidden."""
    part: str

    @property
    def kind(self) -> str:
        """The name of the class; none where it is hidden."""
        return NAMES[self.label] if self.label >= 0 else ""

    @property
    def png(self) -> bytes:
        """The image as a file."""
        stream = io.BytesIO()
        Image.fromarray((self.pixels * 15.9375).astype(np.uint8)).save(stream, "PNG")
        return stream.getvalue()


def digits() -> Iterator[Digit]:
    """Yield all images."""
    bunch = cast("Any", load_digits())
    for place, (pixels, label) in enumerate(zip(bunch.images, bunch.target, strict=True)):
        part = "train" if place < TEST_FROM else "test"
        yield Digit(place, pixels, -1 if part == "train" and place % 3 else int(label), part)


def write_folders(file: Path) -> None:
    """Write an archive with a folder for each class: `image_folder`."""
    with zipfile.ZipFile(file, "w") as archive:
        for one in digits():
            kind = one.kind or "unlabelled"
            archive.writestr(f"{one.part}/{kind}/{one.place:04}.png", one.png)


def write_heap(file: Path, table: Path) -> None:
    """Write an archive of images, and a table that names class and properties: `image_table`."""
    with zipfile.ZipFile(file, "w") as archive, table.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("file", "label", "split", *PROPERTIES))
        for one in digits():
            archive.writestr(f"{one.place:04}.png", one.png)
            has = [int(one.label in which) if one.kind else "" for which in PROPERTIES.values()]
            rows.writerow((f"{one.place:04}.png", one.kind, one.part, *has))


def write_shards(folder: Path) -> None:
    """Write three shards for training and one for testing: `webdataset`."""
    folder.mkdir(exist_ok=True)
    names = ("train-000", "train-001", "train-002", "test-000")
    shards = {name: tarfile.open(folder / f"{name}.tar", "w") for name in names}  # noqa: SIM115  # closed below
    for one in digits():
        shard = shards["test-000" if one.part == "test" else f"train-{one.place % 3:03}"]
        files = {"png": one.png} | ({"cls": str(one.label).encode()} if one.label >= 0 else {})
        for kind, content in files.items():
            info = tarfile.TarInfo(f"{one.place:04}.{kind}")
            info.size = len(content)
            shard.addfile(info, io.BytesIO(content))
    for shard in shards.values():
        shard.close()


def rows() -> list[dict[str, Any]]:
    """Return a row for each image: a number for each pixel, the class and the part."""
    return [
        {
            **{f"pixel{place}": int(pixel) for place, pixel in enumerate(one.pixels.flatten())},
            "digit": one.kind or None,
            "part": one.part,
        }
        for one in digits()
    ]


def write_rows(file: Path) -> None:
    """Write them as a table: `table`."""
    with file.open("w", newline="") as stream:
        table = csv.DictWriter(stream, list(rows()[0]))
        table.writeheader()
        table.writerows(rows())


def write_parquet(file: Path) -> None:
    """Write the same table as Parquet."""
    import pyarrow as pa
    from pyarrow import parquet

    arrow: Any = pa
    cast("Any", parquet).write_table(arrow.Table.from_pylist(rows()), file)


def write_arrays(file: Path) -> None:
    """Write four arrays: `arrays`."""
    arrays: dict[str, Any] = {}
    for part in ("train", "test"):
        mine = [one for one in digits() if one.part == part]
        arrays[f"x_{part}"] = np.stack([one.pixels for one in mine])[:, None].astype(np.float32)
        arrays[f"y_{part}"] = np.array([one.label for one in mine])
    np.savez(file, **arrays)


def write_saved(folder: Path) -> None:
    """Write what `DatasetDict.save_to_disk` of `datasets` would: `huggingface_images`."""
    import pyarrow as pa

    arrow: Any = pa
    features = {"image": {"_type": "Image"}, "label": {"names": NAMES, "_type": "ClassLabel"}}
    image = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    schema = arrow.schema([("image", image), ("label", arrow.int64())])
    name = "data-00000-of-00001.arrow"
    for part in ("train", "test"):
        split = folder / part
        split.mkdir(parents=True, exist_ok=True)
        rows = [
            {"image": {"bytes": one.png, "path": None}, "label": one.label}
            for one in digits()
            if one.part == part
        ]
        with arrow.ipc.new_stream(split / name, schema) as stream:
            stream.write_table(arrow.Table.from_pylist(rows, schema=schema))
        (split / "dataset_info.json").write_text(json.dumps({"features": features}))
        (split / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))


def main(folder: Path) -> None:
    """Write all of them into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_folders(folder / "digit_images.zip")
    write_heap(folder / "digit_heap.zip", folder / "digit_heap.csv")
    write_shards(folder / "digit_shards")
    write_rows(folder / "digit_rows.csv")
    write_arrays(folder / "digits.npz")
    try:
        write_parquet(folder / "digit_rows.parquet")
        write_saved(folder / "digits_saved")
    except ModuleNotFoundError:
        sys.stdout.write("digit_rows.parquet and digits_saved are left out: pyarrow, of the extra")
        sys.stdout.write(" data, writes them\n")
    sys.stdout.write(f"{folder}: {', '.join(sorted(one.name for one in folder.iterdir()))}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "stillhouse-data/inputs"))
