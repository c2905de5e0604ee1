#!/usr/bin/env python3
"""Write the protocol's vectors: messages, session, credentials and schema, in tests/vectors/*.json.

    .venv/bin/python scripts/make_protocol_vectors.py

A device maker's tests read these files, so a change in them is a change of the protocol: run this only
when that is meant, and read the difference. Keys, nonces and clocks are fixed. Bytes are hexadecimal;
inside the fields of a message they are {"hex": "..."}, to tell them from text.
"""

import json
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import msgspec

from protocol import (
    CardToken,
    Enrolment,
    KeyPair,
    Message,
    ServerSession,
    TerminalSession,
    encode,
    enrolment_code,
    seal,
)
from protocol.messages import (
    Echo,
    Enrol,
    EnrolReply,
    Login,
    LoginReply,
    Logout,
    LogoutReply,
    Notice,
    Redeem,
    RedeemReply,
    Request,
)
from protocol.schema import describe, on_the_wire
from scripts.protocol_refused import REFUSED
from scripts.protocol_samples import (
    AT,
    CARD,
    CARD_KEY,
    CARD_KEY_ID,
    CARD_NONCE,
    CHIP,
    ENROLMENT_ID,
    SAMPLES,
    txid,
)

FOLDER = Path(__file__).parent.parent / "tests" / "vectors"
SERVER_KEY_ID = 1
SERVER, SERVER_EPHEMERAL, TERMINAL, TERMINAL_EPHEMERAL = (
    KeyPair.from_private(bytes([number]) * 32) for number in (0x11, 0x22, 0x33, 0x44)
)
ENROLMENT = Enrolment(ENROLMENT_ID, b"\x55" * 32)


def main() -> None:
    write("messages", messages())
    write("session", session())
    write("credentials", credentials())
    write("schema", on_the_wire(describe()))


