"""What tests of members and of their import need, as in tests.factories."""

import itertools
import os

from sqlalchemy import Connection

from ledger import imports, jobs, member_desk
from ledger.import_reading import examined
from ledger.import_steps import Importing
from ledger.personal import PersonalKeys
from ledger.trail import Actor
from tests.factories import NOW, House, create_keyring

_numbers = itertools.count(1)


def create_known_member(connection: Connection, house: House) -> int:
    """A member of whom everything is told, and another one on the way in from a file."""
    keys = PersonalKeys(create_keyring().personal_key, os.urandom)
    number = next(_numbers)
    data = member_desk.MemberData(
        code=f"K{number}", name=f"Known {number}", phone=f"+86138{number:08d}", plates=("京A12345",)
    )
    (member,) = member_desk.enter_members(connection, keys, house.enterprise, [data])
    member_desk.add_note(connection, keys, member, "A note", staff=None, staff_name="Ann", now=NOW)
    content, actor = create_member_file(1), Actor(None, "Ann")
    file = imports.upload(
        connection, keys, content, examined(content), tenant=house.enterprise, name="a.csv", unit=None,
        units=None, actor=actor, now=NOW,
    )  # fmt: skip
    job = jobs.tenant_jobs(connection, tenant=house.enterprise, kind=imports.CHECK, most=1)[0]
    assert Importing(keys).check(connection, job, NOW).told["file"] == file
    return member


def create_member_file(lines: int) -> bytes:
    """A CSV of members to import: code, name and phone of each, all different."""
    rows = (f"N{number},Member {number},+861380000{number:04d}" for number in range(lines))
    return "\n".join(["code,name,phone", *rows]).encode()
