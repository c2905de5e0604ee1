"""Staff: people who log in for an organisation. Passwords are Argon2id; failed tries are counted here.

A try is counted before the password is looked at, and taken back when it was right, so that many
tries at once cannot slip through one count. All programs and workers share the count.
"""

import hashlib
import re
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from nacl import pwhash
from nacl.exceptions import InvalidkeyError
from sqlalchemy import Connection, text

from ledger.database import Database, Scope
from ledger.login_events import Outcome, Visitor, record_login
from ledger.permissions import ADMINISTRATION
from ledger.rights import Rights, assign, rights_of

__all__ = [
    "COST", "LOGIN_PATTERN", "PASSWORD_MIN", "PAUSES", "Cost", "StaffProfile", "authenticate", "create_staff",
    "set_password", "staff_by_id", "typed_login",
]  # fmt: skip

LOGIN_PATTERN = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")  # what people can type on any keyboard
PASSWORD_MIN = 8  # characters; NIST SP 800-63B asks for no less


class Cost(NamedTuple):
    """What one Argon2id takes: above OWASP's least (19 MiB, 2 passes); eight at once fit a small machine."""

    passes: int = 3
    memory: int = 32 * 1024 * 1024


COST = Cost()  # tests, which log in a thousand times, set another

FREE_TRIES = 5  # wrong passwords before the first pause: a person's typing mistakes
FIRST_PAUSE_S = 30  # doubles with each further wrong password
LONGEST_PAUSE_S = (
    900  # long enough against guessing, short enough that nobody locks a colleague out for the day
)
PAUSES = {"free": FREE_TRIES, "first": FIRST_PAUSE_S, "longest": LONGEST_PAUSE_S}

INSERT = """
INSERT INTO staff (tenant_id, organisation_id, login, name, password_hash, language)
SELECT o.tenant_id, o.id, :login, :name, :password_hash, :language
FROM organisation o WHERE o.id = :organisation
RETURNING id
"""
COUNT_TRY = """
UPDATE staff s
SET failed_tries = LEAST(s.failed_tries + 1, 1000),
    locked_until = CASE WHEN s.failed_tries + 1 >= :free THEN
        CAST(:now AS timestamptz) + make_interval(secs =>
            LEAST(:first * power(2, LEAST(s.failed_tries + 1 - :free, 20)), :longest)) END
WHERE s.login = :login AND s.status = 'active' AND (s.locked_until IS NULL OR s.locked_until <= :now)
RETURNING s.id, s.tenant_id, s.password_hash
"""
WHOSE = "SELECT id, tenant_id FROM staff WHERE login = :login"
SET_PASSWORD = """
UPDATE staff SET password_hash = :password_hash, failed_tries = 0, locked_until = NULL WHERE id = :id
"""
FORGIVE = "UPDATE staff SET failed_tries = 0, locked_until = NULL WHERE id = :id"
BY_ID = """
SELECT s.id, s.login, s.name, s.language, s.tenant_id, tenant.kind AS tenant_kind, tenant.name AS tenant_name,
       s.organisation_id, own.name AS organisation_name, s.password_hash,
       s.factor_secret IS NOT NULL AS second_factor, tenant.second_factor AS factor_rule
FROM staff s
JOIN organisation tenant ON tenant.id = s.tenant_id
JOIN organisation own ON own.id = s.organisation_id
WHERE s.id = :id AND s.status = 'active' AND tenant.status = 'open' AND own.status = 'open'
"""


@dataclass(frozen=True, slots=True)
class StaffProfile:
    """One person of the staff, as a page needs them. `tenant_kind`: operator, enterprise or merchant.

    `password_mark` changes with the password and tells nothing about it: a session that carries an
    older one has ended.
    """

    id: int
    login: str
    name: str
    language: str
    tenant_id: int
    tenant_kind: str
    tenant_name: str
    organisation_id: int
    organisation_name: str
    second_factor: bool
    factor_rule: str
    password_mark: str = field(repr=False)
    rights: Rights = field(default_factory=Rights, repr=False)

    @property
    def factor_due(self) -> bool:
        """Whether the tenant asks for a second factor that this person has not set up."""
        if self.second_factor or self.factor_rule == "free":
            return False
        return self.factor_rule == "everybody" or any(name in self.rights for name in ADMINISTRATION)

    def scope(self, permission: str) -> Scope:
        """Whose rows this person may see, for an operation that needs `permission`.

        The operator's staff see everyone's, others their tenant's, or of it the units of their roles.
        PermissionError for what they do not hold: forgotten to be asked about, it shows nothing.
        """
        if permission not in self.rights:
            raise PermissionError(f"staff {self.id} does not hold {permission!r}")
        if self.tenant_kind == "operator":
            return Scope.everything()
        return Scope.tenant(self.tenant_id, self.rights.units[permission])


