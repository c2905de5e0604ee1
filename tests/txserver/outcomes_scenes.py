"""A scene for every message and every code that may answer it; and other ways to the same codes.

Written out here and not taken from protocol.outcomes: a test compares the two.
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
from tests.txserver import outcomes_happenings as happenings
from tests.txserver import outcomes_plays as plays
from tests.txserver.outcomes_plays import WRONG_PIN, Happening, after, but
from tests.txserver.outcomes_stage import Pair, Play

__all__ = ["APPROVED", "BAD_INPUT", "OTHER_WAYS", "SCENES", "TABLES"]

APPROVED: dict[type[Request], Play] = {
    Enrol: plays.an_enrolment,
    Login: plays.a_login,
    Logout: plays.a_logout,
    Echo: plays.an_echo,
    KeyChange: plays.a_key_change,
    Catalogue: plays.a_catalogue,
    Redeem: plays.a_redeem,
    Hold: plays.a_hold,
    Capture: plays.a_capture,
    Release: plays.a_release,
    Refund: plays.a_refund,
    ReversalAdvice: plays.a_reversal,
    TransactionStatus: plays.a_status,
    BalanceInquiry: plays.a_balance,
    ConsumptionInquiry: plays.a_consumption,
    PinChange: plays.a_pin_change,
    Reconciliation: plays.a_reconciliation,
    BatchUpload: plays.an_upload,
}

SPENDS = (Redeem, Hold)
SHOWS_A_CARD = (*SPENDS, BalanceInquiry, ConsumptionInquiry, PinChange)  # and the card must be good
NAMES_A_CARD = (Capture, Release, Refund, ReversalAdvice, TransactionStatus)  # and any of the account will do
NEEDS_THE_PIN = (*SPENDS, ConsumptionInquiry, PinChange)
KEPT_BY_ID = (*SPENDS, Capture, Release, Refund, ReversalAdvice, PinChange)
NEEDS_THE_DATABASE = (*SHOWS_A_CARD, *NAMES_A_CARD, KeyChange, Catalogue, Reconciliation, BatchUpload)

# What is sent under an id that was used, and says something else.
OTHERWISE: dict[type[Request], Happening] = {
    Redeem: happenings.sent_before(quantity=2),
    Hold: happenings.sent_before(hold_s=3_600),
    Capture: happenings.sent_before(amount=2 * plays.WASH),
    Release: happenings.sent_before(hold=bytes(16)),
    Refund: happenings.sent_before(amount=plays.WASH),
    ReversalAdvice: happenings.sent_before(reason="restart"),
    PinChange: happenings.sent_before_for_this_issue,
    Reconciliation: happenings.sent_before(totals=[]),
}

STOPS: dict[int, Happening] = {
    1020: happenings.terminal_revoked,
    1009: happenings.store_closed,
    1011: happenings.of_an_issue_to_come,
    1032: happenings.card_lost,
    1025: happenings.card_replaced,
    1004: happenings.card_suspended,
    1001: happenings.card_expired,
    1014: happenings.card_closed,
    1006: happenings.pin_blocked,
}


def table(messages: tuple[type[Request], ...], code: int, *happened: Happening) -> dict[Pair, Play]:
    """For each of these messages the same happens, and the same code is the answer."""
    return {(message, code): after(APPROVED[message], *happened) for message in messages}


def changed(message: type[Request], code: int, **fields: object) -> dict[Pair, Play]:
    """One message with other fields."""
    return {(message, code): but(APPROVED[message], **fields)}


OF_THE_RECORD: tuple[dict[Pair, Play], ...] = (
    table(tuple(APPROVED), 0),
    table(NEEDS_THE_DATABASE, 1811),
    {(message, 3008): after(APPROVED[message], otherwise) for message, otherwise in OTHERWISE.items()},
    table(KEPT_BY_ID, 3009, happenings.fenced),
)
OF_SHOP_AND_CARD: tuple[dict[Pair, Play], ...] = (
    *(table(SHOWS_A_CARD, code, stop) for code, stop in STOPS.items()),
    table((Capture, Refund), 1020, happenings.terminal_revoked),
    table(NAMES_A_CARD, 1011, happenings.unreadable),
    *(changed(message, 1017, pin=WRONG_PIN) for message in SHOWS_A_CARD),
    *(changed(message, 1012, pin=None) for message in NEEDS_THE_PIN),
)
OF_SPENDING: tuple[dict[Pair, Play], ...] = (
    *(changed(message, 1030, service="flight") for message in SPENDS),
    *(changed(message, 1010, quantity=0) for message in SPENDS),
    table(SPENDS, 1021, happenings.limited(limit_points=119)),
    table(SPENDS, 3024, happenings.a_wash_bought, happenings.limited(day_limit_points=239)),
    table(SPENDS, 1036, happenings.points_expired),
    *(changed(message, 1016, quantity=9) for message in SPENDS),
)
OF_HOLDS: tuple[dict[Pair, Play], ...] = (
    changed(Capture, 3012, hold=bytes(16)),
    changed(Release, 3012, hold=bytes(16)),
    table((Capture, Release), 3013, happenings.released),
    table((Capture, Release), 3014, happenings.hold_over),
    changed(Capture, 1010, amount=100),
    changed(Capture, 3015, amount=3 * plays.WASH),
)
OF_REFUNDS: tuple[dict[Pair, Play], ...] = (
    changed(Refund, 3016, original=bytes(16)),
    table((Refund,), 3018, happenings.gone_to_another_merchant),
    table((Refund,), 3017, happenings.sale_reversed),
    changed(Refund, 1010, amount=0),
    changed(Refund, 3019, amount=plays.WASH + 1),
)
OF_THE_COUNTER: tuple[dict[Pair, Play], ...] = (
    changed(TransactionStatus, 3010, original=bytes(16)),
    changed(ConsumptionInquiry, 3011, cursor="5.0000000000000000"),
    changed(PinChange, 3022, pin=None, reset_code=plays.RESET_CODE),
    changed(PinChange, 3021, new_pin="123456"),
)
OF_THE_TERMINAL: tuple[dict[Pair, Play], ...] = (
    changed(KeyChange, 3020, key=bytes(32)),
    changed(Reconciliation, 1401, totals=[]),
    table((Reconciliation,), 3023, happenings.batch_closed),
)
TABLES = (
    *OF_THE_RECORD, *OF_SHOP_AND_CARD, *OF_SPENDING, *OF_HOLDS, *OF_REFUNDS, *OF_THE_COUNTER,
    *OF_THE_TERMINAL,
)  # fmt: skip

SCENES: dict[Pair, Play] = {pair: play for each in TABLES for pair, play in each.items()}
"""The one scene of each pair."""

OTHER_WAYS: dict[str, dict[Pair, Play]] = {
    "a card that cannot be read": table(SHOWS_A_CARD, 1011, happenings.unreadable),
    "a card of another database": table((*SHOWS_A_CARD, *NAMES_A_CARD), 1011, happenings.of_another_database),
    "a card that was only issued": table(SHOWS_A_CARD, 1004, happenings.card_only_issued),
    "an account that is closed": table(SHOWS_A_CARD, 1014, happenings.account_closed),
    "a merchant that is closed": {
        (message, 1009): after(plays.at_another_merchant(APPROVED[message]), happenings.merchant_closed)
        for message in SHOWS_A_CARD
    },
    "reversed before it came": table((*SPENDS, Capture), 3009, happenings.reversed_unseen),
    "a first PIN on the word of a code": {(PinChange, 0): plays.a_first_pin},
    "a key that it has": table((KeyChange,), 3020, happenings.with_its_own_key),
    "a key that another terminal has": table((KeyChange,), 3020, happenings.with_the_key_of_another),
    "another batch under the same id": table((Reconciliation,), 3008, happenings.sent_before(batch=2)),
    "a revoked terminal tells what has happened": table(
        (Release, ReversalAdvice, TransactionStatus), 0, happenings.terminal_revoked
    ),
    "what was bought is carried through in a closed store for a replaced card": table(
        NAMES_A_CARD, 0, happenings.pin_blocked, happenings.card_replaced, happenings.store_closed
    ),
    "what was bought is carried through for a lost and expired card": table(
        NAMES_A_CARD, 0, happenings.card_lost, happenings.card_expired
    ),
    "what was bought is carried through for a closed account": table(
        NAMES_A_CARD, 0, happenings.card_closed, happenings.account_closed
    ),
}
"""The same codes, reached otherwise."""

BAD_INPUT: dict[str, tuple[Pair, Play]] = {
    "a capture of a hold that was captured": (
        (Capture, 3013), after(plays.a_capture, happenings.captured),
    ),
    "a capture of a hold that was reversed": (
        (Capture, 3013), after(plays.a_capture, happenings.hold_reversed),
    ),
    "a release of a hold that was captured": (
        (Release, 3013), after(plays.a_release, happenings.captured),
    ),
    "a capture of another terminal's hold": (
        (Capture, 3012), after(plays.a_capture, happenings.gone_to_another_terminal),
    ),
    "a release of another terminal's hold": (
        (Release, 3012), after(plays.a_release, happenings.gone_to_another_terminal),
    ),
    "a refund above what remains": (
        (Refund, 3019), after(but(plays.a_refund, amount=101), happenings.refunded_in_part),
    ),
    "a refund of what was refunded": (
        (Refund, 3019), after(plays.a_refund, happenings.refunded_wholly),
    ),
    "a refund of a refused sale": ((Refund, 3016), plays.a_refund_of_a_refusal),
    "a refund of a hold": ((Refund, 3016), plays.a_refund_of_a_hold),
    "a refund of a captured sale that was reversed": (
        (Refund, 3017), after(plays.a_refund_of_a_capture, happenings.sale_reversed),
    ),
    "a refund by another merchant that does not say who sold": (
        (Refund, 3016), after(plays.a_refund, happenings.gone_to_another_merchant_silently),
    ),
    "a batch number that goes backwards": (
        (Reconciliation, 3023), but(after(plays.a_reconciliation, happenings.batch_closed), batch=0),
    ),
}  # fmt: skip
"""What the books must withstand, where it is not the scene of its pair already."""
