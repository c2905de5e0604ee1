"""The terminal's keys: with which pair and to which key of the server the next handshake is made.

A new pair of our own is on the disk before the server hears of it, and the old one stays until a login
with the new one has succeeded: whatever is lost in between, one of the two opens the door.
"""

from collections.abc import Callable
from dataclasses import replace

from protocol.messages import LoginReply, Notice
from protocol.noise import KEY_BYTES, KeyPair
from txserver.terminal_identity import ServerKey, TerminalIdentity

__all__ = ["TerminalKeys"]


class TerminalKeys:
    """`keep` makes an identity durable; None when there is no place for one: then no key is changed.

    `wanted`: the server asks for a new key and has not accepted one yet.
    """

    def __init__(
        self,
        identity: TerminalIdentity,
        *,
        random: Callable[[int], bytes],
        keep: Callable[[TerminalIdentity], None] | None,
    ) -> None:
        self.identity = identity
        self.wanted = False
        self._random = random
        self._keep = keep
        # What was stored may have been accepted: it is tried first, and the old one if it was not.
        self._own_next = identity.next_key is not None
        self._server = 0

    def own(self) -> KeyPair:
        """Our pair for the next handshake."""
        following = self.identity.next_key
        return following if self._own_next and following is not None else self.identity.key

    def server(self) -> ServerKey:
        """The server's key for the next handshake."""
        return self.identity.server_keys[self._server]

    def failed(self, *, server_proved: bool, closed: bool) -> None:
        """A handshake failed. `server_proved`: the server held the key that we meant.

        `closed`: it closed without a word then, as it does for a key of ours that it does not know.
        """
        if not server_proved:
            self._server = (self._server + 1) % len(self.identity.server_keys)
        elif closed and self.identity.next_key is not None:
            self._own_next = not self._own_next

    def logged_in(self, own: KeyPair, server: ServerKey, reply: LoginReply) -> None:
        """A login with these keys succeeded."""
        identity = self.identity
        if identity.next_key is not None and own == identity.next_key:
            identity = replace(identity, key=own, next_key=None)
        # With the old one, although there is a next: the server has not heard of it.
        self.wanted = reply.change_key or identity.next_key is not None
        self._own_next = False
        self._learn(identity, server, reply)

    def heard(self, server: ServerKey, notice: Notice) -> None:
        """The server said something unasked on a session made with its key `server`."""
        self.wanted = self.wanted or notice.change_key
        self._learn(self.identity, server, notice)

    def next_pair(self) -> KeyPair | None:
        """The pair to tell the server of, durable on return. None when there is nowhere to keep one."""
        if self._keep is None:
            self.wanted = False
            return None
        pair = self.identity.next_key
        if pair is None:
            pair = KeyPair.from_private(self._random(KEY_BYTES))
            self._change(replace(self.identity, next_key=pair))
        # Should the reply be lost, the server may have taken it.
        self._own_next = True
        return pair

    def accepted(self) -> None:
        """The server took the next key."""
        self.wanted = False

    def refused(self) -> None:
        """The server will not have this key; another is made when it asks again."""
        self.wanted = False
        self._own_next = False
        self._change(replace(self.identity, next_key=None))

    def _learn(self, identity: TerminalIdentity, server: ServerKey, told: LoginReply | Notice) -> None:
        """Keep the server's key in use and the newest, which may come later than this session."""
        keys = [server, *(key for key in identity.server_keys if key != server)][:2]
        if told.next_key is not None:
            following = (server.id + 1) % 256 if told.next_key_id is None else told.next_key_id
            newest = ServerKey(following, told.next_key)
            keys = [server] if newest == server else [server, newest]
        self._server = 0
        self._change(replace(identity, server_keys=tuple(keys)))

    def _change(self, identity: TerminalIdentity) -> None:
        if identity == self.identity:
            return
        if self._keep is not None:
            self._keep(identity)
        self.identity = identity
