"""When each step of a terminal is offered."""

from dataclasses import replace

import pytest

from admin.terminal_steps import STEPS, offered, refusal, step_words
from ledger.terminal_lists import TerminalLine
from tests.admin.conftest import Site

LINE = TerminalLine(
    id=1,
    name="Till 1",
    kind="pos",
    status="active",
    merchant_id=2,
    merchant="Star",
    store_id=3,
    store="Gate",
    model=None,
    software=None,
    last_login_at=None,
    key_since=None,
    key_change_asked=False,
    clock_off_s=None,
    last_batch=None,
    balanced=None,
)


@pytest.mark.parametrize(
    ("line", "steps"),
    [
        (replace(LINE, status="created"), ["code", "move", "revoke"]),
        (LINE, ["code", "key", "move", "revoke"]),
        (replace(LINE, key_change_asked=True), ["code", "move", "revoke"]),
        (replace(LINE, status="revoked"), []),
    ],
)
def test_each_status_has_its_steps_and_every_other_a_sentence_that_says_why(
    site: Site, line: TerminalLine, steps: list[str]
) -> None:
    assert [step.name for step in offered(line)] == steps
    with site.app.test_request_context():
        for step in STEPS.values():
            said = refusal(step, line)
            assert (said is None) == (step.name in steps)
            assert said is None or said.endswith("Nothing was changed.")


def test_every_step_says_what_it_does_what_it_means_and_that_it_is_done(site: Site) -> None:
    with site.app.test_request_context():
        spoken = [step_words(step, LINE) for step in STEPS.values()]
        first = step_words(STEPS["code"], replace(LINE, status="created"))
    assert len({said.do for said in spoken}) == len(STEPS)
    assert all(said.means and said.done for said in spoken)
    assert "shut out" in spoken[0].means
    assert "shut out" not in first.means
