from dataclasses import replace

from admin import Settings, create_app
from ledger.database import Database
from tests.admin.conftest import Site


def test_up(site: Site) -> None:
    answer = site.browser().get("/health")
    assert (answer.status_code, answer.json) == (200, {"status": "ok"})


def test_without_the_database(settings: Settings) -> None:
    nowhere = "postgresql://tessera_site@127.0.0.1:1/tessera"
    app = create_app(replace(settings, database_url=nowhere), Database(nowhere))
    answer = app.test_client().get("/health")
    assert (answer.status_code, answer.json) == (503, {"status": "error 503"})
