"""Floors are computed beside the slots; an actor that dies is followed by another."""

from __future__ import annotations

from pathlib import Path

import pytest
import ray

from sslsearch.data.prepare import Prepared
from sslsearch.search.confirm import without_labels
from sslsearch.search.floors import RESTARTS, Floors
from sslsearch.space import Space

pytestmark = pytest.mark.usefixtures("ray_cluster")


@pytest.fixture
def floors(space: Space, prepared: Prepared, tmp_path: Path) -> Floors:
    made = Floors(space, space.default()["encoder"], prepared, tmp_path)
    made.place(ray.put(prepared.train), ray.put(without_labels(prepared.test)))
    return made


def test_a_killed_actor_loses_no_floor(space: Space, floors: Floors) -> None:
    floors.start()
    ray.kill(floors.runner)
    found = {contender.name: line for contender, line in floors.collect(space.default()["encoder"])}
    assert set(found) == {"majority", "untrained", "raw"}
    assert all(line.status == "ok" for line in found.values())
    assert found["untrained"].score > found["majority"].score


def test_one_that_dies_over_and_over_is_given_up(floors: Floors) -> None:
    floors.start()
    deaths = []

    def start_and_die(asked: dict[str, dict[str, object]]) -> None:
        Floors._start(floors, asked)
        ray.kill(floors.runner)
        deaths.append(1)

    floors._start = start_and_die  # type: ignore[method-assign]
    ray.kill(floors.runner)
    with pytest.raises(ray.exceptions.RayActorError):
        floors._files("raw")
    assert len(deaths) == RESTARTS
