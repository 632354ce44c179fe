"""Erasing a screening for somebody who asked for it in another way than with its address."""

from flask import redirect, url_for
from flask.typing import ResponseReturnValue

from webapp.account.access import requires
from webapp.admin.blueprint import blueprint
from webapp.admin.case import find_case
from webapp.models.user import Role
from webapp.screening.erasing import erase


@blueprint.post("/screenings/<int(max=9223372036854775807):screening_id>/delete")
@requires(Role.ADMIN)
def erase_case(screening_id: int) -> ResponseReturnValue:
    """Erase photos and result for good, as the person could; the audit log tells who did it. Twice does no harm."""
    row = find_case(screening_id)
    erase(row.id, by_staff=row.deleted_at is None)
    return redirect(url_for("admin.case", screening_id=row.id), 303)
