"""One end of a session as a state machine: bytes in, messages out. No I/O, no clock.

    terminal                                     server
    frame 1: preamble ‖ e, es [enrolment id]  ->
                                              <- frame 2: e, ee
    frame 3: s, se [psk] ‖ Login or Enrol     ->
                                              <- LoginReply or EnrolReply
    requests                                 <-> replies; unasked: Notice, Closing

A Notice may pass at any time after the first reply, a Closing instead of it too.

After any RemoteProtocolError the session is over: `receive_data` raises RemoteProtocolError("closed")
and `send` LocalProtocolError from then on. Messages that came in the same call before the fault are
dropped with it; nothing was done for them, and the terminal repeats them on its next session.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from protocol.codec import decode, encode
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.framing import FrameReader, frame
from protocol.limits import MAX_FRAME, MAX_FRAME_UNAUTHENTICATED, MAX_HELLO_PLAINTEXT, REKEY_INTERVAL
from protocol.messages import (
    MESSAGES,
    Closing,
    Enrol,
    EnrolReply,
    Login,
    LoginReply,
    Logout,
    LogoutReply,
    Message,
    Request,
)
from protocol.noise import KEY_BYTES, TAG_BYTES, CipherState, Handshake, KeyPair

__all__ = ["Enrolment", "ServerSession", "TerminalSession", "preamble", "prologue"]

MAGIC = b"TSR1"
LABEL = b"tessera/1"
SUITE = 1
ENROLMENT_FLAG = 0x0001
ENROLMENT_ID_BYTES = 16

_PREAMBLE_BYTES = 8
_NAMES = {False: "Noise_XK_25519_ChaChaPoly_BLAKE2b", True: "Noise_XKpsk3_25519_ChaChaPoly_BLAKE2b"}
_FRAME_1_BYTES = _PREAMBLE_BYTES + KEY_BYTES + TAG_BYTES
_FRAME_2_BYTES = KEY_BYTES + TAG_BYTES

_Kinds = frozenset[type[Message]]

# A message is looked up by its exact class: there are no others than those declared.
_FROM_TERMINAL: _Kinds = frozenset(each for each in MESSAGES if issubclass(each, Request))
_FROM_SERVER: _Kinds = frozenset(MESSAGES) - _FROM_TERMINAL
_NOTHING: _Kinds = frozenset()

# The first message of each direction, never allowed later, and those that nothing may follow. They alone
# change what may pass after them.
_OPENING: _Kinds = frozenset({Login, Enrol, LoginReply, EnrolReply})
_LAST: _Kinds = frozenset({Logout, LogoutReply, Closing})
_TURNS = _OPENING | _LAST

# What the server may say before anything else passes, by the first message that it answers.
_FIRST_REPLIES: dict[type[Message], _Kinds] = {
    Login: frozenset({LoginReply, Closing}),
    Enrol: frozenset({EnrolReply, Closing}),
}


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What the site shows once for a new terminal: a 16-byte name and a 32-byte one-time secret."""

    id: bytes
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.id) != ENROLMENT_ID_BYTES or len(self.secret) != KEY_BYTES:
            raise LocalProtocolError("an enrolment is an id of 16 bytes and a secret of 32")


def preamble(server_key_id: int, *, enrolment: bool) -> bytes:
    """The 8 bytes that open a connection: magic, suite, server key id, flags."""
    if not 0 <= server_key_id <= 255:
        raise LocalProtocolError("a server key id is 0 to 255")
    flags = ENROLMENT_FLAG if enrolment else 0
    return MAGIC + bytes((SUITE, server_key_id)) + flags.to_bytes(2, "big")


def prologue(opening: bytes) -> bytes:
    """What both ends hash before the handshake, so that nobody between them can change the preamble."""
    return LABEL + opening


