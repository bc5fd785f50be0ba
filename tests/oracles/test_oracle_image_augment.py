"""Batched augmentations of images against torchvision's, image by image, parameters being the same.

Shapes: B = samples, C = channels, H, W = pixels.
"""

from __future__ import annotations

import math

import pytest
import torch
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms import functional as tv

from sslsearch.augment import image_colour as colour
from sslsearch.augment import image_mix as mix
from sslsearch.augment import image_space as space
from sslsearch.augment import image_values as values
from sslsearch.augment.draw import uniform

B, H, W = 12, 20, 32
BILINEAR = tv.InterpolationMode.BILINEAR


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def x_BCHW() -> torch.Tensor:
    x = torch.rand(B, 3, H, W, generator=generator(3))
    x[0, :, 0] = 0.5  # grey pixels have no hue
    x[1, :, 0], x[1, 0, 1] = 0.0, 1.0
    x[2] = (x[2] * 4).round() / 4  # ties between channels
    return x


def each(function, x_BCHW: torch.Tensor, *drawn_B: torch.Tensor) -> torch.Tensor:
    rows = zip(x_BCHW, *(d.tolist() for d in drawn_B), strict=True)
    return torch.stack([function(*row) for row in rows])


def close(ours: torch.Tensor, theirs: torch.Tensor, atol: float = 2e-5) -> None:
    torch.testing.assert_close(ours, theirs, atol=atol, rtol=0)


@pytest.mark.parametrize(
    ("ours", "theirs", "low", "high"),
    [
        (colour.brighter, tv.adjust_brightness, 0.0, 2.0),
        (colour.more_contrast, tv.adjust_contrast, 0.0, 2.0),
        (colour.more_saturated, tv.adjust_saturation, 0.0, 2.0),
        (colour.hue_shifted, tv.adjust_hue, -0.5, 0.5),
    ],
)
def test_each_way_of_the_jitter(x_BCHW: torch.Tensor, ours, theirs, low, high) -> None:
    factor_B = uniform((B,), low, high, generator())
    close(ours(x_BCHW, factor_B), each(theirs, x_BCHW, factor_B))


def test_the_whole_jitter_with_the_order_that_it_drew(x_BCHW: torch.Tensor) -> None:
    spans = torch.tensor([0.8, 0.8, 0.8, 0.2])
    orders = set()
    for seed in range(4):
        view = colour.colour_jitter(x_BCHW, generator(seed), p=1.0)
        rng = generator(seed)
        factor_4B = uniform((4, B), -1.0, 1.0, rng) * spans[:, None]
        factor_4B[:3] += 1
        order = torch.randperm(4, generator=rng).tolist()
        orders.add(tuple(order))
        theirs = [tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation, tv.adjust_hue]
        want = x_BCHW
        for way in order:
            want = each(theirs[way], want, factor_4B[way])
        close(view, want, atol=1e-4)
    assert len(orders) > 1


def test_jitter_happens_as_often_as_asked(x_BCHW: torch.Tensor) -> None:
    x = x_BCHW[:1].expand(400, -1, -1, -1)
    changed_B = (colour.colour_jitter(x, generator(), p=0.3) != x).flatten(1).any(1)
    assert 0.22 < changed_B.float().mean() < 0.38


def test_grey_images_have_no_hue(x_BCHW: torch.Tensor) -> None:
    one = x_BCHW[:, :1]
    jitter = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.8, "hue": 0.5, "p": 1.0}
    assert torch.equal(colour.colour_jitter(one, generator(), **jitter), one)
    assert torch.equal(colour.grayscale(one, generator(), p=1.0), one)


def test_grayscale_and_solarise(x_BCHW: torch.Tensor) -> None:
    close(colour.grayscale(x_BCHW, generator(), p=1.0), tv.rgb_to_grayscale(x_BCHW, 3))
    close(colour.solarise(x_BCHW, generator(), threshold=0.4, p=1.0), tv.solarize(x_BCHW, 0.4))


def test_posterise(x_BCHW: torch.Tensor) -> None:
    byte = (x_BCHW * 255).round().to(torch.uint8)
    bits_B = torch.randint(1, 9, (B,), generator=generator())
    want = each(tv.posterize, byte, bits_B).float() / 255
    close(colour.posterised(byte.float() / 255, bits_B), want)


@pytest.mark.parametrize(("H", "W", "scale"), [(32, 32, 0.08), (20, 32, 0.3), (5, 8, 0.05)])
def test_crops_are_torchvisions(H: int, W: int, scale: float) -> None:
    x = torch.rand(B, 3, H, W, generator=generator(3))
    box_4B = space.boxes(B, H, W, scale, 0.75, generator())

    def crop(image, top, left, tall, wide):
        box = (int(top), int(left), int(tall), int(wide))
        return tv.resized_crop(image, *box, [H, W], BILINEAR, antialias=True)

    close(space.resized_crop(x, *box_4B), each(crop, x, *box_4B))
    drawn = space.random_resized_crop(x, generator(), scale=scale)
    close(drawn, space.resized_crop(x, *box_4B))


