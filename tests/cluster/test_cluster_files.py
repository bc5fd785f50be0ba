"""The files of cluster/ hold what they claim to: Ray, KubeRay and bash would take them.

No cloud, Kubernetes or SLURM is there: what is checked is their schemas, and that the commands in
them are ones that sslsearch understands.
"""

import copy
import json
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pathspec
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from sslsearch.run import arguments, overrides
from sslsearch.space import load

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PAGE = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
SCHEMA = json.loads((Path(__file__).parent / "rayjob_schema.json").read_text())
LAUNCHED = [CLUSTER / "ray-aws.yaml", CLUSTER / "ray-gcp.yaml"]


def minor() -> str:
    """The minor version of Ray that sslsearch needs, as `2.60`."""
    (needed,) = [one for one in PROJECT["dependencies"] if one.startswith("ray[")]
    return needed.partition(">=")[2].partition(",")[0]


def rayjob() -> Any:
    return yaml.safe_load((CLUSTER / "kuberay-rayjob.yaml").read_text())


@pytest.mark.parametrize("path", LAUNCHED, ids=lambda path: path.stem)
def test_ray_up_takes_it(path: Path) -> None:
    config = prepare_config(yaml.safe_load(path.read_text()))
    validate_config(config)
    types = config["available_node_types"]
    assert types[config["head_node_type"]]["resources"] == {"CPU": 0}
    workers = [kind for name, kind in types.items() if name != config["head_node_type"]]
    assert 0 < sum(kind["min_workers"] for kind in workers) <= config["max_workers"]
    assert all(kind["resources"]["GPU"] for kind in workers)
    mounts = config["file_mounts"]
    assert "~/.ray/auth_token" in mounts.values()
    installed = [c for c in config["head_setup_commands"] if c.startswith("pip") and "[" in c]
    assert all(word in mounts for c in installed for word in re.findall(r"'(.+)\[cluster\]'", c))
    assert installed
    for command in (*config["head_start_ray_commands"], *config["worker_start_ray_commands"]):
        assert command == "ray stop" or command.startswith("RAY_AUTH_MODE=token ray start ")


@pytest.mark.parametrize("path", LAUNCHED, ids=lambda path: path.stem)
def test_the_check_of_ray_up_can_fail(path: Path) -> None:
    config = yaml.safe_load(path.read_text())
    config["docker"]["colour"] = "red"
    with pytest.raises(jsonschema.ValidationError):
        validate_config(prepare_config(config))


def test_kuberay_takes_it() -> None:
    job = rayjob()
    jsonschema.validate(job, SCHEMA)
    spec = job["spec"]["rayClusterSpec"]
    assert spec["authOptions"]["mode"] == "token"
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        names = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= names
    variables = yaml.safe_load(job["spec"]["runtimeEnvYAML"])["env_vars"]
    assert all(isinstance(value, str) for value in variables.values())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "backofLimit"), 4),
        (("spec", "submissionMode"), "K8SJobMode"),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 0, "rayStartParams"), {"num-cpus": 4}),
        (("spec", "rayClusterSpec", "headGroupSpec", "template", "spec", "container"), []),
    ],
)
def test_the_check_of_kuberay_can_fail(path: tuple[Any, ...], value: Any) -> None:
    job = at = copy.deepcopy(rayjob())
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(job, SCHEMA)


def test_versions_are_ours() -> None:
    (extra,) = PROJECT["optional-dependencies"]["cluster"]
    (needed,) = [one for one in PROJECT["dependencies"] if one.startswith("ray[")]
    assert extra.partition("]")[2] == needed.partition("]")[2]
    for path in CLUSTER.iterdir():
        for version in re.findall(r"rayproject/ray:(\d+\.\d+)", path.read_text()):
            assert version == minor(), path
    assert rayjob()["spec"]["rayClusterSpec"]["rayVersion"].startswith(f"{minor()}.")


def instructions() -> list[tuple[str, str]]:
    text = (CLUSTER / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split()[0], line.partition(" ")[2]) for line in lines]


def test_the_image_copies_what_there_is() -> None:
    """Not built here; its paths, its commands and the order of its words are."""
    assert [word for word, _ in instructions()][:2] == ["ARG", "FROM"]
    assert {word for word, _ in instructions()} <= {"ARG", "FROM", "WORKDIR", "COPY", "RUN"}
    ignored = pathspec.PathSpec.from_lines(
        "gitignore", (CLUSTER / "Dockerfile.dockerignore").read_text().splitlines()
    )
    copied: list[str] = []
    for word, rest in instructions():
        if word == "COPY":
            words = [part for part in rest.split() if not part.startswith("--")]
            copied += words[:-1]
    for name in copied:
        assert (ROOT / name).exists(), name
        inside = next((ROOT / name).glob("*.*")) if (ROOT / name).is_dir() else ROOT / name
        assert not ignored.match_file(inside.relative_to(ROOT).as_posix()), name
    folders = PROJECT_FOLDERS & {path.name for path in ROOT.iterdir()}
    assert {PROJECT["readme"], "pyproject.toml", *folders} <= set(copied)
    for word, rest in instructions():
        if word == "RUN":
            subprocess.run(["bash", "-n", "-c", rest], check=True)
            for code in re.findall(r'python -c "([^"]+)"', rest):
                compile(code, "Dockerfile", "exec")


PROJECT_FOLDERS = {"sslsearch", "search_spaces"}  # what setuptools packs


@pytest.mark.parametrize("name", ["local.sh", "slurm.sbatch"])
def test_bash_takes_it(name: str) -> None:
    subprocess.run(["bash", "-n", str(CLUSTER / name)], check=True)


def test_a_wrong_word_is_answered_with_the_right_ones() -> None:
    done = subprocess.run([CLUSTER / "local.sh", "begin"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "cluster/local.sh start [NODES]" in done.stderr
    assert "set -euo" not in done.stderr


def commands() -> list[str]:
    """All runs of a study that are written down in cluster/ and its page."""
    said = [rayjob()["spec"]["entrypoint"]]
    for block in re.findall(r"^```\w*\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        said += block.replace("\\\n", " ").splitlines()
    return [line for line in said if "sslsearch.run " in line or "local.sh submit " in line]


def test_what_is_written_down_to_be_run_is_understood(tmp_path: Path) -> None:
    found = commands()
    assert len(found) > 3
    for line in found:
        words = re.split(r"sslsearch\.run |local\.sh submit ", line)[1]
        args = arguments().parse_args(shlex.split(words, comments=True))
        space = load(args.space, overrides(args))
        assert args.out or space.compute.storage, f"{line}: the answer would be lost"


def test_the_page_names_tests_that_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 4
    for path, name in named:
        assert re.search(rf"^def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.M), name


def test_the_page_names_every_file() -> None:
    for path in CLUSTER.iterdir():
        assert f"cluster/{path.name}" in PAGE, path.name
