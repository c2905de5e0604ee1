"""Our sessions against another implementation of Noise, the PyPI package noiseprotocol, in both roles.

The other end is written from protocol/README.md: it uses nothing of this package but the messages'
codec.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from noise.connection import Keypair, NoiseConnection  # type: ignore[import-untyped]

from protocol import KeyPair, Message, RemoteProtocolError, decode, encode
from protocol.messages import Enrol, Login
from tests.protocol.factories import (
    ENROLMENT,
    SERVER,
    SERVER_KEY_ID,
    TERMINAL,
    create_echo,
    create_echo_reply,
    create_enrol,
    create_enrol_reply,
    create_login,
    create_login_reply,
    create_server,
    create_terminal,
)

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "session.json").read_text())
HELLOS = [create_login(), create_enrol()]

# noiseprotocol warns when an ephemeral key is given, which only the vectors do.
pytestmark = pytest.mark.filterwarnings("ignore:One of ephemeral keypairs:UserWarning")


class Peer:
    """The other implementation, speaking our frames: 2 bytes of length, rekey after every 1,000."""

    def __init__(self, *, initiator: bool, enrolment: bool, key_id: int = SERVER_KEY_ID) -> None:
        self.enrolment = enrolment
        self.preamble = b"TSR1" + bytes([1, key_id, 0, int(enrolment)])
        name = b"Noise_XKpsk3_25519_ChaChaPoly_BLAKE2b" if enrolment else b"Noise_XK_25519_ChaChaPoly_BLAKE2b"
        self.noise = NoiseConnection.from_name(name)
        if initiator:
            self.noise.set_as_initiator()
        else:
            self.noise.set_as_responder()
        self.noise.set_prologue(b"tessera/1" + self.preamble)
        self.sent = self.received = 0

    def give(self, which: Keypair, keys: KeyPair, *, public: bool = False) -> None:
        if public:
            self.noise.set_keypair_from_public_bytes(which, keys.public)
        else:
            self.noise.set_keypair_from_private_bytes(which, keys.private)

    def start(self, psk: bytes | None) -> None:
        if psk:
            self.noise.set_psks(psk=psk)
        self.noise.start_handshake()

    def seal(self, message: Message) -> bytes:
        body = self.noise.encrypt(encode(message))
        self.sent += 1
        if self.sent % 1000 == 0:
            self.noise.rekey_outbound_cipher()
        return framed(body)

    def open(self, data: bytes) -> Message:
        plaintext = self.noise.decrypt(unframed(data))
        self.received += 1
        if self.received % 1000 == 0:
            self.noise.rekey_inbound_cipher()
        return decode(plaintext)


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(2, "big") + bytes(body)


def unframed(data: bytes) -> bytes:
    assert int.from_bytes(data[:2], "big") == len(data) - 2
    return data[2:]


def create_peer_server(*, enrolment: bool) -> Peer:
    peer = Peer(initiator=False, enrolment=enrolment)
    peer.give(Keypair.STATIC, SERVER)
    peer.start(ENROLMENT.secret if enrolment else None)
    return peer


def create_peer_terminal(*, enrolment: bool, psk: bytes = ENROLMENT.secret) -> Peer:
    peer = Peer(initiator=True, enrolment=enrolment)
    peer.give(Keypair.STATIC, TERMINAL)
    peer.give(Keypair.REMOTE_STATIC, SERVER, public=True)
    peer.start(psk if enrolment else None)
    return peer


@pytest.mark.parametrize("hello", HELLOS, ids=["XK", "XKpsk3"])
def test_our_terminal_and_their_server(hello: Login | Enrol) -> None:
    enrolment = isinstance(hello, Enrol)
    terminal, peer = create_terminal(hello), create_peer_server(enrolment=enrolment)
    first = unframed(terminal.start())
    assert first[:8] == peer.preamble
    assert bytes(peer.noise.read_message(first[8:])) == (ENROLMENT.id if enrolment else b"")
    assert terminal.receive_data(framed(peer.noise.write_message())) == []
    assert decode(bytes(peer.noise.read_message(unframed(terminal.data_to_send())))) == hello
    reply = create_enrol_reply() if enrolment else create_login_reply()
    assert terminal.receive_data(peer.seal(reply)) == [reply]
    for number in range(2001):
        echo, answer = create_echo(number), create_echo_reply(number)
        assert peer.open(terminal.send(echo)) == echo
        assert terminal.receive_data(peer.seal(answer)) == [answer]


@pytest.mark.parametrize("hello", HELLOS, ids=["XK", "XKpsk3"])
def test_their_terminal_and_our_server(hello: Login | Enrol) -> None:
    enrolment = isinstance(hello, Enrol)
    server, peer = create_server(), create_peer_terminal(enrolment=enrolment)
    first = peer.preamble + peer.noise.write_message(ENROLMENT.id if enrolment else b"")
    assert server.receive_data(framed(first)) == []
    peer.noise.read_message(unframed(server.data_to_send()))
    assert server.receive_data(framed(peer.noise.write_message(encode(hello)))) == [hello]
    assert server.remote_key == TERMINAL.public
    reply = create_enrol_reply() if enrolment else create_login_reply()
    assert peer.open(server.send(reply)) == reply
    for number in range(2001):
        echo, answer = create_echo(number), create_echo_reply(number)
        assert server.receive_data(peer.seal(echo)) == [echo]
        assert peer.open(server.send(answer)) == answer


def test_their_terminal_with_another_secret() -> None:
    server, peer = create_server(), create_peer_terminal(enrolment=True, psk=b"\x01" * 32)
    server.receive_data(framed(peer.preamble + peer.noise.write_message(ENROLMENT.id)))
    peer.noise.read_message(unframed(server.data_to_send()))
    with pytest.raises(RemoteProtocolError, match="decrypt"):
        server.receive_data(framed(peer.noise.write_message(encode(create_enrol()))))


@pytest.mark.parametrize("which", ["session", "enrolment"])
def test_their_terminal_makes_the_frames_of_the_worked_example(which: str) -> None:
    def pair(name: str) -> KeyPair:
        return KeyPair.from_private(bytes.fromhex(VECTORS[name]["private"]))

    content: dict[str, Any] = VECTORS[which]
    frames = content["frames"]
    enrolment = which == "enrolment"
    peer = Peer(initiator=True, enrolment=enrolment, key_id=VECTORS["server_key_id"])
    peer.give(Keypair.STATIC, pair("terminal_static"))
    peer.give(Keypair.EPHEMERAL, pair("terminal_ephemeral"))
    peer.give(Keypair.REMOTE_STATIC, pair("server_static"), public=True)
    peer.start(bytes.fromhex(content["secret"]) if enrolment else None)
    payload = bytes.fromhex(content["id"]) if enrolment else b""
    assert framed(peer.preamble + peer.noise.write_message(payload)).hex() == frames[0]["frame"]
    peer.noise.read_message(bytes.fromhex(frames[1]["frame"])[2:])
    hello = bytes.fromhex(frames[2]["plaintext"])
    assert framed(peer.noise.write_message(hello)).hex() == frames[2]["frame"]
    for each in frames[3:]:
        plaintext = bytes.fromhex(each["plaintext"])
        if each["name"] == "the terminal's message 1000":
            while peer.sent < 999:
                peer.seal(create_echo())
        if each["from"] == "terminal":
            assert peer.seal(decode(plaintext)).hex() == each["frame"]
        else:
            assert encode(peer.open(bytes.fromhex(each["frame"]))) == plaintext
