from pathlib import Path

import pytest

from admin.settings import Settings, SettingsError

LEAST = {"DATABASE_URL": "postgresql://tessera_site:pass-word@db/tessera"}


def test_what_is_not_named_has_a_default() -> None:
    settings = Settings.from_environment(LEAST)
    assert settings == Settings(database_url=LEAST["DATABASE_URL"], secrets=Path("var/secrets"))
    assert (settings.host, settings.port, settings.time_zone) == ("127.0.0.1", 7170, "Asia/Shanghai")
    assert not settings.secure


def test_everything_can_be_named() -> None:
    settings = Settings.from_environment(
        LEAST
        | {
            "TESSERA_SITE_HOST": "::1",
            "TESSERA_SITE_PORT": "0",
            "TESSERA_SITE_URL": "https://points.example/",
            "TESSERA_TIME_ZONE": "Europe/Zurich",
        }
    )
    assert (settings.host, settings.port, settings.time_zone) == ("::1", 0, "Europe/Zurich")
    assert settings.url == "https://points.example"
    assert settings.secure


def test_the_password_of_the_database_is_not_shown() -> None:
    assert "pass-word" not in repr(Settings.from_environment(LEAST))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", ""),
        ("TESSERA_SITE_PORT", "70000"),
        ("TESSERA_SITE_PORT", "-1"),
        ("TESSERA_SITE_PORT", "http"),
        ("TESSERA_SITE_PORT", "²"),
        ("TESSERA_SITE_URL", "points.example"),
        ("TESSERA_SITE_URL", "https://points.example/site"),
        ("TESSERA_SITE_URL", "ftp://points.example"),
        ("TESSERA_TIME_ZONE", "Mars/Olympus"),
    ],
)
def test_what_cannot_be_used_is_named_in_one_sentence(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment(LEAST | {name: value})
    assert str(refused.value).startswith(name)
    assert "\n" not in str(refused.value)
