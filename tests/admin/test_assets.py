import gzip
import re

from tests.admin.conftest import Site

FIRST_PAGE_BYTES = 150_000  # what a phone on a bad network still loads in a few seconds


def test_the_first_page_is_light(site: Site) -> None:
    browser = site.browser()
    browser.log_in("operator")
    page = browser.get("/")
    total = len(page.data)
    files = re.findall(r'(?:src|href)="((?:/bootstrap)?/static/[^"]+)"', page.text)
    assert len(set(files)) == 7
    for path in set(files):
        answer = browser.get(path, Accept_Encoding="gzip")
        assert answer.status_code == 200
        total += len(answer.data)
    assert total < FIRST_PAGE_BYTES


def test_files_are_kept_by_their_content(site: Site) -> None:
    browser = site.browser()
    path = re.search(r'href="(/static/site\.css\?v=[0-9a-f]{12})"', browser.get("/login").text)
    assert path
    assert browser.get(path[1]).headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert "immutable" not in browser.get("/static/site.css").headers["Cache-Control"]


def test_compression_is_offered_and_never_forced(site: Site) -> None:
    browser = site.browser()
    plain = browser.get("/static/site.css")
    packed = browser.get("/static/site.css", Accept_Encoding="gzip, br")
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in packed.headers["Vary"]
    assert gzip.decompress(packed.data) == plain.data
    again = browser.get("/static/site.css", Accept_Encoding="gzip", If_None_Match=packed.headers["ETag"])
    assert again.status_code == 304


def test_a_file_that_is_not_there(site: Site) -> None:
    browser = site.browser()
    for path in ("/static/nothing.css", "/static/../settings.py", "/static/%2e%2e/settings.py"):
        assert browser.get(path, Accept_Encoding="gzip").status_code == 404
