"""Noise against vectors that another implementation made, and the pitfalls of peers."""

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.noise import _HASHES, CipherState, Handshake, KeyPair
from tests.protocol.factories import LOW_ORDER_POINTS

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "noise.json").read_text())["vectors"]
XK = "Noise_XK_25519_ChaChaPoly_BLAKE2b"
OURS, THEIRS = (KeyPair.from_private(bytes([number]) * 32) for number in (1, 2))


def create_end(vector: dict[str, Any], side: str) -> Handshake:
    def pair(name: str) -> KeyPair | None:
        key = f"{side}_{name}"
        return KeyPair.from_private(bytes.fromhex(vector[key])) if key in vector else None

    remote = vector.get(f"{side}_remote_static")
    return Handshake(
        vector["protocol_name"],
        initiator=side == "init",
        prologue=bytes.fromhex(vector[f"{side}_prologue"]),
        static=pair("static"),
        ephemeral=pair("ephemeral"),
        remote_static=bytes.fromhex(remote) if remote else None,
        psks=[bytes.fromhex(psk) for psk in vector.get(f"{side}_psks", [])],
    )


def create_pair(name: str = XK, **changes: Any) -> tuple[Handshake, Handshake]:
    """Both ends of a handshake that knows the responder's key."""
    common: dict[str, Any] = {"prologue": b"p", **changes}
    ephemerals = [KeyPair.from_private(bytes([number]) * 32) for number in (3, 4)]
    return (
        Handshake(
            name, initiator=True, static=OURS, ephemeral=ephemerals[0], remote_static=THEIRS.public, **common
        ),
        Handshake(name, initiator=False, static=THEIRS, ephemeral=ephemerals[1], **common),
    )


def create_ciphers() -> tuple[CipherState, CipherState]:
    return CipherState(b"k" * 32), CipherState(b"k" * 32)


@pytest.mark.parametrize("side", ["init", "resp"])
@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["protocol_name"])
def test_vectors_of_another_implementation(vector: dict[str, Any], side: str) -> None:
    end = create_end(vector, side)
    one_way = len(vector["protocol_name"].split("_")[1]) == 1
    ciphers: tuple[CipherState, CipherState] | None = None
    for number, message in enumerate(vector["messages"]):
        payload, ciphertext = bytes.fromhex(message["payload"]), bytes.fromhex(message["ciphertext"])
        ours = (one_way or number % 2 == 0) == (side == "init")
        if ciphers:
            if ours:
                assert ciphers[0].encrypt(payload) == ciphertext
            else:
                assert ciphers[1].decrypt(ciphertext) == payload
            continue
        if ours:
            assert end.write(payload) == ciphertext
        else:
            assert end.read(ciphertext) == payload
        if end.finished:
            assert end.hash.hex() == vector["handshake_hash"]
            ciphers = end.split()
    assert ciphers


def test_the_vectors_hold_our_suites_in_both_forms() -> None:
    names = {vector["protocol_name"] for vector in VECTORS}
    assert {XK, "Noise_XKpsk3_25519_ChaChaPoly_BLAKE2b"} <= names
    assert len(names) == len(VECTORS) == 42


@pytest.mark.parametrize(("name", "standard"), [("BLAKE2b", "blake2b"), ("SHA256", "sha256")])
def test_hmac_is_the_standard_one(name: str, standard: str) -> None:
    for size in (0, 32, _HASHES[name].length):
        expected = hmac.new(b"k" * size, b"data", standard).digest()
        assert _HASHES[name].hmac(b"k" * size, b"data") == expected
    assert _HASHES[name].block == hashlib.new(standard).block_size


def test_the_nonce_is_four_zeros_and_a_little_endian_counter() -> None:
    # RFC 8439's cipher under key k, counters 1 and 2**32 + 5, made with another library's ChaCha20-Poly1305.
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    cipher = CipherState(b"k" * 32)
    for counter in (0, 1, 255, 256, 2**32 - 1, 2**32, 2**32 + 5, 2**64 - 2):
        cipher.nonce = counter
        nonce = bytes(4) + counter.to_bytes(8, "little")
        assert cipher.encrypt(b"text", b"ad") == ChaCha20Poly1305(b"k" * 32).encrypt(nonce, b"text", b"ad")


def test_a_failed_decrypt_does_not_advance_the_counter() -> None:
    sending, receiving = create_ciphers()
    first, second = sending.encrypt(b"first"), sending.encrypt(b"second")
    for wrong in (second, first[:-1], first + b"\0", b"", bytes(16)):
        with pytest.raises(RemoteProtocolError, match="decrypt"):
            receiving.decrypt(wrong)
    assert receiving.nonce == 0
    assert receiving.decrypt(first) == b"first"
    assert receiving.decrypt(second) == b"second"


def test_the_counter_has_64_bits_and_its_end_is_an_error() -> None:
    sending, receiving = create_ciphers()
    sending.nonce = receiving.nonce = 2**32
    assert receiving.decrypt(sending.encrypt(b"x")) == b"x"
    assert sending.nonce == 2**32 + 1
    sending.nonce = receiving.nonce = 2**64 - 2
    assert receiving.decrypt(sending.encrypt(b"last")) == b"last"
    with pytest.raises(LocalProtocolError):
        sending.encrypt(b"one more")
    with pytest.raises(RemoteProtocolError, match="counter_exhausted"):
        receiving.decrypt(bytes(20))


