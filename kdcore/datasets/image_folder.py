"""Images of your own: a folder, or a zip archive, with a folder for each class.

Formula
    x = (byte / 255 - mean) / std, channel by channel; `normalize: none` is mean 0 and std 1.
    Images are resized by Pillow's bilinear filter, whose support grows with the reduction
    (antialiased). Without `train/` and `test/`, round(test_share * n) of the n images of each
    class are for testing: those whose sha256 of "seed/name" comes first.
Shapes
    (channels, height, width), as `channels` and `image_size` say; classes are numbered in the
    order of their folders' names; images in `unlabelled/` have no label. At most 8 GiB as float32
Paper
    ImageNet's mean and std: He et al. Deep Residual Learning for Image Recognition.
    arXiv:1512.03385
Source
    pytorch/vision, torchvision/datasets/folder.py, has the same layout; mean and std stand in its
    torchvision/transforms/_presets.py. python-pillow/Pillow, src/libImaging/Resample.c, resizes
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from kdcore.events import Warned
from kdcore.inputs import InputPath
from kdcore.reading.class_folders import sort_out
from kdcore.reading.collection import Collection, several
from kdcore.reading.image_set import ImageSet
from kdcore.reading.trees import open_tree


class ImageFolder(ImageSet):
    """A folder or a zip archive of images, one folder a class."""

    name: Literal["image_folder"] = "image_folder"
    path: InputPath
    """The folder or the `.zip` file, relative to the inputs folder: folders of classes, or `train/`
    and `test/` with these inside, and `val/` if you like."""

    @contextmanager
    def collected(self, inputs: Path) -> Generator[Collection]:
        """Open the files, sorted into parts and classes by their folders."""
        with open_tree(inputs, self.path) as tree:
            folders = sort_out(tree.sizes, self.path, share=self.test_share, seed=self.split_seed)
            beside = Warned(
                code="files_beside_classes",
                message=f"{self.path}: found {several(folders.ignored)} beside the folders of "
                "classes; left out",
                hint="move them into the folder of a class if they are samples",
            )
            yield Collection(
                shown=self.path,
                class_names=folders.class_names,
                parts=folders.parts,
                content=tree.read,
                warnings=(beside,) if folders.ignored else (),
            )
