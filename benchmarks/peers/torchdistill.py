"""yoshitomo-matsubara/torchdistill: its box, criterion, cache of files and `train_one_epoch`.

Its package of 1.1.5 has no such cache, so this takes a checkout that has. It has no ResNet of four
times the channels and takes any network, so it is given ours, in memory as PyTorch lays them out.
Its files are written before anything is timed, by itself: one a sample, for all samples. What is in
them is drawn and not asked, as in our kept answers: a look-up takes as long, whatever it finds.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, ClassVar

import torch
from stand.photographs import CLASSES
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler

from peers.checkout import Some, cifar100_given, endless, module, on_cpu, opened
from peers.peer import BATCH, Steps, Task, given_weights

_SCRIPTS = Path("examples", "torchvision")
_TEMPERATURE, _LABELS = 4.0, 0.1
_MEAN, _STD = (0.5070754, 0.48655024, 0.44091907), (0.26733398, 0.25643876, 0.2761503)


class Torchdistill:
    """Its image classification script's own loop, every answer of the teacher out of a file."""

    name: ClassVar[str] = "torchdistill"
    methods: ClassVar[frozenset[str]] = frozenset({"kd"})

    def __init__(self, folder: str) -> None:
        """Look at a checkout.

        Raises:
            SystemExit: it is none, or has no cache of files.
        """
        self._folder = Path(folder).resolve()
        if not (self._folder / _SCRIPTS / "image_classification.py").exists():
            raise SystemExit(f"{folder}: no {_SCRIPTS}/image_classification.py in there")
        wrapper = self._folder / "torchdistill" / "datasets" / "wrapper.py"
        if "CacheableDataset" not in wrapper.read_text():
            raise SystemExit(f"{folder}: this torchdistill has no cache of files; name a newer one")
        self._files = tempfile.TemporaryDirectory()

    def start(self, task: Task) -> Steps:
        """Return what takes its steps."""
        with opened(self._folder), opened(self._folder / _SCRIPTS), on_cpu():
            box = module("torchdistill.core.distillation").get_distillation_box(
                given_weights(task.network(task.teacher), task),
                task.network(task.student),
                {"pictures": self._dataset(task)},
                _configured(tempfile.mkdtemp(dir=self._files.name)),
                torch.device("cpu"),
                device_ids=[],
                distributed=False,
                lr_factor=1,
            )
            train = module("image_classification").train_one_epoch
        _write(box)
        batches = endless(box.train_data_loader)
        box.pre_epoch_process(epoch=0)

        def steps(count: int) -> None:
            box.train_data_loader = Some(batches, count)
            with on_cpu():
                train(box, box.device, 0, 100)

        return steps

    def _dataset(self, task: Task) -> Any:
        """Return the data set in the transforms that its configurations name."""
        transforms = module("torchvision.transforms")
        transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(_MEAN, _STD),
            ]
        )
        with cifar100_given(task.data):
            return module("torchvision.datasets").CIFAR100("", transform=transform)


def _configured(files: str) -> dict[str, Any]:
    """Return what its YAML files say of KD, with its cache switched on."""
    logits = {"module_path": ".", "module_io": "output"}
    kd = {f"{who}_{what}": one for who in ("student", "teacher") for what, one in logits.items()}
    kd |= {"temperature": _TEMPERATURE, "alpha": _LABELS, "reduction": "batchmean"}
    term = {"criterion": {"key": "KDLoss", "kwargs": kd}, "weight": 1.0}
    network = {"forward_proc": "forward_batch_only", "requires_grad": True}
    return {
        "num_epochs": 1,
        "train_data_loader": {
            "dataset_id": "pictures",
            "sampler": {"class_or_func": RandomSampler},
            # No second process hides what they cost.
            "kwargs": {"batch_size": BATCH, "num_workers": 0, "drop_last": True},
            "cache_output": files,
        },
        "teacher": network | {"requires_grad": False},
        "student": network,
        "optimizer": {
            "key": "SGD",
            "kwargs": {"lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4},
        },
        "criterion": {"key": "WeightedSumLoss", "kwargs": {"sub_terms": {"kd": term}}},
    }


def _write(box: Any) -> None:
    """Have it write the answers about all samples; whoever asks the teacher from then on fails."""

    def drawn(_: Any, inputs: Tensor, *__: Any, **___: Any) -> Tensor:
        return torch.rand(len(inputs), CLASSES)

    def refused(*_: Any, **__: Any) -> Tensor:
        raise SystemExit("torchdistill asks the teacher although all of its answers are kept")

    box.teacher_forward_proc = drawn
    data = box.train_data_loader
    everything = DataLoader(data.dataset, BATCH, collate_fn=data.collate_fn)
    for inputs, labels, beside in everything:
        box.get_teacher_output(inputs, labels, beside)
    box.teacher_forward_proc = refused
