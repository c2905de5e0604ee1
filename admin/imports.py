"""Members from a file: sending it, watching it being checked, what is wrong with it, and entering it."""

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from flask import abort, flash, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _l
from flask_wtf.file import FileField, FileRequired
from wtforms import SelectField

from admin import current, downloads
from admin.access import requires
from admin.forms import MarkedForm, OnceForm
from admin.language import gettext as _
from admin.language import language
from admin.member_words import fault_words, field_name, keys
from admin.members import BIGGEST, asked_enterprise, blueprint, choose_enterprise, own_units
from ledger import imports, jobs, personal
from ledger.database import Connection
from ledger.import_reading import FIELDS, LARGEST, Unreadable, examined
from ledger.imports import ImportFile, ImportLine
from ledger.jobs import Job
from ledger.member_details import enterprises
from ledger.personal import Wrong

__all__ = ["ROOM_FOR_THE_FORM", "allow_files"]

ROOM_FOR_THE_FORM = 64 * 1024  # bytes of an upload that are not the file
GOOD_SHOWN = 5
BAD_SHOWN = 100
FILES_SHOWN = 10

EXAMPLES = (
    ("C-1001", "王小明", "138 1234 5678", "", "京A12345", ""),
    ("C-1002", "Anna Meier", "+41 79 123 45 67", "", "", ""),
)


class FileForm(OnceForm):
    """The file, and where its members belong."""

    file = FileField(
        _l("File"),
        validators=[FileRequired(_l("Choose a file."))],
        description=_l("CSV or XLSX, at most 20 MB and 100,000 lines. The first line names the columns."),
    )
    encoding = SelectField(_l("Encoding of a CSV"), default="")
    unit = SelectField(_l("Unit of lines that name none"), coerce=int)


def allow_files() -> None:
    """Before each request: only where a file is sent may it be as long as one."""
    if request.endpoint == "members.import_file":
        request.max_content_length = LARGEST + ROOM_FOR_THE_FORM


@blueprint.route("/members/import", methods=["GET", "POST"])
@requires("members.import")
def import_file() -> ResponseReturnValue:
    """The form for a file, and the files that were sent before."""
    with current.database().transaction(current.scope()) as connection:
        choice = enterprises(connection)
        enterprise = asked_enterprise(choice)
        if enterprise is not None:
            places, whole = own_units(connection, enterprise, "members.import")
            files = imports.latest_files(connection, tenant=enterprise, staff=_only(), most=FILES_SHOWN)
    if enterprise is None:
        return choose_enterprise("members.import_file")
    form = FileForm()
    form.encoding.choices = [
        ("", _("Find out")), ("utf-8", "UTF-8"), ("gb18030", "GB18030 (GBK)"), ("utf-16", "UTF-16"),
    ]  # fmt: skip
    form.unit.choices = [(place.id, f"{place.name} · {place.code}") for place in places]
    if whole:
        form.unit.choices.insert(0, (0, _("The enterprise itself")))
    if request.method == "GET":
        form.fresh()
    if form.validate_on_submit():
        units = None if whole and current.staff().tenant_kind == "operator" else _units()
        answer = _take(form, enterprise, units)
        if answer is not None:
            return answer
    name = next((each.name for each in choice if each.id == enterprise), current.staff().tenant_name)
    return render_template(
        "members/import.html",
        form=form,
        files=files,
        enterprise=name,
        names=[field_name(field) for field in FIELDS],
    )


def _take(form: FileForm, enterprise: int, units: Sequence[int] | None) -> ResponseReturnValue | None:
    content = form.file.data.read(LARGEST + 1)
    if len(content) > LARGEST:
        form.file.errors = [_("The file is larger than 20 MB. Split it.")]
        return None
    try:
        source = examined(content, form.encoding.data or None)
    except Unreadable as fault:
        form.file.errors = [unreadable_words(f"{fault.word} {fault.detail}")]
        return None
    with current.database().transaction(current.scope()) as connection:
        if not form.claim(connection, enterprise):
            flash(_("This file was sent before, and is not taken twice."), "wait")
            return redirect(url_for("members.import_file", enterprise=enterprise), code=303)
        made = imports.upload(
            connection, keys(), content, source, tenant=enterprise, name=_file_name(form.file.data.filename),
            unit=form.unit.data or None, units=units, actor=current.actor(), now=current.now(),
        )  # fmt: skip
        current.record(
            connection,
            "import.upload",
            tenant=enterprise,
            kind="import",
            id=made,
            after={"bytes": len(content)},
        )
    return redirect(url_for("members.import_one", file=made), code=303)


@blueprint.get("/members/import/template/<fmt>")
@requires("members.import")
def import_template(fmt: str) -> ResponseReturnValue:
    """A file with the names of the columns and two lines to write over."""
    return downloads.answer(fmt, _("Members"), [field_name(field) for field in FIELDS], EXAMPLES)


