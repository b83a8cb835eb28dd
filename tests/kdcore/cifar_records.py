"""Small files in the very format of CIFAR's binary version."""

import io
import random
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from kdcore.dataset import Dataset
from kdcore.datasets.cifar10 import Cifar10
from kdcore.datasets.cifar100 import Cifar100

Files = dict[str, bytes]
TRAIN10 = [f"data_batch_{number}.bin" for number in range(1, 6)]
BOTH = pytest.mark.parametrize("kind", [Cifar10, Cifar100])
FOLDERS = {Cifar10: "cifar-10-batches-bin", Cifar100: "cifar-100-binary"}
ARCHIVES = {Cifar10: "cifar-10-binary.tar.gz", Cifar100: "cifar-100-binary.tar.gz"}
CLASSES = {Cifar10: 10, Cifar100: 100}
MEAN = {Cifar10: (0.4914, 0.4822, 0.4465), Cifar100: (0.5071, 0.4867, 0.4408)}
STD = {Cifar10: (0.2470, 0.2435, 0.2616), Cifar100: (0.2675, 0.2565, 0.2761)}


def records(kind: type[Dataset], labels: Iterable[int], seed: int) -> bytes:
    """Return records in the format of the files; a coarse label is a fifth of the fine one."""
    draw_byte = random.Random(seed).randbytes
    prefix = (lambda y: bytes([y])) if kind is Cifar10 else (lambda y: bytes([y // 5, y]))
    return b"".join(prefix(label) + draw_byte(3072) for label in labels)


def small(kind: type[Dataset], each: int = 4) -> Files:
    """Return files with `each` records apiece, every one of another length."""
    if kind is Cifar10:
        names, names_test = TRAIN10, "test_batch.bin"
    else:
        names, names_test = ["train.bin"], "test.bin"
    last = CLASSES[kind] - 1
    return {
        name: records(kind, [(seed + place) % 10 for place in range(each + seed)] + [last], seed)
        for seed, name in enumerate([*names, names_test])
    }


def unpacked(folder: Path, files: Files) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def packed(file: Path, files: Iterable[tuple[str, bytes]], *more: tarfile.TarInfo) -> Path:
    """Write a .tar.gz; the readme that the real one holds is there, too."""
    with tarfile.open(file, "w:gz") as archive:
        for name, content in (("cifar-10-batches-bin/readme.html", b"<html>"), *files):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in more:
            archive.addfile(member)
    return file


def inside(kind: type[Dataset], files: Files) -> list[tuple[str, bytes]]:
    return [(f"{FOLDERS[kind]}/{name}", content) for name, content in files.items()]
