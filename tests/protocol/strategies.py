"""Hypothesis strategies made from the declarations: any message, any field value that they allow."""

from functools import cache
from typing import Any

from hypothesis import strategies as st
from msgspec import inspect

from protocol.messages import MESSAGES, Message, Notice, Reply, Request

_TEXT = st.characters(codec="utf-8", exclude_characters="\0")


def _values(kind: inspect.Type) -> st.SearchStrategy[Any]:
    match kind:
        case inspect.Metadata():
            return _values(kind.type)
        case inspect.UnionType():
            return st.one_of([_values(each) for each in kind.types])
        case inspect.NoneType():
            return st.none()
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType():
            low = -(2**63) if kind.ge is None else int(kind.ge)
            high = 2**64 - 1 if kind.le is None else int(kind.le)
            return st.integers(low, high)
        case inspect.StrType(pattern=str() as pattern):
            longest = kind.max_length or 60
            texts = st.from_regex(pattern, fullmatch=True, alphabet=_TEXT)
            return texts.map(lambda text: text[:longest])
        case inspect.StrType():
            return st.text(_TEXT, min_size=kind.min_length or 0, max_size=min(kind.max_length or 60, 200))
        case inspect.BytesType():
            return st.binary(min_size=kind.min_length or 0, max_size=kind.max_length or 40)
        case inspect.ListType():
            return st.lists(_values(kind.item_type), max_size=min(kind.max_length or 3, 3))
        case inspect.StructType():
            return st.builds(kind.cls, **{field.name: _values(field.type) for field in kind.fields})
    raise TypeError(f"no values for {kind}")


@cache
def messages_of(kind: type[Message]) -> st.SearchStrategy[Message]:
    """Any instance of one message class."""
    return _values(inspect.type_info(kind))


@cache
def requests() -> st.SearchStrategy[Message]:
    """Any request that may follow the first message; Logout, after which nothing may follow, left out."""
    kinds = [
        kind
        for kind in MESSAGES
        if issubclass(kind, Request) and kind.__name__ not in ("Login", "Enrol", "Logout")
    ]
    return st.sampled_from(kinds).flatmap(messages_of)


@cache
def replies() -> st.SearchStrategy[Message]:
    """What the server may say after its first reply; what ends a session, left out."""
    kinds = [
        kind
        for kind in MESSAGES
        if issubclass(kind, Reply | Notice)
        and kind.__name__ not in ("LoginReply", "EnrolReply", "LogoutReply")
    ]
    return st.sampled_from(kinds).flatmap(messages_of)


@cache
def messages() -> st.SearchStrategy[Message]:
    """Any message at all."""
    return st.sampled_from(MESSAGES).flatmap(messages_of)


def chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` cut at these places, taken modulo its length."""
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]
