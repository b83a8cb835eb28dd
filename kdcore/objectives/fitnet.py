"""FitNets: the student's middle map, through a regressor, becomes the teacher's.

Formula
    L = mean_{c,h,w} ( r(F_s) - F_t )^2
    r: convolution - batch norm - ReLU; 3x3 at stride 2 where the student's map is twice as large,
    transposed 4x4 at stride 2 where it is half as large, else 1 + the difference of the sizes wide,
    which is 1x1 between equal sizes
Shapes
    maps (B, C_s, h, w) and (B, C_t, H, W), with h, w twice, half, or not below H, W; result (B,),
    in squared units of the teacher's map; 0 where the regressor's output is the teacher's map
Paper
    Romero, Ballas, Kahou, Chassang, Gatta, Bengio. FitNets: Hints for Thin Deep Nets. ICLR 2015.
    arXiv:1412.6550
Source
    HobbitLong/RepDistiller, distiller_zoo/FitNet.py and `ConvReg` of models/util.py, executed with
    equal weights; hint_layer 2 there is the second of our maps. The paper learns the hint alone
    first, then labels and KD (at a temperature of 3, with a falling factor); that code has labels
    and hint together all the time. Here both are one recipe away: the method's `hint_share` is the
    paper's first phase, and 0, the default, is the code's joint training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, cast

from pydantic import Field, JsonValue

from kdcore.errors import RecipeError
from kdcore.functional import widened
from kdcore.lazy import nn as modules
from kdcore.method import Method, Pair
from kdcore.objective import Objective
from kdcore.stages import Layer, last_map, maps
from kdcore.tensors import Taps

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.temperature import Softened
    from kdcore.tensors import Seen, Shapes, Sizes

_HINT = 1  # the second of the maps


class FitNet(Objective):
    """Regress the teacher's middle map from the student's."""

    name: Literal["fitnet"] = "fitnet"
    student_layer: Layer | None = None
    """Stage of the student that ends in a map, the guided layer; None is its second one."""
    teacher_layer: Layer | None = None
    """Stage of the teacher that ends in a map, the hint; None is its second one."""

    smallest_batch: ClassVar[int] = 2  # batch normalisation of a map of one place

    def taps(self, sizes: Sizes) -> Taps:
        """Read one map of each network.

        Raises:
            RecipeError: no regressor leads from the student's size to the teacher's.
        """
        ours = _middle(sizes.student, "student", self.student_layer)
        theirs = _middle(sizes.teacher, "teacher", self.teacher_layer)
        (_, *found), (_, *expected) = sizes.student[ours], sizes.teacher[theirs]
        if not _doubles(found, expected) and not _contains(found, expected):
            raise RecipeError(
                f"fitnet: stage {ours!r} of the student is {found[0]}x{found[1]}, stage "
                f"{theirs!r} of the teacher {expected[0]}x{expected[1]}; expected half of that, "
                "or no less",
                hint="name stages of nearer resolution in student_layer and teacher_layer",
            )
        return Taps((ours,), (theirs,))

    def heads(self, sizes: Sizes) -> nn.Module:
        """Return the regressor."""
        taps = self.taps(sizes)
        channels, *found = sizes.student[taps.student[0]]
        target, *expected = sizes.teacher[taps.teacher[0]]
        return modules.Sequential(
            _convolution(channels, found, target, expected),
            modules.BatchNorm2d(target),
            modules.ReLU(),
        )

    def loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """See the formula of this file."""
        regressor = cast("nn.Sequential", heads)
        regressed = regressor(seen.student.features[seen.taps.student[0]])  # (B, C_t, H, W)
        return _distance(regressed, seen.teacher.features[seen.taps.teacher[0]])


class FitNetMethod(Method):
    """Labels and a hint at the middle map; or the hint alone first, then labels and KD."""

    name: Literal["fitnet"] = "fitnet"
    title: ClassVar[str] = "FitNets"
    weight: Annotated[float, Field(ge=0, le=1e6)] = 100.0
    """Factor of the hint."""
    hint_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the training in which the hint is learned alone, before labels and KD; 0 learns
    labels and hint together to the end, without KD."""
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.9
    """After the hint: share of KD in the loss; the labels have the rest."""
    temperature: Annotated[float, Field(ge=0.001, le=1000)] = 4.0
    """After the hint: softening temperature T of KD."""

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """CE + weight * hint; or weight * hint, then (1 - alpha) CE + alpha T^2 KL."""
        if not self.hint_share:
            return {
                "objectives": [
                    {"name": "cross_entropy", "weight": 1.0},
                    {"name": "fitnet", "weight": self.weight},
                ]
            }
        labels = round(1 - self.alpha, 12)
        return {
            "objectives": [
                {"name": "cross_entropy", "weight": labels, "begin": self.hint_share},
                {"name": "kd", "weight": self.alpha, "begin": self.hint_share},
                {"name": "fitnet", "weight": self.weight, "end": self.hint_share},
            ],
            "temperature": {"name": "fixed", "value": self.temperature},
        }


def fitnet_loss(regressed: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean squared error of regressed and teacher's maps `(B, C, H, W)`, `()`."""
    return _distance(regressed, teacher).mean()


def _distance(regressed: Tensor, teacher: Tensor) -> Tensor:
    return (widened(regressed) - widened(teacher)).square().mean((1, 2, 3))  # (B,)


def _middle(shapes: Shapes, whose: str, layer: str | None) -> str:
    if layer is not None:
        return last_map(shapes, whose, layer)
    found = maps(shapes, whose)
    return found[min(_HINT, len(found) - 1)]


def _convolution(channels: int, found: list[int], target: int, expected: list[int]) -> nn.Module:
    """Return a convolution from `(channels, *found)` to `(target, *expected)`."""
    if _doubles(found, expected):
        return modules.ConvTranspose2d(channels, target, 4, stride=2, padding=1)
    if _doubles(expected, found):
        return modules.Conv2d(channels, target, 3, stride=2, padding=1)
    height, width = (1 + size - goal for size, goal in zip(found, expected, strict=True))
    return modules.Conv2d(channels, target, (height, width))


def _doubles(small: list[int], large: list[int]) -> bool:
    return [2 * size for size in small] == large


def _contains(large: list[int], small: list[int]) -> bool:
    return all(size >= goal for size, goal in zip(large, small, strict=True))
