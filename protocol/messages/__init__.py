"""Every message and its reply, declared once.

From here come both codecs, the tables of README.md, the schema snapshot and the test that each has
vectors. On the wire a message is a type byte followed by one msgpack map of its fields; fields that
are None may be left out. Points are whole numbers, times are milliseconds since 1970 UTC.
"""

from protocol.messages.base import (
    Message,
    Reply,
    Request,
)
from protocol.messages.batches import (
    BatchItem,
    BatchResult,
    BatchTotal,
    BatchUpload,
    BatchUploadReply,
    Reconciliation,
    ReconciliationReply,
)
from protocol.messages.inquiries import (
    BalanceInquiry,
    BalanceInquiryReply,
    ConsumptionInquiry,
    ConsumptionInquiryReply,
    ConsumptionItem,
    ExpiringPoints,
    PinChange,
    PinChangeReply,
)
from protocol.messages.sales import (
    Capture,
    CaptureReply,
    Catalogue,
    CatalogueItem,
    CatalogueReply,
    Hold,
    HoldReply,
    Redeem,
    RedeemReply,
    Refund,
    RefundReply,
    Release,
    ReleaseReply,
    ReversalAdvice,
    ReversalAdviceReply,
    TransactionStatus,
    TransactionStatusReply,
)
from protocol.messages.session import (
    Closing,
    Echo,
    EchoReply,
    Enrol,
    EnrolReply,
    KeyChange,
    KeyChangeReply,
    Login,
    LoginReply,
    Logout,
    LogoutReply,
    Notice,
)

__all__ = [
    "BalanceInquiry", "BalanceInquiryReply", "BatchItem", "BatchResult", "BatchTotal", "BatchUpload",
    "BatchUploadReply", "Capture", "CaptureReply", "Catalogue", "CatalogueItem", "CatalogueReply",
    "Closing", "ConsumptionInquiry", "ConsumptionInquiryReply", "ConsumptionItem", "Echo", "EchoReply",
    "Enrol", "EnrolReply", "ExpiringPoints", "Hold", "HoldReply", "KeyChange", "KeyChangeReply", "Login",
    "LoginReply", "Logout", "LogoutReply", "MESSAGES", "Message", "Notice", "PinChange",
    "PinChangeReply", "Reconciliation", "ReconciliationReply", "Redeem", "RedeemReply", "Refund",
    "RefundReply", "Release", "ReleaseReply", "Reply", "Request", "ReversalAdvice",
    "ReversalAdviceReply", "TransactionStatus", "TransactionStatusReply", "message_type_of",
]  # fmt: skip

MESSAGES: tuple[type[Message], ...] = (
    Enrol, EnrolReply, Login, LoginReply, Logout, LogoutReply, Echo, EchoReply, KeyChange, KeyChangeReply,
    Catalogue, CatalogueReply, Redeem, RedeemReply, Hold, HoldReply, Capture, CaptureReply, Release,
    ReleaseReply, Refund, RefundReply, ReversalAdvice, ReversalAdviceReply, TransactionStatus,
    TransactionStatusReply, BalanceInquiry, BalanceInquiryReply, ConsumptionInquiry,
    ConsumptionInquiryReply, PinChange, PinChangeReply, Reconciliation, ReconciliationReply, BatchUpload,
    BatchUploadReply, Notice, Closing,
)  # fmt: skip

_BY_TYPE = {message.type: message for message in MESSAGES}


def message_type_of(type_byte: int) -> type[Message] | None:
    """The message class of a type byte, or None for a byte that means nothing."""
    return _BY_TYPE.get(type_byte)
