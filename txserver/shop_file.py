"""The world of a played shop, as a file: enrolment codes of its terminals, cards with PINs of its customers.

JSON {"codes": ["TSRE1…", …], "cards": [{"card": "P1…", "pin": "…"}, …]} of mode 0600; `./scripts/run` writes
one for its demonstration data.
"""

from pathlib import Path

import msgspec

__all__ = ["PlayerCard", "ShopWorld", "WorldError", "read_world", "seat_folder"]


class WorldError(Exception):
    """The file cannot be used; the text is a sentence."""


class PlayerCard(msgspec.Struct, frozen=True, kw_only=True):
    """What a card's QR code says, and its PIN."""

    card: str
    pin: str

    def __repr__(self) -> str:
        return "PlayerCard(…)"


class ShopWorld(msgspec.Struct, frozen=True, kw_only=True):
    """`codes`: one for each terminal that may be played; `cards`: of invented people."""

    codes: list[str]
    cards: list[PlayerCard]

    def __repr__(self) -> str:
        return f"ShopWorld({len(self.codes)} codes, {len(self.cards)} cards)"


def read_world(path: Path) -> ShopWorld:
    """The world in a file. WorldError."""
    try:
        world = msgspec.json.decode(path.read_bytes(), type=ShopWorld)
    except FileNotFoundError:
        raise WorldError(f"There is no file {path}.") from None
    except OSError as error:
        raise WorldError(f"{path} cannot be read: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise WorldError(f"{path} is not a shop's world; ./scripts/run writes one.") from None
    if not world.cards:
        raise WorldError(f"{path} holds no cards.")
    return world


def seat_folder(device: Path, number: int) -> Path:
    """The device folder of a terminal of the shop, counted from 1: beside the emulator's own."""
    return device.with_name(f"{device.name}-shop-{number:02d}")
