"""The patterns are data; their modifiers are not."""

import pytest

from protocol.errors import LocalProtocolError
from protocol.patterns import PATTERNS, pattern_named


def test_the_two_that_we_speak() -> None:
    assert pattern_named("XK").messages == (("e", "es"), ("e", "ee"), ("s", "se"))
    assert pattern_named("XKpsk3").messages == (("e", "es"), ("e", "ee"), ("s", "se", "psk"))
    assert pattern_named("XK").responder == ("s",)
    assert pattern_named("XK").initiator == ()


def test_modifiers_go_before_the_first_message_or_after_one() -> None:
    assert pattern_named("NNpsk0").messages == (("psk", "e"), ("e", "ee"))
    assert pattern_named("NNpsk0+psk2").messages == (("psk", "e"), ("e", "ee", "psk"))
    assert pattern_named("NNpsk0").has_psk
    assert not pattern_named("NN").has_psk


@pytest.mark.parametrize(
    "name", ["", "xk", "ZZ", "XKK", "XKpsk", "XKpsk4", "XKpsk3+", "XK psk3", "NNfallback"]
)
def test_names_that_mean_nothing(name: str) -> None:
    with pytest.raises(LocalProtocolError):
        pattern_named(name)


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_every_message_with_a_payload_under_a_key_follows_an_ephemeral(name: str) -> None:
    pattern = PATTERNS[name]
    assert pattern.messages[0][0] == "e"
    assert all(tokens[0] == "e" for tokens in pattern.messages[:2])
    assert len(pattern.messages) == (1 if len(name) == 1 else 3 if name[0] == "X" else 2)
