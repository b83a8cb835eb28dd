"""Views are a function of (seed, sample, view), whatever batch they are drawn in."""

import pytest
import torch

from kdcore.augment import augmented, uniform
from kdcore.dataset import Augmentation

BOTH = Augmentation(crop_padding=2, horizontal_flip=True)


def test_a_view_does_not_depend_on_its_batch():
    images = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    index = torch.arange(64)
    together = augmented(images, index, how=BOTH, seed=1, view=5)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    for part in order.split(7):
        apart = augmented(images[part], index[part], how=BOTH, seed=1, view=5)
        assert torch.equal(apart, together[part])


def test_seed_view_and_sample_each_change_the_numbers():
    index = torch.arange(1000)
    numbers = uniform(1, 0, index, 0)
    for other in (uniform(2, 0, index, 0), uniform(1, 1, index, 0), uniform(1, 0, index, 1)):
        assert float((other == numbers).double().mean()) < 0.01
        assert not torch.equal(other.sort().values, numbers.sort().values)  # nor in another order
        assert abs(float(torch.corrcoef(torch.stack([numbers, other]))[0, 1])) < 0.1


@pytest.mark.parametrize("view", [0, 1, 2**31, 2**40])
def test_the_numbers_are_uniform(view):
    numbers = uniform(3, 0, torch.arange(100_000), view)
    assert float(numbers.min()) >= 0
    assert float(numbers.max()) < 1
    counts = torch.histc(numbers, 20, 0, 1)
    chi_squared = float(((counts - 5000) ** 2 / 5000).sum())
    assert chi_squared < 50  # 19 degrees of freedom: beyond it once in 10^4


def test_each_view_is_one_of_the_shifts_and_flips_and_all_occur():
    image = torch.arange(1, 17, dtype=torch.float32).view(1, 1, 4, 4)
    how = Augmentation(crop_padding=1, horizontal_flip=True)
    padded = torch.nn.functional.pad(image, (1, 1, 1, 1))
    allowed = {
        tuple(crop.flatten().tolist())
        for y in range(3)
        for x in range(3)
        for crop in (padded[..., y : y + 4, x : x + 4], padded[..., y : y + 4, x : x + 4].flip(-1))
    }
    views = augmented(image.expand(500, -1, -1, -1), torch.arange(500), how=how, seed=0, view=0)
    assert {tuple(view.flatten().tolist()) for view in views} == allowed


def test_off_is_the_identity():
    images = torch.randn(4, 1, 5, 5)
    assert augmented(images, torch.arange(4), how=Augmentation(), seed=0, view=0) is images
