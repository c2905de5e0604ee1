"""The messages as plain data, made from their declarations: for the tables of README.md and the snapshot.

Nothing on the wire depends on this file.
"""

from typing import Any

import msgspec
from msgspec import inspect

from protocol.messages import MESSAGES, Message, Request

__all__ = ["describe", "on_the_wire"]


def describe() -> dict[str, Any]:
    """{"messages": one entry each, as in MESSAGES; "items": the maps that messages hold lists of}.

    A field is {"name", "type", "required"} and, where there is one, its limits, default and "note". The
    notes, and the "about" of a message, are words: see `on_the_wire`.
    """
    items: dict[str, Any] = {}
    messages = [_message(message, items) for message in MESSAGES]
    return {"messages": messages, "items": items}


def on_the_wire(described: Any) -> Any:
    """A description without its words: what has to stay the same for terminals in the field."""
    match described:
        case dict():
            kept = {name: on_the_wire(value) for name, value in described.items()}
            return {name: value for name, value in kept.items() if name not in ("about", "note")}
        case list():
            return [on_the_wire(value) for value in described]
    return described


def _message(message: type[Message], items: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": message.__name__,
        "type": f"0x{message.type:02X}",
        "iso": message.iso,
        "sender": "terminal" if issubclass(message, Request) else "server",
        "about": _about(message),
        "fields": _fields(message, items),
    }


def _about(struct: type[msgspec.Struct]) -> str:
    return " ".join((struct.__dict__.get("__doc__") or "").split())


def _fields(struct: type[msgspec.Struct], items: dict[str, Any]) -> list[dict[str, Any]]:
    described = inspect.type_info(struct)
    assert isinstance(described, inspect.StructType)
    return [_field(field, items) for field in described.fields]


def _field(field: inspect.Field, items: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"name": field.name, **_type(field.type, items), "required": field.required}
    if field.default not in (msgspec.NODEFAULT, None):
        made["default"] = field.default
    return made


def _type(kind: inspect.Type, items: dict[str, Any]) -> dict[str, Any]:
    match kind:
        case inspect.Metadata():
            note = (kind.extra_json_schema or {}).get("description")
            return {**_type(kind.type, items), **({"note": note} if note else {})}
        case inspect.UnionType():
            (present,) = (each for each in kind.types if not isinstance(each, inspect.NoneType))
            return _type(present, items)
        case inspect.ListType(item_type=inspect.StructType(cls=item)):
            items.setdefault(item.__name__, {"about": _about(item), "fields": _fields(item, items)})
            return {"type": f"list of {item.__name__}", **_limits(kind, "max_length")}
        case inspect.ListType():
            inner = _type(kind.item_type, items)["type"]
            return {"type": f"list of {inner}", **_limits(kind, "max_length")}
        case inspect.BoolType():
            return {"type": "bool"}
        case inspect.IntType():
            return {"type": "int", **_limits(kind, "ge", "le")}
        case inspect.StrType():
            return {"type": "str", **_limits(kind, "min_length", "max_length", "pattern")}
        case inspect.BytesType():
            return {"type": "bin", **_limits(kind, "min_length", "max_length")}
    raise TypeError(f"a message holds a {kind}, which this protocol has no word for")


def _limits(kind: inspect.Type, *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(kind, name)) is not None}
