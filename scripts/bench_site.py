"""How long the site takes for each page with a million members and ten million transactions.

    ./scripts/bench site [--quick] [--keep FOLDER] [--most-ms 200]

Makes such a database in a throw-away folder (or keeps it in FOLDER, and uses it again), in a PostgreSQL of
its own, and asks every page that is read with GET, as staff of the operator, of an enterprise, of a merchant
and of one store: the median of five, in the program itself, without network. A page that takes longer than
it may makes the exit status 1.
"""

import argparse
import gzip
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from admin import Settings, create_app
from ledger import staff
from ledger.database import Database, Scope, is_empty, migrate
from ledger.embedded import DATABASE, OWNER, SITE, SUPERUSER, EmbeddedPostgres
from ledger.keyring import Keyring
from ledger.totals import add_up_next
from scripts.bench_grown import grow
from scripts.bench_world import make_world

__all__ = ["Timing", "main", "pages", "timings"]

PASSWORD = "a long walk in the rain"
TIMES = 5
FULL, QUICK = (1_000_000, 10_000_000), (2_000, 20_000)  # members and transactions
WEIGHT_MOST = 150_000  # bytes of a page, compressed as a proxy sends it

# Today has as many sales as any other day: those of the last day that was closed, once more.
TODAY = """
INSERT INTO transaction (slot, account_id, id, terminal_id, txid, kind, code, posted_at, business_date,
                         enterprise_id, merchant_id, store_id, card_id, card_tail, service_id, price_id,
                         quantity, points, settlement_minor, currency, balance, meaning, detail)
SELECT slot, account_id, nextval('transaction_id_seq'), terminal_id, gen_random_uuid(),
       CASE WHEN id % 50 = 0 THEN 'tombstone' ELSE kind END, CASE WHEN id % 50 = 0 THEN 3009 ELSE 0 END,
       clock_timestamp(), (SELECT date FROM business_day WHERE status = 'open'), enterprise_id, merchant_id,
       store_id, card_id, card_tail, service_id, price_id, quantity,
       CASE WHEN id % 50 = 0 THEN 0 ELSE points END, settlement_minor, currency, balance, meaning, detail
FROM transaction WHERE kind = 'redeem' AND business_date = (
    SELECT max(business_date) FROM transaction WHERE detail = 'grown')
"""
PEOPLE = """
SELECT (SELECT id FROM organisation WHERE kind = 'operator'),
       (SELECT min(id) FROM organisation WHERE kind = 'enterprise' AND code LIKE 'GROWN-%'),
       (SELECT min(id) FROM organisation WHERE kind = 'merchant' AND code LIKE 'GROWN-%')
"""
SAMPLES = """
SELECT t.id AS transaction, t.txid, t.terminal_id AS terminal, t.store_id AS store, c.number AS card,
       m.id AS member, m.code, t.merchant_id AS merchant, t.enterprise_id AS enterprise,
       t.service_id AS service
FROM transaction t JOIN card c ON c.slot = t.slot AND c.account_id = t.account_id AND c.id = t.card_id
JOIN account a ON a.slot = t.slot AND a.id = t.account_id JOIN member m ON m.id = a.member_id
WHERE t.kind = 'redeem' AND t.enterprise_id = :enterprise AND t.merchant_id = :merchant
ORDER BY t.id DESC LIMIT 1
"""
SEARCHES = (
    "before={transaction}", "outcome=refused", "kind=refund", "kind=redeem&points_from=1", "points_from=999",
    "card={card}", "member={code}", "merchant={merchant}", "store=%23{store}", "terminal=%23{terminal}",
    "service=grown&points_to=1", "no={transaction}", "txid={txid}", "since={day}&until={day}",
    "posted_from={day}T10:00&posted_to={day}T11:00&points_from=13", "enterprise={enterprise}&kind=hold",
    "reference=nothing",
)  # fmt: skip


class Timing(NamedTuple):
    """One page: who asked, its address, milliseconds (median), bytes and compressed bytes, and its status."""

    who: str
    path: str
    ms: float
    size: int
    weight: int
    status: int


def main(arguments: list[str] | None = None) -> int:
    """0 when every page is quick and light enough."""
    parser = argparse.ArgumentParser(prog="./scripts/bench site", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small database, to see that all works")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    parser.add_argument("--most-ms", type=float, default=200.0)
    options = parser.parse_args(arguments)
    members, transactions = QUICK if options.quick else FULL
    with _folder(options.keep) as folder, EmbeddedPostgres(folder / "postgresql") as postgres:
        app, database = _prepare(postgres, folder, members, transactions)
        try:
            found = timings(app, database, _said)
        finally:
            database.close()
    print(table(found))
    slow = [
        each for each in found if each.ms > options.most_ms or each.weight > WEIGHT_MOST or each.status >= 500
    ]
    print(f"{len(found)} pages, {len(slow)} of them too slow, too heavy or broken.")
    return 1 if slow else 0


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        keep.chmod(0o711)
        yield keep.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="tessera-site-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def _prepare(
    postgres: EmbeddedPostgres, folder: Path, members: int, transactions: int
) -> tuple[Flask, Database]:
    """The database with all its rows, unless it is there, and the site on it."""
    migrate(postgres.url(OWNER))
    if not (folder / "secrets").exists():
        Keyring.create(folder / "secrets", os.urandom)
    database = Database(postgres.url(SITE), pool_size=3)
    with database.transaction(Scope.everything()) as connection:
        empty = is_empty(connection)
    if empty:
        make_world(database, Keyring.load(folder / "secrets"), terminals=4, idle=4, holders=20, others=4)
        grow(postgres, accounts=members, transactions=transactions, say=_said)
        with psycopg.connect(postgres.url(SUPERUSER, DATABASE)) as superuser:
            superuser.execute("SET session_replication_role = replica")
            superuser.execute(TODAY)
        with psycopg.connect(postgres.url(SUPERUSER, DATABASE), autocommit=True) as superuser:
            superuser.execute("VACUUM ANALYZE transaction")
        _enter_people(database)
    while True:
        with database.transaction(Scope.everything()) as connection:
            if add_up_next(connection, datetime.now(UTC)) is None:
                break
    with psycopg.connect(postgres.url(SUPERUSER, DATABASE), autocommit=True) as superuser:
        superuser.execute("VACUUM ANALYZE day_total")
    settings = Settings(database_url=postgres.url(SITE), secrets=folder / "secrets")
    return create_app(settings, database), database


