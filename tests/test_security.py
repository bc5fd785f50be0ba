"""Nothing from disk or network is run: no pickle, no eval; Ray asks everybody for its token."""

import ast
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "sslsearch").rglob("*.py"))
BANNED_MODULES = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
BANNED_CALLS = {"eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load"}
BANNED_CALLS |= {"yaml.full_load", "yaml.load_all"}
NEEDED = {"torch.load": ("weights_only", True)}  # a call that is safe only with this argument
REFUSED = {"allow_pickle": True, "shell": True}  # arguments that no call may have


def dangers(source: str) -> list[str]:
    """What could run foreign code: `line: what`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name.split(".")[0] for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            names = [(node.module or "").split(".")[0]]
        found += [f"{node.lineno}: imports {n}" for n in names if n in BANNED_MODULES]
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        given = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
        if name in BANNED_CALLS:
            found.append(f"{node.lineno}: {name}")
        if name in NEEDED and given.get(NEEDED[name][0]) is not NEEDED[name][1]:
            found.append(f"{node.lineno}: {name} without {NEEDED[name][0]}")
        found += [f"{node.lineno}: {k}" for k, v in REFUSED.items() if given.get(k) is v]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_foreign_is_run(path: Path) -> None:
    assert not dangers(path.read_text())


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "eval(text)",
        "yaml.load(text, Loader)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(command, shell=True)",
    ],
)
def test_the_scan_sees_dangers(line: str) -> None:
    assert dangers(line)


def test_the_scan_lets_the_safe_ways_pass() -> None:
    assert not dangers("torch.load(path, weights_only=True)\nyaml.safe_load(text)\nmodel.eval()")


def test_ray_asks_for_its_token(ray_cluster: Any) -> None:
    from ray._raylet import AuthenticationMode, get_authentication_mode

    assert get_authentication_mode() == AuthenticationMode.TOKEN
