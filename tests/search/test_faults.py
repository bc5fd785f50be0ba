"""What a study survives: processes really die, a real disk fills up, real files are damaged.

docs/faults.md is the table of it.
"""

import contextlib
import ctypes
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import ray
import torch
from ray.cluster_utils import Cluster

from sslsearch.search import mailbag
from sslsearch.search.mailbox import open_mailbox
from sslsearch.search.slot import MOST_DEATHS, Slot
from sslsearch.search.study import Study
from sslsearch.space import Space, parse
from sslsearch.track.console import Console
from sslsearch.track.spool import Spool
from sslsearch.train import checkpoint
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


# --- damaged files ---------------------------------------------------------------------------


def written(path: Path) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """A checkpoint of a net that has taken a step."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.BatchNorm1d(8))
    optimiser = torch.optim.AdamW(net.parameters())
    net(torch.randn(4, 8)).sum().backward()
    optimiser.step()
    checkpoint.save(path, net, optimiser, {"step": 1})
    return net, optimiser


def test_a_checkpoint_that_was_damaged_is_refused_whole(tmp_path: Path) -> None:
    path = tmp_path / "rung.safetensors"
    net, optimiser = written(path)
    assert checkpoint.load(path, net, optimiser) == {"step": 1}
    whole = path.read_bytes()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    flipped = bytearray(whole)
    flipped[-5] ^= 1
    for damaged in (b"", whole[:7], whole[: len(whole) // 2], bytes(flipped), b"{" + whole):
        path.write_bytes(damaged)
        with pytest.raises(checkpoint.Damaged, match="start over"):
            checkpoint.load(path, net, optimiser)
        assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


@pytest.mark.slow
def test_a_damaged_checkpoint_costs_its_trial_a_new_start(space_file: Path, tmp_path: Path) -> None:
    """The driver is killed in the middle of a trial, and the trial's checkpoint is torn."""
    out = tmp_path / "out"
    command = door(space_file, out, "--trials", "2", "--set", "fidelity.last=2592")
    first = begin(command)
    torn = until(lambda: list(out.glob("trials/t*/rung.safetensors")), 120)[0]
    kill_tree(first)
    torn.write_bytes(torn.read_bytes()[:1000])
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{torn.parent.name}: started over; its checkpoint is set aside" in flat(done.stdout)
    rows = board(out)
    assert set(rows[rows["kind"] == "trial"]["status"]) <= {"ok", "stopped"}
    assert told_once(out)


# --- a full disk -----------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that holds 24 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    try:
        made = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if made.returncode:
        pytest.skip(f"mounting is not allowed: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, leave: int = 0) -> Path:
    """Fill the file system up to `leave` bytes."""
    ballast = folder / "ballast"
    with ballast.open("ab", buffering=0) as file:
        free = shutil.disk_usage(folder).free - leave
        with contextlib.suppress(OSError):
            while free > 0 and (taken := file.write(bytes(min(free, 1 << 16)))):
                free -= taken
    return ballast


def test_a_full_disk_leaves_whole_files(small_disk: Path) -> None:
    path = small_disk / "trials" / "t0000" / "rung.safetensors"
    written(path)
    spool = Spool(small_disk)
    spool.append("study", study="a")
    whole, log = path.read_bytes(), spool.path.read_bytes()
    ballast = fill(small_disk, leave=4096)
    with pytest.raises(OSError, match="No space left") as fault:
        spool.append("note", text="x" * 10_000)  # of which a part would still fit
    assert checkpoint.no_room(fault.value, small_disk)
    with pytest.raises(Exception, match="No space left") as fault:
        checkpoint.write(path, {"much": torch.zeros(8_000_000)}, {})
    assert checkpoint.no_room(fault.value, small_disk)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.write_text(small_disk / "space.yaml", "x" * 10_000)
    assert spool.path.read_bytes() == log
    assert path.read_bytes() == whole
    assert not list(small_disk.rglob("*.part"))
    ballast.unlink()
    spool.append("note", text="there is room again")
    assert [event["kind"] for event in spool.read()[0]] == ["study", "note"]
    assert not checkpoint.no_room(ValueError("something else"), small_disk)


@pytest.mark.slow
def test_a_study_on_a_full_disk_says_so_and_goes_on(space_file: Path, small_disk: Path) -> None:
    out = small_disk / "out"
    command = door(space_file, out)
    first = begin(command)
    until(lambda: finished(out), 120)
    ballast = fill(small_disk)
    said = flat(first.communicate(timeout=120)[0])
    kill_tree(first)
    assert first.returncode == 1, said
    assert "No room is left on the disk" in said
    assert "run the same command again" in said
    assert "Traceback" not in said
    before = finished(out)
    assert before
    again = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert again.returncode == 1  # still full: the same words
    assert "No room is left on the disk" in flat(again.stdout)
    ballast.unlink()
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = board(out)
    assert set(rows[rows["kind"] == "trial"]["status"]) <= {"ok", "stopped"}  # none blamed
    assert before <= finished(out)
    assert told_once(out)


# --- processes that die ----------------------------------------------------------------------


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


# --- what the tests share --------------------------------------------------------------------


def door(space_file: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "sslsearch.run", str(space_file), "--out", str(out), *more]


def begin(command: list[str]) -> Any:
    """Start the door; its words come when it has ended."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, env=environment, **pipes)


def until(look: Callable[[], Any], seconds: float) -> Any:
    """Wait for something to be there (or true); what it is."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)
    return found


def raylet_of(node: Any) -> int:
    """The process of a `Cluster`'s node under which its workers are."""
    (raylet,) = node.all_processes["raylet"]
    return int(raylet.process.pid)


def processes(title: str, parent: int | None = None) -> list[psutil.Process]:
    """Processes under this one, or under `parent`, whose title holds `title`."""
    found = []
    for process in psutil.Process(parent).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if title in " ".join(process.cmdline()):
                found.append(process)
    return found


def kill_tree(process: Any) -> None:
    """kill -9 a driver and, so that no test leaves anything behind, its cluster."""
    with contextlib.suppress(psutil.NoSuchProcess):
        tree = psutil.Process(process.pid)
        for one in [tree, *tree.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.send_signal(signal.SIGKILL)
    process.wait(timeout=30)


def events(out: Path) -> list[dict[str, Any]]:
    """The study's log; a line that a kill has torn is left out."""
    found = []
    for line in (out / "events.jsonl").read_text().splitlines() if out.exists() else []:
        with contextlib.suppress(json.JSONDecodeError):
            found.append(json.loads(line))
    return found


def finished(out: Path) -> set[str]:
    """The trials that the log says are over."""
    if not (out / "events.jsonl").exists():
        return set()
    return {event["trial"] for event in events(out) if event["kind"] == "finish"}


def told_once(out: Path) -> bool:
    """Was every rung of every trial told once, and no finished trial begun again?"""
    rungs = [(e["trial"], e["rung"]) for e in events(out) if e["kind"] == "report"]
    over: set[str] = set()
    for event in events(out):
        if event["kind"] == "trial" and event["trial"] in over:
            return False
        over |= {event["trial"]} if event["kind"] == "finish" else set()
    return len(rungs) == len(set(rungs))


def board(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "leaderboard.csv")


def flat(text: str) -> str:
    """A terminal's text without its line breaks."""
    return " ".join(text.split())
