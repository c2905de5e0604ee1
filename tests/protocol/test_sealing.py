"""The short calls into libsodium give what PyNaCl's own functions give, and refuse what they refuse."""

import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings
from nacl.exceptions import CryptoError

from protocol import sealing

KEY, NONCE, LONG_NONCE = bytes(range(32)), bytes(range(12)), bytes(range(24))


@given(message=st.binary(max_size=400), ad=st.binary(max_size=80))
def test_sealed_and_opened_as_by_the_library(message: bytes, ad: bytes) -> None:
    sealed = sealing.seal_ietf(message, ad, NONCE, KEY)
    assert sealed == bindings.crypto_aead_chacha20poly1305_ietf_encrypt(message, ad, NONCE, KEY)
    assert sealing.open_ietf(sealed, ad, NONCE, KEY) == message
    far = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(message, ad, LONG_NONCE, KEY)
    assert sealing.open_xchacha(far, ad, LONG_NONCE, KEY) == message


@given(at=st.integers(0, 40), ad=st.binary(max_size=8))
def test_a_bit_turned_anywhere_does_not_open(at: int, ad: bytes) -> None:
    sealed = bytearray(sealing.seal_ietf(bytes(25), b"ad", NONCE, KEY))
    sealed[at] ^= 1
    with pytest.raises(CryptoError):
        sealing.open_ietf(bytes(sealed), b"ad", NONCE, KEY)
    with pytest.raises(CryptoError):
        sealing.open_ietf(sealing.seal_ietf(bytes(25), ad, NONCE, KEY), ad + b"x", NONCE, KEY)


@pytest.mark.parametrize("length", range(16))
def test_what_is_shorter_than_a_tag_does_not_open(length: int) -> None:
    for open_, nonce in ((sealing.open_ietf, NONCE), (sealing.open_xchacha, LONG_NONCE)):
        with pytest.raises(CryptoError):
            open_(bytes(length), b"", nonce, KEY)


@pytest.mark.parametrize(
    "given_",
    [
        (bytearray(40), b"", NONCE, KEY),
        ("x" * 40, b"", NONCE, KEY),
        (bytes(40), b"", NONCE[1:], KEY),
        (bytes(40), b"", LONG_NONCE, KEY),
        (bytes(40), b"", NONCE, KEY[1:]),
        (bytes(40), b"", NONCE, KEY + b"x"),
    ],
)
def test_sizes_and_types_that_libsodium_would_not_look_at_are_refused(given_: Any) -> None:
    for function in (sealing.seal_ietf, sealing.open_ietf):
        with pytest.raises(TypeError):
            function(*given_)


def test_without_the_short_door_the_public_functions_serve() -> None:
    told = """
import sys
from nacl import bindings
sys.modules["nacl._sodium"] = None
from protocol import sealing
assert sealing.seal_ietf is bindings.crypto_aead_chacha20poly1305_ietf_encrypt
assert sealing.open_xchacha is bindings.crypto_aead_xchacha20poly1305_ietf_decrypt
"""
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
