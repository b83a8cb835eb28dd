"""Networks of timm, by timm's names.

Formula
    timm.create_model(architecture, num_classes=C, in_chans=channels); where the architecture has
    one size of images alone, img_size is that of the data
Shapes
    (B, channels, H, W) -> (B, C); layers are named by their paths, such as `layer4.1.conv2`
Paper
    The library's own: Wightman. PyTorch Image Models. 2019. doi:10.5281/zenodo.4414861. Each
    architecture there names its paper.
Source
    huggingface/pytorch-image-models, timm/models/_factory.py; the networks are timm's, unchanged.
    Its weights are fetched by the trainer, and kept in the hub's cache; the head for C classes is
    new, so a teacher with published weights is trained on the data like any other. Needs the extra
    `vision` where the job runs: a spec is refused (422) where workers live and none of them has it.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast

from pydantic import Field, JsonValue

from kdcore.errors import RecipeError, UnreachableError
from kdcore.hub import WEIGHTS
from kdcore.model import Foreign, Model, image_shape
from kdcore.preparation import Expected, Feed

if TYPE_CHECKING:
    from torch import nn

Rate = Annotated[float, Field(ge=0, lt=1)]
_NEAR = 3


class Timm(Foreign):
    """A network of timm, such as `mobilenetv3_small_050` or `vit_tiny_patch16_224.augreg_in21k`."""

    name: Literal["timm"] = "timm"
    extra: ClassVar[str | None] = "vision"
    architecture: Annotated[
        str,
        Field(max_length=128, pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)?$", examples=["resnet10t"]),
    ]
    """timm's name of it, with the tag of its weights behind a dot where there are several."""
    pretrained: bool = False
    """Begin with the published weights, which the trainer fetches."""
    drop_rate: Rate | None = None
    """Probability with which numbers before the head are dropped; timm's default where not
    given."""
    drop_path_rate: Rate | None = None
    """Probability with which blocks are skipped in training; timm's default where not given."""

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
        """Build timm's network."""
        return self._create(input_shape, num_classes, pretrained=False)

    def furnish(self, network: nn.Module, input_shape: tuple[int, ...], num_classes: int) -> None:
        """Fetch the published weights, if asked for; the head stays new."""
        if self.pretrained:
            published = self._create(input_shape, num_classes, pretrained=True)
            network.load_state_dict(published.state_dict())

    def expects(self) -> Expected | None:
        """Return mean and std of the architecture's data config, of the weights that its tag says.

        Raises:
            RecipeError: timm has no such architecture.
        """
        from kdcore.vision import import_timm

        timm = import_timm()
        self._check_name(timm)
        published = timm.models.get_pretrained_cfg(self.architecture)
        if published is None:
            return None
        config = timm.data.resolve_data_config(pretrained_cfg=published.to_dict())
        return Expected(tuple(config["mean"]), tuple(config["std"]))

    def heads(self, network: nn.Module) -> tuple[str, ...]:
        """Return what timm calls the classifier, which may be several."""
        named = cast("Any", network).pretrained_cfg.get("classifier")
        if not named:
            return super().heads(network)
        return (named,) if isinstance(named, str) else tuple(named)

    def delivered(self) -> Model:
        """Return the same without published weights."""
        return self.model_copy(update={"pretrained": False})

    def library_config(self, network: nn.Module, feed: Feed) -> dict[str, JsonValue]:
        """Return what `create_model("local-dir:…")` wants to find."""
        theirs, told = cast("Any", network), feed.preprocessing
        channels = feed.input_shape[0]
        mean, std = feed.moments or ((0.0,) * channels, (1.0,) * channels)
        options: dict[str, JsonValue] = {"num_classes": feed.num_classes, "in_chans": channels}
        if fixed := self._has_one_size():
            options["img_size"] = [*feed.input_shape[1:]]
        config: dict[str, JsonValue] = {
            "architecture": self.architecture.partition(".")[0],
            "num_classes": feed.num_classes,
            "num_features": theirs.num_features,
            "model_args": options,
            "pretrained_cfg": {
                "input_size": [*feed.input_shape],
                "fixed_input_size": fixed,
                "interpolation": "bilinear",
                "crop_pct": 1.0,
                "crop_mode": "center" if told.get("fit") == "crop" else "squash",
                "mean": [*mean],
                "std": [*std],
                "num_classes": feed.num_classes,
                "first_conv": theirs.pretrained_cfg.get("first_conv"),
                "classifier": theirs.pretrained_cfg.get("classifier"),
                "custom_load": False,
            },
        }
        if feed.class_names:
            config["label_names"] = list[JsonValue](feed.class_names)
        return config

    def library_weights(self) -> str | None:
        """Return the name that timm looks for; of others it takes the first, maybe an assistant."""
        return WEIGHTS

    def opened(self, input_shape: tuple[int, ...], num_classes: int) -> str:
        """Return how timm opens it."""
        return (
            "import timm\n\n"
            'student = timm.create_model("local-dir:.", pretrained=True)  # this folder\n'
            "student.eval()"
        )

    def _has_one_size(self) -> bool:
        """Return whether the network is made for one size of images."""
        from kdcore.vision import import_timm

        published = import_timm().models.get_pretrained_cfg(self.architecture)
        return published is not None and bool(published.fixed_input_size)

    def _check_name(self, timm: Any) -> None:
        from kdcore.vision import unknown_architecture

        if not timm.is_model(self.architecture):
            names: list[str] = timm.list_models()
            near = difflib.get_close_matches(self.architecture, names, _NEAR)
            raise unknown_architecture("timm", self.architecture, near)

    def _create(
        self, input_shape: tuple[int, ...], num_classes: int, *, pretrained: bool
    ) -> nn.Module:
        from kdcore.vision import first_line, import_timm

        channels, height, width = image_shape(self.name, input_shape)
        timm = import_timm()
        self._check_name(timm)
        options: dict[str, Any] = {
            "drop_rate": self.drop_rate,
            "drop_path_rate": self.drop_path_rate,
        }
        try:
            if self._has_one_size():
                options["img_size"] = (height, width)
            return timm.create_model(
                self.architecture,
                pretrained=pretrained,
                num_classes=num_classes,
                in_chans=channels,
                **{name: value for name, value in options.items() if value is not None},
            )
        except Exception as error:  # noqa: BLE001  # what timm finds wrong is of any kind
            if pretrained:
                raise UnreachableError(
                    f"the published weights of {self.architecture} cannot be fetched: "
                    f"{first_line(error)}"
                ) from None
            raise RecipeError(
                f"timm cannot build {self.architecture} for images of {channels}x{height}x{width} "
                f"with {num_classes} classes: {first_line(error)}",
                hint="leave out what this architecture does not know, or take another one",
            ) from None
