"""Plain factories for both ends of a session, with keys that are the same in every run."""

from dataclasses import dataclass
from typing import Any

from protocol import Enrolment, KeyPair, Message, ServerSession, TerminalSession
from protocol.codec import encode
from protocol.framing import frame
from protocol.messages import Echo, EchoReply, Enrol, EnrolReply, Login, LoginReply

SERVER = KeyPair.from_private(b"\x11" * 32)
SERVER_EPHEMERAL = KeyPair.from_private(b"\x22" * 32)
TERMINAL = KeyPair.from_private(b"\x33" * 32)
TERMINAL_EPHEMERAL = KeyPair.from_private(b"\x44" * 32)
ENROLMENT = Enrolment(bytes(range(16)), b"\x55" * 32)
SERVER_KEY_ID = 7

# Points whose product with any private key is zero: order 1, 2, 4 and 8, and spellings above the prime.
LOW_ORDER_POINTS = tuple(
    bytes.fromhex(point)
    for point in (
        "00" * 32,
        "01" + "00" * 31,
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    )
)


def create_txid(number: int = 1) -> bytes:
    return bytes.fromhex("019b76daa8007000") + (0x8 << 60 | number).to_bytes(8, "big")


def create_asked(number: int = 1) -> dict[str, Any]:
    return {"id": create_txid(number), "stan": number % 1_000_000, "batch": 1, "at": 1_767_225_600_000}


def create_answered(number: int = 1) -> dict[str, Any]:
    return {
        "id": create_txid(number), "code": 0, "text": "Approved", "server_at": 1_767_225_600_020,
        "business_date": "2026-01-01",
    }  # fmt: skip


def create_login(**changes: Any) -> Login:
    return Login(**{**create_asked(), "software": "1.0", "last_stan": 0, **changes})


def create_enrol(**changes: Any) -> Enrol:
    return Enrol(**{**create_asked(), "model": "Counter", "software": "1.0", **changes})


def create_login_reply() -> LoginReply:
    return LoginReply(
        **create_answered(), session="s", terminal=1, merchant="m", store="s", catalogue=1, idle_s=120
    )


def create_enrol_reply() -> EnrolReply:
    return EnrolReply(**create_answered(), terminal=1, merchant="m", store="s")


def create_echo(number: int = 2) -> Echo:
    return Echo(**create_asked(number))


def create_echo_reply(number: int = 2) -> EchoReply:
    return EchoReply(**create_answered(number))


def create_terminal(hello: Login | Enrol | None = None, **changes: Any) -> TerminalSession:
    values: dict[str, Any] = {
        "static": TERMINAL,
        "ephemeral": TERMINAL_EPHEMERAL,
        "server_key": SERVER.public,
        "server_key_id": SERVER_KEY_ID,
        "hello": hello or create_login(),
        "enrolment": ENROLMENT if isinstance(hello, Enrol) else None,
    }
    return TerminalSession(**{**values, **changes})


def create_server(**changes: Any) -> ServerSession:
    values: dict[str, Any] = {
        "keys": {SERVER_KEY_ID: SERVER},
        "ephemeral": SERVER_EPHEMERAL,
        "enrolment_secret": lambda _: ENROLMENT.secret,
    }
    return ServerSession(**{**values, **changes})


@dataclass
class Ends:
    """Both ends after the handshake; `frames` are its three frames."""

    terminal: TerminalSession
    server: ServerSession
    frames: tuple[bytes, bytes, bytes]


def create_handshake(terminal: TerminalSession, server: ServerSession) -> Ends:
    """Carry the three frames across. The hello must come out at the server, once."""
    first = terminal.start()
    assert server.receive_data(first) == []
    second = server.data_to_send()
    assert terminal.receive_data(second) == []
    third = terminal.data_to_send()
    assert len(server.receive_data(third)) == 1
    return Ends(terminal, server, (first, second, third))


def create_ends(hello: Login | Enrol | None = None, *, answered: bool = True) -> Ends:
    """An established session; unless told otherwise the server's first reply has passed as well."""
    ends = create_handshake(create_terminal(hello), create_server())
    if answered:
        reply = create_enrol_reply() if isinstance(hello, Enrol) else create_login_reply()
        assert ends.terminal.receive_data(ends.server.send(reply)) == [reply]
    return ends


def forge(end: TerminalSession | ServerSession, message: Message | bytes) -> bytes:
    """A frame that `end` would not send: a message of the wrong kind, or any plaintext."""
    assert end._sending is not None
    plaintext = encode(message) if isinstance(message, Message) else message
    return frame(end._sending.encrypt(plaintext))