def _enter_people(database: Database) -> None:
    with database.transaction(Scope.everything()) as connection:
        tenants = connection.execute(text(PEOPLE)).one()
        for login, tenant in zip(("operator", "enterprise", "merchant"), tenants, strict=True):
            staff.create_staff(connection, organisation_id=tenant, login=login, name=login, password=PASSWORD)
        keeper = staff.create_staff(
            connection,
            organisation_id=tenants[2],
            login="store",
            name="store",
            password=PASSWORD,
            ready_made=None,
        )
        connection.execute(
            text(
                "INSERT INTO assignment (tenant_id, staff_id, ready_made, organisation_id, reach)"
                " SELECT tenant_id, :keeper, 'store_keeper', id, 'unit' FROM organisation"
                " WHERE tenant_id = :merchant AND kind = 'store' LIMIT 1"
            ),
            {"keeper": keeper, "merchant": tenants[2]},
        )


def timings(app: Flask, database: Database, say: Callable[[str], None]) -> list[Timing]:
    """Every page for each kind of person, the slowest first."""
    found = []
    with database.transaction(Scope.everything()) as connection:
        tenants = connection.execute(text(PEOPLE)).one()
        asked = {"enterprise": tenants[1], "merchant": tenants[2]}
        sample = connection.execute(text(SAMPLES), asked).one()._asdict()
        sample["day"] = connection.execute(text("SELECT max(date) - 40 FROM business_day")).scalar_one()
    for who in ("operator", "enterprise", "merchant", "store"):
        say(f"pages of {who}")
        client = _signed_in(app, who)
        found += [_time(client, who, path) for path in pages(app, sample)]
    found = [each for each in found if each.status not in {403, 404, 405}]
    return sorted(found, key=lambda each: -each.ms)


def pages(app: Flask, sample: dict[str, Any]) -> list[str]:
    """The addresses of all pages that are read with GET, with the numbers of rows that exist."""
    paths = []
    for rule in app.url_map.iter_rules():
        if "GET" not in (rule.methods or set()) or rule.endpoint.endswith("static"):
            continue
        if re.search(r"file|export|download|sheet|logout", rule.rule):  # as long as what they hold
            continue
        paths.append(_filled(rule.rule, sample))
    paths += [f"/transactions?{search.format(**sample)}" for search in SEARCHES]
    paths += [f"/?days={days}" for days in (7, 90)]
    paths += [f"/find?q={sample[name]}" for name in ("code", "card", "txid", "transaction")]
    return sorted(set(paths))


def _filled(rule: str, sample: dict[str, Any]) -> str:
    """A rule with the number of a row for every part that varies."""

    def value(found: re.Match[str]) -> str:
        name = {"number": "card"}.get(found[1], found[1])
        return str(sample.get(name, sample["merchant"]))

    return re.sub(r"<(?:[^:<>]*:)?([^<>]+)>", value, rule)


def _signed_in(app: Flask, who: str) -> FlaskClient:
    client = app.test_client()
    page = client.get("/login").text
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert token
    answer = client.post("/login", data={"csrf_token": token[1], "login": who, "password": PASSWORD})
    assert answer.status_code == 303, (
        who,
        answer.status_code,
        re.sub(r"<[^>]+>|\s+", " ", answer.text)[-600:],
    )
    return client


def _time(client: FlaskClient, who: str, path: str) -> Timing:
    taken = []
    for _ in range(TIMES):
        began = time.perf_counter()
        answer = client.get(path, buffered=True)
        taken.append((time.perf_counter() - began) * 1000)
    return Timing(
        who,
        path,
        statistics.median(taken),
        len(answer.data),
        len(gzip.compress(answer.data)),
        answer.status_code,
    )


def table(found: list[Timing]) -> str:
    """The timings as a table in Markdown."""
    lines = ["| ms | kB | kB gzip | status | who | page |", "| ---: | ---: | ---: | ---: | --- | --- |"]
    lines += [
        f"| {each.ms:.0f} | {each.size / 1000:.0f} | {each.weight / 1000:.1f} | {each.status} | {each.who}"
        f" | {each.path} |"
        for each in found
    ]
    return "\n".join(lines)


def _said(line: str) -> None:
    sys.stderr.write(f"{datetime.now(UTC):%H:%M:%S} {line}\n")


if __name__ == "__main__":
    sys.exit(main())
