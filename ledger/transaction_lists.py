"""Transactions by what people know of them: newest first, by pages, never reading more than a bounded part.

Each search goes along one index (ledger.walks), at most SCAN rows of it a page, and asks the rest of each
row that it meets. So a page costs the same however many rows there are and however few fit; where it ends
without having found enough, it says from where to search on.
"""

from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Literal, TypeAlias
from uuid import UUID

from sqlalchemy import Connection, text

from ledger.reports import JOINED, TransactionLine
from ledger.walks import EVERYTHING, NO_BOUND, Walk, Whose, walk_of

__all__ = [
    "SCAN",
    "TENANT_SCAN",
    "Asked",
    "Found",
    "Outcome",
    "accounts_of_card",
    "accounts_of_member",
    "search",
]

Outcome: TypeAlias = Literal["all", "approved", "refused"]

# Rows that one page looks at. Everybody's lie together, a tenant's each on a page of its own.
SCAN, TENANT_SCAN = 20_000, 6_000
SLOTS = list(range(256))
SELDOM = frozenset({
    "refund", "reversal", "tombstone", "release", "lapse", "expiry", "adjustment", "pin_change",
})  # fmt: skip

# The limit inside is that of the work, the one outside that of the page. Both have the walk's order, which
# the planner sees: the rows stream through them, and nothing is sorted. Of a
# member there are hundreds, so all are looked at.
WALKED = """SELECT * FROM (SELECT * FROM transaction WHERE {where} ORDER BY {order} LIMIT :scan) w
            WHERE {filters} ORDER BY {order} LIMIT :limit"""
BY_ACCOUNT = """SELECT w.*
                FROM unnest(CAST(:slots AS smallint[]), CAST(:accounts AS bigint[])) AS k(slot, account)
                CROSS JOIN LATERAL (
                    SELECT * FROM transaction
                    WHERE (slot, account_id, id) < (k.slot, k.account, CAST(:before AS bigint))
                      AND (slot, account_id, id) >= (k.slot, k.account, CAST(:least AS bigint))
                    ORDER BY slot DESC, account_id DESC, id DESC) w
                WHERE {filters} ORDER BY w.id DESC LIMIT :limit"""
# Where the walk of the page ended: there is more below when it did not end with the last row.
ENDED = "SELECT id, posted_at FROM transaction WHERE {where} ORDER BY {order} OFFSET :scan - 1 LIMIT 1"

REFUSED = Walk(f"code <> 0 AND {EVERYTHING.where}", EVERYTHING.order)

