"""What every table shares: names of constraints, types of columns, and the sequences that key the books."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, DateTime, LargeBinary, MetaData, Sequence, Text
from sqlalchemy.orm import DeclarativeBase

__all__ = [
    "ACCOUNT_ID", "CARD_ID", "LOT_ID", "OFFICE_TERMINAL", "SLOTS", "TRANSACTION_ID", "Base", "one_of",
]  # fmt: skip

SLOTS = 256  # enough to spread over any number of shards, few enough to list
OFFICE_TERMINAL = 0  # what the site and jobs post as: a terminal without a key

NAMES = {
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "pk": "%(table_name)s_pkey",
}


def one_of(column: str, *words: str) -> CheckConstraint:
    """A text column that holds one of a few words."""
    return CheckConstraint(f"{column} IN ({', '.join(repr(word) for word in words)})", name=column)


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        int: BigInteger,
        str: Text,
        bytes: LargeBinary,
        datetime: DateTime(timezone=True),
    }


TRANSACTION_ID = Sequence("transaction_id_seq", metadata=Base.metadata, cache=1, data_type=BigInteger)
LOT_ID = Sequence("lot_id_seq", metadata=Base.metadata, data_type=BigInteger)
ACCOUNT_ID = Sequence("account_id_seq", metadata=Base.metadata, data_type=BigInteger)
CARD_ID = Sequence("card_id_seq", metadata=Base.metadata, data_type=BigInteger)
