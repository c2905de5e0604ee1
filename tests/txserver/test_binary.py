"""Binary formats: PostgreSQL reads what we send as the same value, and we what it sends."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import pq

from ledger.statements import STATEMENTS
from tests.conftest import TestDatabase
from txserver.binary import encoder
from txserver.pipeline import Reader

# datetime's own limits; PostgreSQL's are wider on both sides.
MOMENTS = st.datetimes(timezones=st.just(UTC))
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=300)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int2": st.integers(-(2**15), 2**15 - 1),
    "int8": st.integers(-(2**63), 2**63 - 1),
    "date": st.dates(),
    "timestamptz": MOMENTS,
    "text": TEXTS,
    "bytea": st.binary(max_size=300),
    "uuid": st.uuids(),
}
EXTREMES: dict[str, list[Any]] = {
    "int2": [-(2**15), -1, 0, 1, 2**15 - 1],
    "int8": [-(2**63), -1, 0, 1, 2**63 - 1],
    "date": [date.min, date(1999, 12, 31), date(2000, 1, 1), date.max],
    "timestamptz": [
        datetime.min.replace(tzinfo=UTC), datetime(1999, 12, 31, 23, 59, 59, 999_999, UTC),
        datetime(2000, 1, 1, tzinfo=UTC), datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
    ],
    "text": ["", "a", "积分", "😀" * 100, "'; DROP TABLE account; --", "\\N", '{a,"b"}', "\x01\x7f"],
    "bytea": [b"", b"\0", bytes(range(256)), b"\\x00"],
    "uuid": [UUID(int=0), UUID(int=2**128 - 1)],
}  # fmt: skip

NAIVE = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)

Asked = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(scope="module")
def connection(module_database_urls: TestDatabase) -> Iterator[Asked]:
    with psycopg.connect(module_database_urls.server, autocommit=True) as connected:
        connected.execute("SET timezone = 'UTC'")  # as in the pipeline; psycopg cannot read 9999 in others
        yield connected


def sent(connection: Asked, kind: str, value: Any) -> Any:
    """A value as PostgreSQL reads it from our bytes, by psycopg, which knows the formats on its own."""
    result = connection.pgconn.exec_params(
        f"SELECT $1::{kind}::text".encode(), [encoder(kind)(value)], param_formats=[1], result_format=0
    )
    assert result.status == pq.ExecStatus.TUPLES_OK, result.error_message
    text = result.get_value(0, 0)
    cursor = connection.execute(f"SELECT %s::{kind}".encode(), [None if text is None else text.decode()])
    row = cursor.fetchone()
    assert row is not None
    return row[0]


def received(connection: Asked, kind: str, value: Any) -> Any:
    """A value as the pipeline reads it from PostgreSQL's bytes, sent by psycopg."""
    query = f"SELECT %s::{kind}".encode()
    with connection.cursor(binary=True) as cursor:
        cursor.execute(query, [value])
        assert cursor.pgresult is not None
        ((got,),) = Reader().rows(cursor.pgresult)
        return got


@pytest.mark.parametrize("kind", list(VALUES))
def test_extremes_are_sent_alone_and_together(connection: Asked, kind: str) -> None:
    values: list[Any] = [*EXTREMES[kind], None, *EXTREMES[kind]]
    assert sent(connection, f"{kind}[]", values) == values
    for value in (*EXTREMES[kind], None):
        assert sent(connection, f"{kind}[]", [value]) == [value]


@pytest.mark.parametrize("kind", list(VALUES))
def test_arrays_that_are_empty_or_of_nothing(connection: Asked, kind: str) -> None:
    for values in ([], [None], [None, None, None]):
        assert sent(connection, f"{kind}[]", values) == values


@pytest.mark.parametrize("kind", list(VALUES))
def test_extremes_are_received(connection: Asked, kind: str) -> None:
    for value in EXTREMES[kind]:
        got = received(connection, kind, value)
        assert got == value
        assert type(got) is type(value)


@given(data=st.data())
@pytest.mark.parametrize("kind", list(VALUES))
def test_any_array_is_sent(connection: Asked, kind: str, data: st.DataObject) -> None:
    values: Sequence[Any] = data.draw(st.lists(st.none() | VALUES[kind], max_size=12))
    assert sent(connection, f"{kind}[]", values) == values


@given(data=st.data())
@pytest.mark.parametrize("kind", list(VALUES))
def test_any_value_is_received(connection: Asked, kind: str, data: st.DataObject) -> None:
    value = data.draw(VALUES[kind])
    assert received(connection, kind, value) == value


@given(value=VALUES["int8"])
def test_any_number_is_sent_alone(connection: Asked, value: int) -> None:
    assert sent(connection, "int8", value) == value


def test_truths_and_counts_are_received(connection: Asked) -> None:
    for kind, value in (("bool", True), ("bool", False), ("int4", -(2**31)), ("int4", 2**31 - 1)):
        got = received(connection, kind, value)
        assert got == value
        assert type(got) is type(value)


def test_rows_of_one_statement_after_another(connection: Asked) -> None:
    """A reader learns the types once; NULLs and no rows at all are no different."""
    reader = Reader()
    query = "SELECT n, nullif(n, 2), ARRAY[n, 2 * n], now() FROM generate_series(%s::int8, %s::int8) AS n"
    with connection.cursor(binary=True) as cursor:
        for first, last in ((1, 3), (5, 4), (2, 2)):
            cursor.execute(query, [first, last])
            assert cursor.pgresult is not None
            rows = reader.rows(cursor.pgresult)
            wanted = [(n, None if n == 2 else n, [n, 2 * n]) for n in range(first, last + 1)]
            assert [row[:3] for row in rows] == wanted
            assert {row[3].tzinfo for row in rows} <= {UTC}
        cursor.execute("SET timezone = 'UTC'")
        assert cursor.pgresult is not None
        assert Reader().rows(cursor.pgresult) == []


@pytest.mark.parametrize("kind", list(VALUES))
def test_the_same_value_many_times(connection: Asked, kind: str) -> None:
    for value in (*EXTREMES[kind], None):
        assert sent(connection, f"{kind}[]", (value,) * 3) == [value] * 3


def test_a_moment_of_another_zone_is_the_same_moment(connection: Asked) -> None:
    moment = datetime.fromisoformat("2026-11-22T17:30:00.000001+08:00")
    assert sent(connection, "timestamptz[]", [moment]) == [moment]


def test_what_does_not_fit_is_refused_and_never_cut() -> None:
    for kind, value in (
        ("int2[]", 2**15), ("int8[]", 2**63), ("int8[]", "1"), ("int8[]", 1.0), ("int8[]", Decimal(1)),
        ("text[]", 1), ("text[]", b"x"), ("uuid[]", "x"), ("date[]", "2026-01-01"), ("text[]", "\ud800"),
        ("timestamptz[]", NAIVE), ("timestamptz[]", timedelta(1)),
    ):  # fmt: skip
        with pytest.raises(Exception, match=r"."):
            encoder(kind)([value])
    with pytest.raises(Exception, match=r"."):
        encoder("int8")(2**63)


def test_types_that_we_do_not_use_are_unknown(connection: Asked) -> None:
    for kind in ("float8", "numeric[]", "json"):
        with pytest.raises(KeyError):
            encoder(kind)
    for kind in ("float8", "numeric", "json"):
        with pytest.raises(psycopg.InterfaceError):
            received(connection, kind, "1")


def test_every_statement_of_the_books_is_covered_here() -> None:
    used = {kind for statement in STATEMENTS for kind in statement.types}
    assert used <= {f"{kind}[]" for kind in VALUES} | {"int8", "timestamptz"}
