"""What a search is expected to cost, in samples seen."""

from __future__ import annotations

from itertools import pairwise

from sslsearch.space.space import Space


def expected_samples(space: Space) -> float:
    """Samples that a trial sees on average: of those halved, one in eta goes on from each rung."""
    rungs, eta = space.fidelity.rungs(), space.fidelity.eta
    steps = [rungs[0], *(high - low for low, high in pairwise(rungs))]

    def halved(spared: int) -> float:
        """Where the first `spared` rungs stop nobody."""
        return sum(step / float(eta ** max(0, k - spared)) for k, step in enumerate(steps))

    match space.search.scheduler:
        case "none":
            return float(rungs[-1])
        case "one_epoch_top_k":
            return float(rungs[0])
        case "hyperband":  # its brackets cost about the same, so the least halved has fewest trials
            shares = [
                float(eta ** (len(rungs) - 1 - b)) / (len(rungs) - b) for b in range(len(rungs))
            ]
            each = [share * halved(b) for b, share in enumerate(shares)]
            return sum(each) / sum(shares)
    return halved(0)


def search_samples(space: Space) -> tuple[float, float]:
    """Expected samples of all trials, and those of the confirmation."""
    confirming = (space.confirm.top + 1) * space.confirm.seeds * space.fidelity.last
    return space.budget.trials * expected_samples(space), float(confirming)
