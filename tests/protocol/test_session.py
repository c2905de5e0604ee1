"""Established sessions: order, direction, rekey, the end, and any bytes at all."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol import LocalProtocolError, Message, RemoteProtocolError, ServerSession, TerminalSession, decode
from protocol.errors import REASONS
from protocol.framing import frame
from protocol.limits import MAX_FRAME, REKEY_INTERVAL
from protocol.messages import (
    Closing,
    Enrol,
    EnrolReply,
    Login,
    LoginReply,
    Logout,
    LogoutReply,
    Notice,
    Redeem,
    Request,
)
from tests.protocol.factories import (
    create_answered,
    create_asked,
    create_echo,
    create_echo_reply,
    create_ends,
    create_enrol,
    create_enrol_reply,
    create_login,
    create_login_reply,
    create_server,
    create_terminal,
    forge,
)
from tests.protocol.strategies import chunks, replies, requests

LOGOUT, LOGOUT_REPLY = Logout(**create_asked(9)), LogoutReply(**create_answered(9))
CLOSING = Closing(reason="shutdown")
NOTICE = Notice(server_at=1_767_225_600_000, catalogue=6)
VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "messages.json").read_text())
Session = TerminalSession | ServerSession


def refuses(session: Session, data: bytes, reason: str) -> None:
    """The data is refused with this reason, and the session is over for good, in both directions."""
    with pytest.raises(RemoteProtocolError) as caught:
        session.receive_data(data)
    assert caught.value.reason == reason
    assert not session.established
    for more in (b"", data, b"\0"):
        with pytest.raises(RemoteProtocolError, match="closed"):
            session.receive_data(more)
    with pytest.raises(LocalProtocolError):
        session.send(create_echo() if isinstance(session, TerminalSession) else create_echo_reply())
    assert session.data_to_send() == b""


@given(asked=st.lists(requests(), max_size=4), told=st.lists(replies(), max_size=4))
def test_every_message_through_both_ends(asked: list[Message], told: list[Message]) -> None:
    ends = create_ends()
    for message in asked:
        assert ends.server.receive_data(ends.terminal.send(message)) == [message]
    for message in told:
        assert ends.terminal.receive_data(ends.server.send(message)) == [message]


@pytest.mark.parametrize("vector", VECTORS["messages"], ids=lambda vector: vector["message"])
def test_every_vector_through_both_ends(vector: dict[str, Any]) -> None:
    """The hello in the handshake, the first reply after it, anything else then."""
    message = decode(bytes.fromhex(vector["plaintext"]))
    match message:
        case Login() | Enrol():
            terminal, server = create_terminal(message), create_server()
            server.receive_data(terminal.start())
            terminal.receive_data(server.data_to_send())
            assert server.receive_data(terminal.data_to_send()) == [message]
        case LoginReply() | EnrolReply():
            ends = create_ends(
                create_enrol() if isinstance(message, EnrolReply) else create_login(), answered=False
            )
            assert ends.terminal.receive_data(ends.server.send(message)) == [message]
        case Request():
            ends = create_ends()
            assert ends.server.receive_data(ends.terminal.send(message)) == [message]
        case _:
            ends = create_ends()
            assert ends.terminal.receive_data(ends.server.send(message)) == [message]


@given(
    asked=st.lists(requests(), max_size=4),
    cuts=st.lists(st.integers(0, 4000), max_size=20),
    hello=st.sampled_from([create_login(), create_enrol()]),
)
def test_any_chunking_gives_the_same_messages(
    asked: list[Message], cuts: list[int], hello: Login | Enrol
) -> None:
    ends = create_ends(hello)
    first, _, third = ends.frames
    server = create_server()
    seen = []
    for chunk in chunks(first + third, cuts):
        seen += server.receive_data(chunk)
    server.send(create_enrol_reply() if isinstance(hello, Enrol) else create_login_reply())
    for chunk in chunks(b"".join(ends.terminal.send(message) for message in asked), cuts):
        seen += server.receive_data(chunk)
    assert seen == [hello, *asked]


@given(told=st.lists(replies(), max_size=4), cuts=st.lists(st.integers(0, 4000), max_size=20))
def test_any_chunking_gives_the_same_replies(told: list[Message], cuts: list[int]) -> None:
    ends = create_ends(answered=False)
    stream = b"".join(ends.server.send(message) for message in [create_login_reply(), *told])
    seen = []
    for chunk in chunks(stream, cuts):
        seen += ends.terminal.receive_data(chunk)
    assert seen == [create_login_reply(), *told]


def feed(session: Session, pieces: Sequence[bytes | bytearray]) -> tuple[list[Message], str | None]:
    """The messages, and the reason of the fault if there was one. Anything else fails the test."""
    seen: list[Message] = []
    try:
        for piece in pieces:
            seen += session.receive_data(piece)
    except RemoteProtocolError as error:
        return seen, error.reason
    return seen, None


@given(data=st.binary(max_size=600), cuts=st.lists(st.integers(0, 600), max_size=5))
@example(data=b"\x00\x38TSR1\x01\x07\x00\x00" + bytes(48), cuts=[])
@example(data=b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", cuts=[])
@example(data=b"\x16\x03\x01\x02\x00\x01\x00", cuts=[])
def test_any_bytes_from_a_stranger_give_one_kind_of_error(data: bytes, cuts: list[int]) -> None:
    terminal = create_terminal()
    terminal.start()
    for session in (create_server(), terminal):
        seen, reason = feed(session, chunks(data, cuts))
        assert seen == []
        assert reason in REASONS | {None}
        assert not session.established


@given(data=st.binary(min_size=1, max_size=300), framed=st.booleans())
def test_any_bytes_from_an_acquaintance_give_one_kind_of_error(data: bytes, framed: bool) -> None:
    ends = create_ends()
    for session in (ends.server, ends.terminal):
        seen, reason = feed(session, [frame(data) if framed else data])
        assert seen == []
        assert reason in REASONS | {None}


@given(plaintext=st.binary(max_size=400))
def test_any_plaintext_gives_a_message_or_one_kind_of_error(plaintext: bytes) -> None:
    ends = create_ends()
    for sender, receiver in ((ends.terminal, ends.server), (ends.server, ends.terminal)):
        _, reason = feed(receiver, [forge(sender, plaintext)])
        assert reason in REASONS


@given(
    asked=st.lists(requests(), min_size=1, max_size=3),
    change=st.sampled_from(["flip", "drop", "insert", "swap", "cut"]),
    place=st.integers(0, 5000),
    value=st.integers(1, 255),
)
def test_a_mutated_stream_never_gives_another_message(
    asked: list[Message], change: str, place: int, value: int
) -> None:
    ends = create_ends()
    first, _, third = ends.frames
    greeting = len(first + third)
    stream = bytearray(first + third + b"".join(ends.terminal.send(message) for message in asked))
    place %= len(stream) - 1
    match change:
        case "flip":
            stream[place] ^= value
        case "drop":
            del stream[place]
        case "insert":
            stream.insert(place, value)
        case "swap":
            stream[place], stream[place + 1] = stream[place + 1], stream[place]
        case "cut":
            del stream[place:]
    server = create_server()
    seen, reason = feed(server, [bytes(stream[:greeting])])
    if server.established:
        server.send(create_login_reply())
        more, reason = feed(server, [bytes(stream[at : at + 7]) for at in range(greeting, len(stream), 7)])
        seen += more
    assert seen == [create_login(), *asked][: len(seen)]
    assert reason in REASONS | {None}


def test_a_frame_of_which_a_part_was_never_written_ends_the_session() -> None:
    ends = create_ends()
    written, whole = ends.terminal.send(create_echo(3))[:-5], ends.terminal.send(create_echo(4))
    assert ends.server.receive_data(written) == []
    refuses(ends.server, whole, "decrypt")


@pytest.mark.parametrize("change", ["again", "skipped", "swapped"])
def test_frames_count(change: str) -> None:
    ends = create_ends()
    one, two = ends.terminal.send(create_echo(3)), ends.terminal.send(create_echo(4))
    stream = {"again": one + one, "skipped": two, "swapped": two + one}[change]
    refuses(ends.server, stream, "decrypt")


def test_messages_of_the_call_that_fails_are_dropped() -> None:
    ends = create_ends()
    refuses(ends.server, ends.terminal.send(create_echo()) + b"\0\0", "frame_empty")


def test_a_long_frame_is_refused_by_its_length() -> None:
    ends = create_ends()
    refuses(ends.server, (MAX_FRAME + 1).to_bytes(2, "big"), "frame_too_long")


@pytest.mark.parametrize("extra", [0, 1, 1500])
def test_keys_change_after_every_thousand_frames(extra: int) -> None:
    ends = create_ends(answered=False)
    reply = create_login_reply()
    ends.terminal.receive_data(ends.server.send(reply))
    sending = ends.terminal._sending
    assert sending is not None
    keys = {sending._key}
    for number in range(REKEY_INTERVAL + extra):
        echo, answer = create_echo(number), create_echo_reply(number)
        assert ends.server.receive_data(ends.terminal.send(echo)) == [echo]
        assert ends.terminal.receive_data(ends.server.send(answer)) == [answer]
        keys.add(sending._key)
    assert len(keys) == 1 + (REKEY_INTERVAL + extra) // REKEY_INTERVAL


def test_nothing_is_sent_before_the_session_is_established() -> None:
    terminal, server = create_terminal(), create_server()
    server.receive_data(terminal.start())
    with pytest.raises(LocalProtocolError):
        terminal.send(create_echo())
    with pytest.raises(LocalProtocolError):
        server.send(create_echo_reply())


def test_the_terminal_waits_for_the_first_reply() -> None:
    ends = create_ends(answered=False)
    with pytest.raises(LocalProtocolError):
        ends.terminal.send(create_echo())
    refuses(ends.server, forge(ends.terminal, create_echo()), "order")


def test_the_server_answers_the_first_message_first_and_once() -> None:
    ends = create_ends(answered=False)
    for message in (create_echo_reply(), create_enrol_reply(), LOGOUT_REPLY, NOTICE):
        with pytest.raises(LocalProtocolError):
            ends.server.send(message)
    ends.server.send(create_login_reply())
    with pytest.raises(LocalProtocolError):
        ends.server.send(create_login_reply())


def test_each_end_sends_only_its_own_messages() -> None:
    ends = create_ends()
    for message in (create_echo_reply(), NOTICE, CLOSING, create_login(), create_enrol()):
        with pytest.raises(LocalProtocolError):
            ends.terminal.send(message)
    with pytest.raises(LocalProtocolError):
        ends.server.send(create_echo())
    # A refused send has sent nothing, and the session goes on.
    assert ends.server.receive_data(ends.terminal.send(create_echo())) == [create_echo()]


def test_a_message_that_does_not_fit_leaves_the_session_whole() -> None:
    ends = create_ends()
    with pytest.raises(LocalProtocolError):
        ends.terminal.send(Redeem(**create_asked(), credential="c" * 201, service="s"))
    assert ends.server.receive_data(ends.terminal.send(create_echo())) == [create_echo()]


@pytest.mark.parametrize(
    "message", [create_echo_reply(), NOTICE, CLOSING], ids=["reply", "notice", "closing"]
)
def test_the_server_refuses_what_only_it_may_send(message: Message) -> None:
    ends = create_ends()
    refuses(ends.server, forge(ends.terminal, message), "wrong_direction")


def test_the_terminal_refuses_what_only_it_may_send() -> None:
    ends = create_ends()
    refuses(ends.terminal, forge(ends.server, create_echo()), "wrong_direction")


@pytest.mark.parametrize("message", [create_login(), create_enrol()], ids=["login", "enrol"])
def test_a_second_first_message_is_refused(message: Message) -> None:
    ends = create_ends()
    refuses(ends.server, forge(ends.terminal, message), "order")


@pytest.mark.parametrize("message", [create_login_reply(), create_enrol_reply()], ids=["login", "enrol"])
def test_a_second_first_reply_is_refused(message: Message) -> None:
    ends = create_ends()
    refuses(ends.terminal, forge(ends.server, message), "order")


@pytest.mark.parametrize("message", [create_echo_reply(), create_enrol_reply(), LOGOUT_REPLY, NOTICE])
def test_the_first_reply_answers_the_hello(message: Message) -> None:
    ends = create_ends(answered=False)
    refuses(ends.terminal, forge(ends.server, message), "order")


@pytest.mark.parametrize("hello", [create_login(), create_enrol()], ids=["login", "enrol"])
def test_a_notice_may_come_at_any_time_after_the_first_reply(hello: Login | Enrol) -> None:
    ends = create_ends(hello)
    assert ends.terminal.receive_data(ends.server.send(NOTICE)) == [NOTICE]
    asked, told = ends.terminal.send(create_echo()), ends.server.send(NOTICE)
    assert ends.terminal.receive_data(told) == [NOTICE]
    assert ends.server.receive_data(asked) == [create_echo()]
    told = ends.server.send(NOTICE) + ends.server.send(create_echo_reply()) + ends.server.send(NOTICE)
    assert ends.terminal.receive_data(told) == [NOTICE, create_echo_reply(), NOTICE]
    # Also between the terminal's last message and its answer, and not after that.
    assert ends.server.receive_data(ends.terminal.send(LOGOUT)) == [LOGOUT]
    for message in (NOTICE, LOGOUT_REPLY):
        assert ends.terminal.receive_data(ends.server.send(message)) == [message]
    with pytest.raises(LocalProtocolError):
        ends.server.send(NOTICE)
    refuses(ends.terminal, forge(ends.server, NOTICE), "after_last")


def test_closing_may_come_instead_of_the_first_reply() -> None:
    ends = create_ends(answered=False)
    assert ends.terminal.receive_data(ends.server.send(CLOSING)) == [CLOSING]


def test_after_logout_the_terminal_only_listens() -> None:
    ends = create_ends()
    before, logout = ends.terminal.send(create_echo()), ends.terminal.send(LOGOUT)
    with pytest.raises(LocalProtocolError):
        ends.terminal.send(create_echo())
    assert ends.server.receive_data(before + logout) == [create_echo(), LOGOUT]
    for answer in (create_echo_reply(), LOGOUT_REPLY):
        assert ends.terminal.receive_data(ends.server.send(answer)) == [answer]
    refuses(ends.server, forge(ends.terminal, create_echo()), "after_last")


@pytest.mark.parametrize("last", [CLOSING, LOGOUT_REPLY], ids=["closing", "logout"])
def test_after_its_last_message_the_server_sends_nothing(last: Message) -> None:
    ends = create_ends()
    assert ends.terminal.receive_data(ends.server.send(last)) == [last]
    with pytest.raises(LocalProtocolError):
        ends.server.send(create_echo_reply())
    # What the terminal sent before it knew still arrives.
    assert ends.server.receive_data(ends.terminal.send(create_echo())) == [create_echo()]
    refuses(ends.terminal, forge(ends.server, create_echo_reply()), "after_last")


def test_an_enrolment_session_begins_with_its_own_reply() -> None:
    ends = create_ends(create_enrol(), answered=False)
    refuses(ends.terminal, forge(ends.server, create_login_reply()), "order")
    ends = create_ends(create_enrol())
    assert ends.server.receive_data(ends.terminal.send(LOGOUT)) == [LOGOUT]


def test_why_something_may_not_be_sent_is_said() -> None:
    closed = create_ends().terminal
    refuses(closed, b"\0\0", "frame_empty")
    for session, words in (
        (create_terminal(), "not established"),
        (closed, "not established"),
        (create_ends().terminal, "EchoReply may not be sent"),
        (create_ends(answered=False).server, "EchoReply may not be sent"),
    ):
        with pytest.raises(LocalProtocolError, match=words):
            session.send(create_echo_reply())


def test_the_last_message_of_one_direction_stays_the_last_whatever_the_other_says() -> None:
    ends = create_ends()
    logout = ends.terminal.send(LOGOUT)
    ends.server.send(CLOSING)
    assert ends.server.receive_data(logout) == [LOGOUT]
    with pytest.raises(LocalProtocolError, match="nothing may follow"):
        ends.server.send(NOTICE)
    refuses(ends.server, forge(ends.terminal, create_echo()), "after_last")


def test_frames_alone_together_cut_or_in_a_mutable_buffer_are_the_same() -> None:
    ends = create_ends()
    one, two, three, four, five = (ends.terminal.send(create_echo(number)) for number in range(5))
    pieces: list[bytes | bytearray] = [one, bytearray(two), three + four[:9], four[9:], five]
    assert feed(ends.server, pieces) == ([create_echo(number) for number in range(5)], None)
