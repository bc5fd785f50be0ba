"""Do the maskings hide as much as asked, in the shapes their papers say?

Shapes: B = samples, C = channels, N = tokens.
"""

from __future__ import annotations

import pytest
import torch

from sslsearch.masking.channel import channel
from sslsearch.masking.random import random
from sslsearch.masking.span import span


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def all_valid(*shape: int) -> torch.Tensor:
    return torch.ones(shape, dtype=torch.bool)


def run_lengths(hidden_N: list[bool]) -> list[int]:
    text = "".join("x" if h else "." for h in hidden_N)
    return [len(run) for run in text.split(".") if run]


@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.5, 0.75, 0.9])
@pytest.mark.parametrize("tokens", [5, 13, 106])
def test_random_and_span_hide_exactly_the_share_asked(ratio: float, tokens: int) -> None:
    valid = all_valid(20, 1, tokens)
    valid[10:, :, tokens // 2 :] = False  # ten samples padded behind their middle
    expected = [min(max(round(ratio * n), 1), n - 1) for n in [tokens] * 10 + [tokens // 2] * 10]
    for hidden in (
        random(valid, generator(), ratio=ratio),
        span(valid, generator(), ratio=ratio, length=4),
    ):
        assert hidden.sum(dim=(1, 2)).tolist() == expected


@pytest.mark.parametrize("masking", [random, span])
def test_the_same_tokens_are_hidden_in_all_channels(masking: object) -> None:
    hidden = masking(all_valid(6, 3, 30), generator(), ratio=0.5)  # type: ignore[operator]
    assert torch.equal(hidden[:, 0], hidden[:, 1])
    assert torch.equal(hidden[:, 0], hidden[:, 2])


def test_random_hides_every_token_equally_often() -> None:
    hidden = random(all_valid(4000, 1, 10), generator(), ratio=0.3).float()
    assert torch.allclose(hidden.mean(dim=(0, 1)), torch.tensor(0.3), atol=0.03)


def test_span_hides_every_token_equally_often_ends_included() -> None:
    hidden = span(all_valid(4000, 1, 40), generator(), ratio=0.25, length=5).float()
    assert torch.allclose(hidden.mean(dim=(0, 1)), torch.tensor(0.25), atol=0.03)


@pytest.mark.parametrize("length", [1, 3, 8])
def test_span_has_the_mean_length_asked(length: int) -> None:
    hidden = span(all_valid(200, 1, 200), generator(), ratio=0.24, length=length)
    runs = [run for row in hidden[:, 0].tolist() for run in run_lengths(row)]
    assert sum(runs) / len(runs) == pytest.approx(length, rel=0.05)
    if length > 1:  # geometric: short runs are the most frequent ones, and some are long
        assert runs.count(1) > runs.count(length)
        assert max(runs) > 2 * length


def test_span_steps_over_gaps() -> None:
    valid = all_valid(50, 1, 30)
    valid[:, :, 10:20] = False
    hidden = span(valid, generator(), ratio=0.5, length=3)
    assert (hidden.sum(dim=(1, 2)) == 10).all()
    assert hidden[:, :, :10].any()
    assert hidden[:, :, 20:].any()


def test_channels_of_different_validity_are_hidden_where_they_are_valid() -> None:
    valid = torch.zeros(4, 2, 12, dtype=torch.bool)
    valid[:, 0, :6] = True
    valid[:, 1, 3:] = True
    hidden = random(valid, generator(), ratio=0.5)
    assert (hidden.any(dim=1).sum(dim=1) == 6).all()
    assert not (hidden & ~valid).any()
    overlap = hidden[:, :, 3:6]
    assert torch.equal(overlap[:, 0], overlap[:, 1])


def test_channel_hides_whole_channels() -> None:
    hidden = channel(all_valid(50, 5, 9), generator(), ratio=0.4)
    assert torch.equal(hidden.all(dim=2), hidden.any(dim=2))
    assert (hidden.any(dim=2).sum(dim=1) == 2).all()


def test_channel_counts_only_channels_that_hold_something() -> None:
    valid = all_valid(20, 4, 9)
    valid[:, 0] = False
    hidden = channel(valid, generator(), ratio=0.67)
    assert (hidden.any(dim=2).sum(dim=1) == 2).all()


def test_one_channel_cannot_be_hidden_and_the_message_says_what_can() -> None:
    with pytest.raises(ValueError, match="'random' or 'span'"):
        channel(all_valid(4, 1, 9), generator())
