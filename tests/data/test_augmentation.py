import torch
from torch.nn import functional as F

from nasgtn.data.augmentation import augment
from nasgtn.randomness import torch_rng

IMAGES = torch.randn(64, 2, 7, 9, generator=torch_rng(0))


def test_a_shift_is_a_crop_of_the_padded_image() -> None:
    shifted = augment(IMAGES, torch_rng(1), shift=2, flip=False)
    padded = F.pad(IMAGES, [2, 2, 2, 2], mode="replicate")
    found = set()
    for image, whole in zip(shifted, padded, strict=True):
        crops = {(y, x): whole[:, y : y + 7, x : x + 9] for y in range(5) for x in range(5)}
        matches = [offset for offset, crop in crops.items() if torch.equal(crop, image)]
        assert len(matches) == 1
        found |= set(matches)
    assert len(found) > 15  # of 25 offsets, in 64 draws


def test_half_of_the_images_are_mirrored() -> None:
    mirrored = augment(IMAGES, torch_rng(0), shift=0, flip=True)
    n_mirrored = 0
    for image, before in zip(mirrored, IMAGES, strict=True):
        assert torch.equal(image, before) != torch.equal(image, before.flip(2))
        n_mirrored += torch.equal(image, before.flip(2))
    assert 20 <= n_mirrored <= 44


def test_cutout_clears_one_square() -> None:
    ones = torch.ones(200, 2, 7, 9)
    cut = augment(ones, torch_rng(0), shift=0, flip=False, cutout=3) == 0
    assert torch.equal(cut[:, 0], cut[:, 1])
    heights, widths = cut[:, 0].any(2).sum(1), cut[:, 0].any(1).sum(1)
    assert torch.equal(cut[:, 0].sum((1, 2)), heights * widths)
    assert set(heights.tolist()) == set(widths.tolist()) == {2, 3}


def test_nothing_is_changed_in_place_and_the_seed_decides() -> None:
    before = IMAGES.clone()
    first = augment(IMAGES, torch_rng(5), shift=1, flip=True, cutout=2)
    assert torch.equal(first, augment(IMAGES, torch_rng(5), shift=1, flip=True, cutout=2))
    assert not torch.equal(first, augment(IMAGES, torch_rng(6), shift=1, flip=True, cutout=2))
    assert torch.equal(IMAGES, before)
    assert torch.equal(augment(IMAGES, torch_rng(5), shift=0, flip=False), IMAGES)
