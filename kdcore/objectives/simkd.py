"""SimKD: the student ends in the teacher's classifier, and learns to feed it.

Formula
    L = mean over C, H, W of (P(F_s) - F_t)^2, on the last feature maps; no other term
    P: conv 1x1, BN, ReLU, conv 3x3, BN, ReLU, conv 1x1, BN, ReLU; inside it C_t / r channels
    prediction = the teacher's classifier, frozen, of P(F_s)
Shapes
    F_s (B, C_s, H_s, W_s); P(F_s), F_t (B, C_t, H, W); result (B,). The larger map is pooled to the
    size of the smaller one, the student's before P and the teacher's in the loss.
Paper
    Chen, Mei, Zhang, Wang, Feng, Chen. Knowledge Distillation with the Reused Teacher Classifier.
    CVPR 2022. arXiv:2203.14001
Source
    DefangChen/SimKD, models/util.py (SimKD), train_student.py, helper/loops.py; README.md for the
    weights CE 0, KD 0, feature 1 and r = 2. There the projector is trained beside the student and
    saved apart from it; here both are one network, which is what is trained, measured, timed and
    delivered. What is reused is all that follows the teacher's last map, whatever its stage: the
    last layer, as there, and before it the pooling and the hidden layers, if any. There a teacher
    whose last map is not the end of its last stage, such as shufflenet_v2, does not work. A
    classifier that begins with no global pooling takes maps of its own size alone. Of a network of
    another library it is the head, where that is given the global average of the last map.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, cast

from pydantic import Field, JsonValue

from kdcore.entry import OneOf
from kdcore.errors import RecipeError
from kdcore.functional import pooled, widened
from kdcore.lazy import nn as layers
from kdcore.lazy import torch
from kdcore.method import Method, Pair
from kdcore.model import Model, need_stages, stages_of
from kdcore.models import MODELS
from kdcore.objective import Objective
from kdcore.stages import INPUT, LayerShapes, last_map, named
from kdcore.tensors import Taps

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.layers import Frozen
    from kdcore.temperature import Softened
    from kdcore.tensors import Seen, Shapes, Sizes

AnyModel = Annotated[Model, OneOf(MODELS)]
Reduction = Annotated[int, Field(ge=1, le=1024)]

_PROJECTOR = "projector"


class ReusedClassifier(Model):
    """A body, a projector, and the classifier of a teacher."""

    name: Literal["reused_classifier"] = "reused_classifier"
    body: AnyModel
    """The student up to its last feature map."""
    teacher: AnyModel
    """The teacher; what follows its last feature map is the classifier."""
    reduction: Reduction = 2
    """The projector has this many times fewer channels inside than the teacher's map."""

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Sequential:
        """Build the body's stages, `projector`, and the classifier's stages.

        The body comes first and is drawn in full, so it starts with the plain student's weights.
        """
        from kdcore.layers import Frozen, averaged

        found = self._teacher_shapes(input_shape, num_classes)
        kept, projected, classifier = self._parts(found, input_shape, num_classes)
        channels, *size = kept[last_map(kept, "student")]
        body = self.body.build(input_shape, num_classes)
        stages = OrderedDict((name, body.get_submodule(name)) for name in kept)
        stages[_PROJECTOR] = projector(
            channels,
            projected[0],
            reduction=self.reduction,
            pool=None if projected[1:] == tuple(size) else projected[1:],
        )
        teacher = self.teacher.build(input_shape, num_classes)
        if isinstance(found, LayerShapes):
            stages["pool"] = Frozen(averaged())
            stages["head"] = head = Frozen(teacher.get_submodule(str(found.head)))
            head.path = str(found.head)
            return layers.Sequential(stages)
        for name in classifier:
            stages[name] = Frozen(teacher.get_submodule(name))
        return layers.Sequential(stages)

    def shapes(self, input_shape: tuple[int, ...], num_classes: int) -> Shapes | None:
        """Return the body's shapes, the projector's, and the classifier's; None as the teacher."""
        teacher = self.teacher.shapes(input_shape, num_classes)
        if teacher is None:
            return None
        kept, projected, classifier = self._parts(teacher, input_shape, num_classes)
        return {**kept, _PROJECTOR: projected, **classifier}

    def delivered(self) -> Model:
        """Return the same of models that stand by themselves."""
        return ReusedClassifier(
            body=self.body.delivered(), teacher=self.teacher.delivered(), reduction=self.reduction
        )

    def inherit(self, network: nn.Module, teacher: nn.Module) -> None:
        """Copy the classifier, which is frozen, from the teacher or from who has reused it."""
        names = [name for name, _ in network.named_children()]
        reused_before = _PROJECTOR in dict(teacher.named_children())
        for name in names[names.index(_PROJECTOR) + 1 :]:
            frozen = cast("Frozen", network.get_submodule(name))
            if frozen.state_dict():
                path = name if reused_before else frozen.path or name
                frozen.copy(teacher.get_submodule(path))

    def _teacher_shapes(self, input_shape: tuple[int, ...], num_classes: int) -> Shapes:
        """Return the shapes of the teacher's stages; those of a foreign one's layers.

        Raises:
            RecipeError: what leads from its last map to its head is no global average.
        """
        told = self.teacher.shapes(input_shape, num_classes)
        if told is not None:
            return told
        from kdcore.probe import layers_of, observed

        # In numbers of its own, since it is these that tell what its head is given.
        with torch.device("cpu"), torch.random.fork_rng(devices=[]):
            teacher = self.teacher.build(input_shape, num_classes).eval()
            found = layers_of(teacher, input_shape)
            last, head = last_map(found, "teacher"), found.head
            with torch.no_grad():
                said = observed(teacher, torch.rand(2, *input_shape), [last])
                average: Tensor = said.features[last].mean((2, 3))
                if head is not None and found[f"{head}{INPUT}"] == average.shape[1:]:
                    again = cast("Tensor", teacher.get_submodule(head)(average))
                    if torch.allclose(again, said.logits, rtol=1e-3, atol=1e-4):
                        return found
        raise RecipeError(
            f"found {self.teacher.name} as a teacher whose classifier is to be reused, and more "
            f"than a global average between its last map ({last}) and its head ({head or 'none'})",
            hint="take a teacher such as resnet, or another objective on features",
            pointer="/teacher/model",
        )

    def _parts(
        self, teacher: Shapes, input_shape: tuple[int, ...], num_classes: int
    ) -> tuple[Shapes, tuple[int, ...], Shapes]:
        """Return the shapes of the body, of the projector's map, and of the classifier.

        Raises:
            RecipeError: the classifier cannot take so small a map.
        """
        body = stages_of(self.body, input_shape, num_classes)
        body, _ = _split(body, last_map(body, "student"))
        reused = _reused(teacher)
        if isinstance(teacher, LayerShapes):
            classifier: Shapes = {"pool": teacher[reused][:1], "head": (num_classes,)}
        else:
            _, classifier = _split(teacher, reused)
        ours, theirs = body[last_map(body, "student")], teacher[reused]
        projected = (theirs[0], *map(min, ours[1:], theirs[1:]))
        first = next(iter(classifier))
        if projected != theirs and classifier[first] != theirs[:1]:
            raise RecipeError(
                f"found a last feature map of {_size(ours)} in the student and of {_size(theirs)} "
                f"in the teacher, whose classifier begins with {first!r} and needs all of it; "
                "expected a student's map that is at least as large",
                hint="take a teacher that pools its whole map, such as resnet, or a student that "
                "halves the image less often",
            )
        return body, projected, classifier


