"""Networks that somebody brings along, as `encoder: {own: {build: …}}` names them."""

from torch import nn


def strided(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, 2, padding=1), nn.ReLU(), nn.Conv2d(8, 12, 3, 2, padding=1)
    )


def flat(channels: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(4))


def no_network(channels: int) -> int:
    return channels
