"""The three handshake frames: vectors, tampering, replay, and who may talk to whom."""

import json
from pathlib import Path
from typing import Any

import pytest

from protocol import KeyPair, LocalProtocolError, RemoteProtocolError, ServerSession, TerminalSession
from protocol.codec import decode, encode
from protocol.framing import FrameReader, frame
from protocol.messages import Echo, Enrol, Login, Logout, Message
from protocol.noise import Handshake
from protocol.session import Enrolment, preamble, prologue
from tests.protocol.factories import (
    ENROLMENT,
    LOW_ORDER_POINTS,
    SERVER,
    SERVER_KEY_ID,
    TERMINAL,
    TERMINAL_EPHEMERAL,
    create_asked,
    create_ends,
    create_enrol,
    create_handshake,
    create_login,
    create_login_reply,
    create_server,
    create_terminal,
)

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "session.json").read_text())
HELLOS = [create_login(), create_enrol()]
XK, XK_PSK = "Noise_XK_25519_ChaChaPoly_BLAKE2b", "Noise_XKpsk3_25519_ChaChaPoly_BLAKE2b"


def create_raw(*, enrolment: bool, opening: bytes | None = None) -> tuple[bytes, Handshake]:
    """The first frame of a terminal without manners, and its handshake, to go on with."""
    opening = opening or preamble(SERVER_KEY_ID, enrolment=enrolment)
    noise = Handshake(
        XK_PSK if enrolment else XK,
        initiator=True,
        prologue=prologue(opening),
        static=TERMINAL,
        ephemeral=TERMINAL_EPHEMERAL,
        remote_static=SERVER.public,
        psks=[ENROLMENT.secret] if enrolment else [],
    )
    return frame(opening + noise.write(ENROLMENT.id if enrolment else b"")), noise


def send_raw_hello(server: ServerSession, plaintext: bytes, *, enrolment: bool = False) -> list[Message]:
    first, noise = create_raw(enrolment=enrolment)
    server.receive_data(first)
    noise.read(server.data_to_send()[2:])
    return server.receive_data(frame(noise.write(plaintext)))


@pytest.mark.parametrize("which", ["session", "enrolment"])
def test_vectors(which: str) -> None:
    pairs = {name: KeyPair.from_private(bytes.fromhex(VECTORS[name]["private"])) for name in (
        "server_static", "server_ephemeral", "terminal_static", "terminal_ephemeral",
    )}  # fmt: skip
    assert all(pair.public.hex() == VECTORS[name]["public"] for name, pair in pairs.items())
    frames = VECTORS[which]["frames"]
    assert [each["name"] for each in frames[:3]] == ["frame 1", "frame 2", "frame 3"]
    first, second, third = (bytes.fromhex(each["frame"]) for each in frames[:3])
    hello = decode(bytes.fromhex(frames[2]["plaintext"]))
    assert isinstance(hello, Login | Enrol)
    enrolment = None
    if which == "enrolment":
        enrolment = Enrolment(*(bytes.fromhex(VECTORS[which][name]) for name in ("id", "secret")))
    terminal = TerminalSession(
        static=pairs["terminal_static"],
        ephemeral=pairs["terminal_ephemeral"],
        server_key=pairs["server_static"].public,
        server_key_id=VECTORS["server_key_id"],
        hello=hello,
        enrolment=enrolment,
    )
    secrets = {enrolment.id: enrolment.secret} if enrolment else {}
    server = ServerSession(
        keys={VECTORS["server_key_id"]: pairs["server_static"]},
        ephemeral=pairs["server_ephemeral"],
        enrolment_secret=secrets.__getitem__,
    )
    assert terminal.start() == first
    assert server.receive_data(first) == []
    assert server.data_to_send() == second
    assert terminal.receive_data(second) == []
    assert terminal.data_to_send() == third
    assert server.receive_data(third) == [hello]
    for each in frames[3:]:
        sender, receiver = (terminal, server) if each["from"] == "terminal" else (server, terminal)
        if each["name"] == "the terminal's message 1000":
            # The file leaves out what comes between: any message counts for the change of keys.
            for number in range(998):
                echo = Echo(**create_asked(number))
                assert server.receive_data(terminal.send(echo)) == [echo]
        message = decode(bytes.fromhex(each["plaintext"]))
        assert type(message).__name__ == each["message"]
        assert sender.send(message).hex() == each["frame"], each["name"]
        assert receiver.receive_data(bytes.fromhex(each["frame"])) == [message]


@pytest.mark.parametrize("hello", HELLOS, ids=["login", "enrol"])
def test_both_ends_know_each_other_afterwards(hello: Login | Enrol) -> None:
    terminal, server = create_terminal(hello), create_server()
    assert (terminal.established, server.established, server.remote_key) == (False, False, None)
    ends = create_handshake(terminal, server)
    assert (terminal.established, server.established) == (True, True)
    assert server.remote_key == TERMINAL.public
    assert server.enrolment_id == (ENROLMENT.id if isinstance(hello, Enrol) else None)
    assert [len(each) for each in ends.frames[:2]] == [74 if isinstance(hello, Enrol) else 58, 50]
    assert terminal.data_to_send() == server.data_to_send() == b""