class SimKD(Objective):
    """Feed the teacher's classifier what it is used to.

    The student becomes its body, a projector and the teacher's classifier: that is what is trained,
    and what is delivered, so the projector counts in its size and in its latency.
    """

    name: Literal["simkd"] = "simkd"
    reduction: Reduction = 2
    """The projector has this many times fewer channels inside than the teacher's map."""

    def student_model(self, student: Model, teacher: Model) -> Model:
        """Return the student with the classifier of the teacher, which may be a reused one."""
        if isinstance(teacher, ReusedClassifier):
            teacher = teacher.teacher
        need_stages(student, self.name, "/student/model")
        if not teacher.learns:
            need_stages(teacher, self.name, "/teacher/model")
        return ReusedClassifier(body=student, teacher=teacher, reduction=self.reduction)

    def taps(self, sizes: Sizes) -> Taps:
        """Read the projector, and the teacher's last map: an assistant's is its own projector."""
        return Taps((named(_PROJECTOR, sizes.student, "student"),), (_reused(sizes.teacher),))

    def loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """See the formula of this file."""
        return map_distances(
            seen.student.features[_PROJECTOR], seen.teacher.features[seen.taps.teacher[0]]
        )


class SimKDMethod(Method):
    """The reused classifier and its map alone: no labels, no softened answers."""

    name: Literal["simkd"] = "simkd"
    title: ClassVar[str] = "Knowledge distillation with the reused teacher classifier"
    reduction: Reduction = 2
    """The projector has this many times fewer channels inside than the teacher's map; the paper has
    2, 4 and 8, and 2 is the most accurate."""

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """MSE of the last maps, weight 1."""
        return {"objectives": [{"name": "simkd", "reduction": self.reduction, "weight": 1.0}]}


def simkd_loss(projected: Tensor, teacher_map: Tensor) -> Tensor:
    """Return the mean squared distance of maps `(B, C, h, w)` and `(B, C, H, W)`, a scalar."""
    return map_distances(projected, teacher_map).mean()


def map_distances(projected: Tensor, teacher_map: Tensor) -> Tensor:
    """Return the distance of each sample `(B,)`; the larger map is pooled to the smaller one."""
    height, width = map(min, projected.shape[2:], teacher_map.shape[2:])
    ours, theirs = (pooled(widened(one), (height, width)) for one in (projected, teacher_map))
    return (ours - theirs).square().mean((1, 2, 3))


def projector(
    channels: int, wider: int, *, reduction: int = 2, pool: tuple[int, ...] | None = None
) -> nn.Sequential:
    """Return the projector from maps of `channels` to maps of `wider` channels, pooled first."""
    from kdcore.layers import convolution

    narrow = max(wider // reduction, 1)
    stack: list[nn.Module] = [layers.AdaptiveAvgPool2d((pool[0], pool[1]))] if pool else []
    for inputs, outputs, size in ((channels, narrow, 1), (narrow, narrow, 3), (narrow, wider, 1)):
        stack += [*convolution(inputs, outputs, size), layers.ReLU()]
    return layers.Sequential(*stack)


def _reused(teacher: Shapes) -> str:
    """Return the teacher's last stage that ends in a map; what follows it is the classifier.

    Raises:
        RecipeError: it has no maps.
    """
    last = last_map(teacher, "teacher")
    if isinstance(teacher, LayerShapes):
        return last
    names = list(teacher)
    dimensions = len(teacher[last])
    return [name for name in names[names.index(last) :] if len(teacher[name]) == dimensions][-1]


def _split(shapes: Shapes, name: str) -> tuple[Shapes, Shapes]:
    """Return the stages up to the named one, and those that follow it."""
    cut = list(shapes).index(name) + 1
    stages = list(shapes.items())
    return dict(stages[:cut]), dict(stages[cut:])


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape[1:]))
