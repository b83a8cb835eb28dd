"""MasKD: learn which places of the teacher's map matter to it, and distil these.

Formula
    first, the teacher frozen: tokens E ~ N(0, 0.01^2), masks M_t = sigmoid(<E_t, F>) at each place,
    weights w = softmax over t of conv 1x1(GAP(conv 3x3(F))); the teacher goes on from
    F' = sum_t w_t M_t F, and E and w minimise
    CE(labels) + mu * mean over t != u of 2 <M_t, M_u> / (|M_t|^2 + |M_u|^2)
    then the student: L = sum_t w_t * mean over C of sum_hw ((A(F_s) - F_t) M_t)^2 / sum_hw M_t
Shapes
    F_s (B, C_s, H, W); F_t (B, C_t, H, W); M (B, T, H, W); w (B, T), 1/T where not weighted;
    result (B,). A is a 1x1 convolution where C_s != C_t, else nothing. The mask is squared above
    and not below the line: a mask of one value c gives c times the mean squared error.
Paper
    Huang, Zhang, You, Wang, Qian, Cao, Xu. Masked Distillation with Receptive Tokens. ICLR 2023.
    arXiv:2205.14589
Source
    hunto/MasKD, mmdetection/maskd.py and maskd_hook.py (learning the masks),
    mmdetection/configs/maskd (2000 steps, Adam, learning rate 0.01, decay 0.001, cosine, mu 1),
    mmrazor/mmrazor/models/losses/maskd.py (distilling). Made for detection and segmentation; the
    task here is classification, and the map is the last one. Differences: AdamW for Adam, whose
    decay is not scaled by the gradient's size; one token has no pair, so its dice is 0 and not NaN;
    1e-12 is added to sum_hw M; the align convolution is left out between equal channels, where
    theirs always stands; the student's own masks, which their detectors multiply in after a
    warm-up and their segmentation never does, are left out.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, cast

from pydantic import Field, JsonValue, SerializeAsAny

from kdcore.errors import RecipeError
from kdcore.functional import labels_loss, widened
from kdcore.lazy import nn as layers
from kdcore.lazy import torch
from kdcore.method import Method, Pair
from kdcore.model import Model, need_stages, stages_of
from kdcore.objective import Objective, Tutor
from kdcore.stages import Layer, last_map, named
from kdcore.tensors import Taps
from kdcore.training import Training

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.layers import Frozen
    from kdcore.temperature import Softened
    from kdcore.tensors import Seen, Shapes, Sizes

Tokens = Annotated[int, Field(ge=1, le=256)]
Factor = Annotated[float, Field(ge=0, le=1e6)]
Steps = Annotated[int, Field(ge=1, le=10_000_000)]

_MASKS, _UNMASK = "masks", "unmask"
_SMALLEST = 1e-12


class MaskedTeacher(Model):
    """A teacher that shows which places of a feature map matter to it.

    Its logits are the teacher's, but while it learns the masks: then it sees no more than they let
    through.
    """

    name: Literal["masked_teacher"] = "masked_teacher"
    teacher: SerializeAsAny[Model]
    """The teacher, frozen."""
    layer: str | None = None
    """The stage whose map is masked; the last one that ends in a map where not given."""
    tokens: Tokens = 6
    """Number of masks."""
    weighted: bool = True
    """Learn for each image how much each mask counts."""

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Sequential:
        """Build the teacher's stages, with `masks` and `unmask` behind the masked one."""
        from kdcore.layers import Frozen, TokenMasks, Unmask

        shapes = stages_of(self.teacher, input_shape, num_classes)
        masked = last_map(shapes, "teacher", self.layer)
        stages: OrderedDict[str, nn.Module] = OrderedDict()
        for name, stage in self.teacher.build(input_shape, num_classes).named_children():
            stages[name] = Frozen(stage)
            if name == masked:
                stages[_MASKS] = TokenMasks(shapes[name][0], self.tokens, weighted=self.weighted)
                stages[_UNMASK] = Unmask(self.tokens, weighted=self.weighted)
        return layers.Sequential(stages)

    def shapes(self, input_shape: tuple[int, ...], num_classes: int) -> Shapes:
        """Return the teacher's shapes, and behind the masked stage those of its masks."""
        shapes = stages_of(self.teacher, input_shape, num_classes)
        masked = last_map(shapes, "teacher", self.layer)
        found: Shapes = {}
        for name, shape in shapes.items():
            found[name] = shape
            if name == masked:
                channels, *size = shape
                behind = _behind(self.tokens, weighted=self.weighted)
                found[_MASKS] = (channels + behind, *size)
                found[_UNMASK] = shape
        return found

    def inherit(self, network: nn.Module, teacher: nn.Module) -> None:
        """Copy the whole teacher, which is frozen; tokens and weights are left to learn."""
        for name, stage in teacher.named_children():
            cast("Frozen", network.get_submodule(name)).copy(stage)


