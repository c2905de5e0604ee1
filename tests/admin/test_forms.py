"""What forms of this site have in common."""

import pytest
from werkzeug.datastructures import MultiDict
from wtforms import DateField, StringField
from wtforms.validators import Optional

from admin.forms import MarkedForm, plain, trimmed
from tests.admin.conftest import Site


class Dated(MarkedForm):
    day = DateField(validators=[Optional()])


class Words(MarkedForm):
    words = StringField(filters=[trimmed], validators=[plain])


def filled(site: Site, typed: str) -> tuple[str, bool]:
    """What the form holds, and whether it takes it."""
    with site.app.test_request_context(method="POST"):
        form = Words(MultiDict({"words": typed, "mark": "active.1"}), meta={"csrf": False})
        valid = form.validate()
        assert form.mark.data == "active.1"
        return form.words.data, valid


@pytest.mark.parametrize("typed", ["", "Left in a taxi", "丢失", "50% – it's <b>", "Zoë 🙂"])
def test_words_in_one_line_are_taken_as_they_are(site: Site, typed: str) -> None:
    assert filled(site, typed) == (typed, True)


@pytest.mark.parametrize("typed", ["a\nb", "a\rb", "a\x00b", "a\tb", "\x1b[0m!", "\x7fx", "\ud800x"])
def test_control_characters_are_not(site: Site, typed: str) -> None:
    assert filled(site, typed)[1] is False


def test_white_space_around_is_no_part_of_it(site: Site) -> None:
    assert filled(site, "  two  words \n") == ("two  words", True)


@pytest.mark.parametrize(
    ("typed", "valid"),
    [("2026-11-22", True), ("", True), ("1900-01-01", True), ("9999-12-31", False), ("0001-01-01", False)],
)
def test_a_day_has_days_beside_it(site: Site, typed: str, valid: bool) -> None:
    with site.app.test_request_context(method="POST"):
        form = Dated(MultiDict({"day": typed}), meta={"csrf": False})
        assert form.validate() is valid
        assert bool(form.day.errors) is not valid
