"""The JSON schema of a space, for editors: completion, ranges and units while typing.

Generated from the registry and the sections; the committed copy is `search_spaces/schema.json`
(`python -m sslsearch.catalog --schema`). A number may also stand as text there, for editors read
`54_000` as such; which combinations work together is only known to `sslsearch.explain`.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from sslsearch import registry
from sslsearch.registry import Part, Slot
from sslsearch.space import laws
from sslsearch.space.parts import Member
from sslsearch.space.sections import (
    SECTIONS,
    Data,
    Head,
    Optim,
    PartName,
    columns_model,
    data_section,
)

Schema = dict[str, Any]

_NUMBER = r"[+-]?\d+(_\d+)*(\.\d+)?([eE][+-]?\d+)?"
NUMBER: Schema = {"type": "string", "pattern": f"^{_NUMBER}$"}
RANGE: Schema = {"type": "string", "pattern": rf"^{_NUMBER}\s*\.\.\s*{_NUMBER}(\s+log)?$"}
CHOICE: Schema = {"type": "string", "pattern": r"^[^|]+(\|[^|]+)+$"}


def schema() -> Schema:
    """The whole schema, with one definition for each part."""
    defs: Schema = {}
    for kind in ("encoder", "pretext", "augment", "masking"):
        defs |= {f"{kind}.{name}": _part(part) for name, part in registry.parts(kind).items()}
    defs["masking"] = _slot("masking")
    properties: Schema = {**_closed(Head)["properties"]}
    for name, model in SECTIONS.items():
        properties[name] = (
            _knobs(Optim, "how weights are learnt") if model is Optim else _closed(model)
        )
    properties["data"] = _data()
    properties["encoder"] = _slot("encoder")
    properties["pretext"] = _slot("pretext")
    properties["augment"] = _augment()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "sslsearch space",
        "description": "a search space, or a recipe: a space with nothing left open",
        "type": "object",
        "properties": properties,
        "required": ["data", "pretext"],
        "additionalProperties": False,
        "$defs": defs,
    }


def _part(part: Part) -> Schema:
    said = part.summary + (f" ({part.paper})" if part.paper else "")
    return _knobs(part.knobs, said, empty=True)


def _knobs(model: type[BaseModel], description: str, empty: bool = False) -> Schema:
    """An object whose values may be open."""
    closed = model.model_json_schema()
    properties: Schema = {}
    for word, info in model.model_fields.items():
        slot = laws.slot(info)
        if slot is not None:
            properties[word] = _slot_reference(slot, optional=type(None) in laws.kinds(info))
            continue
        fixed = _plain(closed["properties"][word])
        default = {"default": fixed.pop("default")} if "default" in fixed else {}
        numeric = bool(laws.kinds(info) & {int, float})
        text = [NUMBER, RANGE] if numeric else []
        said = {"description": laws.law(info), **default}
        properties[word] = {**said, "anyOf": [*_forms(fixed), *text, CHOICE]}
    return {
        "type": ["object", "null"] if empty else "object",
        "description": description,
        "properties": properties,
        "required": [w for w, info in model.model_fields.items() if info.is_required()],
        "additionalProperties": False,
    }


def _data() -> Schema:
    """The data section with the rules of every modality; a rule of several has several forms."""
    made = _closed(data_section(None))
    rules: dict[str, list[Schema]] = {}
    for modality in registry.parts("modality"):
        for word, field in _closed(data_section(modality))["properties"].items():
            if word not in Data.model_fields and field not in rules.setdefault(word, []):
                rules[word].append(field)
    for word, forms in rules.items():
        made["properties"][word] = forms[0] if len(forms) == 1 else {"anyOf": forms}
    return made


def _closed(model: type[BaseModel]) -> Schema:
    """An object of fixed values; the names of parts are listed."""
    made = model.model_json_schema()
    made.pop("$defs", None)
    for word, info in model.model_fields.items():
        field = _plain(made["properties"][word])
        columns = columns_model(info)
        if columns is not None:
            field = _closed(columns)
        marked = registry.marker(info, PartName)
        if marked is not None:
            names = {"enum": list(registry.parts(marked.kind))}
            field |= {"items": names} if field.get("type") == "array" else names
        if laws.kinds(info) & {int, float}:
            kept: Schema = {k: field.pop(k) for k in ("description", "default") if k in field}
            field = {**kept, "anyOf": [*_forms(field), NUMBER]}
        made["properties"][word] = field
    made["description"] = model.__doc__ or ""
    made.pop("title", None)
    made["type"] = ["object", "null"]
    return made


def _forms(field: Schema) -> list[Schema]:
    forms: list[Schema] = field.get("anyOf", [field])
    return forms


def _plain(field: Schema) -> Schema:
    return {key: value for key, value in field.items() if key != "title"}


def _slot_reference(slot: Slot, optional: bool) -> Schema:
    reference = {"$ref": f"#/$defs/{slot.kind}"}
    return {"anyOf": [reference, {"type": "null"}]} if optional else reference


def _slot(kind: str) -> Schema:
    """`name`, `a | b`, `name: {…}`, `one_of: {…}`, and `mix_of: {…}` for a pretext."""
    names = list(registry.parts(kind))
    branches = {name: {"$ref": f"#/$defs/{kind}.{name}"} for name in names}
    any_name = "|".join(names)
    forms = [
        {"type": "string", "pattern": rf"^({any_name})(\s*\|\s*({any_name}))*$"},
        _object(branches, most=1),
        _object({"one_of": _object(branches)}, most=1),
    ]
    if kind == "pretext":
        own = _knobs(Member, "")["properties"]
        mixed = {name: _with(_part(part), own) for name, part in registry.parts(kind).items()}
        forms.append(_object({"mix_of": _object(mixed)}, most=1))
    return {"anyOf": forms}


def _with(part: Schema, own: Schema) -> Schema:
    return {**part, "properties": {**own, **part["properties"]}}


def _augment() -> Schema:
    lines = {name: {"$ref": f"#/$defs/augment.{name}"} for name in registry.parts("augment")}
    searched = {word: _object(lines) for word in ("subset_of", "sequence_of")}
    return {
        "description": "what makes the views: each line in or out, or all in the order written",
        "anyOf": [
            {"enum": ["none", None, {}]},
            _object(lines),
            _object(searched, most=1),
        ],
    }


def _object(properties: Schema, most: int | None = None) -> Schema:
    made: Schema = {
        "type": "object",
        "properties": properties,
        "minProperties": 1,
        "additionalProperties": False,
    }
    return made if most is None else {**made, "maxProperties": most}
