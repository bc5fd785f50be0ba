"""Slots that fit, and a clear word when none does."""

import pytest

from sslsearch.search.resources import fit
from sslsearch.space.sections import Compute


@pytest.mark.parametrize(
    ("compute", "cluster", "slots", "gpu"),
    [
        ({}, {"CPU": 2.0}, 2, False),
        ({"workers_per_trial": 2}, {"CPU": 2.0}, 1, False),
        ({}, {"CPU": 64.0, "GPU": 8.0}, 8, True),
        ({"gpus_per_worker": 0.5}, {"CPU": 64.0, "GPU": 8.0}, 16, True),
        ({"gpus_per_worker": 0}, {"CPU": 4.0, "GPU": 8.0}, 4, False),
        ({"slots": 1}, {"CPU": 16.0}, 1, False),
    ],
)
def test_slots_that_fit(compute: dict, cluster: dict, slots: int, gpu: bool) -> None:
    fitted = fit(Compute(**compute), [cluster])
    assert (fitted.slots, fitted.use_gpu) == (slots, gpu)


@pytest.mark.parametrize(
    ("compute", "cluster"),
    [
        ({"workers_per_trial": 3}, {"CPU": 2.0}),
        ({"slots": 3}, {"CPU": 2.0}),
        ({"gpus_per_worker": 1}, {"CPU": 2.0}),
    ],
)
def test_too_little_is_an_error_before_anything_starts(compute: dict, cluster: dict) -> None:
    with pytest.raises(ValueError, match=r"but the cluster has 2 CPU and 0 GPU: \d slot\(s\) fit"):
        fit(Compute(**compute), [cluster])
