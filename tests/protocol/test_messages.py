"""The declarations themselves."""

import io

import pytest
from rich.console import Console
from rich.pretty import Pretty

from protocol.messages import MESSAGES, KeyChange, Message, Notice, Reply, Request, message_type_of
from tests.protocol.factories import create_asked

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


SECRETS = {
    "pin": "135790",
    "new_pin": "246801",
    "reset_code": "SECRETCODE",
    "credential": "P1SECRETTOKEN",
    "chip": b"SECRETUID",
}
NEEDED = {"service": "WASH", "hold": bytes(16), "original": bytes(16), "amount": 1, "reason": "timeout"}
SECRET_BEARERS = [each for each in MESSAGES if SECRETS.keys() & set(each.__struct_fields__)]


@pytest.mark.parametrize("kind", SECRET_BEARERS, ids=lambda kind: kind.__name__)
def test_pins_codes_and_credentials_are_shown_nowhere(kind: type[Message]) -> None:
    own = {name: value for name, value in (SECRETS | NEEDED).items() if name in kind.__struct_fields__}
    message = kind(**create_asked(), **own)
    console = Console(file=io.StringIO(), width=500)
    console.print(message, Pretty(message))
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    for shown in (repr(message), str(message), f"{message!r}", printed):
        assert kind.__name__ in shown
        for secret in ("135790", "246801", "SECRETCODE", "SECRETTOKEN", "SECRETUID"):
            assert secret not in shown


def test_every_message_that_names_a_card_or_a_pin_is_looked_at() -> None:
    named = {each.__name__ for each in SECRET_BEARERS}
    assert named == {
        "Redeem", "Hold", "Capture", "Release", "Refund", "ReversalAdvice", "TransactionStatus",
        "BalanceInquiry", "ConsumptionInquiry", "PinChange",
    }  # fmt: skip


def test_a_public_key_is_no_secret() -> None:
    for message in (Notice(server_at=0, next_key=b"k" * 32), KeyChange(**create_asked(), key=b"k" * 32)):
        assert f"key={b'k' * 32!r}" in repr(message)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)
def test_messages_do_not_change(message: type[Message]) -> None:
    assert message.__struct_config__.frozen
    assert message.__struct_config__.forbid_unknown_fields
