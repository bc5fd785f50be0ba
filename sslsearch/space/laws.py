"""The law of a knob or a field, checked by pydantic and said in words.

One place knows how to read an annotation: the messages, the catalogue and the JSON schema use it.
"""

from __future__ import annotations

import types
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types as at
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from sslsearch import registry
from sslsearch.registry import Slot, Unit

_STRICT = ConfigDict(strict=True, allow_inf_nan=False)
_LIMITS = {at.Ge: ("ge", ">="), at.Gt: ("gt", ">"), at.Le: ("le", "<="), at.Lt: ("lt", "<")}
_SIGNS = {**dict(_LIMITS.values()), "multiple_of": "a multiple of"}
_NAMES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    list: "a list, as in [a, b]",
    tuple: "a list, as in [1, 2]",
    dict: "a mapping",
    types.NoneType: "null",
}


def validate(model: type[BaseModel], name: str, value: Any) -> tuple[Any, str | None]:
    """The value as the field stores it, and None; or the value and the law that it breaks."""
    info = model.model_fields[name]
    if isinstance(value, list) and tuple in kinds(info):
        value = tuple(value)
    try:
        return _adapter(model, name).validate_python(value), None
    except ValidationError as error:
        own = next((e for e in error.errors() if e["type"] == "value_error"), None)
        return value, str(own["ctx"]["error"]) if own else law(info, value)


@cache
def _adapter(model: type[BaseModel], name: str) -> TypeAdapter[Any]:
    info = model.model_fields[name]
    annotation: Any = info.annotation
    for extra in info.metadata:
        annotation = Annotated[annotation, extra]
    return TypeAdapter(annotation, config=_STRICT)


def options(info: FieldInfo) -> tuple[Any, ...]:
    """The words of a Literal, () if the field is none."""
    return tuple(v for t, _ in branches(info) if get_origin(t) is Literal for v in get_args(t))


def kinds(info: FieldInfo) -> set[Any]:
    """The plain types a field admits: {float}, {int, NoneType}, {Literal}, {list} …"""
    return {get_origin(kind) or kind for kind, _ in branches(info)}


def unit(info: FieldInfo) -> str:
    found = registry.marker(info, Unit)
    return found.text if found else ""


def limits(metadata: tuple[Any, ...]) -> dict[str, float]:
    """{"ge": 0, "lt": 1}: the limits on a number, by pydantic's names."""
    flat = [
        m for item in metadata for m in (item.metadata if isinstance(item, FieldInfo) else [item])
    ]
    return {key: getattr(m, key) for m in flat for key in _SIGNS if hasattr(m, key)}


def slot(info: FieldInfo) -> Slot | None:
    """The marker of a knob that is itself a part, also inside `MaskingSlot | None`."""
    marks = [m for _, metadata in branches(info) for m in metadata if isinstance(m, Slot)]
    return marks[0] if marks else None


def law(info: FieldInfo, value: Any = PydanticUndefined, unit_too: bool = True) -> str:
    """`>= 0 and < 1 (share of tokens)`; names the type where `value` is of another type."""
    said = []
    for kind, metadata in branches(info):
        if get_origin(kind) is Literal:
            said.append(" | ".join(str(v) for v in get_args(kind)))
            continue
        bounds = limits(metadata).items()
        text = " and ".join(f"{_SIGNS[key]} {bound:g}" for key, bound in bounds)
        plain = get_origin(kind) or kind
        right = type(value) is plain or (plain is float and type(value) is int)
        name = "" if right and text else _NAMES.get(plain, str(plain))
        said.append(f"{name} {text}".strip())
    counted = unit(info) if unit_too else ""
    return " or ".join(said) + (f" ({counted})" if counted else "")


def branches(info: FieldInfo) -> list[tuple[Any, tuple[Any, ...]]]:
    """The members of a union with the limits on each; unions are flattened, Annotated opened."""
    return _open(info.annotation, tuple(info.metadata))


def _open(kind: Any, metadata: tuple[Any, ...]) -> list[tuple[Any, tuple[Any, ...]]]:
    if get_origin(kind) is Annotated:
        inner, *extra = get_args(kind)
        return _open(inner, (*metadata, *extra))
    if get_origin(kind) in (Union, types.UnionType):
        return [pair for member in get_args(kind) for pair in _open(member, metadata)]
    return [(kind, metadata)]