class _MaskLearning(Objective):
    """Keep what the labels need of a masked map, by masks that differ: how MasKD learns its masks.

    It reads the stage `masks`, which no network has but the one that `maskd` makes of the teacher,
    so it is of no use to a student.
    """

    name: Literal["mask_learning"] = "mask_learning"
    tokens: Tokens = 6
    """Number of masks."""
    weighted: bool = True
    """The masks have weights."""
    mu: Factor = 1.0
    """Factor of the dice coefficient of two masks, which is 1 where they are the same."""

    needs_teacher: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = True
    mixes_labels: ClassVar[bool] = True

    def taps(self, sizes: Sizes) -> Taps:
        """Read the masks."""
        return Taps((named(_MASKS, sizes.student, "student"),))

    def loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """See the formula of this file; a sample without a label has no first term."""
        task, _ = labels_loss(seen.student.logits, seen.batch)
        _, masks, _ = split(
            seen.student.features[_MASKS], tokens=self.tokens, weighted=self.weighted
        )
        return task + self.mu * dice(masks)


class MasKD(Objective):
    """Compare feature maps at the places that matter to the teacher.

    Its masks are learned first, in a training of their own with the teacher frozen.
    """

    name: Literal["maskd"] = "maskd"
    student_layer: Layer | None = None
    """The student's stage; the last one that ends in a map where not given."""
    teacher_layer: Layer | None = None
    """The teacher's stage; the last one that ends in a map where not given."""
    tokens: Tokens = 6
    """Number of masks; 6 for detection and 8 for segmentation in the authors' code."""
    weighted: bool = True
    """Weigh the masks by image, as for detection; segmentation has them count alike."""
    mu: Factor = 1.0
    """Factor of the dice coefficient while the masks are learned."""
    mask_steps: Steps = 2000
    """Optimiser steps in which the masks are learned."""

    tasks: ClassVar[frozenset[str] | None] = frozenset({"classification"})
    """The masks are learned by cross-entropy with classes."""

    def tutor(self, teacher: Model, training: Training) -> Tutor:
        """Learn the masks: batches like the student's, the rest as published."""
        need_stages(teacher, "maskd", "/teacher/model")
        return Tutor(
            model=MaskedTeacher(
                teacher=teacher,
                layer=self.teacher_layer,
                tokens=self.tokens,
                weighted=self.weighted,
            ),
            objectives=(_MaskLearning(tokens=self.tokens, weighted=self.weighted, mu=self.mu),),
            training=Training(
                max_steps=self.mask_steps,
                per_device_train_batch_size=training.per_device_train_batch_size,
                optim="adamw",
                learning_rate=0.01,
                weight_decay=0.001,
                lr_scheduler_type="cosine",
                eval_steps=training.eval_steps,
                save_steps=training.save_steps,
            ),
        )

    def taps(self, sizes: Sizes) -> Taps:
        """Read the student's map, and the teacher's with its masks; they must be equally large."""
        ours = last_map(sizes.student, "student", self.student_layer)
        theirs = named(_MASKS, sizes.teacher, "teacher")
        if sizes.student[ours][1:] != sizes.teacher[theirs][1:]:
            raise RecipeError(
                f"found a map of {_size(sizes.student[ours])} at stage {ours!r} of the student and "
                f"one of {_size(sizes.teacher[theirs])} at the masked stage of the teacher; "
                "expected equal heights and widths",
                hint="name stages of equal size by student_layer and teacher_layer",
            )
        return Taps((ours,), (theirs,))

    def heads(self, sizes: Sizes) -> nn.Module | None:
        """Return the 1x1 convolution to the teacher's channels, where they differ."""
        taps = self.taps(sizes)
        channels = sizes.student[taps.student[0]][0]
        wider = sizes.teacher[taps.teacher[0]][0] - _behind(self.tokens, weighted=self.weighted)
        return None if channels == wider else layers.Conv2d(channels, wider, 1)

    def loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """See the formula of this file."""
        student = seen.student.features[seen.taps.student[0]]
        teacher, masks, weights = split(
            seen.teacher.features[seen.taps.teacher[0]], tokens=self.tokens, weighted=self.weighted
        )
        return masked_distances(
            student if heads is None else heads(student), teacher, masks, weights
        )