# The days whose transactions have ids between these; the first day's stand for all before it.
IDS_OF_DAYS = text(
    """SELECT (SELECT min(first_transaction) FROM business_day WHERE date >= :since) AS least,
              (SELECT min(first_transaction) FROM business_day WHERE date > :until) AS before"""
)
# A posting's own clock may differ a little from the one that turned the day.
DAYS_OF_TIMES = text(
    """SELECT min(date) AS since, max(date) AS until FROM business_day
       WHERE coalesce(closed_at, 'infinity') >= CAST(:since AS timestamptz) - interval '10 minutes'
         AND opened_at <= CAST(:until AS timestamptz) + interval '10 minutes'"""
)
ACCOUNTS_OF_CARD = text("SELECT slot, account_id FROM card WHERE number = :number")
ACCOUNTS_OF_MEMBER = text(
    """SELECT a.slot, a.id FROM member m JOIN account a ON a.member_id = m.id
       WHERE m.code = :code AND (CAST(:enterprise AS bigint) IS NULL OR m.enterprise_id = :enterprise)
       ORDER BY a.id LIMIT 20"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is looked for: everything that is not None has to fit. All bounds are included.

    `accounts` are pairs of slot and account, at most a few; `tail` the last four digits of a card;
    `batch` goes with a `terminal`; `since` and `until` are business dates, the times aware.
    """

    id: int | None = None
    txid: UUID | None = None
    reference: str | None = None
    accounts: tuple[tuple[int, int], ...] | None = None
    tail: str | None = None
    enterprise: int | None = None
    merchant: int | None = None
    store: int | None = None
    terminal: int | None = None
    batch: int | None = None
    service: int | None = None
    kind: str | None = None
    outcome: Outcome = "all"
    code: int | None = None
    points_from: int | None = None
    points_to: int | None = None
    since: date | None = None
    until: date | None = None
    posted_from: datetime | None = None
    posted_to: datetime | None = None

    def only(self, outcome: Outcome) -> "Asked":
        """The same, of this outcome."""
        return replace(self, outcome=outcome)


@dataclass(frozen=True, slots=True)
class Found:
    """At most as many lines as were asked for, newest first; `more` fit below the last one.

    `reached`: the search stopped after SCAN rows, with id and time of the last one that it looked at; who
    wants to know more searches on before it.
    """

    lines: list[TransactionLine] = field(default_factory=list)
    more: bool = False
    reached: tuple[int, datetime] | None = None


FILTERS = {
    "id": "id = :id",
    "txid": "txid = :txid",
    "reference": "reference = :reference",
    "tail": "card_tail = :tail",
    "enterprise": "enterprise_id = :enterprise",
    "merchant": "merchant_id = :merchant",
    "store": "store_id = :store",
    "terminal": "terminal_id = :terminal",
    "batch": "batch = :batch",
    "service": "service_id = :service",
    "kind": "kind = :kind",
    "code": "code = :code",
    "points_from": "points >= :points_from",
    "points_to": "points <= :points_to",
    "since": "business_date >= :since",
    "until": "business_date <= :until",
    "posted_from": "posted_at >= :posted_from",
    "posted_to": "posted_at <= :posted_to",
}


def search(
    connection: Connection,
    asked: Asked,
    whose: Whose,
    *,
    before: int | None = None,
    limit: int = 30,
    scan: int | None = None,
) -> Found:
    """At most `limit` transactions that fit, newest first; with `before`, only those with a smaller id."""
    bounds = _bounds(connection, asked, NO_BOUND if before is None else before)
    if bounds is None or asked.accounts == ():
        return Found()
    values: dict[str, Any] = {
        name: getattr(asked, name) for name in FILTERS if getattr(asked, name) is not None
    }
    filters = " AND ".join([FILTERS[name] for name in values] + _outcome(asked)) or "true"
    least, below = bounds
    values |= {"before": below, "least": least, "limit": limit + 1}
    walk = _walk(asked, whose, values)
    if walk is not None:
        values["scan"] = scan or (TENANT_SCAN if "walk" in values else SCAN)
    if walk is None:
        rows = _direct(asked, filters, values)
    else:
        rows = WALKED.format(where=walk.where, order=walk.order, filters=filters)
    lines = [
        TransactionLine(**row._asdict()) for row in connection.execute(text(JOINED.format(rows=rows)), values)
    ]
    more = len(lines) > limit
    reached = None
    if walk is not None and not more and filters != "true":
        ended = connection.execute(text(ENDED.format(where=walk.where, order=walk.order)), values).first()
        reached = None if ended is None else (ended.id, ended.posted_at)
    return Found(lines[:limit], more, reached)


def _outcome(asked: Asked) -> list[str]:
    return {"all": [], "approved": ["code = 0"], "refused": ["code <> 0"]}[asked.outcome]


def _walk(asked: Asked, whose: Whose, values: dict[str, Any]) -> Walk | None:
    """The index to go along, with what leads it put into `values`; None where a key names few rows."""
    if asked.id is not None or asked.txid is not None or asked.accounts is not None:
        return None
    if asked.terminal is not None and asked.batch is not None:
        return None
    if asked.merchant is not None or whose.kind == "merchant":
        values["walk"] = whose.tenant_id if whose.kind == "merchant" else asked.merchant
        return walk_of("merchant")
    if asked.enterprise is not None or whose.kind == "enterprise":
        values["walk"] = whose.tenant_id if whose.kind == "enterprise" else asked.enterprise
        return walk_of("enterprise")
    if asked.kind in SELDOM:  # a literal, or the planner could not tell that the partial index has them all
        return Walk(f"kind = '{asked.kind}' AND {EVERYTHING.where}", "kind DESC, id DESC")
    if asked.outcome == "refused" or asked.code:
        return REFUSED
    return EVERYTHING


def _direct(asked: Asked, filters: str, values: dict[str, Any]) -> str:
    """The few rows under a key."""
    if asked.accounts is not None:
        values["slots"] = [slot for slot, _ in asked.accounts]
        values["accounts"] = [account for _, account in asked.accounts]
        return BY_ACCOUNT.format(filters=filters)
    if asked.txid is not None:  # the index on it leads with the slot
        values["all_slots"] = SLOTS
        filters = f"slot = ANY(CAST(:all_slots AS smallint[])) AND {filters}"
    return f"SELECT * FROM transaction WHERE {filters} AND {EVERYTHING.where} ORDER BY id DESC LIMIT :limit"


def _bounds(connection: Connection, asked: Asked, before: int) -> tuple[int, int] | None:
    """The ids that the asked dates and times leave, from and below; None when they leave nothing."""
    since, until = asked.since, asked.until
    if asked.posted_from is not None or asked.posted_to is not None:
        times = {"since": asked.posted_from or datetime.min, "until": asked.posted_to or datetime.max}  # noqa: DTZ901
        days = connection.execute(DAYS_OF_TIMES, times).one()
        if days.since is None:
            return None
        since = days.since if since is None else max(since, days.since)
        until = days.until if until is None else min(until, days.until)
    if since is None and until is None:
        return 0, before
    ids = connection.execute(IDS_OF_DAYS, {"since": since or date.min, "until": until or date.max}).one()
    if ids.least is None:
        return None
    return ids.least, before if ids.before is None else min(before, ids.before)


def accounts_of_card(connection: Connection, number: str) -> tuple[tuple[int, int], ...]:
    """The account of a card's number, as far as the scope shows it; none for a merchant."""
    return tuple(
        (row.slot, row.account_id) for row in connection.execute(ACCOUNTS_OF_CARD, {"number": number})
    )


def accounts_of_member(
    connection: Connection, code: str, *, enterprise: int | None = None
) -> tuple[tuple[int, int], ...]:
    """The accounts of members with this code: of one enterprise, or of every one that the scope shows."""
    asked = {"code": code, "enterprise": enterprise}
    return tuple((row.slot, row.id) for row in connection.execute(ACCOUNTS_OF_MEMBER, asked))
