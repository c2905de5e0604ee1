"""Which codes may answer which message, declared once: for the table in README.md and the tests.

A test exists for each pair, on a real server, and a test that none is missing.
"""

from protocol.messages import (
    BalanceInquiry,
    BatchUpload,
    Capture,
    Catalogue,
    ConsumptionInquiry,
    Echo,
    Enrol,
    Hold,
    KeyChange,
    Login,
    Logout,
    PinChange,
    Reconciliation,
    Redeem,
    Refund,
    Release,
    Request,
    ReversalAdvice,
    TransactionStatus,
)

__all__ = ["OUTCOMES"]

_RECORD = (1811, 3008, 3009)  # of whatever is recorded under its txid
_SHOP = (1020, 1009)
_CARD = (1011, 1032, 1025, 1004, 1001, 1014)
_PIN = (1006, 1012, 1017)
_SPEND = (0, *_RECORD, *_SHOP, *_CARD, *_PIN, 1030, 1010, 1021, 3024, 1036, 1016)
_HOLD_ENDS = (3012, 3013, 3014)

OUTCOMES: dict[type[Request], tuple[int, ...]] = {
    Enrol: (0,),
    Login: (0,),
    Logout: (0,),
    Echo: (0,),
    KeyChange: (0, 1811, 3020),
    Catalogue: (0, 1811),
    Redeem: _SPEND,
    Hold: _SPEND,
    Capture: (0, *_RECORD, 1020, 1011, *_HOLD_ENDS, 1010, 3015),
    Release: (0, *_RECORD, 1011, *_HOLD_ENDS),
    Refund: (0, *_RECORD, 1020, 1011, 3016, 3018, 3017, 1010, 3019),
    ReversalAdvice: (0, *_RECORD, 1011),
    TransactionStatus: (0, 1811, 3010, 1011),
    BalanceInquiry: (0, 1811, *_SHOP, *_CARD, 1006, 1017),
    ConsumptionInquiry: (0, 1811, *_SHOP, *_CARD, *_PIN, 3011),
    PinChange: (0, *_RECORD, *_SHOP, *_CARD, 1006, 3022, 1012, 1017, 3021),
    Reconciliation: (0, 1811, 3008, 1401, 3023),
    BatchUpload: (0, 1811),
}
"""The codes of each message's reply; the order means nothing here (that of protocol.codes is precedence)."""
