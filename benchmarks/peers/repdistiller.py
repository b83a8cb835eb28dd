"""HobbitLong/RepDistiller: its models, transforms, loader, criteria and `train_distill`."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from torch import nn
from torch.utils.data import DataLoader

from peers.checkout import Some, cifar100_given, endless, module, on_cpu, opened
from peers.peer import BATCH, Steps, Task, given_weights

_TEMPERATURE, _NEGATIVES = 4, 16384
_FACTORS = {"kd": (0.1, 0.9, 0.0), "crd": (1.0, 0.0, 0.8), "nst": (1.0, 0.0, 50.0)}
"""Of labels, of KD, and of the method itself, as its scripts say."""


class RepDistiller:
    """Its own loop over some batches, as `train_student.py` puts it together."""

    name: ClassVar[str] = "RepDistiller"
    methods: ClassVar[frozenset[str]] = frozenset({"kd", "crd", "nst"})

    def __init__(self, folder: str) -> None:
        """Look at a checkout.

        Raises:
            SystemExit: it is none.
        """
        self._folder = Path(folder).resolve()
        if not (self._folder / "helper" / "loops.py").exists():
            raise SystemExit(f"{folder}: no helper/loops.py in there")

    def start(self, task: Task) -> Steps:
        """Return what takes its steps."""
        with opened(self._folder), on_cpu():
            models = module("models").model_dict
            teacher = given_weights(models[task.teacher](num_classes=100), task)
            student = models[task.student](num_classes=100)
            softened = module("distiller_zoo").DistillKL(_TEMPERATURE)
            own: Any = softened
            trained = nn.ModuleList([student])
            if task.method == "crd":
                own = module("crd.criterion").CRDLoss(self._contrast(task))
                trained.extend([own.embed_s, own.embed_t])
            elif task.method == "nst":
                own = module("distiller_zoo").NSTLoss()
            train = module("helper.loops").train_distill
            batches = endless(self._loader(task))
        optimizer = torch.optim.SGD(trained.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
        labels, kd, itself = _FACTORS[task.method]
        options = SimpleNamespace(
            distill=task.method, gamma=labels, alpha=kd, beta=itself, print_freq=100
        )
        modules = nn.ModuleList([*trained, teacher])
        criteria = nn.ModuleList([nn.CrossEntropyLoss(), softened, own])

        def steps(count: int) -> None:
            with on_cpu():
                train(1, Some(batches, count), modules, criteria, optimizer, options)

        return steps

    def _contrast(self, task: Task) -> SimpleNamespace:
        width = task.weights[-2].shape[1]
        return SimpleNamespace(
            s_dim=width,
            t_dim=width,
            feat_dim=128,
            n_data=len(task.data.labels),
            nce_k=_NEGATIVES,
            nce_t=0.07,
            nce_m=0.5,
        )

    def _loader(self, task: Task) -> DataLoader[Any]:
        """Return its data set in the transforms that its loader names."""
        data = module("dataset.cifar100")
        transforms = module("torchvision.transforms")
        transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
            ]
        )
        with cifar100_given(task.data):
            if task.method == "crd":
                dataset = data.CIFAR100InstanceSample("", transform=transform, k=_NEGATIVES)
            else:
                dataset = data.CIFAR100Instance("", transform=transform)
        return DataLoader(dataset, batch_size=BATCH, shuffle=True, num_workers=0, drop_last=True)
