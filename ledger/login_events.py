"""The history of logins, and the count of wrong ones from one network, which all workers share."""

import ipaddress
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection, text

__all__ = [
    "WRONG_MOST",
    "WRONG_WITHIN",
    "LoginLine",
    "Outcome",
    "Visitor",
    "login_history",
    "may_try",
    "record_login",
]

Outcome = Literal["in", "recovery", "wrong_password", "wrong_code", "paused", "unknown"]

# An office behind one address mistypes some; who guesses needs thousands. Beyond this nothing is tried and
# nothing is written, so the table grows no faster either.
WRONG_MOST = 50
WRONG_WITHIN = timedelta(minutes=15)
BROWSER_MOST = 200  # characters of what a browser says of itself
SITE_BITS = 64  # of an IPv6 address: what one household or office has, and changes within at will

RECORD = text(
    """INSERT INTO login_event (tenant_id, staff_id, happened_at, address, network, browser, outcome)
       VALUES (:tenant, :staff, :now, :address, :network, :browser, :outcome)"""
)
WRONG = text(
    """SELECT count(*) FROM (
           SELECT FROM login_event
           WHERE network = :network AND happened_at > :since AND outcome NOT IN ('in', 'recovery')
           LIMIT :most) AS counted"""
)
HISTORY = text(
    """SELECT happened_at, address, browser, outcome FROM login_event
       WHERE staff_id = :staff ORDER BY happened_at DESC, id DESC LIMIT :most"""
)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Where somebody logs in from: the address as the site saw it, and what the browser says of itself."""

    address: str
    browser: str

    @classmethod
    def seen(cls, address: str | None, browser: str | None) -> "Visitor":
        """From what a request brought, cut to what is kept."""
        kept = "".join(each for each in browser or "" if unicodedata.category(each) not in {"Cc", "Cs"})
        return cls(address or "", kept[:BROWSER_MOST])

    @property
    def network(self) -> str:
        """What counts as one place: an IPv4 address, or the first half of an IPv6 address."""
        try:
            address = ipaddress.ip_address(self.address)
        except ValueError:
            return self.address
        if isinstance(address, ipaddress.IPv4Address):
            return str(address)
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.IPv6Network((int(address) >> SITE_BITS << SITE_BITS, SITE_BITS)))


@dataclass(frozen=True, slots=True)
class LoginLine:
    """One login that was tried."""

    at: datetime
    address: str
    browser: str
    outcome: Outcome


def record_login(
    connection: Connection,
    visitor: Visitor,
    outcome: Outcome,
    *,
    staff: int | None,
    tenant: int | None,
    now: datetime,
) -> None:
    """Write down what came of a login. `staff` and `tenant` are None when nobody has the login."""
    connection.execute(
        RECORD,
        {
            "tenant": tenant,
            "staff": staff,
            "now": now,
            "address": visitor.address,
            "network": visitor.network,
            "browser": visitor.browser,
            "outcome": outcome,
        },
    )


def may_try(connection: Connection, visitor: Visitor, *, now: datetime) -> bool:
    """Whether so few logins from there went wrong of late that another may be tried. Needs a scope of all.

    Tries at the same moment may pass together: at most as many as the site answers at once.
    """
    told = {"network": visitor.network, "since": now - WRONG_WITHIN, "most": WRONG_MOST}
    return bool(connection.execute(WRONG, told).scalar_one() < WRONG_MOST)


def login_history(connection: Connection, staff: int, *, most: int) -> list[LoginLine]:
    """A person's latest logins, the newest first."""
    return [LoginLine(*row) for row in connection.execute(HISTORY, {"staff": staff, "most": most})]