@blueprint.get(f"/members/import/<int(max={BIGGEST}):file>")
@requires("members.import")
def import_one(file: int) -> ResponseReturnValue:
    """How far a file is; when it is checked, what is in it and what is wrong."""
    with current.database().transaction(current.scope()) as connection:
        found = imports.find_file(connection, file, staff=_only())
        if found is not None:
            job = None if found.job_id is None else jobs.read_job(connection, found.job_id)
            good, bad, refused = _lines(connection, found)
            enterprise = next((e.name for e in enterprises(connection) if e.id == found.tenant_id), "")
    if found is None:
        current.missing("import", file)
    form = MarkedForm()
    form.mark.data = found.state
    return render_template(
        "members/import_file.html",
        file=found,
        job=job,
        state=_state(found, job),
        enterprise=enterprise,
        good=good,
        bad=bad[:BAD_SHOWN],
        refused=refused,
        more=len(bad) > BAD_SHOWN,
        most=BAD_SHOWN,
        may_take=_told_by_me(found),
        form=form,
    )


def _lines(
    connection: Connection, found: imports.ImportFile
) -> tuple[list[imports.ImportLine], list[imports.ImportLine], str | None]:
    """The first good lines of a file that is checked, the bad ones; or why they cannot be shown."""
    if found.state not in {"checked", "entered"}:
        return [], [], None
    try:
        good = imports.good_lines(connection, keys(), found.id, most=GOOD_SHOWN)
        return good, imports.bad_lines(connection, keys(), found.id, most=BAD_SHOWN + 1), None
    except jobs.JobFailed:
        return [], [], _("This file was sealed with another key than today's. Discard it and send it again.")


@blueprint.get(f"/members/import/<int(max={BIGGEST}):file>/state")
@requires("members.import")
def import_state(file: int) -> ResponseReturnValue:
    """For the page's script: how far the work is."""
    with current.database().transaction(current.scope()) as connection:
        found = imports.find_file(connection, file, staff=_only())
        job = None if found is None or found.job_id is None else jobs.read_job(connection, found.job_id)
    if found is None:
        current.missing("import", file)
    answer = jsonify(state=_state(found, job), done=job.done if job else 0, total=job.total if job else None)
    answer.headers["Cache-Control"] = "no-store"
    return answer


@blueprint.post(f"/members/import/<int(max={BIGGEST}):file>/enter")
@requires("members.import")
def import_enter(file: int) -> ResponseReturnValue:
    """Enter the good lines."""

    def act(connection: Connection, found: ImportFile) -> str | None:
        if imports.enter(connection, found, actor=current.actor(), now=current.now()) is None:
            return _("That was asked for before, and nothing is entered twice.")
        current.record(
            connection,
            "import.enter",
            tenant=found.tenant_id,
            kind="import",
            id=file,
            after={"lines": found.good},
        )
        return None

    return _act(file, act)


@blueprint.post(f"/members/import/<int(max={BIGGEST}):file>/resume")
@requires("members.import")
def import_resume(file: int) -> ResponseReturnValue:
    """Go on with work that failed."""

    def act(connection: Connection, found: ImportFile) -> str | None:
        if imports.resume(connection, found, actor=current.actor(), now=current.now()) is None:
            return _("The work is under way, or done.")
        current.record(connection, "import.resume", tenant=found.tenant_id, kind="import", id=file)
        return None

    return _act(file, act)


@blueprint.post(f"/members/import/<int(max={BIGGEST}):file>/discard")
@requires("members.import")
def import_discard(file: int) -> ResponseReturnValue:
    """Forget what the file says."""

    def act(connection: Connection, found: ImportFile) -> str | None:
        if not imports.discard(connection, file, now=current.now()):
            return _("The file is being entered, or is discarded already.")
        current.record(connection, "import.discard", tenant=found.tenant_id, kind="import", id=file)
        return None

    return _act(file, act)


@blueprint.get(f"/members/import/<int(max={BIGGEST}):file>/bad/<fmt>")
@requires("members.import")
def import_bad(file: int, fmt: str) -> ResponseReturnValue:
    """The lines with faults as a file, each with what is wrong: to mend and send again."""
    with current.database().transaction(current.scope()) as connection:
        found = imports.find_file(connection, file, staff=_only())
        if found is not None and not _told_by_me(found):
            abort(403)
        if found is not None:
            current.record(connection, "import.download", tenant=found.tenant_id, kind="import", id=file)
    if found is None:
        current.missing("import", file)
    sealed = keys()

    def page(connection: Connection, last: ImportLine | None) -> Sequence[ImportLine]:
        return imports.bad_lines(connection, sealed, file, after=last.number if last else 0, most=500)

    head = [_("Line"), *(field_name(field) for field in FIELDS), _("What is wrong")]
    rows: Iterator[Sequence[downloads.Cell]] = (
        [line.number, *(line.values.get(field, "") for field in FIELDS), _faults(line)]
        for line in downloads.in_pages(page)
    )
    return downloads.answer(fmt, _("Lines with faults"), head, rows)


