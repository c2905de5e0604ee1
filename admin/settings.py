"""The site's settings: one frozen value, built from a mapping that the caller passes in.

| variable             | meaning                                                     | default            |
| -------------------- | ----------------------------------------------------------- | ------------------ |
| DATABASE_URL         | PostgreSQL, as the role `tessera_site`                      | – (must be set)    |
| TESSERA_SECRETS      | folder of the secret files, mode 0700                       | var/secrets        |
| TESSERA_SITE_HOST    | address to listen on                                        | 127.0.0.1          |
| TESSERA_SITE_PORT    | port to listen on; 0 takes a free one                       | 7170               |
| TESSERA_SITE_URL     | address that people type, when a proxy with TLS is before   | –                  |
| TESSERA_TIME_ZONE    | the operator's time zone, for every time on a page          | Asia/Shanghai      |
| TESSERA_SERVER_NAME  | where terminals reach the transaction server: a name or an  | TESSERA_HOST, else |
|                      | address, which new enrolment codes carry                    | 127.0.0.1          |
| TESSERA_SERVER_PORT  | and its port there, when that is not the one it listens on  | TESSERA_PORT, else |
|                      |                                                             | 7171               |
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from babel.dates import get_timezone

from protocol.credentials import MAX_HOST_BYTES

__all__ = ["Settings", "SettingsError"]


class SettingsError(Exception):
    """A setting is missing or makes no sense. The message is one sentence that says what to do."""


@dataclass(frozen=True)
class Settings:
    """What the site needs to know. `url` is None when browsers reach the site directly, without TLS."""

    database_url: str = field(repr=False)
    secrets: Path
    host: str = "127.0.0.1"
    port: int = 7170
    url: str | None = None
    time_zone: str = "Asia/Shanghai"
    server_name: str = "127.0.0.1"
    server_port: int = 7171

    @property
    def secure(self) -> bool:
        """Whether browsers reach the site through TLS, so that cookies may insist on it."""
        return self.url is not None and self.url.startswith("https://")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Settings from the variables above. SettingsError when one of them cannot be used."""
        return cls(
            database_url=_required(environment, "DATABASE_URL", "the address of the PostgreSQL database"),
            secrets=Path(environment.get("TESSERA_SECRETS") or "var/secrets"),
            host=environment.get("TESSERA_SITE_HOST") or cls.host,
            port=_port("TESSERA_SITE_PORT", environment.get("TESSERA_SITE_PORT") or str(cls.port)),
            url=_url(environment.get("TESSERA_SITE_URL") or None),
            time_zone=_time_zone(environment.get("TESSERA_TIME_ZONE") or cls.time_zone),
            server_name=_server_name(environment),
            server_port=_server_port(environment),
        )


def _required(environment: Mapping[str, str], name: str, meaning: str) -> str:
    value = environment.get(name)
    if not value:
        raise SettingsError(f"{name} is not set: it names {meaning}.")
    return value


def _port(name: str, text: str, *, least: int = 0) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text) <= 65535):
        raise SettingsError(f"{name} is {text!r}: give a port number from {least} to 65535.")
    return int(text)


def _server_name(environment: Mapping[str, str]) -> str:
    variable = "TESSERA_SERVER_NAME" if environment.get("TESSERA_SERVER_NAME") else "TESSERA_HOST"
    name = environment.get(variable) or Settings.server_name
    # A server on this machine that listens on all addresses is found under the machine's own.
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name, name)
    if len(name) > MAX_HOST_BYTES or not all("!" <= character <= "~" for character in name):
        raise SettingsError(
            f"{variable} is {name!r}: give the name or address by which terminals reach the transaction "
            f"server, such as pos.example, in at most {MAX_HOST_BYTES} ASCII characters."
        )
    return name


def _server_port(environment: Mapping[str, str]) -> int:
    named = environment.get("TESSERA_SERVER_PORT")
    if named:
        return _port("TESSERA_SERVER_PORT", named, least=1)
    return _port("TESSERA_PORT", environment.get("TESSERA_PORT") or str(Settings.server_port), least=1)


def _url(text: str | None) -> str | None:
    if text is None:
        return None
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
        raise SettingsError(
            f"TESSERA_SITE_URL is {text!r}: give the address without a path, such as https://points.example."
        )
    return f"{parts.scheme}://{parts.netloc}"


def _time_zone(name: str) -> str:
    try:
        get_timezone(name)
    except LookupError:
        raise SettingsError(
            f"TESSERA_TIME_ZONE is {name!r}, which no time zone is called: give one such as Asia/Shanghai."
        ) from None
    return name
