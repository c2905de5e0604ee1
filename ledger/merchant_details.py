"""Merchants and stores as the operator keeps them: contracts, contacts, banks; places and hours."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from nacl import bindings
from nacl.exceptions import CryptoError
from sqlalchemy import Connection, text

from ledger.keyring import Keyring
from ledger.organisations import OrganisationRefused, create_child, create_tenant

__all__ = [
    "Contact", "Details", "MerchantLine", "StoreLine", "StorePlace", "account_number", "create_merchant",
    "find_merchant", "find_store", "list_merchants", "lock_organisation", "read_contacts", "read_details",
    "save_account", "save_details", "save_place", "stores_of",
]  # fmt: skip

# Weaker than FOR UPDATE: what is sold meanwhile refers to the merchant and the store, and need not wait.
LOCK = text("SELECT FROM organisation WHERE id = :id FOR NO KEY UPDATE")
MERCHANT = """
SELECT m.id, m.code, m.name, m.status, d.contract_since, d.contract_until,
       (SELECT count(*) FROM organisation s WHERE s.tenant_id = m.id AND s.kind = 'store'
        AND s.status = 'open') AS stores,
       (SELECT count(*) FROM terminal t WHERE t.tenant_id = m.id AND t.status = 'active') AS terminals
FROM organisation m LEFT JOIN merchant_detail d ON d.merchant_id = m.id
WHERE m.kind = 'merchant' AND """
LIST = text(
    MERCHANT
    + """(:status = 'all' OR m.status = :status)
         AND (:words = '' OR strpos(lower(m.name), lower(:words)) > 0
              OR strpos(lower(m.code), lower(:words)) > 0)
         AND (CAST(:after AS int8) IS NULL
              OR (m.name, m.id) > (SELECT a.name, a.id FROM organisation a WHERE a.id = :after))
       ORDER BY m.name, m.id LIMIT :most"""
)
ONE = text(f"{MERCHANT} m.id = :id")
DETAILS = text(
    """SELECT contract_since, contract_until, bank, account_name, account_tail, note
       FROM merchant_detail WHERE merchant_id = :merchant"""
)
SAVE = text(
    """INSERT INTO merchant_detail (merchant_id, contract_since, contract_until, bank, account_name, note)
       VALUES (:merchant, :contract_since, :contract_until, :bank, :account_name, :note)
       ON CONFLICT (merchant_id) DO UPDATE
       SET contract_since = excluded.contract_since, contract_until = excluded.contract_until,
           bank = excluded.bank, account_name = excluded.account_name, note = excluded.note"""
)
ACCOUNT = text("SELECT account_sealed FROM merchant_detail WHERE merchant_id = :merchant")
SAVE_ACCOUNT = text(
    """UPDATE merchant_detail SET account_sealed = :sealed, account_tail = :tail
       WHERE merchant_id = :merchant"""
)
CONTACTS = text(
    "SELECT name, post, phone, email FROM merchant_contact WHERE merchant_id = :merchant ORDER BY number"
)
FORGET_CONTACTS = text("DELETE FROM merchant_contact WHERE merchant_id = :merchant")
ADD_CONTACTS = text(
    """INSERT INTO merchant_contact (merchant_id, number, name, post, phone, email)
       VALUES (:merchant, :number, :name, :post, :phone, :email)"""
)
STORE = """
SELECT s.id, s.tenant_id AS merchant_id, m.name AS merchant, s.code, s.name, s.status, d.address, d.phone,
       d.latitude, d.longitude,
       (SELECT count(*) FROM terminal t WHERE t.store_id = s.id AND t.status = 'active') AS terminals
