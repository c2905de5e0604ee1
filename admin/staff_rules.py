"""What a tenant asks of its staff's logins: a second factor, of nobody, of administrators, or of all."""

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from admin import current
from admin.access import requires
from admin.language import gettext as _
from admin.staff import chosen_tenant, giver
from admin.staff_forms import BEYOND, RuleForm
from ledger.administration import Beyond
from ledger.second_factor import RULES, rule_of, set_rule

__all__ = ["blueprint"]

blueprint = Blueprint("staff_rules", __name__)


def rule_words(rule: str) -> str:
    """Of whom a second factor is asked."""
    return {
        "free": _("Nobody: each decides for themselves"),
        "administrators": _("Whoever manages staff or roles"),
        "everybody": _("Everybody"),
    }[rule]


@blueprint.route("/staff/rule", methods=["GET", "POST"])
@requires("roles.change")
def rule() -> ResponseReturnValue:
    """See and change it."""
    tenant, form = chosen_tenant(), RuleForm()
    with current.database().transaction(current.scope()) as connection:
        before = rule_of(connection, tenant.id)
    form.rule.choices = [(rule, rule_words(rule)) for rule in RULES]
    if not form.is_submitted():
        form.mark.data = form.rule.data = before
    if not form.validate_on_submit():
        return render_template("staff/rule.html", form=form, tenant=tenant)
    if form.mark.data != before:
        form.mark.data = before
        changed = _("Somebody has changed this since you opened the form. Look again, then save.")
        return render_template("staff/rule.html", form=form, tenant=tenant, refused=changed), 409
    try:
        with current.database().transaction(current.scope()) as connection:
            set_rule(connection, giver(), tenant.id, form.rule.data)
            current.record(
                connection, "staff.second_factor", tenant=tenant.id, kind="organisation", id=tenant.id,
                before={"rule": before}, after={"rule": form.rule.data},
            )  # fmt: skip
    except Beyond:
        return render_template("staff/rule.html", form=form, tenant=tenant, refused=BEYOND), 403
    flash(_("Saved."))
    return redirect(url_for("staff.overview", tenant=tenant.id), code=303)
