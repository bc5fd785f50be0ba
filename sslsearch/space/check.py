"""The whole YAML -> what a Space holds; every word, range, unit and combination is checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from sslsearch import registry
from sslsearch.registry import did_you_mean
from sslsearch.space.errors import Faults
from sslsearch.space.fit import check_fit
from sslsearch.space.judging import check_judging
from sslsearch.space.knobs import BAD, read_fixed
from sslsearch.space.nodes import Fixed, Map, Node
from sslsearch.space.parts import PartReader
from sslsearch.space.sections import (
    ORDER,
    SECTIONS,
    Head,
    Optim,
    PartName,
    Probe,
    Section,
    columns_model,
    data_section,
)
from sslsearch.space.source import entries, is_empty, written

Entries = dict[str, tuple[yaml.ScalarNode, yaml.Node]]


@dataclass(frozen=True)
class Checked:
    """What was read: the head, the closed sections as models, the open ones as a tree."""

    head: Head
    sections: dict[str, Section]
    tree: dict[str, Node]


def check(root: yaml.Node, default_name: str, faults: Faults) -> Checked | None:
    """Read a whole space. None after a fault; all faults are collected."""
    if not isinstance(root, yaml.MappingNode):
        faults.add(root, f"{written(root)}: a space is a mapping: data:, pretext: …")
        return None
    here = entries(root)
    for word, (key, _) in here.items():
        if word not in ORDER:
            faults.add(key, f"{word}: unknown section{did_you_mean(word, ORDER)}")
    head = _head(here, root, default_name, faults)
    sections = _sections(here, root, faults)
    data = sections.get("data")
    modality = _modality(here) if data is None else getattr(data, "modality", None)
    if modality not in registry.parts("modality"):
        modality = None
    tree = _tree(here, root, modality, faults)
    probe = sections.get("probe")
    if isinstance(probe, Probe) and modality:
        sections["probe"] = check_judging(head, probe, modality, here, root, faults)
    if faults:
        return None
    assert head is not None
    return Checked(head, sections, tree)


def _modality(here: Entries) -> str | None:
    """The modality as written, for checking the parts when the rest of `data` is wrong."""
    node = here["data"][1] if "data" in here else None
    found = entries(node).get("modality") if isinstance(node, yaml.MappingNode) else None
    return found[1].value if found and isinstance(found[1], yaml.ScalarNode) else None


def _head(here: Entries, root: yaml.Node, default_name: str, faults: Faults) -> Head | None:
    values: dict[str, Any] = {"name": default_name}
    good = True
    for word in Head.model_fields:
        if word in here:
            good &= _field(Head, word, here[word][1], values, None, faults)
    return Head(**values) if good else None


def _sections(here: Entries, root: yaml.Node, faults: Faults) -> dict[str, Section]:
    found: dict[str, Section] = {}
    written_modality = _modality(here)
    for word, model in SECTIONS.items():
        if model is Optim:
            continue
        if word not in here and word == "data":
            faults.add(
                root, "data: is missing: data: {modality: …, source: …} says what to learn from"
            )
            continue
        model = data_section(written_modality) if word == "data" else model
        key, node = here.get(word, (root, yaml.MappingNode("", [], root.start_mark)))
        section = _section(model, word, key, node, written_modality, faults)
        if section is not None:
            found[word] = section
    return found


def _section(
    model: type[Section],
    path: str,
    key: yaml.Node,
    node: yaml.Node,
    modality: str | None,
    faults: Faults,
) -> Section | None:
    """One closed section as its model; None after a fault."""
    if not isinstance(node, yaml.MappingNode) and not is_empty(node):
        first = next(iter(model.model_fields))
        faults.add(key, f"{path}: {written(node)}: is a mapping, as in {path}: {{{first}: …}}")
        return None
    here = entries(node) if isinstance(node, yaml.MappingNode) else {}
    good, values = True, dict[str, Any]()
    for word, (at, value) in here.items():
        if word not in model.model_fields:
            faults.add(at, f"{word}: unknown key of {path}{did_you_mean(word, model.model_fields)}")
            good = False
        elif (columns := columns_model(model.model_fields[word])) is not None:
            inner = _section(columns, f"{path}.{word}", at, value, modality, faults)
            good &= inner is not None
            values[word] = inner
        else:
            good &= _field(model, word, value, values, modality, faults)
    for word, info in model.model_fields.items():
        if info.is_required() and word not in here:
            faults.add(key, f"{path}: needs {word}, {info.description}")
            good = False
    if not good:
        return None
    try:
        return model(**values)
    except ValidationError as error:
        said = error.errors()[0]
        faults.add(key, f"{path}: {written(node)}: {said['ctx']['error']}")
        return None


def _field(
    model: type[BaseModel],
    word: str,
    node: yaml.Node,
    values: dict[str, Any],
    modality: str | None,
    faults: Faults,
) -> bool:
    """One closed field into `values`; False after a fault."""
    found = read_fixed(model, word, node, faults)
    if found is BAD:
        return False
    assert isinstance(found, Fixed)
    values[word] = found.value
    return _names(model.model_fields[word], node, found.value, modality, faults)


def _names(
    info: FieldInfo, node: yaml.Node, value: Any, modality: str | None, faults: Faults
) -> bool:
    """Whether the parts that a field names exist and fit the modality."""
    marked = registry.marker(info, PartName)
    if marked is None:
        return True
    every = registry.parts(marked.kind)
    known = (
        registry.parts(marked.kind, modality) if modality in registry.parts("modality") else every
    )
    good = True
    for name in [value] if isinstance(value, str) else value:
        if name not in every:
            faults.add(node, f"{name}: unknown {marked.kind}{did_you_mean(name, known)}")
            good = False
        elif name not in known:
            faults.add(
                node,
                f"{name}: is for {', '.join(sorted(every[name].modality or ()))}, not "
                f"for {modality}; known: {', '.join(known)}",
            )
            good = False
    return good


def _tree(here: Entries, root: yaml.Node, modality: str | None, faults: Faults) -> dict[str, Node]:
    """The sections that may be open."""
    reader = PartReader(modality, faults)
    tree: dict[str, Node] = {}
    if "encoder" in here:
        tree["encoder"] = reader.slot("encoder", *here["encoder"])
    elif modality:
        name = _of_modality(modality, "default_encoder")
        tree["encoder"] = reader.slot("encoder", root, yaml.ScalarNode("", name, root.start_mark))
    if "pretext" in here:
        tree["pretext"] = reader.slot("pretext", *here["pretext"])
    else:
        known = ", ".join(registry.parts("pretext", modality))
        faults.add(root, f"pretext: is missing: pretext: {{name: {{knob: value}}}}; known: {known}")
    tree["augment"] = reader.augment(*here["augment"]) if "augment" in here else Map({})
    at, node = here.get("optim", (root, yaml.MappingNode("", [], root.start_mark)))
    tree["optim"] = reader.knobs(Optim, "optim", at, node)
    if modality:
        check_fit(modality, reader.uses, faults)
    return tree


def _of_modality(modality: str, attribute: str) -> Any:
    """What the class of a modality says: `default_encoder`."""
    return getattr(registry.get("modality", modality).make, attribute)
