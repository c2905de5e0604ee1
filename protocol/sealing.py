"""ChaCha20-Poly1305 and XChaCha20-Poly1305 of libsodium, called as PyNaCl calls them, without its ceremony.

A debit has three of these calls, and two thirds of what each cost were messages of errors that did not
happen: twelve microseconds of a debit. The same checks are made here, the library underneath is the
same. The door to it is PyNaCl's own and not promised; where it is missing, the public functions serve.
"""

from collections.abc import Callable
from typing import Any

from nacl import bindings
from nacl.exceptions import CryptoError

__all__ = ["open_ietf", "open_xchacha", "seal_ietf"]

KEY_BYTES = 32
TAG_BYTES = 16
IETF_NONCE_BYTES = 12
XCHACHA_NONCE_BYTES = 24

Cipher = Callable[[bytes, bytes, bytes, bytes], bytes]
"""(message, additional data, nonce, key) -> message. CryptoError when it does not open; TypeError."""


def _sealer(ffi: Any, function: Callable[..., int], nonce_bytes: int) -> Cipher:
    new, buffer, null = ffi.new, ffi.buffer, ffi.NULL

    def seal(message: bytes, ad: bytes, nonce: bytes, key: bytes) -> bytes:
        size = len(message)
        if type(message) is not bytes or len(nonce) != nonce_bytes or len(key) != KEY_BYTES:
            raise TypeError("a message is bytes, with a nonce and a key of their lengths")
        out = new("unsigned char[]", size + TAG_BYTES)
        if function(out, null, message, size, ad, len(ad), null, nonce, key):
            raise CryptoError("sealing failed")
        sealed: bytes = buffer(out)[:]
        return sealed

    return seal


def _opener(ffi: Any, function: Callable[..., int], nonce_bytes: int) -> Cipher:
    new, buffer, null = ffi.new, ffi.buffer, ffi.NULL

    def open_(sealed: bytes, ad: bytes, nonce: bytes, key: bytes) -> bytes:
        size = len(sealed)
        # libsodium reads as many bytes as it is told, so every length is checked here.
        if type(sealed) is not bytes or len(nonce) != nonce_bytes or len(key) != KEY_BYTES:
            raise TypeError("a message is bytes, with a nonce and a key of their lengths")
        if size < TAG_BYTES:
            raise CryptoError("shorter than a tag")
        out = new("unsigned char[]", size - TAG_BYTES)
        if function(out, null, null, sealed, size, ad, len(ad), nonce, key):
            raise CryptoError("it does not open")
        message: bytes = buffer(out)[:]
        return message

    return open_


seal_ietf: Cipher = bindings.crypto_aead_chacha20poly1305_ietf_encrypt
open_ietf: Cipher = bindings.crypto_aead_chacha20poly1305_ietf_decrypt
open_xchacha: Cipher = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt

try:
    from nacl._sodium import ffi as _ffi  # type: ignore[import-not-found]
    from nacl._sodium import lib as _lib
except ImportError:
    pass
else:
    seal_ietf = _sealer(_ffi, _lib.crypto_aead_chacha20poly1305_ietf_encrypt, IETF_NONCE_BYTES)
    open_ietf = _opener(_ffi, _lib.crypto_aead_chacha20poly1305_ietf_decrypt, IETF_NONCE_BYTES)
    open_xchacha = _opener(_ffi, _lib.crypto_aead_xchacha20poly1305_ietf_decrypt, XCHACHA_NONCE_BYTES)
