"""Every table, with its constraints beside it; `slot` first on the member side.

Points are bigint; money is bigint minor units with its currency. Nothing here is ever a float. The
tables of the member side lead every key with `slot` (0 to 255), so that the same code runs on one
PostgreSQL and, distributed by slot, on many. Rows of the operator's side are few and are read by all.

Foreign keys stay inside the member side and inside the operator's side. From transaction to
terminal, price and service there is none: each would lock a row that every debit of a shop shares.
Those rows are never deleted (no program holds DELETE), and an invariant looks for orphans instead.
"""

from ledger.model.base import ACCOUNT_ID, CARD_ID, LOT_ID, OFFICE_TERMINAL, SLOTS, TRANSACTION_ID, Base
from ledger.model.card_batch import CardBatch, CardBatchLine
from ledger.model.day_total import DayTotal
from ledger.model.funding import ApprovalTerms, Budget, PointOrder, PointOrderLine
from ledger.model.member import (
    Account,
    Card,
    CardEvent,
    Entry,
    Hold,
    HoldLot,
    Lot,
    Member,
    Misuse,
    Transaction,
)
from ledger.model.office import Assignment, Job, Role, Submission, TrailHead, TrailLine
from ledger.model.operator import (
    BusinessDay,
    Calendar,
    CardProduct,
    CatalogueVersion,
    EnterpriseTerms,
    Organisation,
    Price,
    Service,
    Staff,
)
from ledger.model.person import ImportFile, ImportLine, MemberNote, MemberPlate, MemberWord, Person
from ledger.model.shop import (
    MerchantContact,
    MerchantDetail,
    ServiceCategory,
    StoreDetail,
    StoreHours,
    TerminalPresence,
)
from ledger.model.staff import Invitation, LoginEvent, RecoveryCode, StaffSession
from ledger.model.terminal import (
    BatchDifference,
    Enrolment,
    Terminal,
    TerminalBatch,
    TerminalBatchTotal,
)

__all__ = [
    "ACCOUNT_ID", "CARD_ID", "LOT_ID", "OFFICE_TERMINAL", "SLOTS", "TRANSACTION_ID", "Account",
    "ApprovalTerms", "Assignment", "Base", "BatchDifference", "Budget", "BusinessDay", "Calendar", "Card",
    "CardBatch", "CardBatchLine", "CardEvent", "CardProduct", "CatalogueVersion", "DayTotal", "Enrolment",
    "EnterpriseTerms", "Entry", "Hold", "HoldLot", "ImportFile", "ImportLine", "Invitation", "Job",
    "LoginEvent", "Lot", "Member", "MemberNote", "MemberPlate", "MemberWord", "MerchantContact",
    "MerchantDetail", "Misuse", "Organisation", "Person", "PointOrder", "PointOrderLine", "Price",
    "RecoveryCode", "Role", "Service", "ServiceCategory", "Staff", "StaffSession", "StoreDetail",
    "StoreHours", "Submission", "Terminal", "TerminalBatch", "TerminalBatchTotal", "TerminalPresence",
    "TrailHead", "TrailLine", "Transaction",
]  # fmt: skip
