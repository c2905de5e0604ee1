"""The second factor of staff: codes by the clock (TOTP, RFC 6238) and recovery codes, each good once.

The secret is sealed with a key outside the database that is the person's own, so a row that is copied to
somebody else opens nothing. Wrong codes are counted like wrong passwords, recovery codes among them.
"""

import base64
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import pyotp
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox
from sqlalchemy import Connection, text

from ledger.administration import Giver, deciding, require
from ledger.database import Database, Scope
from ledger.keyring import Keyring
from ledger.permissions import ADMINISTRATION
from ledger.rights import Rights
from ledger.staff import PAUSES

__all__ = [
    "RECOVERY_CODES", "RULES", "Factor", "confirm", "factor_of", "offer", "offered", "remove",
    "renew_recovery_codes", "rule_of", "set_rule", "take_code",
]  # fmt: skip

RULES = ("free", "administrators", "everybody")  # of whom a tenant asks a second factor
STEP_S = 30
SKEW = (0, -1, 1)  # steps by which a phone's clock may be off
SECRET_BYTES = 20  # RFC 4226 asks for 16, recommends 20
RECOVERY_CODES = 10
ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # nothing that looks like something else
RECOVERY_LETTERS = 10

OFFER = text("UPDATE staff SET factor_offered = :sealed WHERE id = :staff")
READ = text(
    """SELECT s.tenant_id, s.factor_secret, s.factor_offered, s.factor_since, s.factor_step,
              (SELECT count(*) FROM recovery_code r WHERE r.staff_id = s.id AND r.used_at IS NULL) AS codes
       FROM staff s WHERE s.id = :staff"""
)
COUNT_TRY = text(
    """UPDATE staff s
       SET factor_tries = LEAST(s.factor_tries + 1, 1000),
           factor_locked_until = CASE WHEN s.factor_tries + 1 >= :free THEN
               CAST(:now AS timestamptz) + make_interval(secs =>
                   LEAST(:first * power(2, LEAST(s.factor_tries + 1 - :free, 20)), :longest)) END
       WHERE s.id = :staff AND s.status = 'active' AND s.factor_secret IS NOT NULL
         AND (s.factor_locked_until IS NULL OR s.factor_locked_until <= :now)
       RETURNING s.factor_secret"""
)
TAKE = text(
    """UPDATE staff SET factor_step = :step, factor_tries = 0, factor_locked_until = NULL
       WHERE id = :staff AND factor_secret IS NOT NULL AND coalesce(factor_step < :step, true)
       RETURNING id"""
)
TAKE_RECOVERY = text(
    """UPDATE recovery_code SET used_at = :now
       WHERE staff_id = :staff AND verifier = :verifier AND used_at IS NULL RETURNING staff_id"""
)
FORGIVE = text("UPDATE staff SET factor_tries = 0, factor_locked_until = NULL WHERE id = :staff")
CONFIRM = text(
    """UPDATE staff SET factor_secret = factor_offered, factor_offered = NULL, factor_since = :now,
                        factor_step = :step, factor_tries = 0, factor_locked_until = NULL
       WHERE id = :staff AND factor_offered = :offered RETURNING id"""
)
REMOVE = text(
    """UPDATE staff SET factor_secret = NULL, factor_offered = NULL, factor_since = NULL, factor_step = NULL,
                        factor_tries = 0, factor_locked_until = NULL
       WHERE id = :staff AND factor_secret IS NOT NULL RETURNING id"""
)
READ_RULE = text("SELECT second_factor FROM organisation WHERE id = :tenant")
SET_RULE = text("UPDATE organisation SET second_factor = :rule WHERE id = :tenant AND parent_id IS NULL")
FORGET_CODES = text("DELETE FROM recovery_code WHERE staff_id = :staff")
KEEP_CODE = text(
    """INSERT INTO recovery_code (staff_id, tenant_id, verifier)
       SELECT id, tenant_id, :verifier FROM staff WHERE id = :staff"""
)


@dataclass(frozen=True, slots=True)
class Factor:
    """How a person's second factor stands: since when, and how many recovery codes are left."""

    since: datetime | None
    codes_left: int


def factor_of(connection: Connection, staff: int) -> Factor:
    """How it stands. LookupError for a person who is not there."""
    row = connection.execute(READ, {"staff": staff}).one_or_none()
    if row is None:
        raise LookupError(f"no staff {staff}")
    return Factor(row.factor_since, row.codes)


def offer(connection: Connection, staff: int, keyring: Keyring, random_bytes: Callable[[int], bytes]) -> str:
    """A fresh secret for a person, as base32; it counts only when `confirm` has seen a code of it."""
    secret = random_bytes(SECRET_BYTES)
    sealed = _box(keyring, staff).encrypt(secret, random_bytes(SecretBox.NONCE_SIZE))
    connection.execute(OFFER, {"staff": staff, "sealed": bytes(sealed)})
    return _base32(secret)


