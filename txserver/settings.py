"""Settings of the transaction server: one frozen dataclass, made from an environment that is passed in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

__all__ = ["Settings", "SettingsError"]


class SettingsError(Exception):
    """A setting is missing or wrong; the text names it and says what it should be."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`port` 0 takes any free one. Worker n (from 0) answers health checks on `health_port` + n."""

    database_url: str = field(repr=False)
    secrets: Path
    host: str = "127.0.0.1"
    port: int = 7171
    health_host: str = "127.0.0.1"
    health_port: int = 7172
    workers: int = 1
    unauthenticated_per_address: int = 512  # shops behind one carrier's address come back all at once
    unauthenticated: int = 2_048  # of some 10 kB each
    handshake_s: float = 5.0
    idle_s: int = 120
    write_s: float = 10.0  # a peer that takes no bytes for so long is gone, whatever its socket says
    drain_s: float = 10.0
    key_days: int = 365  # after which a terminal is asked for a new key
    look_s: float = 20.0  # between two looks at what an event may have failed to tell
    sweep_s: float = 20.0  # between two sweeps for holds and points whose time is over

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Raises SettingsError."""
        url = environment.get("DATABASE_URL")
        if not url:
            raise SettingsError(
                "DATABASE_URL is not set. It names the database and the role tessera_server: "
                "postgresql://tessera_server:…@host/tessera"
            )
        if not _is_address(url):
            raise SettingsError(
                "DATABASE_URL is not an address of a PostgreSQL database, such as "
                "postgresql://tessera_server:…@host/tessera"
            )
        return cls(
            database_url=url,
            secrets=Path(environment.get("TESSERA_SECRETS", "var/secrets")),
            host=environment.get("TESSERA_HOST", "127.0.0.1"),
            port=_number(environment, "TESSERA_PORT", 7171, 0, 65_535),
            health_host=environment.get("TESSERA_HEALTH_HOST", "127.0.0.1"),
            health_port=_number(environment, "TESSERA_HEALTH_PORT", 7172, 0, 65_535),
            workers=_number(environment, "TESSERA_WORKERS", 1, 1, 64),
            idle_s=_number(environment, "TESSERA_IDLE_S", 120, 1, 3_600),
            key_days=_number(environment, "TESSERA_KEY_DAYS", 365, 1, 36_500),
        )


def _is_address(url: str) -> bool:
    """Whether this reads as postgresql://…; the URL itself is never shown, for it holds a password."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in ("postgresql", "postgres")


def _number(environment: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = environment.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise SettingsError(f"{name} is {text!r}; it must be a whole number from {low} to {high}.")
    return int(text)
