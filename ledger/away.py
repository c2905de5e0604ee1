"""The errors that mean: the database cannot serve this now, later it may. For programs that know no SQLAlchemy."""

from sqlalchemy.exc import InterfaceError, OperationalError, TimeoutError

__all__ = ["DATABASE_AWAY"]

# Not reachable or gone in the middle; a lock or a statement given up; no free connection in time.
DATABASE_AWAY: tuple[type[Exception], ...] = (OperationalError, InterfaceError, TimeoutError)
