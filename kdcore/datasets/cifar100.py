"""CIFAR-100: 60,000 small colour photographs of 100 kinds of things, from its binary version.

Formula
    x = (byte / 255 - mean) / std, channel by channel; with `normalize: false` x = byte / 255.
    By default a training view is cropped out of the image with 4 black pixels around it, and half
    of the views are mirrored.
Shapes
    (3, 32, 32): red, green, blue; 100 classes, the fine labels; 50,000 images for training, 10,000
    for testing
Paper
    Krizhevsky. Learning Multiple Layers of Features from Tiny Images. Technical report, University
    of Toronto, 2009. Crop and mirror as in section 4.2 of arXiv:1512.03385
Source
    https://www.cs.toronto.edu/~kriz/cifar.html: a record is a byte of the coarse label, one of the
    fine label, and 1024 bytes a channel, row by row. Mean, std, crop and mirror:
    HobbitLong/RepDistiller, dataset/cifar100.py, equal to megvii-research/mdistiller,
    mdistiller/dataset/cifar100.py. torchvision's RandomCrop pads before Normalize: black comes in,
    not the mean; so it does here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from kdcore.dataset import Augmentation, Dataset, Source
from kdcore.inputs import InputPath
from kdcore.reading.cifar_files import SHAPE, Layout, read_cifar

LAYOUT = Layout(
    title="CIFAR-100",
    folder="cifar-100-binary",
    archive="cifar-100-binary.tar.gz",
    md5="03b5dce01913d631647c71ecec9e9cb8",
    pickled=("cifar-100-python", "cifar-100-python.tar.gz"),
    train=("train.bin",),
    test="test.bin",
    labels=(("coarse label", 20), ("fine label", 100)),
    mean=(0.5071, 0.4867, 0.4408),
    std=(0.2675, 0.2565, 0.2761),
)


class Cifar100(Dataset):
    """Small colour photographs of 100 kinds of things."""

    name: Literal["cifar100"] = "cifar100"
    path: InputPath = "."
    """The folder `cifar-100-binary`, the folder that holds it, or `cifar-100-binary.tar.gz` as it
    is downloaded, relative to the inputs folder."""
    normalize: bool = True
    """Subtract the mean of each channel and divide by its standard deviation."""
    augmentation: Augmentation = Augmentation(crop_padding=4, horizontal_flip=True)
    """Random changes of the training images; `{}` is none."""

    def form(self) -> tuple[tuple[int, ...], int]:
        """Return (3, 32, 32) and 100."""
        return SHAPE, LAYOUT.num_classes

    def train_samples(self) -> int:
        """Return 50,000."""
        return 50_000

    def read(self, inputs: Path) -> Source:
        """Read the two files."""
        return read_cifar(LAYOUT, inputs, self.path, normalize=self.normalize)
