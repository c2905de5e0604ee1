"""What a person may do, and over which units: read from the roles that they hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from ledger.permissions import PERMISSIONS, READY_MADE

__all__ = ["Rights", "assign", "rights_of"]

# A unit and all below it. OFFSET keeps it to the index, unit by unit: without statistics of the table the
# planner would compare every unit with every other.
HELD = text(
    """SELECT a.ready_made, r.permissions, a.reach,
              CASE a.reach WHEN 'unit' THEN ARRAY[a.organisation_id] WHEN 'below' THEN ARRAY(
                  WITH RECURSIVE below AS (
                      SELECT a.organisation_id AS id
                      UNION ALL
                      SELECT o.id FROM below b, LATERAL (
                          SELECT id FROM organisation
                          WHERE tenant_id = a.tenant_id AND parent_id = b.id OFFSET 0
                      ) o
                  ) SELECT id FROM below) END AS units
       FROM assignment a LEFT JOIN role r ON r.tenant_id = a.tenant_id AND r.id = a.role_id
       WHERE a.staff_id = :staff"""
)
ASSIGN = text(
    """INSERT INTO assignment (tenant_id, staff_id, ready_made, role_id, organisation_id, reach)
       SELECT tenant_id, id, :ready_made, :role, coalesce(:unit, organisation_id), :reach
       FROM staff WHERE id = :staff RETURNING id"""
)


@dataclass(frozen=True, slots=True)
class Rights:
    """By permission the units that it is held over; None stands for the whole tenant."""

    units: Mapping[str, frozenset[int] | None] = field(default_factory=dict)

    def __contains__(self, permission: str) -> bool:
        return permission in self.units

    def whole(self, permission: str) -> bool:
        """Whether a permission is held over the whole tenant."""
        return permission in self.units and self.units[permission] is None

    def covers(self, other: "Rights") -> bool:
        """Whether these are no less than `other`: nobody gives away what they do not have."""
        for permission, units in other.units.items():
            if permission not in self.units:
                return False
            own = self.units[permission]
            if own is not None and (units is None or not units <= own):
                return False
        return True


def rights_of(connection: Connection, staff: int, tenant_kind: str) -> Rights:
    """The union of the roles that a person holds, of permissions that make sense for their kind of tenant."""
    found: dict[str, frozenset[int] | None] = {}
    sensible, ready = PERMISSIONS[tenant_kind], READY_MADE[tenant_kind]
    for ready_made, own, reach, units in connection.execute(HELD, {"staff": staff}):
        permissions = ready.get(ready_made, frozenset()) if ready_made else frozenset(own)
        for permission in permissions & sensible:
            before = found.get(permission, frozenset())
            found[permission] = None if reach == "tenant" or before is None else before | frozenset(units)
    return Rights(found)


def assign(
    connection: Connection,
    staff: int,
    *,
    reach: str,
    ready_made: str | None = None,
    role: int | None = None,
    unit: int | None = None,
) -> int:
    """Give a person a role, ready made or of their tenant's own, at `unit` (their own unless said).

    Returns the assignment's id. Whether the giver may is for the caller to ask (Rights.covers).
    """
    told = {"staff": staff, "reach": reach, "ready_made": ready_made, "role": role, "unit": unit}
    new: int = connection.execute(ASSIGN, told).scalar_one()
    return new