@blueprint.app_template_filter("unreadable_words")
def unreadable_words(fault: str) -> str:
    """Why a file cannot be taken as a whole, and what to do."""
    word, _space, detail = fault.partition(" ")
    words: dict[str, Callable[[], str]] = {
        "empty": lambda: _("The file has no lines of members."),
        "encoding": lambda: _(
            "The file is not text in the encoding it was read as. Save it as UTF-8 and send it again, or "
            "choose its encoding."
        ),
        "text": lambda: _("The file is not text. Send a CSV or an XLSX."),
        "quotes": lambda: _(
            "Line %(line)s cannot be read: a quotation mark does not close, or stands inside a cell.",
            line=detail,
        ),
        "header": lambda: _(
            "The first line must name the columns; this one is missing: %(name)s.", name=field_name(detail)
        ),
        "twice": lambda: _("The first line names a column twice: %(name)s.", name=field_name(detail)),
        "unknown": lambda: _(
            "The first line names a column that members do not have: %(name)s. Remove it, or name it as in "
            "the template.", name=detail,
        ),
        "spreadsheet": lambda: _(
            "The spreadsheet cannot be read. Save it as XLSX without a password, or as CSV."
        ),
        "packed": lambda: _("The spreadsheet unpacks to far more than a list of members. Save it as CSV."),
        "too_many": lambda: _("The file has more than 100,000 lines. Split it."),
        "key": lambda: _("The file cannot be opened any more. Send it again."),
    }  # fmt: skip
    return words[word]()


@blueprint.app_template_filter("line_faults")
def _faults(line: ImportLine) -> str:
    return " ".join(f"{field_name(fault.partition('.')[0])}: {fault_words(fault)}" for fault in line.faults)


@blueprint.app_template_filter("line_phone")
def line_phone(line: ImportLine) -> str:
    """The phone of a line, masked where it is one."""
    typed = line.values.get("phone", "")
    try:
        return personal.masked_phone(personal.phone_number(typed))
    except Wrong:
        return typed or "–"


@blueprint.app_template_filter("import_standing")
def import_standing(state: str) -> tuple[str, str]:
    """How a file's state looks (a class of the stylesheet), and its word."""
    shown: dict[str, tuple[str, str]] = {
        "checking": ("open", _("Being checked")),
        "checked": ("open", _("Checked")),
        "unreadable": ("refused", _("Not readable")),
        "entering": ("open", _("Being entered")),
        "entered": ("approved", _("Entered")),
        "discarded": ("idle", _("Discarded")),
    }
    return shown[state]


@blueprint.app_template_filter("read_as_words")
def read_as_words(read_as: str) -> str:
    """csv gb18030 44 as people say it."""
    kind, *rest = read_as.split(" ")
    if kind == "xlsx":
        return "XLSX"
    signs = {"44": _("comma"), "59": _("semicolon"), "9": _("tab")}
    return f"CSV, {rest[0].upper()}, {signs[rest[1]]}"


def _act(file: int, act: Callable[[Connection, ImportFile], str | None]) -> ResponseReturnValue:
    with current.database().transaction(current.scope()) as connection:
        found = imports.find_file(connection, file, staff=_only())
        said = None if found is None else act(connection, found)
    if found is None:
        _missing(file)
    if said is not None:
        flash(said, "wait")
    return redirect(url_for("members.import_one", file=file), code=303)


def _missing(file: int) -> NoReturn:
    current.missing("import", file)


def _state(file: ImportFile, job: Job | None) -> str:
    """The file's state, or that its work failed: when it changes, the page is loaded anew."""
    if file.state in {"checking", "entering"} and job is not None and job.state in {"failed", "stopped"}:
        return f"{file.state} failed"
    return file.state


def _units() -> Sequence[int] | None:
    """The units over which the person imports, None for all of the tenant; the tenant itself is one too."""
    if current.staff().tenant_kind == "operator":
        return None
    rights = current.staff().rights.units
    mine: Any = rights.get("members.import")
    return None if mine is None else sorted(mine)


def _only() -> int | None:
    """Whose files a person sees: those of all, or, with a right over some units only, one's own."""
    return None if _units() is None else current.staff().id


def _told_by_me(file: ImportFile) -> bool:
    """Whether the person may read phones and numbers of a file: they sent them, or may see everybody's."""
    staff = current.staff()
    return file.staff_id == staff.id or "members.personal" in staff.rights


def _file_name(name: str | None) -> str:
    plain = "".join(sign if unicodedata.category(sign)[0] != "C" else "?" for sign in name or "")
    return plain[-100:] or language()