class _Session:
    """What both ends share: frames, cipher states, the order of messages, and the end of it all."""

    _RECEIVES: _Kinds
    # What may be sent and received when the first reply has passed.
    _LATER: tuple[_Kinds, _Kinds]

    def __init__(self) -> None:
        self._reader = FrameReader(MAX_FRAME_UNAUTHENTICATED)
        self._out = b""
        self._sending: CipherState | None = None
        self._receiving: CipherState | None = None
        # Which messages may pass now: none before the session is established, none after its end.
        self._may_send = _NOTHING
        self._may_receive = _NOTHING
        self._answered = False
        self._sent_last = False
        self._received_last = False
        self._closed = False

    @property
    def established(self) -> bool:
        """Whether the handshake is over and nothing has gone wrong since.

        The terminal may send when the server's first reply has come, the server that reply at once.
        """
        return self._sending is not None and not self._closed

    def receive_data(self, data: bytes | bytearray) -> list[Message]:
        """The messages that these bytes complete.

        RemoteProtocolError when the peer broke the protocol, now or in an earlier call.
        """
        if self._closed:
            raise RemoteProtocolError("closed")
        try:
            body = self._reader.sole(data) if self._receiving is not None else None
            if body is not None:
                return [self._message(body)]
            messages: list[Message] = []
            self._reader.feed(data)
            while (body := self._reader.next_frame()) is not None:
                message = self._handshake(body) if self._receiving is None else self._message(body)
                if message is not None:
                    messages.append(message)
        except BaseException:
            self._closed = True
            self._may_send = self._may_receive = _NOTHING
            raise
        return messages

    def data_to_send(self) -> bytes:
        """Handshake bytes that `receive_data` produced; empty when there are none, or after a fault."""
        data, self._out = self._out, b""
        return b"" if self._closed else data

    def send(self, message: Message) -> bytes:
        """The frame of one message. LocalProtocolError when it may not be sent now, or does not fit.

        A frame that was returned must be written whole and in order: the next one counts on it.
        """
        kind = type(message)
        if kind not in self._may_send:
            raise LocalProtocolError(self._why_not(kind))
        sending = self._sending
        assert sending is not None
        body = sending.encrypt(encode(message))
        if sending.nonce % REKEY_INTERVAL == 0:
            sending.rekey()
        if kind in _TURNS:
            self._turn()
            if kind in _LAST:
                self._sent_last = True
                self._may_send = _NOTHING
        return frame(body)

    def _why_not(self, kind: type[Message]) -> str:
        if self._sending is None or self._closed:
            return "the session is not established"
        if self._sent_last:
            return "nothing may follow the last message"
        return f"{kind.__name__} may not be sent by this end now"

    def _handshake(self, body: bytes) -> Message | None:
        raise NotImplementedError

    def _message(self, body: bytes) -> Message:
        receiving = self._receiving
        assert receiving is not None
        plaintext = receiving.decrypt(body)
        if receiving.nonce % REKEY_INTERVAL == 0:
            receiving.rekey()
        if self._received_last:
            raise RemoteProtocolError("after_last")
        message = decode(plaintext)
        kind = type(message)
        if kind not in self._may_receive:
            raise RemoteProtocolError("order" if kind in self._RECEIVES else "wrong_direction")
        if kind in _TURNS:
            self._turn()
            if kind in _LAST:
                self._received_last = True
                self._may_receive = _NOTHING
        return message

    def _establish(self, handshake: Handshake) -> None:
        self._sending, self._receiving = handshake.split()
        self._reader.limit = MAX_FRAME

    def _turn(self) -> None:
        """The first reply, or Closing instead of it, has passed: from now on nothing like it again."""
        if not self._answered:
            self._answered = True
            self._may_send, self._may_receive = self._LATER