def write(name: str, content: dict[str, Any]) -> None:
    (FOLDER / f"{name}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def fields_of(message: Message) -> dict[str, Any]:
    """The fields that go on the wire, with bytes as {"hex": ...}."""
    fields = spelled(msgspec.to_builtins(message, builtin_types=(bytes,)))
    assert isinstance(fields, dict)
    return fields


def spelled(value: object) -> object:
    """The same with {"hex": ...} for bytes, also inside the items of lists."""
    match value:
        case bytes():
            return {"hex": value.hex()}
        case list():
            return [spelled(each) for each in value]
        case dict():
            return {name: spelled(each) for name, each in value.items()}
    return value


def message_vector(message: Message) -> dict[str, Any]:
    packed = msgpack.packb(msgspec.to_builtins(message, builtin_types=(bytes,)))
    return {
        "message": type(message).__name__,
        "fields": fields_of(message),
        "msgpack": packed.hex(),
        "plaintext": encode(message).hex(),
    }


def messages() -> dict[str, Any]:
    refused = [
        {"reason": reason, "about": about, "plaintext": plaintext.hex()}
        for reason, about, plaintext in REFUSED
    ]
    return {"messages": [message_vector(message) for message in SAMPLES], "refused": refused}


def sample(kind: type[Message]) -> Message:
    return next(message for message in SAMPLES if type(message) is kind)


class Conversation:
    """Both ends with the fixed keys; `frames` gathers what passes between them."""

    def __init__(self, hello: Login | Enrol, enrolment: Enrolment | None) -> None:
        self.terminal = TerminalSession(
            static=TERMINAL,
            ephemeral=TERMINAL_EPHEMERAL,
            server_key=SERVER.public,
            server_key_id=SERVER_KEY_ID,
            hello=hello,
            enrolment=enrolment,
        )
        self.server = ServerSession(
            keys={SERVER_KEY_ID: SERVER},
            ephemeral=SERVER_EPHEMERAL,
            enrolment_secret=lambda _: ENROLMENT.secret,
        )
        self.frames: list[dict[str, Any]] = []
        first = self.terminal.start()
        self.server.receive_data(first)
        second = self.server.data_to_send()
        self.terminal.receive_data(second)
        third = self.terminal.data_to_send()
        assert self.server.receive_data(third) == [hello]
        self.record("terminal", first, "frame 1")
        self.record("server", second, "frame 2")
        self.record("terminal", third, "frame 3", hello)

    def record(self, sender: str, data: bytes, name: str, message: Message | None = None) -> None:
        entry = {"from": sender, "name": name, "frame": data.hex()}
        if message is not None:
            entry |= {"message": type(message).__name__, "plaintext": encode(message).hex()}
        self.frames.append(entry)

    def say(self, message: Message, *, name: str | None = None) -> None:
        """One message through both ends; recorded only under a name."""
        to_server = isinstance(message, Request)
        sender, receiver = (self.terminal, self.server) if to_server else (self.server, self.terminal)
        data = sender.send(message)
        assert receiver.receive_data(data) == [message]
        if name is not None:
            self.record("terminal" if to_server else "server", data, name, message)


def session() -> dict[str, Any]:
    login = sample(Login)
    assert isinstance(login, Login)
    ordinary = Conversation(login, None)
    ordinary.say(sample(LoginReply), name="first reply")
    ordinary.say(sample(Redeem), name="a debit")
    ordinary.say(sample(RedeemReply), name="its reply")
    ordinary.say(sample(Notice), name="unasked")
    echoes = [Echo(id=txid(number), stan=number, batch=7, at=AT) for number in range(1000, 2001)]
    for number, echo in enumerate(echoes[:1000], start=2):
        named = f"the terminal's message {number}" if number in (1000, 1001) else None
        ordinary.say(echo, name=named)
    ordinary.say(sample(Logout), name="the end")
    ordinary.say(sample(LogoutReply), name="the end, answered")
    enrol = sample(Enrol)
    assert isinstance(enrol, Enrol)
    enrolling = Conversation(enrol, ENROLMENT)
    enrolling.say(sample(EnrolReply), name="first reply")
    return {
        "server_key_id": SERVER_KEY_ID,
        "server_static": pair(SERVER),
        "server_ephemeral": pair(SERVER_EPHEMERAL),
        "terminal_static": pair(TERMINAL),
        "terminal_ephemeral": pair(TERMINAL_EPHEMERAL),
        "session": {"frames": ordinary.frames},
        "enrolment": {
            "id": ENROLMENT.id.hex(),
            "secret": ENROLMENT.secret.hex(),
            "frames": enrolling.frames,
        },
    }


def pair(keys: KeyPair) -> dict[str, str]:
    return {"private": keys.private.hex(), "public": keys.public.hex()}


def credentials() -> dict[str, Any]:
    cards = [
        (CARD, None),
        (CardToken(slot=42, account=1001, card=2002, issue=2), CHIP),
        (CardToken(slot=255, account=2**63 - 1, card=2**63 - 1, issue=2**31 - 1), bytes.fromhex("01020304")),
    ]
    return {
        "key_id": CARD_KEY_ID,
        "key": CARD_KEY.hex(),
        "nonce": CARD_NONCE.hex(),
        "tokens": [
            {
                "slot": token.slot,
                "account": token.account,
                "card": token.card,
                "issue": token.issue,
                "chip": chip.hex() if chip else None,
                "text": seal(token, key_id=CARD_KEY_ID, key=CARD_KEY, nonce=CARD_NONCE, chip=chip),
            }
            for token, chip in cards
        ],
        "enrolment_codes": [
            {
                "server_key_id": SERVER_KEY_ID,
                "server_key": SERVER.public.hex(),
                "id": ENROLMENT.id.hex(),
                "secret": ENROLMENT.secret.hex(),
                "host": "points.example",
                "port": 7171,
                "text": enrolment_code(ENROLMENT, SERVER.public, SERVER_KEY_ID, "points.example", 7171),
            }
        ],
    }


if __name__ == "__main__":
    main()
