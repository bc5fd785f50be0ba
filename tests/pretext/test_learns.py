"""Each pretext task beats the untrained encoder on some real data that dependencies ship.

In the mean over seeds: these are the cases of docs/methods.md. None wins on all data, which is why
one searches.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import methods

WINS = [case for case in methods.cases() if not case.lost and case.file is None]


@pytest.mark.learns
@pytest.mark.parametrize("case", WINS, ids=["-".join(case.key) for case in WINS])
def test_beats_the_untrained_encoder(case: methods.Case) -> None:
    row = methods.measure(case)
    gains = np.array(row["after"]) - np.array(row["before"])
    assert gains.mean() > 0, gains