def test_the_preamble_is_what_the_specification_says() -> None:
    assert create_terminal().start()[:10].hex() == "0038" + b"TSR1".hex() + "01" + "07" + "0000"
    assert create_terminal(create_enrol()).start()[:10].hex() == "0048" + b"TSR1".hex() + "01" + "07" + "0001"
    assert prologue(b"preamble") == b"tessera/1preamble"


def deliver(session: ServerSession | TerminalSession, data: bytes) -> str:
    """What became of tampered bytes: the reason of the fault, or that the session waits for more."""
    try:
        assert session.receive_data(data) == []
    except RemoteProtocolError as error:
        assert not session.established
        assert session.data_to_send() == b""
        return error.reason
    assert not session.established
    return "waits"


@pytest.mark.parametrize("hello", HELLOS, ids=["login", "enrol"])
@pytest.mark.parametrize("number", [0, 1, 2], ids=["frame 1", "frame 2", "frame 3"])
def test_a_tampered_byte_of_the_handshake_ends_it(hello: Login | Enrol, number: int) -> None:
    frames = create_ends(hello).frames
    for place in range(len(frames[number])):
        for mask in (0x01, 0x80):
            changed = bytearray(frames[number])
            changed[place] ^= mask
            terminal, server = create_terminal(hello), create_server()
            terminal.start()
            if number == 1:
                reason = deliver(terminal, bytes(changed))
            else:
                for good in frames[:number:2]:
                    server.receive_data(good)
                    server.data_to_send()
                reason = deliver(server, bytes(changed))
            if place < 2:
                # A longer frame is waited for (and timed out), a shorter one is wrong at once.
                assert reason in ("waits", "frame_too_long", "handshake_length", "decrypt")
            else:
                assert reason in {"decrypt", "magic", "suite", "flags", "server_key", "handshake_length"}


def test_a_replayed_handshake_does_not_pass() -> None:
    first, _, third = create_ends().frames
    server = create_server(ephemeral=KeyPair.from_private(b"\x99" * 32))
    assert server.receive_data(first) == []
    with pytest.raises(RemoteProtocolError, match="decrypt"):
        server.receive_data(third)
    assert server.remote_key is None


def test_frames_after_the_handshake_cannot_be_replayed_into_another_session() -> None:
    ends, later = create_ends(), create_handshake(
        create_terminal(ephemeral=KeyPair.from_private(b"\x98" * 32)),
        create_server(ephemeral=KeyPair.from_private(b"\x99" * 32)),
    )  # fmt: skip
    later.server.send(create_login_reply())
    recorded = ends.terminal.send(Logout(**create_asked()))
    with pytest.raises(RemoteProtocolError, match="decrypt"):
        later.server.receive_data(recorded)


@pytest.mark.parametrize(
    ("opening", "reason"),
    [
        (b"TSR2\x01\x07\x00\x00", "magic"),
        (b"GET / HT", "magic"),
        (b"TSR1\x00\x07\x00\x00", "suite"),
        (b"TSR1\x02\x07\x00\x00", "suite"),
        (b"TSR1\x01\x08\x00\x00", "server_key"),
        (b"TSR1\x01\x07\x00\x02", "flags"),
        (b"TSR1\x01\x07\x80\x00", "flags"),
        (b"TSR1\x01\x07\xff\xff", "flags"),
    ],
)
def test_preambles_that_are_refused(opening: bytes, reason: str) -> None:
    first, _ = create_raw(enrolment=False, opening=opening)
    with pytest.raises(RemoteProtocolError) as caught:
        create_server().receive_data(first)
    assert caught.value.reason == reason


def test_a_changed_preamble_does_not_pass_even_when_it_is_a_good_one() -> None:
    first = bytearray(create_terminal().start())
    first[7] = 8
    with pytest.raises(RemoteProtocolError, match="decrypt"):
        create_server(keys={SERVER_KEY_ID: SERVER, 8: SERVER}).receive_data(bytes(first))


@pytest.mark.parametrize("length", [1, 7, 8, 40, 55, 57, 72, 256])
def test_first_frames_of_another_length(length: int) -> None:
    body = (preamble(SERVER_KEY_ID, enrolment=False) + TERMINAL.public + bytes(300))[:length]
    with pytest.raises(RemoteProtocolError) as caught:
        create_server().receive_data(frame(body))
    assert caught.value.reason == ("magic" if length < 8 else "handshake_length")


@pytest.mark.parametrize("length", [1, 47, 49, 112])
def test_second_frames_of_another_length(length: int) -> None:
    terminal = create_terminal()
    terminal.start()
    with pytest.raises(RemoteProtocolError, match="handshake_length"):
        terminal.receive_data(frame(bytes(length)))


def test_a_frame_above_256_bytes_is_refused_before_it_is_read() -> None:
    for session in (create_server(), create_terminal()):
        with pytest.raises(RemoteProtocolError, match="frame_too_long"):
            session.receive_data(b"\x01\x01")


