"""Which codes answer which message."""

from protocol.codes import CODES
from protocol.messages import MESSAGES, Echo, Redeem, Request
from protocol.outcomes import OUTCOMES
from scripts.generate_protocol_docs import outcomes_table


def test_every_request_has_its_codes_and_approval_is_one_of_them() -> None:
    assert set(OUTCOMES) == {message for message in MESSAGES if issubclass(message, Request)}
    for codes in OUTCOMES.values():
        assert 0 in codes
        assert len(set(codes)) == len(codes)


def test_every_code_answers_some_message_and_no_other_does() -> None:
    assert {code for codes in OUTCOMES.values() for code in codes} == {info.code for info in CODES}


def test_the_table_lists_codes_in_order_of_precedence() -> None:
    order = [f"{info.code:04}" for info in CODES]
    rows = {
        line.split("[")[1].split("]")[0]: line.split("| ")[2].rstrip(" |").split(", ")
        for line in outcomes_table().splitlines()[2:]
    }
    assert set(rows) == {message.__name__ for message in OUTCOMES}
    for codes in rows.values():
        assert codes == sorted(codes, key=order.index)
    assert len(rows["Redeem"]) == len(OUTCOMES[Redeem])
    assert rows["Echo"] == [f"{code:04}" for code in OUTCOMES[Echo]] == ["0000"]