def create_staff(
    connection: Connection,
    *,
    organisation_id: int,
    login: str,
    name: str,
    password: str,
    language: str = "en",
    ready_made: str | None = "administrator",
) -> int:
    """Enter a person, with a ready-made role over the whole tenant, or none; returns their id.

    ValueError for a login, name or password that cannot be used, LookupError for an unknown organisation.
    A login that exists breaks the table's constraint.
    """
    if not LOGIN_PATTERN.fullmatch(login):
        raise ValueError("a login is small letters, digits and . _ @ -, at most 64")
    if not name.strip():
        raise ValueError("a person has a name")
    if len(password) < PASSWORD_MIN:
        raise ValueError(f"a password has at least {PASSWORD_MIN} characters")
    row = connection.execute(
        text(INSERT),
        {
            "organisation": organisation_id,
            "login": login,
            "name": name.strip(),
            "password_hash": _hash(password),
            "language": language,
        },
    ).one_or_none()
    if row is None:
        raise LookupError(f"no organisation {organisation_id}")
    if ready_made is not None:
        assign(connection, row.id, reach="tenant", ready_made=ready_made)
    return int(row.id)


def set_password(connection: Connection, staff: int, password: str) -> None:
    """Give a person a new password, and let them try again at once. ValueError for one that is too short."""
    if len(password) < PASSWORD_MIN:
        raise ValueError(f"a password has at least {PASSWORD_MIN} characters")
    connection.execute(text(SET_PASSWORD), {"id": staff, "password_hash": _hash(password)})


def authenticate(
    database: Database, login: str, password: str, *, now: datetime, visitor: Visitor | None = None
) -> StaffProfile | None:
    """The person with this login and password, or None: unknown, closed, wrong, or paused after wrong tries.

    All of these cost one Argon2id hash, made outside any transaction: no connection waits for it. What went
    wrong is written into the history of logins when a `visitor` is named.
    """
    login = typed_login(login)
    attempt = None
    if LOGIN_PATTERN.fullmatch(login):
        with database.transaction(Scope.everything()) as connection:
            attempt = connection.execute(text(COUNT_TRY), {"login": login, "now": now} | PAUSES).one_or_none()
    if attempt is not None and _matches(attempt.password_hash, password):
        with database.transaction(Scope.everything()) as connection:
            connection.execute(text(FORGIVE), {"id": attempt.id})
            return staff_by_id(connection, attempt.id)
    if attempt is None:
        _hash(password)
    if visitor is not None:
        with database.transaction(Scope.everything()) as connection:
            whose = connection.execute(text(WHOSE), {"login": login.replace("\0", "")}).one_or_none()
            staff, tenant = (None, None) if whose is None else (int(whose.id), int(whose.tenant_id))
            outcome: Outcome = "wrong_password" if attempt else "unknown" if whose is None else "paused"
            record_login(connection, visitor, outcome, staff=staff, tenant=tenant, now=now)
    return None


def typed_login(login: str) -> str:
    """A login as it is kept, however it was typed."""
    return unicodedata.normalize("NFKC", login).strip().lower()


def staff_by_id(connection: Connection, staff_id: int) -> StaffProfile | None:
    """The person with this id who may still log in, or None."""
    row = connection.execute(text(BY_ID), {"id": staff_id}).one_or_none()
    if row is None:
        return None
    mark = hashlib.blake2b(row.password_hash.encode(), digest_size=12, person=b"password mark").hexdigest()
    fields = row._asdict()
    del fields["password_hash"]
    rights = rights_of(connection, staff_id, row.tenant_kind)
    return StaffProfile(password_mark=mark, rights=rights, **fields)


def _hash(password: str) -> str:
    return pwhash.argon2id.str(_typed(password), opslimit=COST.passes, memlimit=COST.memory).decode()


def _matches(password_hash: str, password: str) -> bool:
    try:
        return pwhash.argon2id.verify(password_hash.encode(), _typed(password))
    except InvalidkeyError:
        return False


def _typed(password: str) -> bytes:
    # The same characters from another keyboard may come composed differently.
    return unicodedata.normalize("NFKC", password).encode()
