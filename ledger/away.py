"""The errors that mean: the database cannot serve this now, but may later. For rooms without SQLAlchemy."""

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

__all__ = ["DATABASE_AWAY"]

# Not reachable or gone in the middle; a lock or a statement given up; no free connection in time.
DATABASE_AWAY: tuple[type[Exception], ...] = (OperationalError, InterfaceError, PoolTimeout)