def test_boxes_are_as_likely_as_torchvisions() -> None:
    torch.manual_seed(0)
    image = torch.zeros(3, 32, 32)
    draws = [RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(4000)]
    theirs = torch.tensor(draws).float()
    ours = space.boxes(4000, 32, 32, 0.08, 0.75, generator()).T
    for statistic in (lambda b: b.mean(0), lambda b: b.std(0)):
        torch.testing.assert_close(statistic(ours), statistic(theirs), atol=0.4, rtol=0)
    assert (ours[:, :2] + ours[:, 2:]).max() <= 32


def test_flips(x_BCHW: torch.Tensor) -> None:
    assert torch.equal(space.horizontal_flip(x_BCHW, generator(), p=1.0), tv.hflip(x_BCHW))
    assert torch.equal(space.vertical_flip(x_BCHW, generator(), p=1.0), tv.vflip(x_BCHW))


def test_rotations(x_BCHW: torch.Tensor) -> None:
    turn_B = uniform((B,), -3.0, 3.0, generator())
    want = each(lambda x, turn: tv.rotate(x, math.degrees(turn), BILINEAR), x_BCHW, turn_B)
    close(space.rotated(x_BCHW, turn_B), want, atol=1e-4)


def test_translations(x_BCHW: torch.Tensor) -> None:
    pixels_B2 = torch.randint(-9, 10, (B, 2), generator=generator()).float()

    def move(x, pixels):
        to = [int(p) for p in pixels]
        return tv.affine(x, 0.0, to, 1.0, [0.0, 0.0], BILINEAR)

    close(space.translated(x_BCHW, pixels_B2), each(move, x_BCHW, pixels_B2), atol=1e-4)


def test_shears(x_BCHW: torch.Tensor) -> None:
    angle_B2 = uniform((B, 2), -0.5, 0.5, generator())

    def slant(x, angles):
        degrees = [math.degrees(angle) for angle in angles]
        return tv.affine(x, 0.0, [0, 0], 1.0, degrees, BILINEAR)

    close(space.sheared(x_BCHW, angle_B2), each(slant, x_BCHW, angle_B2), atol=1e-4)


@pytest.mark.parametrize("reach", [1, 2, 5])
def test_blurs(x_BCHW: torch.Tensor, reach: int) -> None:
    sigma_B = uniform((B,), 0.1, 2.0, generator())
    size = 2 * reach + 1
    want = each(lambda x, s: tv.gaussian_blur(x, [size, size], [s, s]), x_BCHW, sigma_B)
    close(values.blurred(x_BCHW, sigma_B, reach), want)


def test_cutouts(x_BCHW: torch.Tensor) -> None:
    top_B, left_B = uniform((2, B), 0.0, 12.0, generator()).floor()
    want = each(
        lambda x, top, left: tv.erase(
            x, int(top), int(left), 8, 8, x.mean((1, 2), keepdim=True).expand(3, 8, 8)
        ),
        x_BCHW,
        top_B,
        left_B,
    )
    close(values.cut(x_BCHW, top_B, left_B, 8), want)


def test_noise_has_the_deviation_drawn() -> None:
    view = values.gaussian_noise(torch.full((500, 1, 20, 20), 0.5), generator(), sigma=0.1)
    deviation_B = (view - 0.5).flatten(1).std(1)
    assert deviation_B.max() < 0.11
    assert deviation_B.mean().item() == pytest.approx(0.05, abs=0.005)


def test_mixes_keep_the_larger_share() -> None:
    own = torch.arange(8.0)[:, None, None, None].expand(-1, 1, 10, 10) / 10
    for seed in range(5):
        other_B = mix.others(8, generator(seed))
        assert sorted(other_B.tolist()) == list(range(8))
        assert (other_B != torch.arange(8)).all()
        blend = mix.mixup(own, generator(seed), ratio=0.4)
        rng = generator(seed)
        mix.others(8, rng)
        share_B = uniform((8,), 0.0, 0.4, rng)
        want = own[:, 0, 0, 0] * (1 - share_B) + own[other_B, 0, 0, 0] * share_B
        close(blend[:, 0, 3, 3], want)
        pasted = mix.cutmix(own, generator(seed), ratio=0.4)
        from_other = pasted == own[other_B]
        assert (from_other | (pasted == own)).all()
        assert from_other.flatten(1).float().mean(1).max() <= 0.4