def test_rekey_changes_the_key_and_keeps_the_counter() -> None:
    sending, receiving = create_ciphers()
    assert receiving.decrypt(sending.encrypt(b"x")) == b"x"
    sending.rekey()
    sealed = sending.encrypt(b"y")
    with pytest.raises(RemoteProtocolError, match="decrypt"):
        receiving.decrypt(sealed)
    receiving.rekey()
    assert receiving.decrypt(sealed) == b"y"
    assert sending.nonce == receiving.nonce == 2


@pytest.mark.parametrize("ciphertext", [b"", b"x", bytes(15), bytes(16), "text", None, 5, bytearray(40)])
def test_short_and_mistyped_input_is_one_kind_of_error(ciphertext: Any) -> None:
    with pytest.raises(RemoteProtocolError, match="decrypt"):
        CipherState(bytes(32)).decrypt(ciphertext)


@pytest.mark.parametrize("point", LOW_ORDER_POINTS, ids=bytes.hex)
def test_low_order_points_are_refused(point: bytes) -> None:
    _, responder = create_pair()
    with pytest.raises(RemoteProtocolError, match="bad_point"):
        responder.read(point + bytes(16))
    initiator, _ = create_pair()
    initiator.write()
    with pytest.raises(RemoteProtocolError, match="bad_point"):
        initiator.read(point + bytes(16))


@pytest.mark.parametrize("point", LOW_ORDER_POINTS, ids=bytes.hex)
def test_a_low_order_static_key_is_refused(point: bytes) -> None:
    initiator, responder = create_pair()
    responder.read(initiator.write())
    initiator.read(responder.write())
    # The initiator cannot finish the third message itself; its encrypted key is enough.
    sealed = initiator._symmetric.encrypt_and_hash(point)
    with pytest.raises(RemoteProtocolError, match="bad_point"):
        responder.read(sealed + bytes(16))


@pytest.mark.parametrize("length", [0, 1, 31, 32, 47])
def test_short_handshake_messages(length: int) -> None:
    _, responder = create_pair()
    with pytest.raises(RemoteProtocolError):
        responder.read(OURS.public.ljust(48, b"\0")[:length])


def test_both_ends_learn_the_same_and_each_other() -> None:
    initiator, responder = create_pair()
    assert responder.read(initiator.write(b"one")) == b"one"
    assert (initiator.remote_static, responder.remote_static) == (THEIRS.public, None)
    assert initiator.read(responder.write(b"two")) == b"two"
    assert responder.read(initiator.write(b"three")) == b"three"
    assert responder.remote_static == OURS.public
    assert initiator.hash == responder.hash
    sending, receiving = initiator.split()
    there, back = responder.split()
    assert back.decrypt(sending.encrypt(b"x")) == b"x"
    assert receiving.decrypt(there.encrypt(b"y")) == b"y"


def test_another_prologue_is_found_at_once() -> None:
    initiator, _ = create_pair(prologue=b"suite 1")
    _, responder = create_pair(prologue=b"suite 2")
    with pytest.raises(RemoteProtocolError, match="decrypt"):
        responder.read(initiator.write())


def test_a_psk_may_come_late_but_not_too_late() -> None:
    name = "Noise_XKpsk3_25519_ChaChaPoly_BLAKE2b"
    initiator, responder = create_pair(name)
    initiator.add_psk(b"s" * 32)
    responder.read(initiator.write())
    initiator.read(responder.write())
    third = initiator.write(b"hello")
    with pytest.raises(LocalProtocolError):
        responder.read(third)
    initiator, responder = create_pair(name)
    initiator.add_psk(b"s" * 32)
    responder.read(initiator.write())
    responder.add_psk(b"s" * 32)
    initiator.read(responder.write())
    assert responder.read(initiator.write(b"hello")) == b"hello"


def test_turns_are_kept() -> None:
    initiator, responder = create_pair()
    for wrong in (
        responder.write,
        lambda: initiator.read(bytes(48)),
        initiator.split,
    ):
        with pytest.raises(LocalProtocolError):
            wrong()
    responder.read(initiator.write())
    initiator.read(responder.write())
    responder.read(initiator.write())
    for wrong in (initiator.write, responder.write, lambda: initiator.read(bytes(48))):
        with pytest.raises(LocalProtocolError):
            wrong()


@pytest.mark.parametrize(
    "name",
    [
        "Noise_XK_448_ChaChaPoly_BLAKE2b",
        "Noise_XK_25519_AESGCM_BLAKE2b",
        "Noise_XK_25519_ChaChaPoly_SHA512",
        "Noise_XK_25519_ChaChaPoly",
        "NoisePSK_XK_25519_ChaChaPoly_BLAKE2b",
        "Noise_ZZ_25519_ChaChaPoly_BLAKE2b",
        "",
    ],
)
def test_protocols_that_are_not_built_in(name: str) -> None:
    with pytest.raises(LocalProtocolError):
        Handshake(name, initiator=True)


def test_missing_keys_are_our_bug() -> None:
    with pytest.raises(LocalProtocolError):
        Handshake(XK, initiator=True, static=OURS)
    with pytest.raises(LocalProtocolError):
        Handshake(XK, initiator=False)
    with pytest.raises(LocalProtocolError):
        Handshake(XK, initiator=True, remote_static=THEIRS.public).write()


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33), "x" * 32, None])
def test_keys_have_32_bytes(key: Any) -> None:
    for make in (KeyPair.from_private, CipherState, create_pair()[0].add_psk):
        with pytest.raises(LocalProtocolError):
            make(key)
    with pytest.raises(LocalProtocolError):
        Handshake(XK, initiator=True, static=OURS, remote_static=key or b"")


def test_a_key_pair_does_not_show_its_private_key() -> None:
    assert repr(OURS.private) not in repr(OURS)
    assert repr(OURS.public) in repr(OURS)
