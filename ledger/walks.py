"""The ways along which transactions are read: each an index backwards, from the newest, for one asker.

Row comparisons and not equality: only the index that is meant can answer them in order, so the planner
never takes the index on the id alone, along which a small tenant's few rows lie among everybody's millions.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["NO_BOUND", "Kind", "Walk", "Whose", "walk_of"]

NO_BOUND = 2**63 - 1  # above every id

Kind: TypeAlias = Literal["operator", "enterprise", "merchant"]


@dataclass(frozen=True, slots=True)
class Whose:
    """Who asks: the tenant, what kind it is, and whether the scope names units and shows less than all."""

    tenant_id: int
    kind: Kind
    narrowed: bool = False

    @property
    def everybody(self) -> bool:
        """Whether every tenant's rows are seen."""
        return self.kind == "operator"


@dataclass(frozen=True, slots=True)
class Walk:
    """`where`, in which :walk is the number that leads the index and :before and :least bound the ids."""

    where: str
    order: str


def _along(column: str, more: str = "") -> Walk:
    return Walk(
        f"{more}({column}, id) < (CAST(:walk AS bigint), CAST(:before AS bigint))"
        f" AND ({column}, id) >= (CAST(:walk AS bigint), CAST(:least AS bigint))",
        f"{column} DESC, id DESC",
    )


EVERYTHING = Walk("id < CAST(:before AS bigint) AND id >= CAST(:least AS bigint)", "id DESC")
ENTERPRISE = _along("enterprise_id")
MERCHANT = _along("merchant_id", "merchant_id IS NOT NULL AND ")


def walk_of(kind: Kind) -> Walk:
    """How the rows of a tenant are read; `walk` is then its id."""
    return {"operator": EVERYTHING, "enterprise": ENTERPRISE, "merchant": MERCHANT}[kind]
