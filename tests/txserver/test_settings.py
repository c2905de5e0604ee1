"""Settings: from a mapping, with a sentence for everything that is wrong."""

from pathlib import Path

import pytest

from protocol import limits
from txserver.settings import Settings, SettingsError

URL = "postgresql://tessera_server:p%40ss@/tessera?host=/run/postgresql"


def create_settings(**environment: str) -> Settings:
    return Settings.from_environment({"DATABASE_URL": URL, **environment})


def test_what_is_not_said_has_a_default() -> None:
    settings = create_settings()
    assert settings == Settings(database_url=URL, secrets=Path("var/secrets"))
    assert (settings.host, settings.port, settings.health_port, settings.workers) == (
        "127.0.0.1",
        7171,
        7172,
        1,
    )
    assert settings.handshake_s == limits.HANDSHAKE_SECONDS
    assert settings.idle_s == limits.IDLE_SECONDS


def test_everything_can_be_said() -> None:
    settings = create_settings(
        TESSERA_SECRETS="/etc/tessera", TESSERA_HOST="::1", TESSERA_PORT="0", TESSERA_HEALTH_HOST="0.0.0.0",
        TESSERA_HEALTH_PORT="65535", TESSERA_WORKERS="64", TESSERA_IDLE_S="3600",
        TESSERA_KEY_DAYS="90", OTHER="x",
    )  # fmt: skip
    assert settings == Settings(
        database_url=URL, secrets=Path("/etc/tessera"), host="::1", port=0, health_host="0.0.0.0",
        health_port=65_535, workers=64, idle_s=3_600, key_days=90,
    )  # fmt: skip


def test_an_empty_number_is_none() -> None:
    assert create_settings(TESSERA_PORT="", TESSERA_WORKERS="") == create_settings()


@pytest.mark.parametrize(
    "name",
    ["TESSERA_PORT", "TESSERA_HEALTH_PORT", "TESSERA_WORKERS", "TESSERA_IDLE_S", "TESSERA_KEY_DAYS"],
)
@pytest.mark.parametrize(
    "text", ["x", "-1", "65536", "99999999999999999999", "1.5", "1e3", " 1", "+1", "0x10", "１"]
)
def test_a_bad_number_is_named(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{name} is .* whole number from \d+ to \d+\.$"):
        create_settings(**{name: text})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("TESSERA_WORKERS", "0"), ("TESSERA_IDLE_S", "0"), ("TESSERA_WORKERS", "65"),
        ("TESSERA_KEY_DAYS", "0"), ("TESSERA_KEY_DAYS", "36501"),
    ],
)  # fmt: skip
def test_a_number_out_of_its_range_is_named(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=name):
        create_settings(**{name: text})


@pytest.mark.parametrize("environment", [{}, {"DATABASE_URL": ""}])
def test_a_missing_database_is_named(environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"^DATABASE_URL is not set"):
        Settings.from_environment(environment)


@pytest.mark.parametrize(
    "url",
    [
        "tessera", "host=/tmp dbname=tessera password=hunter2", "mysql://root:hunter2@host/tessera",
        "postgresql://tessera_server:hunter2@host:port/tessera", "postgresql://hunter2@[::1/tessera",
        "postgresql+psycopg://tessera_server:hunter2@host/tessera",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^DATABASE_URL is not an address") as caught:
        create_settings(DATABASE_URL=url)
    assert "hunter2" not in str(caught.value)


def test_the_password_is_not_shown() -> None:
    assert "p%40ss" not in repr(create_settings())
