import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from admin.addresses import safe_next
from tests.admin.conftest import Site


@pytest.mark.parametrize(
    "target",
    [
        None, "", "https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example",
        "/\t/evil.example", "javascript:alert(1)", "evil", "/ /evil", "/" + "x" * 2000, "///evil.example",
        "/\x00", "http:evil",
    ],
)  # fmt: skip
def test_other_sites_become_the_first_page(site: Site, target: str | None) -> None:
    with site.app.test_request_context():
        assert safe_next(target) == "/"


@pytest.mark.parametrize("target", ["/", "/?outcome=refused", "/?before=12&outcome=approved", "/login"])
def test_pages_of_this_site_are_kept(site: Site, target: str) -> None:
    with site.app.test_request_context():
        assert safe_next(target) == target


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.text(alphabet=st.sampled_from("/\\:.@?#a \t\n\x00e"), max_size=12))
def test_whatever_is_asked_the_browser_stays_here(site: Site, target: str) -> None:
    with site.app.test_request_context():
        kept = safe_next(target)
    assert kept.startswith("/")
    assert not kept.replace("\\", "/").startswith("//")
    assert not any(ord(character) <= 32 for character in kept)
