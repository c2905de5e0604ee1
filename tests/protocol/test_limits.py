"""The limits agree with each other."""

import pytest

from protocol import LocalProtocolError, decode, encode, limits
from protocol.codes import CODES
from protocol.messages import (
    BatchItem,
    BatchResult,
    BatchTotal,
    BatchUpload,
    BatchUploadReply,
    Reconciliation,
)
from protocol.noise import KEY_BYTES, TAG_BYTES

TXID = b"\xff" * 16
LATEST = 253_402_300_799_999
LONGEST_OUTCOME = "reversal_pending"
RESULTS_THAT_FIT = 36


def create_longest_upload(items: int) -> BatchUpload:
    """A page with the longest value in every field."""
    item = BatchItem(id=TXID, kind="reversal", points=10**12, state="approved")
    return BatchUpload(
        id=TXID, stan=999_999, batch=2**31 - 1, at=LATEST, repeat=True, items=[item] * items, after=TXID,
        last=True,
    )  # fmt: skip


def create_longest_upload_reply(results: int) -> BatchUploadReply:
    """An answer with every field, each as long as the server can make it."""
    text = max((info.text for info in CODES), key=lambda text: len(text.encode()))
    result = BatchResult(
        id=TXID, outcome=LONGEST_OUTCOME, kind="tombstone", code=9_999, points=2**63 - 1, booked="2999-12-31"
    )
    return BatchUploadReply(
        id=TXID, code=9_999, text=text, server_at=LATEST, business_date="2999-12-31", recorded=True,
        results=[result] * results, through=TXID,
    )  # fmt: skip


def test_the_longest_message_fits_a_frame_and_the_next_block_would_not() -> None:
    assert limits.MAX_PLAINTEXT % limits.PADDING_BLOCK == 0
    assert limits.MAX_PLAINTEXT + TAG_BYTES <= limits.MAX_FRAME
    assert limits.MAX_PLAINTEXT + limits.PADDING_BLOCK + TAG_BYTES > limits.MAX_FRAME


def test_the_longest_hello_fits_the_third_handshake_frame() -> None:
    assert limits.MAX_HELLO_PLAINTEXT % limits.PADDING_BLOCK == 0
    sealed_key = KEY_BYTES + TAG_BYTES
    assert sealed_key + limits.MAX_HELLO_PLAINTEXT + TAG_BYTES == limits.MAX_FRAME_UNAUTHENTICATED


def test_the_longest_page_of_a_batch_fits_a_frame() -> None:
    longest = create_longest_upload(limits.MAX_UPLOAD)
    assert decode(encode(longest)) == longest
    with pytest.raises(LocalProtocolError, match="<= 30"):
        encode(create_longest_upload(limits.MAX_UPLOAD + 1))


def test_the_longest_answer_to_a_page_of_a_batch_fits_a_frame_with_room_for_what_the_page_did_not_list() -> (
    None
):
    for results in (limits.MAX_UPLOAD, RESULTS_THAT_FIT):
        longest = create_longest_upload_reply(results)
        assert decode(encode(longest)) == longest
    assert RESULTS_THAT_FIT > limits.MAX_UPLOAD
    with pytest.raises(LocalProtocolError, match="bytes, above"):
        encode(create_longest_upload_reply(RESULTS_THAT_FIT + 1))


def test_totals_of_every_kind_fit_a_frame() -> None:
    kinds = ("redeem", "hold", "capture", "release", "refund", "reversal")
    totals = [BatchTotal(kind=kind, count=10**9, points=10**12) for kind in kinds]
    longest = Reconciliation(id=TXID, stan=999_999, batch=2**31 - 1, at=LATEST, totals=totals)
    assert decode(encode(longest)) == longest


def test_a_hold_that_names_no_time_lasts_between_the_shortest_and_the_longest() -> None:
    assert limits.MIN_HOLD_SECONDS < limits.HOLD_SECONDS < limits.MAX_HOLD_SECONDS
