"""The other side of the bench: pgbench, and one stored function call a debit, each a transaction of its own.

`bench_baseline.sql` has the function, with what it does and what it leaves out. Its callers are as light as
can be: pgbench beside the database, over the unix socket, statements prepared, no encryption. They log in as
the server does, and spend from the same members at the same terminals.
"""

import re
import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from ledger.embedded import DATABASE, OWNER, SERVER, EmbeddedPostgres
from ledger.embedded_seat import find_binaries

__all__ = ["Baseline", "BaselineRound"]

SQL = Path(__file__).with_suffix(".sql")

# Cards of the first accounts, whose PIN proof is known: what proves a PIN is what is stored of it.
FIND_MEMBERS = """
INSERT INTO bench.member
SELECT row_number() OVER (ORDER BY account_id, id), slot, account_id, id, issue, pin_verifier
FROM (SELECT * FROM card WHERE status = 'active' AND pin_verifier IS NOT NULL
      ORDER BY account_id, id LIMIT %s) c"""
FIND_TERMINALS = """
INSERT INTO bench.terminal
SELECT row_number() OVER (ORDER BY id) - 1, id
FROM (SELECT id FROM terminal WHERE status = 'active' AND kind <> 'office' ORDER BY id LIMIT %s) t"""
MEMBER_OF = "SELECT min(number) FROM bench.member WHERE account = %s"
NEWEST = "SELECT coalesce(max(id), 0) FROM transaction"
BOOKED = """
SELECT count(*), count(*) FILTER (WHERE code <> 0), min(code) FILTER (WHERE code <> 0)
FROM transaction WHERE id > %s AND kind = 'redeem'"""
# Too few rows for autovacuum to look at; unless told, the planner takes them for many and uses indexes.
ANALYZE = "ANALYZE bench.member, bench.terminal, business_day, organisation, price, service, terminal"

# A client asks once which terminal it is; pgbench keeps its variables from one transaction to the next.
SCRIPT = """
\\if :terminal = 0
SELECT id AS terminal FROM bench.terminal
WHERE number = :client_id % (SELECT count(*) FROM bench.terminal) \\gset
\\endif
\\set number random(:first, :last)
SELECT bench.redeem(slot, account, card, issue, :terminal, gen_random_uuid(), proof, :service, 1, NULL,
                    clock_timestamp(), 1, 1, uuid_send(gen_random_uuid()))
FROM bench.member WHERE number = :number;
"""

LEAD_IN_S = 1  # not counted: every connection reads the catalogue and plans its statements first
PATIENCE_S = 60  # beyond the time asked for
THREADS = 2  # of pgbench; it needs a fiftieth of the processors, so more would not help, and one could queue


@dataclass(frozen=True)
class BaselineRound:
    """One measurement: `debits` within `elapsed_s`. `booked` are all debits, those of the lead-in too."""

    debits: int
    elapsed_s: float
    booked: int
    refused: int = 0

    @property
    def per_second(self) -> float:
        return self.debits / self.elapsed_s


