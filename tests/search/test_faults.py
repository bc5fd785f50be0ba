"""What a study survives: processes really die, a real disk fills up, real files are damaged.

docs/faults.md is the table of it.
"""

import contextlib
import ctypes
import os
import re
import resource
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import mlflow_server
import psutil
import pytest
import ray
import torch
from ray.cluster_utils import Cluster
from real_runs import (
    begin,
    board,
    door,
    finished,
    flat,
    kill_tree,
    processes,
    raylet_of,
    told_once,
    until,
)

from sslsearch.search import mailbag
from sslsearch.search.mailbox import open_mailbox
from sslsearch.search.slot import MOST_DEATHS, Slot
from sslsearch.search.study import Study
from sslsearch.space import Space, parse
from sslsearch.track.console import Console
from sslsearch.values import Report

ROOT = Path(__file__).parents[2]
GROUP = Path("/sys/fs/cgroup/memory/sslsearch-test")  # a memory cgroup (v1) of our own
LIMIT = 64 << 20  # bytes above what a worker holds already


def test_the_table_names_tests_that_exist() -> None:
    page = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(named) > 10
    for path, name in named:
        assert re.search(rf"^def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.M), name


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_killed_slot_loses_no_trial(space: Space, tmp_path: Path) -> None:
    """The actor that holds a slot dies twice in mid-trial, with the worker group it owns."""
    longer = parse(space.text.replace("last: 288", "last: 2592").replace("trials: 4", "trials: 3"))
    killed: list[str] = []
    over = threading.Event()

    def kill_two() -> None:
        while len(killed) < 2 and not over.wait(0.05):
            saved = [p.parent.name for p in tmp_path.glob("trials/t*/rung.safetensors")]
            new = [name for name in saved if name not in killed]
            victims = processes("ray::Slot") if new else []
            if victims:
                victims[0].kill()
                killed.append(new[0])

    thread = threading.Thread(target=kill_two)
    thread.start()
    study = Study(longer, tmp_path, Path.cwd(), Console("tiny", 3, 5))
    try:
        study.run(None)
    finally:
        over.set()
        study.close()
    thread.join()
    assert len(killed) == 2
    rows = study.record.rows()
    assert all(row.status in ("ok", "stopped") for row in rows)
    assert len([row for row in rows if row.kind == "trial"]) == 3
    for row in rows:  # no rung was told twice
        assert [r.rung for r in row.reports] == sorted({r.rung for r in row.reports})
    assert told_once(tmp_path)
    assert until(lambda: not processes("RayTrainWorker"), 20)  # none was left behind


@pytest.mark.slow
def test_a_node_that_dies_ends_no_study(space_file: Path, tmp_path: Path) -> None:
    """Three nodes on this machine; one that trains is killed in mid-trial."""
    out = tmp_path / "out"

    def training() -> list[Any]:
        return [n for n in nodes if processes("RayTrainWorker", raylet_of(n))] if saved() else []

    def saved() -> list[Path]:
        return list(out.glob("trials/t*/rung.safetensors"))

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        cluster.wait_for_nodes()
        more = ("--set", "fidelity.last=2592", "--trials", "5", "--address", cluster.address)
        first = begin(door(space_file, out, *more))
        cluster.remove_node(until(training, 120)[0], allow_graceful=False)
        said = first.communicate(timeout=150)[0]
        kill_tree(first)
    finally:
        cluster.shutdown()
    assert first.returncode == 0, said
    rows = board(out)
    trials = rows[rows["kind"] == "trial"]
    assert len(trials) == 5
    assert set(trials["status"]) <= {"ok", "stopped"}
    assert told_once(out)


@pytest.mark.slow
def test_a_study_outlives_its_mlflow_server(space_file: Path, tmp_path: Path) -> None:
    """The server dies in mid-study and comes back before its end: MLflow has everything, once."""
    out, port = tmp_path / "out", mlflow_server.free_port()
    uri = f"http://127.0.0.1:{port}"
    more = ("--trials", "8", "--set", f"track.mlflow={uri}")
    server = mlflow_server.serve(tmp_path, port)
    try:
        first = begin(door(space_file, out, *more))
        until(lambda: finished(out), 200)
        mlflow_server.stop(server)
        before = len(finished(out))
        until(lambda: len(finished(out)) >= before + 3, 120)  # nobody waits for it
        server = mlflow_server.serve(tmp_path, port)
        said = flat(first.communicate(timeout=150)[0])
        kill_tree(first)
        assert first.returncode == 0, said
        assert f"MLflow at {uri} does not answer" in said
        client = mlflow.MlflowClient(uri)
        (experiment,) = client.search_experiments(filter_string="name = 'sslsearch/tiny'")
        runs = client.search_runs([experiment.experiment_id])
        champion = client.get_model_version_by_alias("sslsearch-tiny", "champion")
    finally:
        mlflow_server.stop(server)
    assert champion.description.startswith("The ")  # the verdict
    kinds = Counter(run.data.tags.get("sslsearch.kind") for run in runs)
    rows = board(out)["kind"].value_counts()
    assert {kind: kinds[kind] for kind in rows.index} == rows.to_dict()
    assert all(run.info.status == "FINISHED" for run in runs)


class Odd:
    """A program that does what the command's `how` says, to its own process."""

    def __init__(self, setup: dict[str, Any], rank: int, world: int) -> None:
        """Needs nothing."""

    def obey(self, command: dict[str, Any]) -> dict[str, Any]:
        if command["how"] == "is killed by the kernel":
            enter_small_group()
            torch.ones(LIMIT)  # four times what there is
        if command["how"] == "has an abort at its limit":
            soft = psutil.Process().memory_info().vms + LIMIT
            resource.setrlimit(resource.RLIMIT_AS, (soft, soft))
            with contextlib.suppress(MemoryError):
                bytearray(4 * LIMIT)
                raise AssertionError("there was no limit")
            os.abort()  # what a library does that cannot allocate
        if command["how"] == "hangs with the interpreter":
            ctypes.PyDLL(None).sleep(600)  # never lets go of the interpreter's lock
        return mailbag.pack(Report(0, 0, "ok", 1.0)) | {"pid": os.getpid()}

    def free(self) -> None:
        """Nothing to free."""


def enter_small_group() -> None:
    """Move this process into the memory cgroup; what it holds already is charged elsewhere."""
    (GROUP / "tasks").write_text(str(os.getpid()))


@pytest.fixture
def small_group() -> Iterator[None]:
    """A memory cgroup in which the kernel kills what takes more than LIMIT."""
    try:
        GROUP.mkdir()
        (GROUP / "memory.limit_in_bytes").write_text(str(LIMIT))
    except OSError as fault:
        pytest.skip(f"no memory cgroup can be made: {fault}")
    try:
        yield
    finally:
        until(lambda: not (GROUP / "tasks").read_text(), 30)
        GROUP.rmdir()


@ray.remote(num_cpus=0)
class Holder:
    """A slot outside Tune: the actor that Tune would hold."""

    def __init__(self, folder: str) -> None:
        os.environ["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"] = "0.3"
        setup = {
            "program": "test_faults:Odd",
            "setup": {},
            "workers": 1,
            "resources": {"CPU": 0.5},
            "use_gpu": False,
            "storage": folder,
            "recycle_after": 100,
        }
        self.slot = Slot.__new__(Slot)
        self.slot.setup({"setup": ray.put(setup), "commands": []})

    def run(self, trial: str, how: str, seconds: float) -> dict[str, Any]:
        command = {"trial": trial, "how": how, "seconds": seconds, "rung": 0}
        self.slot.reset_config({"commands": [command]})
        return self.slot.step()

    def close(self) -> None:
        self.slot.cleanup()


@pytest.fixture
def holder(ray_cluster: dict[str, float], tmp_path: Path) -> Iterator[Callable[..., Any]]:
    held = Holder.remote(str(tmp_path))
    try:
        yield lambda how, seconds=60.0: ray.get(held.run.remote(how, how, seconds))
    finally:
        ray.get(held.close.remote())


@pytest.mark.slow
@pytest.mark.usefixtures("small_group")
def test_a_worker_that_the_kernel_kills_over_and_over_is_oom(holder: Callable[..., Any]) -> None:
    answer = holder("is killed by the kernel")
    assert answer["status"] == "oom"
    message = mailbag.unpack(answer).message
    assert f"died {MOST_DEATHS} times, killed by the kernel because memory ran out" in message
    assert holder("works")["status"] == "ok"  # the slot goes on


@pytest.mark.slow
def test_a_worker_that_aborts_over_and_over_is_an_error(holder: Callable[..., Any]) -> None:
    answer = holder("has an abort at its limit")
    assert answer["status"] == "error"  # nobody can tell that memory was the reason
    assert f"died {MOST_DEATHS} times: " in mailbag.unpack(answer).message
    assert holder("works")["status"] == "ok"


@pytest.mark.slow
def test_a_step_that_hangs_with_the_interpreter_is_ended(holder: Callable[..., Any]) -> None:
    assert holder("works")["status"] == "ok"
    began = time.monotonic()
    assert holder("hangs with the interpreter", 2.0)["status"] == "timeout"
    assert time.monotonic() - began < 15
    assert holder("works")["status"] == "ok"


@pytest.mark.usefixtures("ray_cluster")
def test_what_a_dead_worker_polls_for_is_not_handed_to_it() -> None:
    box = open_mailbox()
    ghost = box.next.remote({"rank": 0, "node": "a", "killed": 0}, 0)
    until(lambda: ray.get(box.look.remote()).free > 0.05, 10)
    ray.get(box.lost.remote(["it died"]))
    assert ray.get(ghost) == (0, None)
    one = ray.get(box.submit.remote({"trial": "a"}))
    assert ray.get(box.look.remote()).losses == ()  # it did not die over this command
    worker = {"rank": 0, "node": "a", "killed": 0}
    assert ray.get(box.next.remote(worker, 0)) == (one, {"trial": "a"})
    ray.get(box.lost.remote(["it died too"]))
    look = ray.get(box.look.remote())
    assert (look.handed, look.losses, look.starved) == (1, ("it died too",), 0)
    assert look.held > 0
    ray.get(box.next.remote({**worker, "killed": 1}, 0))
    look = ray.get(box.look.remote())
    assert (look.handed, look.free, look.starved) == (2, 0.0, 1)
    ray.get(box.retire.remote())
    assert ray.get(box.look.remote()).handed == 1  # left to its successor: nobody died
