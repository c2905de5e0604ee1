"""Plain data with a secret in it: what it looks like in a log or a traceback leaves the secret out."""

from typing import Any, ClassVar

__all__ = ["Discreet"]

_SECRET = frozenset({"pin_proof", "code_proof", "verifier", "pin_verifier", "pin_code"})


class Discreet:
    """To be inherited before Struct. The hashes of PINs and codes are neither in `repr` nor in rich's."""

    __slots__ = ()
    __struct_fields__: ClassVar[tuple[str, ...]]

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name not in _SECRET]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"
