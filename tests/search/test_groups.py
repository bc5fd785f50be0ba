"""Groups of a long training: what they cost when they die, are told to end, grow and shrink.

Each slow test has a Ray of its own: one through the door, one on nodes that join and leave.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from ray.cluster_utils import Cluster
from ray.train.v2._internal.exceptions import UserExceptionWithTraceback
from real_runs import processes
from safetensors.torch import load_file, save_file

import sslsearch
from sslsearch import pretrain
from sslsearch.data import prepare
from sslsearch.data.samples import Samples
from sslsearch.search import groups, job
from sslsearch.search.groups import RESTARTS, Groups
from sslsearch.search.resources import Fit
from sslsearch.search.watching import Watch
from sslsearch.search.wire import News, Wire
from sslsearch.space import load
from sslsearch.train import checkpoint
from sslsearch.train.loop import Trial

RECIPE = """
name: long
data: {{modality: timeseries, source: "synthetic:400", labels: 10 per class}}
encoder: {{conv1d: {{depth: 2, width: 8, kernel: 3}}}}
pretext: {{moco: {{queue: 64, momentum: 0.99}}}}
augment: {{jitter: {{sigma: 0.1}}}}
optim: {{batch_size: 16, lr: 1e-3}}
fidelity: {{first: 160, last: {last}, eta: 3}}
probe: {{watch: []}}
track: {{mlflow: none}}
"""
PROBES = 4


class Actor:
    """A `Wire` that is called as its actor would be."""

    def __init__(self) -> None:
        self._wire = Wire()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._wire, name)
        return type("Method", (), {"remote": staticmethod(method)})


class Alone(Groups):
    """Groups without Ray: each `fit` is what the test says."""

    plan: Iterator[Any]

    def _fit(self, workers: int) -> Any:
        self.took = [*getattr(self, "took", []), workers]
        found = next(self.plan)
        raise found(self) if callable(found) else found

    def _news(self) -> News:
        news: News = self.wire.look.remote()
        return news


def alone(tmp_path: Path, able: list[int], plan: list[Any]) -> tuple[Alone, list[str]]:
    said: list[str] = []
    fitted = Fit(1, 1, able[0], {"CPU": 1.0}, False, 1)
    made = Alone({"wire": Actor()}, fitted, able, tmp_path / ".ray", lambda news: None, said.append)
    made.plan = iter(plan)
    return made, said


def lost(why: str) -> ray.train.WorkerGroupError:
    return ray.train.WorkerGroupError(why, {0: RuntimeError(why)})


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, float]]:
    nodes = [{"CPU": 7.0}]
    monkeypatch.setattr(groups, "swept_nodes", lambda: nodes)
    monkeypatch.setattr(groups, "ROOM_SECONDS", 0.01)
    return nodes


def test_groups_that_get_no_further_are_given_up(
    tmp_path: Path, room: list[dict[str, float]]
) -> None:
    def further(made: Alone) -> Exception:
        made.wire.begin.remote(workers=4)
        made.wire.tell.remote(saved=16 * len(made.took))
        return lost("a node is gone")

    vain = [lost("the loop is broken")] * RESTARTS
    made, said = alone(tmp_path, [2, 4, 8], [further] * 10 + vain)
    with pytest.raises(RuntimeError, match="again and again"):
        made.run()
    assert made.took == [4] * (10 + RESTARTS)  # 7 workers fit, of which 4 divide the batch
    assert said[0] == "a worker was lost (a node is gone); going on from 16 samples"


def test_what_no_further_try_can_cure_is_said_at_once(
    tmp_path: Path, room: list[dict[str, float]]
) -> None:
    torn = UserExceptionWithTraceback(checkpoint.Damaged("it is torn; remove it"), "Traceback …")
    made, _ = alone(tmp_path, [1], [ray.train.WorkerGroupError("failed", {0: torn})])
    with pytest.raises(ValueError, match=r"^it is torn; remove it$"):
        made.run()


def test_a_crowded_cluster_gets_a_smaller_group(
    tmp_path: Path, room: list[dict[str, float]]
) -> None:
    slow = ray.train.ControllerError(groups.WorkerGroupStartupTimeoutError(4))
    made, said = alone(tmp_path, [2, 4, 8], [slow, slow, KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        made.run()
    assert made.took == [4, 2, 2]
    assert "4 workers found no place" in said[0]


def test_too_small_a_cluster_is_waited_for(
    tmp_path: Path, room: list[dict[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    room[0]["CPU"] = 1.0
    waits = iter([None, room[0].update])
    monkeypatch.setattr(time, "sleep", lambda s: (next(waits) or (lambda **k: None))(CPU=8.0))
    made, said = alone(tmp_path, [2, 4, 8], [KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        made.run()
    assert said == ["waiting for a cluster with room for 2 workers"]
    assert made.took == [8]


def recipe_file(folder: Path, last: int) -> Path:
    path = folder / "r.yaml"
    path.write_text(RECIPE.format(last=last))
    return path


class Run:
    """The door in a process of its own, and what it says."""

    def __init__(self, recipe: Path, *words: str) -> None:
        home = str(Path(sslsearch.__file__).parents[1])
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-m", "sslsearch.pretrain", str(recipe), *words],
            env={**os.environ, "PYTHONPATH": home, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[str] = []

    def until(self, start: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if line.startswith(start):
                return line
        raise AssertionError("".join(self.said))

    def end(self) -> int:
        self.said += self.process.communicate(timeout=200)[0].splitlines()
        return self.process.returncode


def alone_worker(rank: int, folder: str, last: int) -> None:
    """One of two gloo workers that train the recipe without Ray and without a break."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    space = load(Path(folder) / "r.yaml", [])
    samples = Samples.from_table(prepare(space.data.model_dump(), Path(folder)).train)
    trial = Trial(space.default(), samples, 0, torch.device("cpu"), [last])
    trial.advance()
    if rank == 0:
        save_file(trial.objective.state_dict(), Path(folder) / "whole.safetensors")
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ended_lost_and_killed_it_is_as_never_touched(tmp_path: Path) -> None:
    """SIGTERM, then SIGKILL of a worker, then SIGKILL of all: to the bit what two workers learn
    that were left alone."""
    last = 48_000
    recipe, out = recipe_file(tmp_path, last), tmp_path / "out"
    words = ["--out", str(out), "--workers", "2", "--probes", str(PROBES), "--save-minutes", "0.02"]

    run = Run(recipe, *words)
    run.until("rung 2/")
    asked = time.monotonic()
    run.process.send_signal(signal.SIGTERM)
    assert run.end() == 130
    assert time.monotonic() - asked < 20
    state = checkpoint.peek(out / job.STATE)
    assert state["step"] * 16 > state["reports"][-1]["samples_seen"], "saved between two rungs"
    assert "Run the same command again" in run.said[-1]

    run = Run(recipe, *words)
    assert f"from {state['step'] * 16:,} samples" in run.until("2 workers train together")
    time.sleep(2)
    doomed = processes("RayTrainWorker", run.process.pid)
    assert len(doomed) == 2
    doomed[1].kill()
    assert "going on from" in run.until("a worker was lost")
    run.until("2 workers train together")
    time.sleep(1)
    assert run.process.poll() is None
    assert not (out / "best").exists(), "too late to test anything"
    run.process.kill()
    run.end()

    run = Run(recipe, *words)
    assert run.end() == 0, run.said
    assert any(line.startswith("test accuracy") for line in run.said)
    mp.spawn(alone_worker, (str(tmp_path), last), nprocs=2)
    whole = load_file(tmp_path / "whole.safetensors")
    ours = load_file(out / job.STATE)
    for name, tensor in whole.items():
        assert torch.equal(ours[f"module.{name}"], tensor), name


