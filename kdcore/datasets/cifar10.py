"""CIFAR-10: 60,000 small colour photographs of 10 kinds of things, from its binary version.

Formula
    x = (byte / 255 - mean) / std, channel by channel; with `normalize: false` x = byte / 255.
    By default a training view is cropped out of the image with 4 black pixels around it, and half
    of the views are mirrored.
Shapes
    (3, 32, 32): red, green, blue; 10 classes; 50,000 images for training, 10,000 for testing
Paper
    Krizhevsky. Learning Multiple Layers of Features from Tiny Images. Technical report, University
    of Toronto, 2009. Crop and mirror as in section 4.2 of arXiv:1512.03385
Source
    https://www.cs.toronto.edu/~kriz/cifar.html: a record is a label byte and 1024 bytes a channel,
    row by row. Mean and std: KellerJordan/cifar10-airbench, airbench94.py, over all pixels of the
    training images. Elsewhere stands the std (0.2023, 0.1994, 0.2010), the mean of each image's
    own; and imirzadeh/Teacher-Assistant-Knowledge-Distillation, data_loader.py, takes CIFAR-100's
    values and crops nothing by default (for that: `augmentation: {}`). torchvision's RandomCrop
    pads before Normalize: black comes in, not the mean; so it does here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from kdcore.dataset import Augmentation, Dataset, Source
from kdcore.inputs import InputPath
from kdcore.reading.cifar_files import SHAPE, Layout, read_cifar

LAYOUT = Layout(
    title="CIFAR-10",
    folder="cifar-10-batches-bin",
    archive="cifar-10-binary.tar.gz",
    md5="c32a1d4ab5d03f1284b67883e8d87530",
    pickled=("cifar-10-batches-py", "cifar-10-python.tar.gz"),
    train=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    test="test_batch.bin",
    labels=(("label", 10),),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
)


class Cifar10(Dataset):
    """Small colour photographs of 10 kinds of things."""

    name: Literal["cifar10"] = "cifar10"
    path: InputPath = "."
    """The folder `cifar-10-batches-bin`, the folder that holds it, or `cifar-10-binary.tar.gz` as
    it is downloaded, relative to the inputs folder."""
    normalize: bool = True
    """Subtract the mean of each channel and divide by its standard deviation."""
    augmentation: Augmentation = Augmentation(crop_padding=4, horizontal_flip=True)
    """Random changes of the training images; `{}` is none."""

    def form(self) -> tuple[tuple[int, ...], int]:
        """Return (3, 32, 32) and 10."""
        return SHAPE, LAYOUT.num_classes

    def train_samples(self) -> int:
        """Return 50,000."""
        return 50_000

    def read(self, inputs: Path) -> Source:
        """Read the six files."""
        return read_cifar(LAYOUT, inputs, self.path, normalize=self.normalize)