FROM organisation s JOIN organisation m ON m.id = s.tenant_id AND m.kind = 'merchant'
LEFT JOIN store_detail d ON d.store_id = s.id
WHERE s.kind = 'store' AND """
STORES = text(
    f"""{STORE} s.tenant_id = :merchant
        AND (CAST(:after AS int8) IS NULL
             OR (s.name, s.id) > (SELECT a.name, a.id FROM organisation a WHERE a.id = :after))
        ORDER BY s.name, s.id LIMIT :most"""
)
ONE_STORE = text(f"{STORE} s.id = :id")
HOURS = text("SELECT weekday, opens, closes FROM store_hours WHERE store_id = :store ORDER BY weekday")
SAVE_PLACE = text(
    """INSERT INTO store_detail (store_id, tenant_id, address, phone, latitude, longitude)
       SELECT id, tenant_id, :address, :phone, :latitude, :longitude FROM organisation WHERE id = :store
       ON CONFLICT (store_id) DO UPDATE
       SET address = excluded.address, phone = excluded.phone, latitude = excluded.latitude,
           longitude = excluded.longitude"""
)
FORGET_HOURS = text("DELETE FROM store_hours WHERE store_id = :store")
ADD_HOURS = text(
    """INSERT INTO store_hours (store_id, weekday, tenant_id, opens, closes)
       SELECT id, :weekday, tenant_id, :opens, :closes FROM organisation WHERE id = :store"""
)

TAIL = 4  # digits of an account's number that tell it apart
NONCE_BYTES = bindings.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantLine:
    """A merchant with its contract's days, and how many open stores and active terminals it has."""

    id: int
    code: str
    name: str
    status: str
    contract_since: date | None
    contract_until: date | None
    stores: int
    terminals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What is kept of a merchant; `account_tail` are the last digits of the bank account's number."""

    contract_since: date | None = None
    contract_until: date | None = None
    bank: str | None = None
    account_name: str | None = None
    account_tail: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Contact:
    """A person at a merchant; `post` is what they do there."""

    name: str
    post: str | None = None
    phone: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class StorePlace:
    """Where a store is, and when it is open: minutes of the day by weekday, 1 is Monday.

    Places are millionths of a degree. Closing later than 1440 is on the next day.
    """

    address: str | None = None
    phone: str | None = None
    latitude: int | None = None
    longitude: int | None = None
    hours: Mapping[int, tuple[int, int]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLine:
    """A store with its place, and how many active terminals it has."""

    id: int
    merchant_id: int
    merchant: str
    code: str
    name: str
    status: str
    address: str | None
    phone: str | None
    latitude: int | None
    longitude: int | None
    terminals: int


def list_merchants(
    connection: Connection,
    *,
    words: str = "",
    status: str = "all",
    after: int | None = None,
    most: int = 100,
) -> list[MerchantLine]:
    """Merchants by name, from the one after `after`; `words` is a part of the name or the code."""
    words = words.strip()
    if "\x00" in words:  # PostgreSQL's text has no NUL
        return []
    told = {"words": words, "status": status, "after": after, "most": most}
    return [MerchantLine(**row._asdict()) for row in connection.execute(LIST, told)]


def find_merchant(connection: Connection, merchant: int) -> MerchantLine | None:
    """One merchant, or None. Names are public: whether the rest is seen is the scope's to say."""
    row = connection.execute(ONE, {"id": merchant}).one_or_none()
    return MerchantLine(**row._asdict()) if row is not None else None


def create_merchant(
    connection: Connection, *, code: str, name: str, store_code: str, store_name: str
) -> tuple[int, int] | None:
    """A merchant with its first store. None when a merchant has the code. Returns both ids."""
    try:
        merchant = create_tenant(connection, kind="merchant", code=code, name=name)
    except OrganisationRefused:
        return None
    store = create_child(connection, parent=merchant, kind="store", code=store_code, name=store_name)
    return merchant, store


def lock_organisation(connection: Connection, organisation: int) -> None:
    """Nobody else changes it, or what is kept of it, until the transaction ends."""
    connection.execute(LOCK, {"id": organisation})


def read_details(connection: Connection, merchant: int) -> Details:
    """What is kept of a merchant, as far as the scope shows it."""
    row = connection.execute(DETAILS, {"merchant": merchant}).one_or_none()
    return Details(**row._asdict()) if row is not None else Details()


def read_contacts(connection: Connection, merchant: int) -> list[Contact]:
    """The people to call at a merchant, in their order."""
    return [Contact(*row) for row in connection.execute(CONTACTS, {"merchant": merchant})]


def save_details(
    connection: Connection, merchant: int, details: Details, contacts: Sequence[Contact]
) -> None:
    """Keep these in the place of what was kept; the account's number stays as it is (`save_account`)."""
    told = {
        "contract_since": details.contract_since,
        "contract_until": details.contract_until,
        "bank": details.bank,
        "account_name": details.account_name,
        "note": details.note,
    }
    connection.execute(SAVE, told | {"merchant": merchant})
    connection.execute(FORGET_CONTACTS, {"merchant": merchant})
    if contacts:
        rows = [
            {"merchant": merchant, "number": number, "name": each.name, "post": each.post,
             "phone": each.phone, "email": each.email}
            for number, each in enumerate(contacts, 1)
        ]  # fmt: skip
        connection.execute(ADD_CONTACTS, rows)


def save_account(
    connection: Connection,
    merchant: int,
    number: str | None,
    keyring: Keyring,
    random_bytes: Callable[[int], bytes],
) -> None:
    """Keep the number of the merchant's bank account, sealed with a key outside the database; None: none."""
    sealed = tail = None
    if number is not None:
        nonce = random_bytes(NONCE_BYTES)
        sealed = nonce + bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
            number.encode(), _bound_to(merchant), nonce, keyring.personal_key
        )
        tail = number[-TAIL:]
    connection.execute(SAVE_ACCOUNT, {"merchant": merchant, "sealed": sealed, "tail": tail})


