"""One step as an entry sees it, from bare logits; and the logits of the reference vector."""

import torch
from torch import Tensor, nn

from kdcore.objective import Objective
from kdcore.temperature import Temperature
from kdcore.tensors import Batch, Outputs, Seen, Sizes, Taps

Z_T = torch.tensor([[2.0, 1, 0, -1], [0, 3, 1, -2]], dtype=torch.float64)
Z_S = torch.tensor([[1.0, 2, -1, 0], [1, 1, 0, 0]], dtype=torch.float64)
Y = torch.tensor([0, 1])


def draw_logits() -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(16, 10, generator=draw, dtype=torch.float64) for _ in range(2))
    return student, teacher, torch.randint(10, (16,), generator=draw)


def look(student: Tensor, teacher: Tensor, labels: Tensor, epoch: int = 0) -> Seen:
    batch = Batch(torch.zeros(len(labels), 1), labels, torch.arange(len(labels)), view=0)
    own, theirs = Outputs(student, {}), Outputs(teacher, {})
    return Seen(own, theirs, batch, epoch=epoch, progress=0.5, taps=Taps(), seed=0)


def heads_of(temperature: Temperature, classes: int) -> nn.Module | None:
    torch.manual_seed(0)
    heads = temperature.heads(Sizes({}, {}, num_classes=classes))
    return heads.double() if heads is not None else None


def softened_loss(temperature: Temperature, objective: Objective, seen: Seen) -> Tensor:
    """Return the mean loss of an objective under a temperature as it is at the start."""
    heads = heads_of(temperature, seen.student.logits.shape[1])
    return objective.loss(seen, temperature.soften(seen, heads), None).mean()
