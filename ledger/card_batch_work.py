"""Doing a batch of cards, a few hundred at a time: issuing them, making them active, codes for new PINs.

Whoever changes cards locks their accounts first, in the order of their keys, as the books do. Cards and
their history are written by one statement for all.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, text

from ledger.card_batches import Batch, BatchCard, find_batch
from ledger.cards import card_number
from ledger.jobs import Job, JobFailed, Steps
from ledger.trail import record

__all__ = ["ACTIVATE", "AT_ONCE", "ISSUE", "STEPS", "activate_some", "issue_some", "offer_codes"]

AT_ONCE = 500  # cards of one transaction: a debit never waits long for an account
ISSUE, ACTIVATE = "cards.issue", "cards.activate"

# A job sees its tenant; who asked for it may see some units alone, as ledger.database.Scope has it.
NARROW = text("SELECT set_config('tessera.units', :units, true)")
WAITING = text(
    """SELECT number, slot, account_id FROM card_batch_line
       WHERE batch_id = :batch AND card_id IS NULL AND NOT passed ORDER BY number LIMIT :most FOR UPDATE"""
)
KEYS = "unnest(CAST(:slots AS smallint[]), CAST(:accounts AS bigint[])) AS k(slot, id)"
LOCK = text(
    f"""SELECT a.slot, a.id FROM {KEYS} JOIN account a ON a.slot = k.slot AND a.id = k.id
        WHERE a.status = 'open' ORDER BY a.slot, a.id FOR UPDATE OF a"""
)
HAVE = text(
    f"""SELECT DISTINCT c.slot, c.account_id FROM {KEYS}
        JOIN card c ON c.slot = k.slot AND c.account_id = k.id WHERE c.status <> 'closed'"""
)
NEW_IDS = text("SELECT nextval('card_id_seq') FROM generate_series(1, :many)")
# A join of the lines with the new cards is planned as if few were meant, and then compares each with each.
INSERT = text(
    """WITH new AS (
           SELECT * FROM unnest(CAST(:slots AS smallint[]), CAST(:accounts AS bigint[]),
                                CAST(:cards AS bigint[]), CAST(:numbers AS text[]))
                    AS n(slot, account_id, id, number)
       ), made AS (
           INSERT INTO card (slot, account_id, id, enterprise_id, number, status, expires_on, product_id)
           SELECT slot, account_id, id, :enterprise, number, :status, :expires_on, :product FROM new
           RETURNING *
       ), noted AS (
           INSERT INTO card_event (slot, account_id, card_id, enterprise_id, what, to_status, issue, staff_id,
                                   reason, happened_at)
           SELECT slot, account_id, id, enterprise_id, 'issued', status, issue, :staff, :reason, :now
           FROM made
       )
       UPDATE card_batch_line
       SET card_id = (CAST(:cards AS bigint[]))[array_position(CAST(:lines AS bigint[]), number)]
       WHERE batch_id = :batch AND number = ANY(CAST(:lines AS bigint[]))"""
)
PASS = text(
    """UPDATE card_batch_line SET passed = true
       WHERE batch_id = :batch AND card_id IS NULL AND number = ANY(CAST(:numbers AS bigint[]))"""
)
COUNT = text("UPDATE card_batch SET issued = issued + :issued, passed = passed + :passed WHERE id = :batch")
NEXT = text(
    """SELECT number, slot, account_id FROM card_batch_line
       WHERE batch_id = :batch AND number > :after AND card_id IS NOT NULL ORDER BY number LIMIT :most"""
)
CHANGED = """
    noted AS (
        INSERT INTO card_event (slot, account_id, card_id, enterprise_id, what, from_status, to_status, issue,
                                staff_id, reason, happened_at)
        SELECT slot, account_id, id, enterprise_id, :what, from_status, status, issue, :staff, :reason, :now
        FROM changed
    ) SELECT count(*) FROM changed"""
MAKE_ACTIVE = text(
    f"""WITH changed AS (
            UPDATE card c SET status = 'active' FROM card_batch_line l
            WHERE l.batch_id = :batch AND l.number = ANY(CAST(:numbers AS bigint[]))
              AND c.slot = l.slot AND c.account_id = l.account_id AND c.id = l.card_id
              AND c.status = 'issued'
            RETURNING c.*, 'issued' AS from_status
        ), {CHANGED}"""
)
OFFER = text(
    f"""WITH changed AS (
            UPDATE card c SET pin_code = k.verifier, pin_code_until = :until, pin_code_tries = 0
            FROM unnest(CAST(:slots AS smallint[]), CAST(:accounts AS bigint[]), CAST(:cards AS bigint[]),
                        CAST(:verifiers AS bytea[])) AS k(slot, account_id, id, verifier)
            WHERE c.slot = k.slot AND c.account_id = k.account_id AND c.id = k.id
              AND c.status IN ('issued', 'active', 'suspended')
            RETURNING c.*, c.status AS from_status
        ), {CHANGED}"""
)


def issue_some(
    connection: Connection, batch: Batch, *, now: datetime, staff: int | None = None, most: int = AT_ONCE
) -> int:
    """Make the cards of the next `most` lines; returns how many lines were done, 0 when none is left.

    A member who has got a card meanwhile, or whose account was closed, is passed over.
    """
    lines = connection.execute(WAITING, {"batch": batch.id, "most": most}).all()
    if not lines:
        return 0
    keys = {"slots": [line.slot for line in lines], "accounts": [line.account_id for line in lines]}
    open_ones = {tuple(row) for row in connection.execute(LOCK, keys)}
    wanting = open_ones - {tuple(row) for row in connection.execute(HAVE, keys)}
    chosen = [line for line in lines if (line.slot, line.account_id) in wanting]
    if chosen:
        ids = [row[0] for row in connection.execute(NEW_IDS, {"many": len(chosen)})]
        told = {
            "slots": [line.slot for line in chosen],
            "accounts": [line.account_id for line in chosen],
            "cards": ids,
            "lines": [line.number for line in chosen],
            "numbers": [card_number(line.slot, new) for line, new in zip(chosen, ids, strict=True)],
            "batch": batch.id,
            "enterprise": batch.enterprise_id,
            "status": batch.status,
            "expires_on": batch.expires_on,
            "product": batch.product_id,
        }
        connection.execute(INSERT, told | {"staff": staff, "reason": batch.note, "now": now})
    passed = [line.number for line in lines if (line.slot, line.account_id) not in wanting]
    if passed:
        connection.execute(PASS, {"batch": batch.id, "numbers": passed})
    connection.execute(COUNT, {"batch": batch.id, "issued": len(chosen), "passed": len(passed)})
    return len(lines)


def activate_some(
    connection: Connection,
    batch: int,
    *,
    now: datetime,
    staff: int | None = None,
    reason: str | None = None,
    after: int = 0,
    most: int = AT_ONCE,
) -> tuple[int, int]:
    """Make the next `most` cards active that are not yet; `after` is the line before.

    Returns the last line that was looked at, 0 when there was none, and how many became active.
    """
    lines = connection.execute(NEXT, {"batch": batch, "after": after, "most": most}).all()
    if not lines:
        return 0, 0
    keys = {"slots": [line.slot for line in lines], "accounts": [line.account_id for line in lines]}
    connection.execute(LOCK, keys).all()
    numbers = [line.number for line in lines]
    told = {
        "batch": batch,
        "numbers": numbers,
        "what": "status",
        "staff": staff,
        "reason": reason,
        "now": now,
    }
    return numbers[-1], int(connection.execute(MAKE_ACTIVE, told).scalar_one())


def offer_codes(
    connection: Connection,
    cards: Sequence[BatchCard],
    verifiers: Sequence[bytes],
    *,
    until: datetime,
    now: datetime,
    staff: int | None = None,
    reason: str | None = None,
) -> int:
    """With its code (Keyring.code_verifier) each card's member may set a new PIN once, before `until`.

    Returns how many cards took one: none does that was lost or closed meanwhile.
    """
    keys = [each.card for each in cards if each.card is not None]
    told: dict[str, object] = {
        "slots": [key.slot for key in keys],
        "accounts": [key.account_id for key in keys],
        "cards": [key.id for key in keys],
    }
    connection.execute(LOCK, told).all()
    told |= {"verifiers": list(verifiers), "until": until, "what": "pin_code", "staff": staff}
    return int(connection.execute(OFFER, told | {"reason": reason, "now": now}).scalar_one())


def _batch_of(connection: Connection, job: Job) -> Batch:
    batch = find_batch(connection, job.told["batch"])
    if batch is None:
        raise JobFailed("the batch is not there any more")
    return batch


def _issue(connection: Connection, job: Job, now: datetime) -> Job:
    batch = _batch_of(connection, job)
    done = issue_some(connection, batch, now=now, staff=job.staff_id)
    if done:
        return job.went_on(done=job.done + done)
    after = {"issued": batch.issued, "passed": batch.passed}
    record(
        connection, job.actor, "card_batch.issued", tenant=batch.enterprise_id, kind="card_batch",
        id=batch.id, after=after, now=now,
    )  # fmt: skip
    return job.went_on(state="done", result=after)


def _activate(connection: Connection, job: Job, now: datetime) -> Job:
    if job.told.get("units") is not None:
        connection.execute(NARROW, {"units": f"{{{','.join(map(str, job.told['units']))}}}"})
    batch = _batch_of(connection, job)
    last, became = activate_some(
        connection, batch.id, now=now, staff=job.staff_id, reason=job.told.get("reason"),
        after=job.told.get("after", 0),
    )  # fmt: skip
    active = (job.result or {}).get("active", 0) + became
    if last:
        return job.went_on(
            done=min(last, job.total or last), told=job.told | {"after": last}, result={"active": active}
        )
    record(
        connection, job.actor, "card_batch.activated", tenant=batch.enterprise_id, kind="card_batch",
        id=batch.id, after={"active": active}, now=now,
    )  # fmt: skip
    return job.went_on(state="done", result={"active": active})


STEPS: Steps = {ISSUE: _issue, ACTIVATE: _activate}
"""The work of large batches, for whoever runs jobs."""
