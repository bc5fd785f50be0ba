"""Batched augmentations against slow per-sample NumPy ones, and against what they promise.

Shapes: B = samples, C = channels, T = time steps, F = frequency bins.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d
from scipy.signal import hilbert

from sslsearch.augment import draw
from sslsearch.augment import timeseries_frequency as frequency
from sslsearch.augment import timeseries_time as time
from sslsearch.augment import timeseries_values as values


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def series(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=generator(5))


def ramp(samples: int, steps: int) -> torch.Tensor:
    """A series whose values are its steps: what comes out is where it was read."""
    return torch.arange(float(steps)).expand(samples, 1, steps)


# ---- values


def test_jitter_adds_noise_of_the_deviation_asked() -> None:
    noise = values.jitter(torch.zeros(200, 2, 200), generator(), sigma=0.3)
    assert noise.std().item() == pytest.approx(0.3, rel=0.02)
    assert noise.mean().abs() < 0.01


def test_scaling_is_one_gain_per_channel() -> None:
    gain = values.scaling(torch.ones(2000, 2, 5), generator(), sigma=0.2)
    assert torch.equal(gain.amin(2), gain.amax(2))
    assert gain[:, :, 0].std().item() == pytest.approx(0.2, rel=0.05)
    assert gain[:, :, 0].mean().item() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("knots", [1, 2, 4])
def test_curves_are_the_cubic_splines_of_um(knots: int) -> None:
    sigma, steps = 0.2, 60
    got = draw.curve((3, 2), steps, sigma, knots, generator())
    noise = torch.randn((3, 2, knots + 2), generator=generator()).numpy()
    place = np.linspace(0, steps - 1.0, knots + 2)
    for b, c in np.ndindex(3, 2):
        want = CubicSpline(place, 1 + sigma * noise[b, c])(np.arange(steps))
        np.testing.assert_allclose(got[b, c].numpy(), want, atol=1e-5)


def test_rotation_keeps_lengths_and_angles() -> None:
    x = series(6, 7, 20)
    turned = values.rotation(x, generator(), axes=3)
    for sensor in (slice(0, 3), slice(3, 6)):
        before, after = x[:, sensor], turned[:, sensor]
        torch.testing.assert_close(after.mT @ after, before.mT @ before, atol=1e-4, rtol=1e-4)
    assert torch.equal(turned[:, 6], x[:, 6])


def test_rotation_in_space_turns_by_at_most_the_angle_asked() -> None:
    eye = torch.eye(3).expand(500, 3, 3)
    turn = values.rotation(eye, generator(), max_angle=30.0)
    trace = turn.diagonal(dim1=1, dim2=2).sum(1)
    degrees = torch.rad2deg(((trace - 1) / 2).clamp(-1, 1).acos())
    assert degrees.max() <= 30.1
    assert degrees.max() > 28
    assert torch.allclose(torch.linalg.det(turn), torch.tensor(1.0), atol=1e-4)


def test_channel_dropout_silences_its_share_and_never_everything() -> None:
    alive = values.channel_dropout(torch.ones(2000, 6, 3), generator(), p=0.3).amax(2)
    assert (alive == 0).float().mean().item() == pytest.approx(0.3, abs=0.02)
    nearly_all = values.channel_dropout(torch.ones(200, 6, 3), generator(), p=1.0).amax(2)
    assert (nearly_all.sum(1) == 1).all()


def test_cutout_zeroes_one_stretch_anywhere() -> None:
    hidden = values.cutout(torch.ones(2000, 2, 40), generator(), ratio=0.25) == 0
    assert (hidden.sum(2) == 10).all()
    edges = torch.diff(hidden[:, 0].int(), dim=1).abs().sum(1)
    assert edges.max() <= 2
    assert hidden[:, 0].any(0).all()


def test_time_mask_zeroes_its_share_of_steps_in_all_channels() -> None:
    hidden = values.time_mask(torch.ones(20, 3, 50), generator(), ratio=0.3) == 0
    assert (hidden.sum(2) == 15).all()
    assert torch.equal(hidden[:, 0], hidden[:, 2])


# ---- time


def test_read_at_is_linear_interpolation() -> None:
    x, at = series(4, 3, 30), torch.rand(4, 30, generator=generator()) * 29
    got = time.read_at(x, at)
    for b, c in np.ndindex(4, 3):
        want = np.interp(at[b].numpy(), np.arange(30), x[b, c].numpy())
        np.testing.assert_allclose(got[b, c].numpy(), want, atol=1e-5)


def test_crop_resize_keeps_a_share_uniform_above_the_least() -> None:
    read = time.crop_resize(ramp(4000, 101), generator(), keep=0.4)[:, 0]
    share = (read[:, -1] - read[:, 0]) / 100
    assert share.min() >= 0.4 - 1e-4
    assert share.max() <= 1 + 1e-4
    assert share.mean().item() == pytest.approx(0.7, abs=0.01)
    pace = torch.diff(read, dim=1)
    assert torch.allclose(pace, share[:, None].expand_as(pace), atol=1e-3)
    assert read[:, 0].min() < 5  # some windows start at the very beginning,
    assert read[:, -1].max() > 95  # and some end at the end


@pytest.mark.parametrize("sigma", [0.2, 1.0])
def test_time_warp_is_monotone_from_end_to_end(sigma: float) -> None:
    read = time.time_warp(ramp(200, 120), generator(), sigma=sigma)[:, 0]
    assert (torch.diff(read, dim=1) > 0).all()
    assert torch.allclose(read[:, 0], torch.tensor(0.0))
    assert torch.allclose(read[:, -1], torch.tensor(119.0), atol=1e-3)


def test_time_warp_follows_the_drawn_speed() -> None:
    steps = 120
    read = time.time_warp(ramp(5, steps), generator(), sigma=0.1)[:, 0].numpy()
    speed = draw.curve((5,), steps, 0.1, 4, generator()).numpy()
    for b in range(5):
        path = np.concatenate([[0], np.cumsum((speed[b, 1:] + speed[b, :-1]) / 2)])
        np.testing.assert_allclose(read[b], path * (steps - 1) / path[-1], atol=1e-2)


def test_window_warp_stretches_one_part_and_squeezes_it_as_often() -> None:
    steps, part = 201, 0.2 * 200
    read = time.window_warp(ramp(1000, steps), generator(), ratio=0.2, stretch=2.0)[:, 0]
    pace = torch.diff(read, dim=1)
    assert (pace > 0).all()
    assert torch.allclose(read[:, -1], torch.tensor(200.0), atol=1e-3)
    # Outside the part the pace is (T-1 ± growth) / (T-1); inside a half or a double of it.
    outside = pace.median(dim=1).values
    slow, fast = (200 + part) / 200, (200 - part / 2) / 200
    is_slow = (outside - slow).abs() < 1e-3
    assert (is_slow | ((outside - fast).abs() < 1e-3)).all()
    assert is_slow.float().mean().item() == pytest.approx(0.5, abs=0.06)
    # Steps that fall into the part: `part` grown twofold or halved, in units of the outside pace.
    inside = (pace - outside[:, None]).abs() > 0.05
    want = torch.where(is_slow, part * 2 / slow, part / 2 / fast)
    assert ((inside.sum(1) - want).abs() <= 2).all()


def test_time_shift_is_a_roll_of_at_most_the_share_asked() -> None:
    x = series(300, 2, 50)
    view = time.time_shift(x, generator(), ratio=0.1)
    rolls = torch.stack([x.roll(s, dims=2) for s in range(-5, 6)], dim=1)
    same = (rolls == view[:, None]).all(dim=(2, 3))
    assert (same.sum(1) == 1).all()
    assert same.any(dim=0).all()


@pytest.mark.parametrize("steps", [2, 7, 60])
def test_permutation_keeps_the_values_of_each_channel_and_moves_them_together(steps: int) -> None:
    x = series(50, 3, steps)
    view = time.permutation(x, generator(), segments=8)
    assert torch.equal(view.sort(dim=2).values, x.sort(dim=2).values)
    read = time.permutation(ramp(50, steps), generator(), segments=8)[:, 0].long()
    assert torch.equal(view, x.gather(2, read[:, None].expand_as(x)))


def test_permutation_moves_whole_segments_of_a_random_number() -> None:
    read = time.permutation(ramp(2000, 100), generator(), segments=5)[:, 0]
    pieces = (torch.diff(read, dim=1) != 1).sum(1) + 1
    assert pieces.max() == 5
    assert (pieces == 1).float().mean() < 0.3  # some orders are the old one by chance
    assert (read[:, 0] != 0).any()


def test_two_segments_do_permute() -> None:
    """The reference code draws 1..max-1 pieces: with at most two, it never moves anything."""
    x = series(20, 1, 30)
    moved = (time.permutation(x, generator(), segments=2) != x).flatten(1).any(dim=1)
    assert moved.float().mean() > 0.25


@pytest.mark.parametrize(("op", "by"), [(time.reverse, "order"), (values.flip, "sign")])
def test_coins_fall_as_often_as_asked(op: object, by: str) -> None:
    x = series(2000, 2, 9)
    view = op(x, generator(), p=0.3)  # type: ignore[operator]
    turned = x.flip(2) if by == "order" else -x
    is_turned = (view == turned).all(dim=(1, 2))
    assert (is_turned | (view == x).all(dim=(1, 2))).all()
    assert is_turned.float().mean().item() == pytest.approx(0.3, abs=0.03)


# ---- frequency


def spectrum(x: torch.Tensor) -> torch.Tensor:
    return torch.fft.rfft(x)


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("steps", [100, 101])
def test_frequency_mask_removes_its_share_and_leaves_the_rest(ratio: float, steps: int) -> None:
    x = series(20, 3, steps)
    before, after = spectrum(x), spectrum(frequency.frequency_mask(x, generator(), ratio=ratio))
    removed = after.abs() < 1e-3
    assert (removed.sum(2) == round(ratio * before.shape[2])).all()
    assert torch.allclose(after[~removed], before[~removed], atol=1e-3)
    assert not torch.equal(removed[:, 0], removed[:, 1])


def test_band_stop_removes_neighbours() -> None:
    x = series(500, 3, 100)
    removed = spectrum(frequency.band_stop(x, generator(), ratio=0.2)).abs() < 1e-3
    assert (removed.sum(2) == 10).all()
    assert (torch.diff(removed.int(), dim=2).abs().sum(2) <= 2).all()
    assert torch.equal(removed[:, 0], removed[:, 1])
    assert removed[:, 0].any(0).all()


def test_frequency_add_raises_weak_components_to_the_strength_asked() -> None:
    x = torch.sin(torch.arange(100) * 2 * torch.pi * 5 / 100).expand(20, 1, 100)
    size = spectrum(frequency.frequency_add(x, generator(), ratio=0.2, strength=0.4)).abs()[:, 0]
    assert torch.allclose(size[:, 5], torch.tensor(50.0), atol=0.1)
    raised = (size - 20).abs() < 0.1
    assert ((raised.sum(1) - 10).abs() <= 1).all()  # 10 drawn, of which one may be the strong one
    rest = size[~raised]
    assert ((rest < 0.1) | (rest > 49)).all()


@pytest.mark.parametrize("steps", [100, 101])
def test_frequency_shift_moves_a_tone(steps: int) -> None:
    bins = 20
    x = torch.cos(torch.arange(steps) * 2 * torch.pi * bins / steps).expand(300, 1, steps)
    view = frequency.frequency_shift(x, generator(), max_shift=0.1)
    peak = spectrum(view).abs()[:, 0].argmax(1)
    assert peak.min() in (15, 16)  # a tenth of the Nyquist frequency is five bins
    assert peak.max() in (24, 25)


def test_frequency_shift_is_the_modulated_analytic_signal() -> None:
    x = series(4, 2, 51)
    view = frequency.frequency_shift(x, generator(), max_shift=0.2).numpy()
    shift = draw.uniform((4, 1, 1), -0.2, 0.2, generator()).numpy()
    turned = hilbert(x.numpy()) * np.exp(1j * np.pi * shift * np.arange(51))
    np.testing.assert_allclose(view, turned.real, atol=1e-4)


@pytest.mark.parametrize("steps", [100, 101])
def test_phase_noise_keeps_power_mean_and_the_channels_in_step(steps: int) -> None:
    x = series(20, 2, steps)
    before, after = spectrum(x), spectrum(frequency.phase_noise(x, generator()))
    assert torch.allclose(after.abs(), before.abs(), atol=1e-3)
    cross_before, cross_after = before[:, 0] * before[:, 1].conj(), after[:, 0] * after[:, 1].conj()
    assert torch.allclose(cross_after, cross_before, atol=1e-1)


def test_smooth_is_a_gaussian_blur_with_mirrored_ends() -> None:
    x = series(20, 2, 60)
    view = frequency.smooth(x, generator(), sigma=3.0)
    width = draw.uniform((20, 1, 1), 0.0, 3.0, generator()).flatten().tolist()
    for b in [b for b in range(20) if width[b] > 1.3]:  # narrower, a sampled kernel is no Gaussian
        want = gaussian_filter1d(x[b].numpy(), width[b], axis=1, mode="reflect", truncate=8)
        np.testing.assert_allclose(view[b].numpy(), want, atol=2e-3)
