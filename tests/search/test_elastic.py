"""Slots follow the cluster: nodes join in mid-study, a slot spans two nodes, slots share a GPU.

Each test runs a study whose workers only say where they are, in a process and on a Ray cluster of
its own, on nodes that are processes of this machine.
"""

import functools
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from ray.cluster_utils import Cluster
from ray.train.torch import TorchConfig, TorchTrainer

from sslsearch.search import mailbag, slot, study
from sslsearch.search.announce import Announcer
from sslsearch.search.conductor import Conductor
from sslsearch.search.record import Row
from sslsearch.search.resources import CROWDED_SECONDS, LOOK_SECONDS, Fit, Room, fit, places
from sslsearch.space import parse
from sslsearch.space.sections import Compute
from sslsearch.track.console import Console
from sslsearch.values import Report

SPACE = """
name: elastic
data: {{modality: timeseries, source: "synthetic:120", labels: 8 per class}}
encoder: {{conv1d: {{depth: 2, width: 8}}}}
pretext: {{simclr: {{temperature: 0.05..1.0 log}}}}
augment: {{jitter: {{sigma: 0.1}}}}
optim: {{batch_size: 8, lr: 1e-3..1e-2 log}}
fidelity: {{first: 32, last: 32, eta: 3}}
budget: {{trials: {trials}, minutes: 10}}
search: {{start_from: none, sampler: random}}
confirm: {{top: 1, seeds: 1}}
track: {{mlflow: none}}
compute: {{{compute}}}
"""


class Where:
    """A worker's program that says on which node, device and process it is.

    It takes its time until as many workers as are looked for have been seen.
    """

    def __init__(self, setup: dict[str, Any], rank: int, world: int) -> None:
        self.folder = Path(setup["folder"]) / "seen"
        self.folder.mkdir(exist_ok=True)
        self.at = {
            "node": ray.get_runtime_context().get_node_id(),
            "pid": os.getpid(),
            "gpu": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
        }
        (self.folder / f"{os.getpid()}.json").write_text(json.dumps(self.at))

    def obey(self, command: dict[str, Any]) -> dict[str, Any]:
        time.sleep(0.5 if len(list(self.folder.iterdir())) < 2 else 0.05)
        total = torch.ones(1)
        if torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1:
            torch.distributed.all_reduce(total)
        return mailbag.pack(Report(0, 32, "ok", float(total), settings=self.at))

    def free(self) -> None:
        """Nothing to free."""


class GlooSlot(slot.Slot):
    """A slot whose workers hold a GPU that is not there: Ray counts it, nobody may call it."""

    def setup(self, config: dict[str, Any]) -> None:
        gloo = TorchConfig(backend="gloo")
        slot.TorchTrainer = functools.partial(TorchTrainer, torch_config=gloo)  # type: ignore[misc]
        super().setup(config)


class SearchOnly(study.Study):
    """A study without floors and test split: its workers leave no features."""

    def _confirm(self, conductor: Conductor, announcer: Any) -> Any:
        return None


def search(
    folder: Path, trials: int, compute: str, nodes: list[dict[str, int]], late: list[dict[str, int]]
) -> dict[str, Any]:
    """Search on `nodes`; those in `late` join once a trial has ended. Runs in its own process."""
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    cluster = Cluster(initialize_head=True, head_node_args=nodes[0])
    for resources in nodes[1:]:
        cluster.add_node(**resources)
    study.PROGRAM = "test_elastic:Where"
    if "gpus" in compute:
        study.Slot = GlooSlot  # type: ignore[misc]
    space = parse(SPACE.format(trials=trials, compute=compute))
    made = SearchOnly(space, folder, Path.cwd(), Console(space.name, trials, None))
    made.floors.start = lambda: None  # type: ignore[method-assign]

    class Joining(Announcer):
        def ended(self, row: Row) -> None:
            super().ended(row)
            while late:
                cluster.add_node(**late.pop())

    study.Announcer = Joining  # type: ignore[misc]
    made.run(cluster.address)
    rows = made.record.rows()
    return {
        "rows": [(row.status, row.score, dict(row.reports[-1].settings)) for row in rows],
        "seen": [json.loads(path.read_text()) for path in (folder / "seen").iterdir()],
    }


