"""The code with which a device becomes a terminal: shown once, as text and as QR."""

from datetime import datetime, timedelta

import segno
from flask import abort, render_template
from markupsafe import Markup

from admin import current
from admin.forms import MarkedForm
from ledger.keyring import Keyring
from ledger.terminal_lists import TerminalLine
from protocol.credentials import enrolment_code
from protocol.noise import KeyPair
from protocol.session import Enrolment

__all__ = ["CODE_LASTS", "code_page", "enrolment_id_of", "new_mark"]

CODE_LASTS = timedelta(days=7)  # a device takes some days to reach its shop
ENROLMENT_ID_BYTES = 16
QUIET_ZONE = 4  # modules of white around a QR code, as ISO/IEC 18004 asks


def new_mark() -> str:
    """The mark of a form that makes one enrolment: the enrolment's id."""
    return current.random_bytes(ENROLMENT_ID_BYTES).hex()


def enrolment_id_of(form: MarkedForm) -> bytes:
    """The enrolment that a form makes. 400 for a form that is not ours."""
    try:
        enrolment_id = bytes.fromhex(form.mark.data or "")
    except ValueError:
        abort(400)
    if len(enrolment_id) != ENROLMENT_ID_BYTES:
        abort(400)
    return enrolment_id


def code_page(line: TerminalLine, enrolment_id: bytes, until: datetime) -> str:
    """The page that shows a terminal's code. The keys are read now: the server's may have changed."""
    settings = current.settings()
    keyring = Keyring.load(settings.secrets)
    key_id = keyring.current_key_id
    code = enrolment_code(
        Enrolment(enrolment_id, keyring.enrolment_secret(enrolment_id)),
        KeyPair.from_private(keyring.server_keys[key_id]).public,
        key_id,
        settings.server_name,
        settings.server_port,
    )
    picture = segno.make(code, micro=False).svg_inline(
        border=QUIET_ZONE, omitsize=True, svgclass="qr", lineclass=None, dark="#000", light="#fff"
    )
    return render_template(
        "terminals/code.html",
        line=line,
        code=code,
        picture=Markup(picture),  # noqa: S704 - segno's own drawing; the code has letters and digits only
        until=until,
        server=f"{settings.server_name}:{settings.server_port}",
    )
