"""The Noise protocol framework, revision 34: handshakes and cipher states.

Names are the specification's (https://noiseprotocol.org/noise.html). DH is 25519, the cipher
ChaChaPoly, the hash BLAKE2b or SHA256. Patterns are data. Nothing here draws random bytes: key pairs,
the ephemeral one too, are given.
"""

import hashlib
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nacl import bindings
from nacl.exceptions import CryptoError

from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.patterns import Pattern, pattern_named
from protocol.sealing import open_ietf, seal_ietf

__all__ = ["KEY_BYTES", "TAG_BYTES", "CipherState", "Handshake", "KeyPair"]

KEY_BYTES = 32
TAG_BYTES = 16

# Four zeros, then the counter, little endian. Noise reserves the highest for REKEY.
_nonce_bytes = struct.Struct("<4xQ").pack
_LAST_NONCE = 2**64 - 1
_REKEY_NONCE = _nonce_bytes(_LAST_NONCE)

# What PyNaCl raises for bad points, short input and wrong tags; its own ValueError, TypeError and
# RuntimeError derive from CryptoError and from the builtin ones, and cffi raises the builtin ones bare.
_NACL_ERRORS = (CryptoError, ValueError, TypeError, RuntimeError)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A Curve25519 key pair, 32 bytes each. Made from private bytes drawn at the edge of the program."""

    private: bytes = field(repr=False)
    public: bytes

    @classmethod
    def from_private(cls, private: bytes) -> "KeyPair":
        """LocalProtocolError unless `private` is 32 bytes."""
        _require_key(private)
        return cls(private, bindings.crypto_scalarmult_base(private))


def _require_key(key: bytes) -> None:
    if type(key) is not bytes or len(key) != KEY_BYTES:
        raise LocalProtocolError(f"a key is {KEY_BYTES} bytes")


def _dh(pair: KeyPair, public: bytes) -> bytes:
    """32 bytes. RemoteProtocolError for a low-order point: the shared secret would be all zeros."""
    # libsodium reads 32 bytes whatever it is given, so the length is checked here, not there.
    if len(public) != KEY_BYTES:
        raise RemoteProtocolError("bad_point")
    try:
        shared = bindings.crypto_scalarmult(pair.private, public)
    except _NACL_ERRORS:
        raise RemoteProtocolError("bad_point") from None
    if not any(shared):
        raise RemoteProtocolError("bad_point")
    return shared


class CipherState:
    """A key and its 64-bit counter. A message that does not decrypt leaves the counter where it was.

    `nonce` is how many messages have passed, and the counter of the next. Others only read it.
    """

    __slots__ = ("_key", "nonce")

    def __init__(self, key: bytes) -> None:
        _require_key(key)
        self._key = key
        self.nonce = 0

    def encrypt(self, plaintext: bytes, ad: bytes = b"") -> bytes:
        """Ciphertext and its 16-byte tag. LocalProtocolError when the counter is used up."""
        nonce = self.nonce
        if nonce >= _LAST_NONCE:
            raise LocalProtocolError("the counter is used up")
        sealed = seal_ietf(plaintext, ad, _nonce_bytes(nonce), self._key)
        self.nonce = nonce + 1
        return sealed

    def decrypt(self, ciphertext: bytes, ad: bytes = b"") -> bytes:
        """The plaintext. RemoteProtocolError for anything that was not sealed as exactly this message."""
        nonce = self.nonce
        if nonce >= _LAST_NONCE:
            raise RemoteProtocolError("counter_exhausted")
        try:
            plaintext = open_ietf(ciphertext, ad, _nonce_bytes(nonce), self._key)
        except _NACL_ERRORS:
            raise RemoteProtocolError("decrypt") from None
        self.nonce = nonce + 1
        return plaintext

    def rekey(self) -> None:
        """REKEY(k): the first 32 bytes of 32 zeros encrypted under the highest nonce. The counter stays."""
        self._key = seal_ietf(bytes(KEY_BYTES), b"", _REKEY_NONCE, self._key)[:KEY_BYTES]


_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


@dataclass(frozen=True, slots=True)
class _Hash:
    """A hash function: output and block lengths in bytes, and data to digest."""

    length: int
    block: int
    digest: Callable[[bytes], bytes]

    def hmac(self, key: bytes, data: bytes) -> bytes:
        """RFC 2104, for keys no longer than a block. Three times as fast as hmac.digest for BLAKE2b."""
        padded = key.ljust(self.block, b"\0")
        return self.digest(padded.translate(_OUTER) + self.digest(padded.translate(_INNER) + data))

    def hkdf(self, chaining_key: bytes, material: bytes, outputs: int) -> list[bytes]:
        """Noise's HKDF, on HMAC: two or three outputs of the hash's length."""
        secret = self.hmac(chaining_key, material)
        made: list[bytes] = []
        last = b""
        for number in range(1, outputs + 1):
            last = self.hmac(secret, last + bytes((number,)))
            made.append(last)
        return made


_HASHES = {
    "BLAKE2b": _Hash(64, 128, lambda data: hashlib.blake2b(data).digest()),
    "SHA256": _Hash(32, 64, lambda data: hashlib.sha256(data).digest()),
}


class _Symmetric:
    """SymmetricState: the chaining key, the hash of everything so far, and the present cipher, if any."""

    __slots__ = ("_chaining_key", "_cipher", "_hash", "digest")

    def __init__(self, name: bytes, hash_: _Hash) -> None:
        self._hash = hash_
        self.digest = name.ljust(hash_.length, b"\0") if len(name) <= hash_.length else hash_.digest(name)
        self._chaining_key = self.digest
        self._cipher: CipherState | None = None

    def mix_hash(self, data: bytes) -> None:
        self.digest = self._hash.digest(self.digest + data)

    def mix_key(self, material: bytes) -> None:
        self._chaining_key, key = self._hash.hkdf(self._chaining_key, material, 2)
        self._cipher = CipherState(key[:KEY_BYTES])

    def mix_key_and_hash(self, psk: bytes) -> None:
        self._chaining_key, middle, key = self._hash.hkdf(self._chaining_key, psk, 3)
        self.mix_hash(middle)
        self._cipher = CipherState(key[:KEY_BYTES])

    @property
    def tag_bytes(self) -> int:
        return TAG_BYTES if self._cipher else 0

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        sealed = self._cipher.encrypt(plaintext, self.digest) if self._cipher else plaintext
        self.mix_hash(sealed)
        return sealed

    def decrypt_and_hash(self, sealed: bytes) -> bytes:
        plaintext = self._cipher.decrypt(sealed, self.digest) if self._cipher else sealed
        self.mix_hash(sealed)
        return plaintext

    def split(self) -> tuple[CipherState, CipherState]:
        first, second = self._hash.hkdf(self._chaining_key, b"", 2)
        return CipherState(first[:KEY_BYTES]), CipherState(second[:KEY_BYTES])


class Handshake:
    """HandshakeState of one end.

    `name` is a full protocol name, as in "Noise_XK_25519_ChaChaPoly_BLAKE2b". Keys that the pattern
    does not use may be left out. Pre-shared keys may also come later, with `add_psk`, as long as they
    come before the message that mixes them in. After an error the object is of no further use.
    """

    def __init__(
        self,
        name: str,
        *,
        initiator: bool,
        prologue: bytes = b"",
        static: KeyPair | None = None,
        ephemeral: KeyPair | None = None,
        remote_static: bytes | None = None,
        psks: Sequence[bytes] = (),
    ) -> None:
        self._pattern, hash_ = _parse_name(name)
        self._initiator = initiator
        self._keys = {"s": static, "e": ephemeral}
        self._remote: dict[str, bytes] = {}
        if remote_static is not None:
            _require_key(remote_static)
            self._remote["s"] = remote_static
        self._psks: list[bytes] = []
        for psk in psks:
            self.add_psk(psk)
        self._step = 0
        self._symmetric = _Symmetric(name.encode("ascii"), hash_)
        self._symmetric.mix_hash(prologue)
        for of_initiator, tokens in ((True, self._pattern.initiator), (False, self._pattern.responder)):
            for token in tokens:
                mine = of_initiator == initiator
                self._symmetric.mix_hash(self._own(token).public if mine else self._theirs(token))

    @property
    def finished(self) -> bool:
        """Whether every message of the pattern has been written or read."""
        return self._step == len(self._pattern.messages)

    @property
    def hash(self) -> bytes:
        """The handshake hash: the same at both ends when they saw the same handshake."""
        return self._symmetric.digest

    @property
    def remote_static(self) -> bytes | None:
        """The peer's static public key, once known."""
        return self._remote.get("s")

    def add_psk(self, psk: bytes) -> None:
        """One more pre-shared key of 32 bytes, in the order in which the pattern uses them."""
        _require_key(psk)
        self._psks.append(psk)

    def write(self, payload: bytes = b"") -> bytes:
        """The next handshake message. LocalProtocolError when it is not our turn."""
        message = bytearray()
        for token in self._turn(writing=True):
            if token == "e":
                public = self._own("e").public
                message += public
                self._mix_ephemeral(public)
            elif token == "s":
                message += self._symmetric.encrypt_and_hash(self._own("s").public)
            else:
                self._mix(token)
        message += self._symmetric.encrypt_and_hash(payload)
        return bytes(message)

    def read(self, message: bytes) -> bytes:
        """The payload of the peer's next message. RemoteProtocolError when it is not what it must be."""
        at = 0
        for token in self._turn(writing=False):
            if token in ("e", "s"):
                end = at + KEY_BYTES + (self._symmetric.tag_bytes if token == "s" else 0)
                if len(message) < end:
                    raise RemoteProtocolError("handshake_length")
                part, at = message[at:end], end
                if token == "e":
                    self._remote["e"] = part
                    self._mix_ephemeral(part)
                else:
                    self._remote["s"] = self._symmetric.decrypt_and_hash(part)
            else:
                self._mix(token)
        return self._symmetric.decrypt_and_hash(message[at:])

    def split(self) -> tuple[CipherState, CipherState]:
        """(ours to send with, ours to receive with). LocalProtocolError before the handshake is over."""
        if not self.finished:
            raise LocalProtocolError("the handshake is not over")
        first, second = self._symmetric.split()
        return (first, second) if self._initiator else (second, first)

    def _turn(self, *, writing: bool) -> tuple[str, ...]:
        if self.finished or (self._step % 2 == 0) != (writing == self._initiator):
            raise LocalProtocolError("not this end's turn in the handshake")
        self._step += 1
        return self._pattern.messages[self._step - 1]

    def _mix_ephemeral(self, public: bytes) -> None:
        self._symmetric.mix_hash(public)
        if self._pattern.has_psk:
            self._symmetric.mix_key(public)

    def _mix(self, token: str) -> None:
        if token == "psk":
            if not self._psks:
                raise LocalProtocolError("the pattern needs a pre-shared key")
            self._symmetric.mix_key_and_hash(self._psks.pop(0))
            return
        # "es" names the initiator's key first.
        mine, theirs = (token[0], token[1]) if self._initiator else (token[1], token[0])
        self._symmetric.mix_key(_dh(self._own(mine), self._theirs(theirs)))

    def _own(self, which: str) -> KeyPair:
        pair = self._keys[which]
        if pair is None:
            raise LocalProtocolError(f"the pattern needs our key {which}")
        return pair

    def _theirs(self, which: str) -> bytes:
        if which not in self._remote:
            raise LocalProtocolError(f"the pattern needs the peer's key {which}")
        return self._remote[which]


def _parse_name(name: str) -> tuple[Pattern, _Hash]:
    """LocalProtocolError for a protocol that is not built in."""
    match name.split("_"):
        case ["Noise", pattern, "25519", "ChaChaPoly", hash_] if hash_ in _HASHES:
            return pattern_named(pattern), _HASHES[hash_]
    raise LocalProtocolError(f"no such protocol: {name}")
