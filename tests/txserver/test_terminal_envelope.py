"""Txids, trace numbers, batches."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from txserver.terminal_envelope import Numbering, make_txid, uniform


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_a_txid_is_a_uuid_of_version_7(now_ms: int, entropy: bytes) -> None:
    txid = uuid.UUID(bytes=make_txid(now_ms, entropy))
    assert txid.version == 7
    assert txid.variant == uuid.RFC_4122
    assert txid.int >> 80 == now_ms


def test_the_example_of_rfc_9562() -> None:
    entropy = bytes.fromhex("0cc318c4dc0c0c07398f")
    assert str(uuid.UUID(bytes=make_txid(0x017F22E279B0, entropy))) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


def test_trace_numbers_go_on_and_begin_again() -> None:
    numbering = Numbering(random=bytes, now_ms=lambda: 5, last_stan=999_998, batch=3)
    assert [numbering.envelope()["stan"] for _ in range(3)] == [999_999, 0, 1]
    assert numbering.last_stan == 1
    again = numbering.envelope(bytes([4] * 16))
    assert again == {"id": bytes([4] * 16), "stan": 2, "batch": 3, "at": 5}


def test_uniform_is_a_fraction() -> None:
    assert uniform(lambda count: b"\xff" * count) < 1
    assert uniform(bytes) == 0
