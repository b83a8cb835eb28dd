"""`import no_torch` makes this interpreter one in which the engine's packages are not installed."""

import sys

MISSING = {"torch", "torchvision", "timm", "transformers", "onnx", "onnxruntime", "sklearn"}


class NoTorch:
    """A finder that refuses what the API must start without."""

    def find_spec(self, name: str, *_: object) -> None:
        """Refuse the package, or leave it to the other finders."""
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(f"{name} must not be imported by the API", name=name)


sys.meta_path.insert(0, NoTorch())
