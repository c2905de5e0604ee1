"""The handshake patterns of Noise revision 34, sections 7.4 and 7.5, as data, and their psk modifiers."""

import re
from dataclasses import dataclass, replace

from protocol.errors import LocalProtocolError

__all__ = ["PATTERNS", "Pattern", "pattern_named"]

Tokens = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """Pre-messages of each side, then the tokens of each message, the initiator's first."""

    initiator: Tokens
    responder: Tokens
    messages: tuple[Tokens, ...]

    @property
    def has_psk(self) -> bool:
        return any("psk" in tokens for tokens in self.messages)


def _pattern(text: str, *, initiator: str = "", responder: str = "") -> Pattern:
    """Messages are separated by "/", tokens by a space."""
    messages = tuple(tuple(message.split()) for message in text.split("/"))
    return Pattern(tuple(initiator.split()), tuple(responder.split()), messages)


PATTERNS: dict[str, Pattern] = {
    "N": _pattern("e es", responder="s"),
    "K": _pattern("e es ss", initiator="s", responder="s"),
    "X": _pattern("e es s ss", responder="s"),
    "NN": _pattern("e/e ee"),
    "NK": _pattern("e es/e ee", responder="s"),
    "NX": _pattern("e/e ee s es"),
    "KN": _pattern("e/e ee se", initiator="s"),
    "KK": _pattern("e es ss/e ee se", initiator="s", responder="s"),
    "KX": _pattern("e/e ee se s es", initiator="s"),
    "XN": _pattern("e/e ee/s se"),
    "XK": _pattern("e es/e ee/s se", responder="s"),
    "XX": _pattern("e/e ee s es/s se"),
    "IN": _pattern("e s/e ee se"),
    "IK": _pattern("e es s ss/e ee se", responder="s"),
    "IX": _pattern("e s/e ee se s es"),
}

_NAME = re.compile(r"([NKXI]{1,2})((?:psk[0-9])(?:\+psk[0-9])*)?")


def pattern_named(name: str) -> Pattern:
    """ "XK" or "XKpsk3" or "NNpsk0+psk2". LocalProtocolError for a name that means nothing."""
    found = _NAME.fullmatch(name)
    if found is None or found[1] not in PATTERNS:
        raise LocalProtocolError(f"no such handshake pattern: {name}")
    pattern = PATTERNS[found[1]]
    for modifier in (found[2] or "").split("+"):
        if modifier:
            pattern = _with_psk(pattern, int(modifier[3:]))
    return pattern


def _with_psk(pattern: Pattern, place: int) -> Pattern:
    """psk0 goes before the first message's tokens, psk1 after them, psk2 after the second's, and so on."""
    messages = list(pattern.messages)
    if place > len(messages):
        raise LocalProtocolError(f"no message for psk{place}")
    if place == 0:
        messages[0] = ("psk", *messages[0])
    else:
        messages[place - 1] = (*messages[place - 1], "psk")
    return replace(pattern, messages=tuple(messages))