@pytest.mark.parametrize("point", LOW_ORDER_POINTS, ids=bytes.hex)
def test_low_order_points_end_the_handshake(point: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="bad_point"):
        create_server().receive_data(frame(preamble(SERVER_KEY_ID, enrolment=False) + point + bytes(16)))
    terminal = create_terminal()
    terminal.start()
    with pytest.raises(RemoteProtocolError, match="bad_point"):
        terminal.receive_data(frame(point + bytes(16)))
    # A terminal whose own static key is such a point.
    server = create_server()
    first, noise = create_raw(enrolment=False)
    server.receive_data(first)
    noise.read(server.data_to_send()[2:])
    third = noise._symmetric.encrypt_and_hash(point) + bytes(80)
    with pytest.raises(RemoteProtocolError, match="bad_point"):
        server.receive_data(frame(third))


def test_a_server_that_has_not_the_key_cannot_answer() -> None:
    server = create_server(keys={SERVER_KEY_ID: TERMINAL})
    with pytest.raises(RemoteProtocolError, match="decrypt"):
        server.receive_data(create_terminal().start())


def test_the_server_holds_a_present_and_a_next_key() -> None:
    following = KeyPair.from_private(b"\x77" * 32)
    keys = {SERVER_KEY_ID: SERVER, 8: following}
    create_handshake(create_terminal(), create_server(keys=keys))
    create_handshake(create_terminal(server_key=following.public, server_key_id=8), create_server(keys=keys))


def test_a_wrong_enrolment_secret_does_not_pass() -> None:
    seen: list[bytes] = []

    def secret_of(enrolment_id: bytes) -> bytes:
        seen.append(enrolment_id)
        return b"\x56" * 32

    server, terminal = create_server(enrolment_secret=secret_of), create_terminal(create_enrol())
    server.receive_data(terminal.start())
    terminal.receive_data(server.data_to_send())
    with pytest.raises(RemoteProtocolError, match="decrypt"):
        server.receive_data(terminal.data_to_send())
    assert seen == [ENROLMENT.id]
    assert server.remote_key is None


@pytest.mark.parametrize(
    ("hello", "enrolment"), [(create_enrol(), False), (create_login(), True), (Echo(**create_asked()), False)]
)
def test_the_first_message_fits_its_handshake(hello: Message, enrolment: bool) -> None:
    server = create_server()
    with pytest.raises(RemoteProtocolError, match="order"):
        send_raw_hello(server, encode(hello), enrolment=enrolment)
    assert not server.established
    assert server.remote_key is None


@pytest.mark.parametrize("plaintext", [b"", bytes(64), b"\x02\x80" + bytes(62)])
def test_a_first_message_that_is_none(plaintext: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        send_raw_hello(create_server(), plaintext)
    assert caught.value.reason in ("padding", "msgpack")


def test_the_longest_hello_fits_frame_3() -> None:
    longest: dict[str, Any] = {"stan": 999_999, "batch": 2**31 - 1, "at": 2**47, "repeat": True}
    for hello in (
        create_enrol(model="m" * 40, software="s" * 40, **longest),
        create_login(software="软" * 30, last_stan=999_999, **longest),
    ):
        assert len(create_ends(hello).frames[2]) == 2 + 256
    with pytest.raises(LocalProtocolError):
        create_terminal(create_enrol(model="软" * 40, software="软" * 40))


def test_handshakes_that_are_our_own_bug() -> None:
    for changes in ({"enrolment": ENROLMENT}, {"server_key_id": 256}, {"server_key": b"short"}):
        with pytest.raises(LocalProtocolError):
            create_terminal(**changes)
    with pytest.raises(LocalProtocolError):
        create_terminal(create_enrol(), enrolment=None)
    terminal = create_terminal()
    terminal.start()
    with pytest.raises(LocalProtocolError):
        terminal.start()


def test_an_answer_before_the_question() -> None:
    with pytest.raises(RemoteProtocolError, match="handshake_length"):
        create_terminal().receive_data(create_ends().frames[1])


def test_the_enrolment_secret_is_asked_for_once_and_only_for_enrolments() -> None:
    def nobody(_: bytes) -> bytes:
        raise AssertionError

    create_handshake(create_terminal(), create_server(enrolment_secret=nobody))


def test_frames_are_cut_the_same_in_one_piece_or_many() -> None:
    reader = FrameReader()
    reader.feed(b"".join(create_ends().frames))
    assert [len(body) for body in iter(reader.next_frame, None)] == [56, 48, 192]


def test_nothing_may_travel_with_the_hello() -> None:
    server = create_server()
    first, noise = create_raw(enrolment=False)
    server.receive_data(first)
    noise.read(server.data_to_send()[2:])
    hello = frame(noise.write(encode(create_login())))
    echo = frame(noise.split()[0].encrypt(encode(Echo(**create_asked(5)))))
    with pytest.raises(RemoteProtocolError, match="order"):
        server.receive_data(hello + echo)


def test_the_server_does_not_keep_what_opened_the_session() -> None:
    """Its private ephemeral key and the chaining key would tell all keys of the session, from the first."""
    session = vars(create_ends().server)
    assert session["_noise"] is None
    assert "_ephemeral" not in session
