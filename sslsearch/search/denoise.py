"""What a trial's score is worth: what its answers and its rungs explain, and a share of the rest.

The best of many noisy scores is a lucky one (the winner's curse). Two things tell luck from worth
before a second seed is spent: similar recipes should score alike, and so should a trial from rung
to rung. A Gaussian process over answers and rungs (surrogate.py) holds both. On the replay table
(tests/benchmarks/denoise.py) the pick is as good as the maximum's, not measurably better; what it
guards against is the rare outlier.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sslsearch.search.row import Row
from sslsearch.search.surrogate import FEWEST, Cube, Reports, Surrogate
from sslsearch.space import Space

MOST = 250  # trials that are modelled: those trained longest, of these the best
OWN = 0.5  # share of what the surrogate cannot explain that is taken for worth, not luck


def denoised(rows: Sequence[Row], space: Space, own: float = OWN) -> dict[str, float]:
    """Each trial's score at the last rung, as far as it is no luck.

    A trial that was stopped is extrapolated from its last rung. Trials that ended in any other way
    or that the space has no place for are left out; so are those beyond the MOST longest-trained.
    With fewer than FEWEST trials scores are as they were observed.
    """
    able = [row for row in rows if row.status in ("ok", "stopped") and math.isfinite(row.score)]
    able.sort(key=lambda row: (-len(row.reports), -row.score, row.name))
    known = [(row, space.project(row.recipe)) for row in able[:MOST]]
    trials = [(row, answers) for row, answers in known if answers is not None]
    if len(trials) < FEWEST:
        return {row.name: row.score for row, _ in trials}
    cube, last = Cube(space), len(space.fidelity.rungs()) - 1
    seen = [
        (at, report.rung, report.score)
        for at, (row, _) in enumerate(trials)
        for report in row.reports
        if math.isfinite(report.score)
    ]
    whose, rungs, scores = (np.array(column) for column in zip(*seen, strict=True))
    points = np.stack([cube.point(answers) for _, answers in trials])
    surrogate = Surrogate(cube, Reports(points, whose, rungs, scores), last)
    worth = surrogate.worth(own)
    return {row.name: float(worth[at]) for at, (row, _) in enumerate(trials)}
