"""One step as the loop shows it to an objective, with features given by hand."""

from types import MappingProxyType
from typing import Any

import torch
from patterns import line
from torch import Tensor, nn

from kdcore.objective import Objective
from kdcore.temperature import Softened
from kdcore.tensors import Batch, Outputs, Seen, Shapes, Sizes

EXACT = MappingProxyType({"rel": 1e-9, "abs": 1e-9})


def number(value: Tensor) -> float:
    """Return what a tensor of one number holds."""
    return value.detach().item()


def fill(heads: nn.Module) -> None:
    with torch.no_grad():
        for place, parameter in enumerate(heads.parameters()):
            parameter.copy_(line(tuple(parameter.shape), 3 + 2 * place, 17, 0.45))


def sizes_of(student: dict[str, Tensor], teacher: dict[str, Tensor], samples: int = 16) -> Sizes:
    def shapes(features: dict[str, Tensor]) -> Shapes:
        return {name: tuple(value.shape[1:]) for name, value in features.items()} | {"head": (5,)}

    return Sizes(shapes(student), shapes(teacher), num_classes=5, num_samples=samples)


def seen_by(
    objective: Objective, student: dict[str, Tensor], teacher: dict[str, Tensor], **others: Any
) -> Seen:
    size = len(next(iter(student.values())))
    batch = Batch(
        inputs=torch.zeros(size, 1),
        labels=others.get("labels", torch.zeros(size, dtype=torch.int64)),
        index=others.get("index", torch.arange(size)),
        view=others.get("view", 0),
    )
    logits = torch.zeros(size, 5)
    return Seen(
        Outputs(logits, student),
        Outputs(logits, teacher),
        batch,
        epoch=0,
        progress=0.5,
        taps=objective.taps(sizes_of(student, teacher)),
        seed=7,
    )


def loss_of(
    objective: Objective,
    heads: nn.Module | None,
    student: dict[str, Tensor],
    teacher: dict[str, Tensor],
    **others: Any,
) -> Tensor:
    seen = seen_by(objective, student, teacher, **others)
    return objective.loss(seen, Softened(seen.student.logits, seen.teacher.logits, 1.0), heads)


def heads_of(objective: Objective, student: dict[str, Tensor], teacher: dict[str, Tensor]) -> Any:
    heads = objective.heads(sizes_of(student, teacher))
    assert heads is not None
    return heads.double()
