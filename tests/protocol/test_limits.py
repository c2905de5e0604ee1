"""The limits agree with each other."""

from protocol import limits
from protocol.noise import KEY_BYTES, TAG_BYTES


def test_the_longest_message_fits_a_frame_and_the_next_block_would_not() -> None:
    assert limits.MAX_PLAINTEXT % limits.PADDING_BLOCK == 0
    assert limits.MAX_PLAINTEXT + TAG_BYTES <= limits.MAX_FRAME
    assert limits.MAX_PLAINTEXT + limits.PADDING_BLOCK + TAG_BYTES > limits.MAX_FRAME


def test_the_longest_hello_fits_the_third_handshake_frame() -> None:
    assert limits.MAX_HELLO_PLAINTEXT % limits.PADDING_BLOCK == 0
    sealed_key = KEY_BYTES + TAG_BYTES
    assert sealed_key + limits.MAX_HELLO_PLAINTEXT + TAG_BYTES == limits.MAX_FRAME_UNAUTHENTICATED
