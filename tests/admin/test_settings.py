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
            "TESSERA_SERVER_NAME": "pos.example",
            "TESSERA_SERVER_PORT": "443",
        }
    )
    assert (settings.server_name, settings.server_port) == ("pos.example", 443)
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
        ("TESSERA_SERVER_NAME", "积分.example"),
        ("TESSERA_SERVER_NAME", "two words"),
        ("TESSERA_SERVER_NAME", "x" * 254),
        ("TESSERA_SERVER_PORT", "0"),
        ("TESSERA_SERVER_PORT", "70000"),
        ("TESSERA_HOST", "two words"),
        ("TESSERA_PORT", "http"),
    ],
)
def test_what_cannot_be_used_is_named_in_one_sentence(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment(LEAST | {name: value})
    assert str(refused.value).startswith(name)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("environment", "server"),
    [
        ({}, ("127.0.0.1", 7171)),
        ({"TESSERA_HOST": "10.0.0.5", "TESSERA_PORT": "9000"}, ("10.0.0.5", 9000)),
        ({"TESSERA_HOST": "0.0.0.0"}, ("127.0.0.1", 7171)),
        ({"TESSERA_HOST": "::"}, ("::1", 7171)),
        ({"TESSERA_HOST": "0.0.0.0", "TESSERA_SERVER_NAME": "pos.example"}, ("pos.example", 7171)),
        ({"TESSERA_PORT": "9000", "TESSERA_SERVER_PORT": "443"}, ("127.0.0.1", 443)),
    ],
)
def test_terminals_are_led_to_the_server_by_its_own_settings_unless_others_are_named(
    environment: dict[str, str], server: tuple[str, int]
) -> None:
    settings = Settings.from_environment(LEAST | environment)
    assert (settings.server_name, settings.server_port) == server