def account_number(connection: Connection, merchant: int, keyring: Keyring) -> str | None:
    """The number of the merchant's bank account; None when there is none, or the key is not the one."""
    sealed = connection.execute(ACCOUNT, {"merchant": merchant}).scalar_one_or_none()
    if sealed is None:
        return None
    nonce, rest = bytes(sealed[:NONCE_BYTES]), bytes(sealed[NONCE_BYTES:])
    try:
        number = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
            rest, _bound_to(merchant), nonce, keyring.personal_key
        )
    except CryptoError:
        return None
    return number.decode()


def _bound_to(merchant: int) -> bytes:
    """A number that is moved to another merchant's row does not open."""
    return b"tessera merchant account %d" % merchant


def stores_of(
    connection: Connection, merchant: int, *, after: int | None = None, most: int = 100
) -> list[StoreLine]:
    """A merchant's stores by name, from the one after `after`."""
    told = {"merchant": merchant, "after": after, "most": most}
    return [StoreLine(**row._asdict()) for row in connection.execute(STORES, told)]


def find_store(connection: Connection, store: int) -> tuple[StoreLine, dict[int, tuple[int, int]]] | None:
    """A merchant's store and its hours by weekday, or None."""
    row = connection.execute(ONE_STORE, {"id": store}).one_or_none()
    if row is None:
        return None
    hours = {each.weekday: (each.opens, each.closes) for each in connection.execute(HOURS, {"store": store})}
    return StoreLine(**row._asdict()), hours


def save_place(connection: Connection, store: int, place: StorePlace) -> None:
    """Keep this place and these hours in the place of what was kept."""
    told = {"address": place.address, "phone": place.phone}
    told_place = {"latitude": place.latitude, "longitude": place.longitude}
    connection.execute(SAVE_PLACE, told | told_place | {"store": store})
    connection.execute(FORGET_HOURS, {"store": store})
    rows = [
        {"store": store, "weekday": weekday, "opens": opens, "closes": closes}
        for weekday, (opens, closes) in (place.hours or {}).items()
    ]
    if rows:
        connection.execute(ADD_HOURS, rows)
