"""Code out of a checkout that the user names, on a machine without a GPU; none of it is changed.

What stands in for something that is not there: `.cuda()` gives back what it is called on, writers
of logs and progress bars do nothing where their packages are absent, two operators are declared
that torchvision's CUDA wheel misses beside a CPU build of PyTorch, and CIFAR-100 is given.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import sys
import types
import warnings
from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, cast
from unittest.mock import patch

import torch
from stand.photographs import Photographs
from torch import Tensor, nn

_OPERATORS: Final = [
    f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor" for name in ("nms", "qnms")
]
_declared: list[torch.library.Library] = []


class _Silent:
    """Does nothing, whatever it is asked to do."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __getattr__(self, _: str) -> Any:
        return _Silent


@contextlib.contextmanager
def opened(folder: Path, missing: Iterable[str] = ()) -> Generator[None]:
    """Import from a folder; its modules are forgotten afterwards, since their names are anybody's.

    Packages named in `missing` do nothing where they are not installed.
    """
    sys.path.insert(0, str(folder))
    for name in missing:
        if importlib.util.find_spec(name) is None:
            silent: Any = types.ModuleType(name)
            silent.SummaryWriter = silent.tqdm = _Silent
            sys.modules[name] = silent
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name, module in list(sys.modules.items()):
            if (getattr(module, "__file__", None) or "").startswith(f"{folder}/"):
                del sys.modules[name]


@contextlib.contextmanager
def on_cpu() -> Generator[None]:
    """Run code that takes a GPU for granted, and leave out what it prints and is warned of."""

    def itself(one: Any, *_: object, **__: object) -> Any:
        return one

    with (
        patch.object(Tensor, "cuda", itself),
        patch.object(nn.Module, "cuda", itself),
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


def declare_operators() -> None:
    """Declare what torchvision registers fakes for, so that its Python part can be imported."""
    if not _declared and not torch.cuda.is_available():
        library = torch.library.Library("torchvision", "FRAGMENT")
        _declared.append(library)
        for operator in _OPERATORS:
            library.define(operator)


@contextlib.contextmanager
def cifar100_given(data: Photographs) -> Generator[None]:
    """Give the pictures to whoever makes torchvision's CIFAR100, in place of a download."""

    def given(dataset: Any, root: str, train: bool = True, **others: Any) -> None:
        dataset.root, dataset.train = root, train
        dataset.transform = others.get("transform")
        dataset.target_transform = others.get("target_transform")
        dataset.data = dataset.train_data = data.images  # the second is the older torchvision's
        dataset.targets = dataset.train_labels = data.labels

    datasets = importlib.import_module("torchvision.datasets")
    with patch.object(datasets.CIFAR100, "__init__", given):
        yield


class Some:
    """So many batches of an endless loader."""

    def __init__(self, batches: Iterator[Any], count: int) -> None:
        """Take the next `count`."""
        self._batches, self._count = batches, count

    def __len__(self) -> int:
        """Return how many."""
        return self._count

    def __iter__(self) -> Iterator[Any]:
        """Go through them."""
        return islice(self._batches, self._count)


def endless(loader: Iterable[Any]) -> Iterator[Any]:
    """Go through a loader again and again."""
    while True:
        yield from loader


def module(name: str) -> Any:
    """Import a module of a toolkit; it has no types.

    Raises:
        SystemExit: a package that it stands on is not installed.
    """
    declare_operators()
    try:
        return cast("Any", importlib.import_module(name))
    except ModuleNotFoundError as error:
        raise SystemExit(f"{name} needs {error.name}: install what the toolkit asks for") from error
