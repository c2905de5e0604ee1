"""The declarations themselves."""

import io

import pytest
from hypothesis import given
from rich.console import Console
from rich.pretty import Pretty

from protocol.messages import MESSAGES, Message, Reply, Request, message_type_of
from tests.protocol.factories import create_asked
from tests.protocol.strategies import messages_of

NAMES = {message.__name__: message for message in MESSAGES}


def test_type_bytes_are_unique_and_found() -> None:
    assert len({message.type for message in MESSAGES}) == len(MESSAGES)
    for message in MESSAGES:
        assert message_type_of(message.type) is message
    assert message_type_of(0) is None
    assert message_type_of(0x7E) is None


@pytest.mark.parametrize("message", [each for each in MESSAGES if issubclass(each, Request)], ids=str)
def test_a_reply_is_the_type_of_its_request_with_the_high_bit(message: type[Request]) -> None:
    reply = message_type_of(message.type | 0x80)
    assert reply is NAMES[f"{message.__name__}Reply"]
    assert issubclass(reply, Reply)


@pytest.mark.parametrize("name", ["Redeem", "BalanceInquiry", "ConsumptionInquiry"])
def test_pin_and_credential_are_shown_nowhere(name: str) -> None:
    secrets = {"pin": "135790", "credential": "P1SECRETTOKEN", "chip": b"SECRETUID"}
    more = {"service": "WASH"} if name == "Redeem" else {}
    message = NAMES[name](**create_asked(), **secrets, **more)
    console = Console(file=io.StringIO(), width=500)
    console.print(message, Pretty(message))
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    for shown in (repr(message), str(message), f"{message!r}", printed):
        assert name in shown
        for secret in ("135790", "SECRETTOKEN", "SECRETUID"):
            assert secret not in shown


@given(message=messages_of(NAMES["EnrolReply"]))
def test_the_next_key_is_not_shown(message: Message) -> None:
    assert "next_key=…" in repr(message)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)
def test_messages_do_not_change(message: type[Message]) -> None:
    assert message.__struct_config__.frozen
    assert message.__struct_config__.forbid_unknown_fields
