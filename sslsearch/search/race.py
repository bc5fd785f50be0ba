"""Racing among finalists: who cannot win any more gets no further seed.

Maron & Moore 1994, Hoeffding Races; Birattari et al. 2002, A Racing Algorithm for Configuring
Metaheuristics (F-race). Here with Student's t: what seeds scatter is pooled over all finalists,
because two or three seeds of one recipe say little of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import stdtrit

LEVEL = 0.95  # one-sided: a finalist leaves when it is below the leader at this level


def in_the_race(scores: Mapping[str, Sequence[float]], level: float = LEVEL) -> set[str]:
    """Who may still be the best, out of the scores of each on its seeds (higher is better).

    All stay while the scatter over seeds is unknown, and so does whoever has no score yet.
    """
    seen = {name: np.asarray(values, float) for name, values in scores.items()}
    seen = {name: values[np.isfinite(values)] for name, values in seen.items()}
    freedom = sum(max(0, len(values) - 1) for values in seen.values())
    if freedom == 0:
        return set(scores)
    squares = sum(float(((v - v.mean()) ** 2).sum()) for v in seen.values() if len(v))
    variance = squares / freedom
    means = {name: float(values.mean()) for name, values in seen.items() if len(values)}
    leader = max(means, key=means.__getitem__)

    def may_win(name: str) -> bool:
        if name not in means:
            return True
        error = math.sqrt(variance * (1 / len(seen[name]) + 1 / len(seen[leader])))
        return means[leader] - means[name] <= float(stdtrit(freedom, level)) * error

    return {name for name in scores if may_win(name)}
