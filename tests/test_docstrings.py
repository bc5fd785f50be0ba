"""What people import is documented: every public name, and every public method of it."""

import importlib
import inspect
from types import ModuleType

import pytest

from sslsearch import registry

API = (
    "sslsearch.registry",
    "sslsearch.values",
    "sslsearch.graph",
    "sslsearch.distributed",
    "sslsearch.doors",
    "sslsearch.space.space",
    "sslsearch.encoders.base",
    "sslsearch.modalities.base",
    "sslsearch.pretext.base",
    "sslsearch.probe.base",
    "sslsearch.probe.floors",
    "sslsearch.train.trained",
    "sslsearch.train.bundle",
)


def undocumented(module: ModuleType) -> list[str]:
    """Names of the module's own; a method that overrides a documented one counts as documented."""
    found = []
    for name, thing in vars(module).items():
        ours = getattr(thing, "__module__", None) == module.__name__
        if name.startswith("_") or not ours or not (inspect.isclass(thing) or callable(thing)):
            continue
        found += [] if inspect.getdoc(thing) else [name]
        if inspect.isclass(thing):
            found += [
                f"{name}.{key}"
                for key, member in vars(thing).items()
                if not key.startswith("_")
                and (callable(member) or isinstance(member, property | classmethod | staticmethod))
                and not inspect.getdoc(getattr(thing, key))
            ]
    return found


@pytest.mark.parametrize("name", API)
def test_the_api_is_documented(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    assert undocumented(module) == []


def test_every_part_says_what_it_is() -> None:
    for kind in registry.ROOMS:
        for part in registry.parts(kind).values():
            assert part.summary, f"{kind} {part.name}"
            for knob, info in part.knobs.model_fields.items():
                told = info.description or info.metadata or info.annotation
                assert told, f"{kind} {part.name}: {knob}"