class Baseline:
    """Debits by pgbench from the first `members` members, at the first `terminals` terminals of a database.

    They are found when `prepare` is called, so call it when they are there, and before the database is
    made to grow; once more, and it finds them anew. Raises SystemExit, with one sentence, whenever there is
    nothing that could be measured, be it that one debit was refused.
    """

    def __init__(
        self,
        postgres: EmbeddedPostgres,
        members: int,
        *,
        terminals: int = 64,
        service: str = "wash",
        database: str = DATABASE,
    ) -> None:
        self._owner = postgres.url(OWNER, database)
        self._server = postgres.url(SERVER, database)
        self._members = members
        self._terminals = terminals
        self._service = service

    def prepare(self) -> None:
        """Make the schema `bench`: the function, and who may spend where."""
        with psycopg.connect(self._owner) as connection:
            connection.execute(SQL.read_text(encoding="utf-8"))
        # Row level security lets the owner see no row of the product; the server sees them all.
        with psycopg.connect(self._server) as connection:
            members = connection.execute(FIND_MEMBERS, (self._members,)).rowcount
            terminals = connection.execute(FIND_TERMINALS, (self._terminals,)).rowcount
        if members < self._members or terminals == 0:
            raise SystemExit(
                f"the baseline wants {self._members} active cards with a PIN and a terminal,"
                f" and finds {members} cards and {terminals} terminals"
            )
        with psycopg.connect(self._owner, autocommit=True) as connection:
            connection.execute(ANALYZE)

    def run(self, seconds: int, clients: int, account: int | None = None) -> BaselineRound:
        """Debits for `seconds`, one in flight a client; from random members, or all from one `account`."""
        with psycopg.connect(self._server, autocommit=True) as connection:
            first, last = 1, self._members
            if account is not None:
                ((number,),) = connection.execute(MEMBER_OF, (account,)).fetchall()
                if number is None:
                    raise SystemExit(f"the baseline: account {account} is none of its {last} members")
                first = last = number
            ((newest,),) = connection.execute(NEWEST).fetchall()
            said = self._pgbench(seconds + LEAD_IN_S, clients, {"first": first, "last": last})
            ((rows, refused, code),) = connection.execute(BOOKED, (newest,)).fetchall()
        if refused:
            raise SystemExit(
                f"the baseline: {refused} of {rows} debits were refused, with code {code} or above"
            )
        return _measured(said, rows)

    def _pgbench(self, seconds: int, clients: int, variables: dict[str, int]) -> str:
        """What pgbench says, its progress every second included."""
        address = conninfo_to_dict(self._server)
        defined = {**variables, "service": self._service, "terminal": 0}
        command = [
            str(find_binaries() / "pgbench"), "--no-vacuum", "--protocol=prepared", "--exit-on-abort",
            f"--client={clients}", f"--jobs={min(THREADS, clients)}", f"--time={seconds}",
            "--progress=1", "--progress-timestamp", "--file=-",
            *(f"--define={name}={value}" for name, value in defined.items()),
        ]  # fmt: skip
        environment = {
            "PATH": "/usr/bin:/bin",
            "LC_ALL": "C",
            "PGHOST": str(address["host"]),
            "PGDATABASE": str(address["dbname"]),
            "PGUSER": str(address["user"]),
            "PGPASSWORD": str(address["password"]),
            # Otherwise each connection plans everything five times before it keeps the very same plans.
            "PGOPTIONS": "-c plan_cache_mode=force_generic_plan",
        }
        try:
            ended = subprocess.run(
                command, check=False, input=SCRIPT, capture_output=True, text=True, env=environment,
                timeout=seconds + PATIENCE_S,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise SystemExit(f"the baseline: pgbench did not end within {error.timeout:.0f} s") from error
        except OSError as error:
            raise SystemExit(f"the baseline: pgbench cannot be started: {error}") from error
        if ended.returncode != 0:
            raise SystemExit(f"the baseline: pgbench failed: {_complaint(ended.stderr)}")
        return ended.stderr + ended.stdout


def _measured(said: str, rows: int) -> BaselineRound:
    """The round that pgbench tells of; `rows` is what the table gained meanwhile."""
    processed = re.search(r"^number of transactions actually processed: (\d+)", said, re.MULTILINE)
    overall = re.search(r"^tps = ([\d.]+) \(without initial connection time\)", said, re.MULTILINE)
    if processed is None or overall is None or float(overall[1]) == 0:
        raise SystemExit(f"the baseline: pgbench said nothing that could be read: {said.strip()[-200:]}")
    if int(processed[1]) != rows:
        raise SystemExit(f"the baseline: pgbench did {processed[1]} debits, and the books have {rows}")
    progress = [
        (float(moment), float(rate))
        for moment, rate in re.findall(r"^progress: ([\d.]+) s, ([\d.]+) tps", said, re.MULTILINE)
    ]
    # Each line tells the rate since the one before it; what was before the first is the lead-in.
    spans = [(later - earlier, rate) for (earlier, _), (later, rate) in pairwise(progress)]
    if not spans:
        return BaselineRound(rows, rows / float(overall[1]), rows)
    debits = round(sum(seconds * rate for seconds, rate in spans))
    return BaselineRound(debits, sum(seconds for seconds, _ in spans), rows)


def _complaint(said: str) -> str:
    """The line of pgbench's that says why."""
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith("progress:")]
    telling = [line for line in lines if "error:" in line or "ERROR" in line]
    return (telling or lines or ["it said nothing"])[0]
