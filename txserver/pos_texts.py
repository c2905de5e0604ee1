"""Every text that the emulated POS shows, in English and 简体中文, one beside the other."""

from protocol.codes import CODES
from txserver.pos_texts_paper import PAPER
from txserver.pos_texts_screen import SCREEN
from txserver.shop_texts import SHOP

__all__ = ["LANGUAGES", "Texts"]

LANGUAGES = ("en", "zh")

_TEXTS: dict[str, tuple[str, str]] = {**PAPER, **SCREEN, **SHOP}

_CODES = {info.code: (info.text, info.text_zh) for info in CODES}


class Texts:
    """The texts in one language, "en" or "zh"."""

    def __init__(self, language: str = "en") -> None:
        self._column = LANGUAGES.index(language)

    @property
    def chinese(self) -> bool:
        """Whether names that have a Chinese form are shown in it."""
        return self._column == 1

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key, with its values put in. KeyError for a key that there is none of."""
        return _TEXTS[key][self._column].format(**values)

    def first(self, *keys: str, **values: object) -> str:
        """The text of the first of the keys that there is one of: from the most special to the general."""
        return self(next(key for key in keys if key in _TEXTS), **values)

    def code(self, code: int, text: str) -> str:
        """What an outcome code means; the server's own text for a code that is newer than this program."""
        return _CODES[code][self._column] if code in _CODES else text

    def word(self, family: str, name: str) -> str:
        """The word for a name of the wire, such as kind "redeem"; the name itself when it is a newer one."""
        entry = _TEXTS.get(f"{family}.{name}")
        return name if entry is None else entry[self._column]

    def kind(self, kind: str) -> str:
        """The word for a kind of transaction."""
        return self.word("kind", kind)

    def span(self, seconds: float) -> str:
        """A length of time as people say it, cut off to minutes."""
        minutes = int(seconds) // 60
        if seconds <= 0:
            return self("no_time")
        if minutes < 60:
            return self("minutes", minutes=max(1, minutes))
        hours, minutes = divmod(minutes, 60)
        if hours < 48:
            return self("hours", hours=hours, minutes=minutes)
        return self("days", days=hours // 24, hours=hours % 24)
