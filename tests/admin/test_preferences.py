import pytest

from tests.admin.conftest import Site

DARK = "/static/dark.css"


def test_at_first_the_device_decides_about_the_dark(site: Site) -> None:
    page = site.browser().get("/login").text
    assert 'media="(prefers-color-scheme: dark)"' in page
    assert '<meta name="color-scheme" content="light dark">' in page


@pytest.mark.parametrize(("theme", "linked"), [("dark", True), ("light", False)])
def test_a_theme_is_remembered(site: Site, theme: str, linked: bool) -> None:
    browser = site.browser()
    assert browser.post("/preferences", {"theme": theme, "next": "/login"}).location == "/login"
    page = browser.get("/login").text
    assert (DARK in page) is linked
    assert "prefers-color-scheme" not in page
    assert f'value="{theme}" aria-pressed="true"' in page


@pytest.mark.parametrize("form", [{}, {"theme": "pink"}, {"language": "fr"}, {"language": ""}])
def test_what_nobody_offers_is_refused(site: Site, form: dict[str, str]) -> None:
    answer = site.browser().post("/preferences", form)
    assert answer.status_code == 400
    assert "The request could not be understood" in answer.text


def test_a_cookie_that_somebody_edited_means_nothing(site: Site) -> None:
    browser = site.browser()
    browser.client.set_cookie("theme", '"><script>')
    browser.client.set_cookie("language", "../zh")
    page = browser.get("/login").text
    assert 'aria-pressed="true">Auto' in page
    assert "<script>" not in page


def test_preferences_need_the_token_and_lead_nowhere_else(site: Site) -> None:
    browser = site.browser()
    assert browser.post("/preferences", {"theme": "dark"}, token="").status_code == 400
    assert browser.post("/preferences", {"theme": "dark", "next": "//evil.example"}).location == "/"
