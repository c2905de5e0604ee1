"""The page with a terminal's code: where it leads, and under which key."""

import re
from dataclasses import replace
from pathlib import Path

from admin import create_app
from admin.settings import Settings
from ledger.keyring import Keyring, rotate
from protocol.credentials import EnrolmentCode, parse_enrolment_code
from protocol.noise import KeyPair
from tests.admin.browsing import Browser
from tests.admin.conftest import Site


def code_of(browser: Browser, site: Site) -> EnrolmentCode:
    page = browser.submit(f"/terminals/{site.house.terminal}/code").text
    found = re.search(r"TSRE1\w+", page)
    assert found
    return parse_enrolment_code(found[0])


def test_the_code_leads_to_the_server_that_the_settings_name(site: Site, settings: Settings) -> None:
    named = replace(settings, server_name="pos.example", server_port=443)
    browser = Browser(create_app(named, site.database, clock=site.clock), "en")
    browser.log_in("merchant")
    code = code_of(browser, site)
    assert (code.host, code.port) == ("pos.example", 443)


def test_the_code_names_the_servers_current_key_also_after_it_was_rotated(
    site: Site, settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "secrets"
    keyring = Keyring.create(folder, lambda size: bytes(range(1, size + 1)))
    app = create_app(replace(settings, secrets=folder), site.database, clock=site.clock)
    browser = Browser(app, "en")
    browser.log_in("merchant")
    first = code_of(browser, site)
    assert first.server_key == KeyPair.from_private(keyring.server_keys[keyring.current_key_id]).public
    assert first.server_key_id == keyring.current_key_id
    assert first.enrolment.secret == keyring.enrolment_secret(first.enrolment.id)
    rotated = rotate(folder, lambda size: bytes(range(7, size + 7)))
    second = code_of(browser, site)
    assert second.server_key_id == rotated.current_key_id != first.server_key_id
    assert second.server_key == KeyPair.from_private(rotated.server_keys[rotated.current_key_id]).public