def follow(folder: Path) -> dict[str, Any]:
    """Train on a cluster whose second node joins, and leaves again, with a storage between the
    workers. Runs in its own process."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    groups.GROW_SECONDS = 1.0
    seen: list[tuple[int, int, int]] = []  # workers, samples from which, samples saved just before

    class Following(Watch):
        node: Any = None

        def look(self, news: News) -> None:
            if news.group != self.news.group:
                seen.append((news.workers, news.began, self.news.saved))
            super().look(news)
            if news.samples_seen < news.began + 320:
                return
            if len(seen) == 1 and self.node is None:
                self.node = cluster.add_node(num_cpus=1)
            elif len(seen) == 2 and self.node is not None:
                cluster.remove_node(self.node)
                self.node = None
            elif len(seen) == 3:
                raise KeyboardInterrupt

    job.Watch = Following  # type: ignore[misc]
    recipe = recipe_file(folder, 1_000_000)
    words = ["--out", str(folder / "out"), "--workers", "1..2", "--address", cluster.address]
    words += ["--set", f"compute.storage={folder / 'store'}"]  # workers share no folder
    code = pretrain.main([str(recipe), *words, "--save-minutes", "0.02", "--probes", "1"])
    return {"seen": seen, "code": code}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_group_grows_and_shrinks_with_the_cluster(tmp_path: Path) -> None:
    home, tests = (str(Path(path).parents[1]) for path in (sslsearch.__file__, __file__))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{home}:{tests}"}
    environment.pop("RAY_ADDRESS", None)
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    told = json.loads((tmp_path / "seen.json").read_text())
    assert told["code"] == 130
    assert [workers for workers, _, _ in told["seen"]] == [1, 2, 1]
    assert told["seen"][0][1] == 0
    for _, begun, saved in told["seen"][1:]:
        assert begun >= saved > 0
    assert "note: 1 workers so far, now 2" in done.stdout
    assert "there is room for more than 1 workers; the state is saved" in done.stdout
    assert checkpoint.peek(tmp_path / "store" / "out" / job.STATE)["workers"] == 1
    assert not (tmp_path / "out" / job.STATE).exists()


if __name__ == "__main__":
    out = Path(sys.argv[1])
    told = follow(out)
    (out / "seen.json").write_text(json.dumps(told))
