"""megvii-research/mdistiller: its models, transforms, loader, distillers and `train_iter`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, ClassVar

from torch import nn
from torch.utils.data import DataLoader

from peers.checkout import cifar100_given, endless, module, on_cpu, opened
from peers.peer import BATCH, Steps, Task, given_weights

_LOGS = ("tensorboardX", "tqdm")
_CHANNELS = {"resnet8": [16, 32, 64, 64], "resnet8x4": [64, 128, 256, 256]}
"""Of a student's levels; the teacher's are the same in both pairs."""


class Mdistiller:
    """Its trainers' own step, as `tools/train.py` puts them together."""

    name: ClassVar[str] = "mdistiller"
    methods: ClassVar[frozenset[str]] = frozenset({"kd", "dkd", "crd", "reviewkd", "nst"})

    def __init__(self, folder: str) -> None:
        """Look at a checkout.

        Raises:
            SystemExit: it is none.
        """
        self._folder = Path(folder).resolve()
        if not (self._folder / "mdistiller" / "engine" / "trainer.py").exists():
            raise SystemExit(f"{folder}: no mdistiller/engine/trainer.py in there")

    def start(self, task: Task) -> Steps:
        """Return what takes its steps."""
        with opened(self._folder, _LOGS), on_cpu():
            cfg = self._configured(task)
            models = module("mdistiller.models").cifar_model_dict
            teacher = given_weights(models[task.teacher][0](num_classes=100), task)
            student = models[task.student][0](num_classes=100)
            kind = module("mdistiller.distillers").distiller_dict[cfg.DISTILLER.TYPE]
            sizes = [len(task.data.labels)] if task.method == "crd" else []
            distiller = nn.DataParallel(kind(student, teacher, cfg, *sizes))
            trainers = module("mdistiller.engine").trainer_dict
            with tempfile.TemporaryDirectory() as logs:
                cfg.LOG.PREFIX = logs
                trainer = trainers[cfg.SOLVER.TRAINER]("run", distiller, None, None, cfg)
                trainer.tf_writer.close()
            meters = module("mdistiller.engine.utils").AverageMeter
            batches = endless(self._loader(task, cfg))
            distiller.train()

        def steps(count: int) -> None:
            names = ("training_time", "data_time", "losses", "top1", "top5")
            told = {name: meters() for name in names}
            with on_cpu():
                for _ in range(count):
                    trainer.train_iter(next(batches), 1, told)

        return steps

    def _configured(self, task: Task) -> Any:
        cfg = module("mdistiller.engine.cfg").CFG.clone()
        cfg.DISTILLER.TYPE = task.method.upper()
        cfg.SOLVER.BATCH_SIZE = BATCH
        cfg.LOG.WANDB = False
        channels = _CHANNELS[task.student]
        cfg.REVIEWKD.IN_CHANNELS = cfg.REVIEWKD.OUT_CHANNELS = channels
        cfg.CRD.FEAT.STUDENT_DIM = cfg.CRD.FEAT.TEACHER_DIM = channels[-1]
        if task.method == "crd":
            cfg.SOLVER.TRAINER = "crd"
        return cfg

    def _loader(self, task: Task, cfg: Any) -> DataLoader[Any]:
        """Return its data set in its own transforms; no second process hides what they cost."""
        data = module("mdistiller.dataset.cifar100")
        transform = data.get_cifar100_train_transform()
        with cifar100_given(task.data):
            if task.method == "crd":
                dataset = data.CIFAR100InstanceSample(
                    "", transform=transform, k=cfg.CRD.NCE.K, mode=cfg.CRD.MODE
                )
            else:
                dataset = data.CIFAR100Instance("", transform=transform)
        return DataLoader(dataset, batch_size=BATCH, shuffle=True, num_workers=0, drop_last=True)