class TerminalSession(_Session):
    """The terminal's end. `hello` is an Enrol exactly when an `enrolment` is given."""

    _RECEIVES = _FROM_SERVER
    _LATER = (_FROM_TERMINAL - _OPENING, _FROM_SERVER - _OPENING)

    def __init__(
        self,
        *,
        static: KeyPair,
        ephemeral: KeyPair,
        server_key: bytes,
        server_key_id: int,
        hello: Login | Enrol,
        enrolment: Enrolment | None = None,
    ) -> None:
        super().__init__()
        if isinstance(hello, Enrol) != (enrolment is not None):
            raise LocalProtocolError("Enrol goes with an enrolment, Login without")
        self._hello = hello
        self._hello_plaintext = encode(hello)
        if len(self._hello_plaintext) > MAX_HELLO_PLAINTEXT:
            raise LocalProtocolError(f"the first message has at most {MAX_HELLO_PLAINTEXT} bytes")
        self._enrolment = enrolment
        self._started = False
        self._preamble = preamble(server_key_id, enrolment=enrolment is not None)
        self._noise = Handshake(
            _NAMES[enrolment is not None],
            initiator=True,
            prologue=prologue(self._preamble),
            static=static,
            ephemeral=ephemeral,
            remote_static=server_key,
            psks=[enrolment.secret] if enrolment else [],
        )

    def start(self) -> bytes:
        """Frame 1, once. RemoteProtocolError when the server key given is no usable point."""
        if self._started or self._closed:
            raise LocalProtocolError("a session starts once")
        self._started = True
        return frame(self._preamble + self._noise.write(self._enrolment.id if self._enrolment else b""))

    def _handshake(self, body: bytes) -> None:
        if not self._started or len(body) != _FRAME_2_BYTES:
            raise RemoteProtocolError("handshake_length")
        self._noise.read(body)
        self._out = frame(self._noise.write(self._hello_plaintext))
        self._establish(self._noise)
        self._may_receive = _FIRST_REPLIES[type(self._hello)]


class ServerSession(_Session):
    """The server's end.

    `keys` are its static key pairs by id. `enrolment_secret` gives the 32-byte secret of an enrolment
    id of 16 bytes, known or not: whether it may still be used is decided later, by whoever has a
    database. The terminal is who its static key says, and nobody has checked that key yet when the
    first message comes out: look it up before anything else.
    """

    _RECEIVES = _FROM_TERMINAL
    _LATER = (_FROM_SERVER - _OPENING, _FROM_TERMINAL - _OPENING)

    def __init__(
        self,
        *,
        keys: Mapping[int, KeyPair],
        ephemeral: KeyPair,
        enrolment_secret: Callable[[bytes], bytes],
    ) -> None:
        super().__init__()
        self._keys = keys
        self._ephemeral = ephemeral
        self._enrolment_secret = enrolment_secret
        self._noise: Handshake | None = None
        self.remote_key: bytes | None = None
        self.enrolment_id: bytes | None = None

    def _handshake(self, body: bytes) -> Message | None:
        if self._noise is None:
            self._noise = self._answer(body)
            return None
        return self._finish(self._noise, body)

    def _answer(self, body: bytes) -> Handshake:
        """Read frame 1 and leave frame 2 in `data_to_send`."""
        opening, message = body[:_PREAMBLE_BYTES], body[_PREAMBLE_BYTES:]
        pair, enrolment = self._read_preamble(opening)
        if len(body) != _FRAME_1_BYTES + (ENROLMENT_ID_BYTES if enrolment else 0):
            raise RemoteProtocolError("handshake_length")
        noise = Handshake(
            _NAMES[enrolment],
            initiator=False,
            prologue=prologue(opening),
            static=pair,
            ephemeral=self._ephemeral,
        )
        del self._ephemeral
        payload = noise.read(message)
        if enrolment:
            noise.add_psk(self._enrolment_secret(payload))
            self.enrolment_id = payload
        self._out = frame(noise.write())
        return noise

    def _read_preamble(self, opening: bytes) -> tuple[KeyPair, bool]:
        """(the key pair that the terminal wants to talk to, whether it wants to enrol)."""
        if len(opening) < _PREAMBLE_BYTES or opening[:4] != MAGIC:
            raise RemoteProtocolError("magic")
        suite, key_id, flags = opening[4], opening[5], int.from_bytes(opening[6:8], "big")
        if suite != SUITE:
            raise RemoteProtocolError("suite")
        if flags & ~ENROLMENT_FLAG:
            raise RemoteProtocolError("flags")
        pair = self._keys.get(key_id)
        if pair is None:
            raise RemoteProtocolError("server_key")
        return pair, bool(flags & ENROLMENT_FLAG)

    def _finish(self, noise: Handshake, body: bytes) -> Message:
        """Read frame 3: who the terminal is, and its Login or Enrol."""
        hello = decode(noise.read(body))
        if not isinstance(hello, Login if self.enrolment_id is None else Enrol):
            raise RemoteProtocolError("order")
        self.remote_key = noise.remote_static
        self._establish(noise)
        self._may_send = _FIRST_REPLIES[type(hello)]
        # Its secrets go with it: whoever reads this memory later must not open what was said before.
        self._noise = None
        return hello
