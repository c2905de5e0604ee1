"""Outcome codes of the books, and how a transaction is called."""

from enum import IntEnum

__all__ = ["Code", "approval_number"]


class Code(IntEnum):
    """Outcome codes, in order of precedence; the wire's table is protocol.codes, and a test compares them."""

    APPROVED = 0
    TXID_REUSED = 3008
    UNDONE_BEFORE = 3009
    NOT_FOUND = 3010
    TERMINAL_NOT_PERMITTED = 1020
    MERCHANT_CLOSED = 1009
    CARD_UNKNOWN = 1011
    CARD_LOST = 1032
    CARD_REPLACED = 1025
    CARD_BLOCKED = 1004
    CARD_EXPIRED = 1001
    ACCOUNT_CLOSED = 1014
    HOLD_UNKNOWN = 3012
    HOLD_ENDED = 3013
    HOLD_EXPIRED = 3014
    ORIGINAL_UNKNOWN = 3016
    ORIGINAL_ELSEWHERE = 3018
    ORIGINAL_UNDONE = 3017
    PIN_BLOCKED = 1006
    RESET_CODE_WRONG = 3022
    PIN_REQUIRED = 1012
    PIN_WRONG = 1017
    PIN_UNFIT = 3021
    SERVICE_UNKNOWN = 1030
    AMOUNT_INVALID = 1010
    AMOUNT_ABOVE_HOLD = 3015
    AMOUNT_ABOVE_REST = 3019
    LIMIT_EXCEEDED = 1021
    DAY_LIMIT_EXCEEDED = 3024
    POINTS_EXPIRED = 1036
    POINTS_INSUFFICIENT = 1016


def approval_number(transaction_id: int) -> str:
    """How a transaction is named on receipts, replies and pages: at least six digits."""
    return f"{transaction_id:06d}"
