"""Persons behind members: what identifies them, sealed; what they are found by; notes; files of members."""

from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from ledger.model.base import Base, one_of


class Person(Base):
    """Phone and identity number of a member, sealed (ledger.personal); each `…_key` is a keyed hash of it.

    None of both: no row. Within an enterprise two members share neither.
    """

    __tablename__ = "person"
    __table_args__ = (
        UniqueConstraint("phone_key", "enterprise_id"),
        UniqueConstraint("identity_key", "enterprise_id"),
        CheckConstraint("(phone IS NULL) = (phone_key IS NULL) AND length(phone_key) = 16", name="phone"),
        CheckConstraint(
            "(identity IS NULL) = (identity_key IS NULL) AND length(identity_key) = 16", name="identity"
        ),
    )
    member_id: Mapped[int] = mapped_column(ForeignKey("member.id"), primary_key=True, autoincrement=False)
    enterprise_id: Mapped[int]
    phone: Mapped[bytes | None]
    phone_key: Mapped[bytes | None]
    identity: Mapped[bytes | None]
    identity_key: Mapped[bytes | None]


class MemberWord(Base):
    """What a member is found by, from its beginning: the code, and the name from each of its words on.

    Rows of their own and not an expression's index: beneath row level security PostgreSQL uses an index only
    for plain comparisons of a column.
    """

    __tablename__ = "member_word"
    __table_args__ = (
        Index("member_word_word_idx", "word", "member_id"),
        Index("member_word_enterprise_id_idx", "enterprise_id", "word", "member_id"),
    )
    member_id: Mapped[int] = mapped_column(ForeignKey("member.id"), primary_key=True)
    word: Mapped[str] = mapped_column(primary_key=True)
    enterprise_id: Mapped[int]


class MemberPlate(Base):
    """The plate of a member's car, in capitals, without spaces and dots."""

    __tablename__ = "member_plate"
    __table_args__ = (
        CheckConstraint("length(plate) BETWEEN 2 AND 12", name="plate"),
        Index("member_plate_plate_idx", "plate", "member_id"),
    )
    member_id: Mapped[int] = mapped_column(ForeignKey("member.id"), primary_key=True)
    plate: Mapped[str] = mapped_column(primary_key=True)
    enterprise_id: Mapped[int]


class MemberNote(Base):
    """What staff wrote down about a member, sealed. Never changed; gone when the person is erased."""

    __tablename__ = "member_note"
    __table_args__ = (Index("member_note_member_id_idx", "member_id", "id"),)
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("member.id"))
    enterprise_id: Mapped[int]
    note: Mapped[bytes]
    staff_id: Mapped[int | None]
    staff_name: Mapped[str]
    written_at: Mapped[datetime]


class ImportFile(Base):
    """A file of members on its way in. `content` is sealed, and gone when the lines have been read.

    `organisation_id`: the unit that gets the members whose line names none. `read_as`: what the file was
    found to be, such as `csv gb18030`. `fault`: why it cannot be read.
    """

    __tablename__ = "import_file"
    __table_args__ = (
        one_of("state", "checking", "checked", "unreadable", "entering", "entered", "discarded"),
        CheckConstraint("good >= 0 AND bad >= 0 AND entered BETWEEN 0 AND good", name="lines"),
        UniqueConstraint("tenant_id", "id"),
        ForeignKeyConstraint(["tenant_id", "organisation_id"], ["organisation.tenant_id", "organisation.id"]),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    tenant_id: Mapped[int]
    organisation_id: Mapped[int | None]
    name: Mapped[str]
    content: Mapped[bytes | None]
    read_as: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="checking")
    fault: Mapped[str | None]
    good: Mapped[int] = mapped_column(server_default="0")
    bad: Mapped[int] = mapped_column(server_default="0")
    entered: Mapped[int] = mapped_column(server_default="0")
    job_id: Mapped[int | None] = mapped_column(ForeignKey("job.id"))
    staff_id: Mapped[int | None]
    staff_name: Mapped[str]
    uploaded_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class ImportLine(Base):
    """A line of such a file: `told` is what it says, sealed. Gone as soon as its member is entered."""

    __tablename__ = "import_line"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "file_id"], ["import_file.tenant_id", "import_file.id"]),
        Index("import_line_code_idx", "file_id", "code"),
        Index(
            "import_line_phone_idx", "file_id", "phone_key", postgresql_where=text("phone_key IS NOT NULL")
        ),
        Index(
            "import_line_identity_idx", "file_id", "identity_key",
            postgresql_where=text("identity_key IS NOT NULL"),
        ),
        Index("import_line_bad_idx", "file_id", "number", postgresql_where=text("faults <> '{}'")),
    )  # fmt: skip
    file_id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int]
    code: Mapped[str | None]
    phone_key: Mapped[bytes | None]
    identity_key: Mapped[bytes | None]
    told: Mapped[bytes]
    faults: Mapped[list[str]] = mapped_column(ARRAY(Text))
