"""Torn checkpoints and full disks: real files are damaged, a real file system fills up."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from real_runs import begin, board, door, finished, flat, kill_tree, told_once, until

from sslsearch.track.spool import Spool
from sslsearch.train import checkpoint


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