class MasKDMethod(Method):
    """Labels with full weight, and the masked maps; the logits are not compared.

    The paper has no classification: the weight is ours, and the rest is the authors' for detection.
    """

    name: Literal["maskd"] = "maskd"
    title: ClassVar[str] = "Masked distillation with receptive tokens"
    weight: Factor = 7.0
    """Factor of the masked distance; the authors' for RetinaNet, as none is published for
    classification."""
    tokens: Tokens = 6
    """Number of masks."""
    weighted: bool = True
    """Weigh the masks by image."""
    mask_steps: Steps = 2000
    """Optimiser steps in which the masks are learned."""

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """CE + weight * MasKD."""
        return {
            "objectives": [
                {"name": "cross_entropy", "weight": 1.0},
                {
                    "name": "maskd",
                    "tokens": self.tokens,
                    "weighted": self.weighted,
                    "mask_steps": self.mask_steps,
                    "weight": self.weight,
                },
            ]
        }


def maskd_loss(
    student_map: Tensor, teacher_map: Tensor, masks: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Return the mean MasKD loss of maps `(B, C, H, W)`, masks `(B, T, H, W)`, weights `(B, T)`."""
    return masked_distances(student_map, teacher_map, masks, weights).mean()


def masked_distances(
    student_map: Tensor, teacher_map: Tensor, masks: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Return the loss of each sample `(B,)`; without weights `(B, T)` all masks count alike."""
    distances = (widened(student_map) - widened(teacher_map)).square().mean(1, keepdim=True)
    masks = widened(masks)
    sizes = masks.sum((2, 3)) + _SMALLEST  # (B, T)
    found = (distances * masks.square()).sum((2, 3)) / sizes  # (B, T)
    return found.mean(1) if weights is None else (found * weights).sum(1)


def dice(masks: Tensor) -> Tensor:
    """Return how alike the masks `(B, T, H, W)` of each sample are, `(B,)`; 0 for a single one."""
    tokens = masks.shape[1]
    if tokens == 1:
        return masks.new_zeros(len(masks))
    flat = widened(masks).flatten(2)  # (B, T, HW)
    common = flat @ flat.mT  # (B, T, T)
    own = common.diagonal(dim1=1, dim2=2)
    alike = 2 * common / (own[:, :, None] + own[:, None, :] + _SMALLEST)
    pairs = ~torch.eye(tokens, dtype=torch.bool, device=masks.device)
    return alike[:, pairs].mean(1)


def split(tapped: Tensor, *, tokens: int, weighted: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the map, its masks and their weights `(B, T)` of what the stage `masks` gives."""
    behind = _behind(tokens, weighted=weighted)
    features, masks = tapped[:, :-behind], tapped[:, -behind:]
    if not weighted:
        return features, masks, None
    return features, masks[:, :tokens], masks[:, tokens:, 0, 0]


def _behind(tokens: int, *, weighted: bool) -> int:
    """Return how many channels stand behind the map: the masks, and their weights."""
    return 2 * tokens if weighted else tokens


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape[1:]))