def offered(connection: Connection, staff: int, keyring: Keyring) -> str | None:
    """The secret that waits for its first code, as base32."""
    sealed = connection.execute(READ, {"staff": staff}).one().factor_offered
    return None if sealed is None else _opened(keyring, staff, bytes(sealed))


def confirm(connection: Connection, staff: int, keyring: Keyring, code: str, *, now: datetime) -> bool:
    """Begin to ask for the offered secret's codes, if this is one of them."""
    sealed = connection.execute(READ, {"staff": staff}).one().factor_offered
    if sealed is None:
        return False
    step = _step_of(_opened(keyring, staff, bytes(sealed)), code, now)
    if step is None:
        return False
    told = {"staff": staff, "offered": sealed, "now": now, "step": step}
    return connection.execute(CONFIRM, told).one_or_none() is not None


def take_code(database: Database, staff: int, keyring: Keyring, code: str, *, now: datetime) -> str | None:
    """Try a code at the login: `in` for one by the clock, `recovery` for a recovery code, None for neither.

    Also None during a pause after wrong ones. A code is good once, whichever kind it is.
    """
    with database.transaction(Scope.everything()) as connection:
        sealed = connection.execute(COUNT_TRY, {"staff": staff, "now": now} | PAUSES).scalar_one_or_none()
    if sealed is None:
        return None
    step = _step_of(_opened(keyring, staff, bytes(sealed)), code, now)
    with database.transaction(Scope.everything()) as connection:
        if step is not None:
            taken = connection.execute(TAKE, {"staff": staff, "step": step}).one_or_none()
            return None if taken is None else "in"
        verifier = keyring.recovery_verifier(staff, _plain(code))
        told = {"staff": staff, "verifier": verifier, "now": now}
        if connection.execute(TAKE_RECOVERY, told).one_or_none() is None:
            return None
        connection.execute(FORGIVE, {"staff": staff})
        return "recovery"


def renew_recovery_codes(
    connection: Connection, staff: int, keyring: Keyring, random_bytes: Callable[[int], bytes]
) -> list[str]:
    """Fresh recovery codes in the place of all earlier ones; they are nowhere but in this answer."""
    connection.execute(FORGET_CODES, {"staff": staff})
    codes = [_code(random_bytes) for _ in range(RECOVERY_CODES)]
    for code in codes:
        verifier = keyring.recovery_verifier(staff, _plain(code))
        connection.execute(KEEP_CODE, {"staff": staff, "verifier": verifier})
    return codes


def remove(connection: Connection, staff: int) -> bool:
    """Ask for no second factor any more; False when there was none."""
    connection.execute(FORGET_CODES, {"staff": staff})
    return connection.execute(REMOVE, {"staff": staff}).one_or_none() is not None


def rule_of(connection: Connection, tenant: int) -> str:
    """Of whom a tenant asks a second factor: one of RULES."""
    rule: str = connection.execute(READ_RULE, {"tenant": tenant}).scalar_one()
    return rule


def set_rule(connection: Connection, giver: Giver, tenant: int, rule: str) -> None:
    """Ask it of others from now on. Raises Beyond for who does not manage the whole tenant's staff."""
    with deciding(connection, tenant):
        require(giver.rights(connection), Rights(dict.fromkeys(ADMINISTRATION)))
        connection.execute(SET_RULE, {"tenant": tenant, "rule": rule})


def _step_of(secret: str, code: str, now: datetime) -> int | None:
    """The interval that a code belongs to, if it is one of now."""
    typed = "".join(code.split())
    if len(typed) != 6 or not typed.isascii():
        return None
    present = int(now.timestamp()) // STEP_S
    clock = pyotp.TOTP(secret, interval=STEP_S)
    for skew in SKEW:
        step = max(present + skew, 0)
        if hmac.compare_digest(clock.generate_otp(step), typed):
            return step
    return None


def _code(random_bytes: Callable[[int], bytes]) -> str:
    """Ten letters and digits in two groups: 49 bits, of which a person gets five tries at a time."""
    number = int.from_bytes(random_bytes(16), "big")  # so many that no letter is likelier than another
    letters = []
    for _ in range(RECOVERY_LETTERS):
        number, place = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[place])
    half = RECOVERY_LETTERS // 2
    return f"{''.join(letters[:half])}-{''.join(letters[half:])}"


def _plain(code: str) -> str:
    """A recovery code as it is hashed, however it was typed."""
    return "".join(each for each in code.lower() if each.isalnum())


def _box(keyring: Keyring, staff: int) -> SecretBox:
    return SecretBox(keyring.factor_key(staff))


def _opened(keyring: Keyring, staff: int, sealed: bytes) -> str:
    try:
        return _base32(_box(keyring, staff).decrypt(sealed))
    except CryptoError as error:
        raise ValueError(f"the second factor of staff {staff} was sealed with another key") from error


def _base32(secret: bytes) -> str:
    return base64.b32encode(secret).decode("ascii")
