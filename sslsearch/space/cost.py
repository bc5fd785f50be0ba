"""What a search is expected to cost, in samples seen."""

from __future__ import annotations

from itertools import pairwise

from sslsearch.space.space import Space


def expected_samples(space: Space) -> float:
    """Samples that a trial sees on average: under ASHA one in eta goes on from each rung."""
    rungs, eta = space.fidelity.rungs(), space.fidelity.eta
    if space.search.scheduler == "none":
        return float(rungs[-1])
    steps = [rungs[0], *(high - low for low, high in pairwise(rungs))]
    return sum(step / float(eta**k) for k, step in enumerate(steps))


def search_samples(space: Space) -> tuple[float, float]:
    """Expected samples of all trials, and those of the confirmation."""
    confirming = (space.confirm.top + 1) * space.confirm.seeds * space.fidelity.last
    return space.budget.trials * expected_samples(space), float(confirming)
