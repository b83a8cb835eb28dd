"""Views are a function of (seed, sample, view), whatever batch they are drawn in."""

import pytest
import torch

from kdcore.augment import augmented
from kdcore.counters import uniform
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


BLACK = torch.tensor([-1.9, 0.25, -1.6])


def one_by_one(images, index, black):
    """Pad by 2, crop and mirror each image by itself; seed 4, view 9, the first three streams."""
    shown = torch.empty_like(images)
    _, channels, height, width = images.shape
    for place in range(len(images)):
        down, right, mirror = (
            float(uniform(4, stream, index[place : place + 1], 9)) for stream in range(3)
        )
        down = int(down * 5) - 2
        right = int(right * 5) - 2
        for channel in range(channels):
            for y in range(height):
                for x in range(width):
                    row = y - down
                    column = (width - 1 - x if mirror < 0.5 else x) - right
                    if 0 <= row < height and 0 <= column < width:
                        value = images[place, channel, row, column]
                    else:
                        value = black[channel % len(black)]
                    shown[place, channel, y, x] = value
    return shown


@pytest.mark.parametrize("black", [BLACK, BLACK[:1], None])
def test_views_are_those_of_a_loop_over_pixels_with_black_beyond_the_border(black):
    images = torch.randn(24, 3, 5, 7, generator=torch.Generator().manual_seed(2))
    index = torch.arange(24) * 1000
    views = augmented(images, index, how=BOTH, seed=4, view=9, black=black)
    expected = one_by_one(images, index, torch.zeros(1) if black is None else black)
    assert torch.equal(views, expected)
    assert not torch.equal(views, images)


def test_an_image_can_be_shifted_wholly_out_of_sight():
    how = Augmentation(crop_padding=64)
    views = augmented(
        torch.ones(200, 3, 2, 2), torch.arange(200), how=how, seed=0, view=0, black=BLACK
    )
    assert any(torch.equal(view, BLACK[:, None, None].expand(3, 2, 2)) for view in views)


def test_padding_with_normalised_black_is_padding_with_black_and_normalising_then():
    pixels = torch.rand(40, 3, 6, 6, generator=torch.Generator().manual_seed(3))
    mean = torch.tensor([0.5071, 0.4867, 0.4408])[:, None, None]
    std = torch.tensor([0.2675, 0.2565, 0.2761])[:, None, None]
    index = torch.arange(40)
    after = (augmented(pixels, index, how=BOTH, seed=6, view=1) - mean) / std
    black = ((0 - mean) / std).flatten()
    before = augmented((pixels - mean) / std, index, how=BOTH, seed=6, view=1, black=black)
    assert torch.equal(before, after)