def elsewhere(folder: Path, **what: Any) -> dict[str, Any]:
    """`search` in a process of its own, for the session's Ray may be up in this one."""
    command = [sys.executable, __file__, str(folder), json.dumps(what)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("RAY_ADDRESS", None)
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=200, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    result: dict[str, Any] = json.loads((folder / "seen.json").read_text())
    return result


@pytest.mark.slow
def test_a_node_that_joins_is_used(tmp_path: Path) -> None:
    one = {"num_cpus": 1}
    told = elsewhere(tmp_path, trials=200, compute="slots: auto", nodes=[one], late=[one])
    assert {status for status, _, _ in told["rows"]} == {"ok"}
    assert len({at["node"] for _, _, at in told["rows"]}) == 2


@pytest.mark.slow
def test_a_slot_spans_two_nodes(tmp_path: Path) -> None:
    one = {"num_cpus": 1}
    told = elsewhere(tmp_path, trials=3, compute="workers_per_trial: 2", nodes=[one, one], late=[])
    assert {(status, score) for status, score, _ in told["rows"]} == {("ok", 2.0)}
    assert len({at["node"] for at in told["seen"]}) == 2


@pytest.mark.slow
def test_two_slots_share_a_gpu(tmp_path: Path) -> None:
    """Ray is told of a GPU; that each slot's worker gets half of it is scheduling, not CUDA."""
    head = {"num_cpus": 2, "num_gpus": 1}
    told = elsewhere(tmp_path, trials=100, compute="gpus_per_worker: 0.5", nodes=[head], late=[])
    assert {status for status, _, _ in told["rows"]} == {"ok"}
    assert len({at["pid"] for _, _, at in told["rows"]}) == 2
    assert {at["gpu"] for at in told["seen"]} == {"0"}


def test_a_worker_lies_on_one_node() -> None:
    assert places({"CPU": 0.95}, [{"CPU": 1.0}] * 8) == 8
    assert places({"CPU": 2.0}, [{"CPU": 3.0}] * 4) == 4
    assert places({"CPU": 0.5, "GPU": 0.1}, [{"CPU": 64.0, "GPU": 0.3}, {"CPU": 64.0}]) == 3
    assert fit(Compute(workers_per_trial=2), [{"CPU": 1.0}] * 3).slots == 1
    with pytest.raises(ValueError, match="on 8 nodes: 0 slot"):
        fit(Compute(cpus_per_worker=2), [{"CPU": 1.0}] * 8)


@pytest.mark.parametrize("compute", [{"gpus_per_worker": 1.5}, {"gpus_per_worker": 0.5}])
def test_fractions_that_cannot_be_shared(compute: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"compute\.gpus_per_worker"):
        fit(Compute(workers_per_trial=2, **compute), [{"CPU": 8.0, "GPU": 8.0}])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(("most", "grown"), [(None, 3), (2, 2)])
def test_room_follows_the_nodes(most: int | None, grown: int, clock: list[float]) -> None:
    nodes = [{"CPU": 1.0}]
    room = Room(Fit(1, most, 1, {"CPU": 0.95}, False, 1), lambda: nodes)
    nodes += [{"CPU": 1.0}, {"CPU": 1.0}]
    assert room() == 1  # not looked at yet
    clock[0] += 2 * LOOK_SECONDS
    assert room() == grown
    room.crowded(1)
    assert room() == 1
    clock[0] += CROWDED_SECONDS + 1
    assert room() == grown
    nodes.clear()
    clock[0] += 2 * LOOK_SECONDS
    assert room() == 0


if __name__ == "__main__":
    out = Path(sys.argv[1])
    sys.path.insert(0, str(Path(__file__).parent))
    import test_elastic  # by the name that workers know

    told = test_elastic.search(out, **json.loads(sys.argv[2]))
    (out / "seen.json").write_text(json.dumps(told))
