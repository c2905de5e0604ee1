from pathlib import Path

import pytest

from scripts import translations


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """A site with one template and a finished translation."""
    site = tmp_path / "admin"
    (site / "templates").mkdir(parents=True)
    (site / "templates" / "page.html").write_text("{{ _('Hello %(name)s', name=name) }}")
    (site / "views.py").write_text("title = _('Title')")
    write(site, {"Hello %(name)s": "%(name)s，您好", "Title": "标题"})
    return site


def po_of(site: Path) -> Path:
    return site / "messages.po"


def write(site: Path, chinese: dict[str, str]) -> None:
    catalog = translations.updated(po_of(site), site)
    for message in catalog:
        if isinstance(message.id, str) and message.id in chinese:
            message.string = chinese[message.id]
    translations.save(catalog, po_of(site))


def test_the_site_is_translated() -> None:
    assert translations.faults() == []


def test_a_finished_translation_has_no_fault(room: Path) -> None:
    assert translations.faults(po_of(room), room) == []


def test_a_new_word_is_missed(room: Path) -> None:
    (room / "views.py").write_text("title = _('Title'); more = _l('More')")
    found = translations.faults(po_of(room), room)
    assert "no Chinese: 'More'" in found
    assert any(fault.startswith("messages.po is stale") for fault in found)


def test_a_word_that_is_gone_makes_the_file_stale(room: Path) -> None:
    (room / "views.py").unlink()
    found = translations.faults(po_of(room), room)
    assert [fault.split()[0] for fault in found] == ["messages.po", "messages.mo"]


def test_a_placeholder_that_is_lost_is_seen(room: Path) -> None:
    write(room, {"Hello %(name)s": "您好"})
    assert any("Hello" in fault for fault in translations.faults(po_of(room), room))


def test_an_old_compiled_file_is_seen(room: Path) -> None:
    po_of(room).write_text(po_of(room).read_text().replace("标题", "题目"))
    assert translations.faults(po_of(room), room) == [
        "messages.mo is stale: run `python scripts/translations.py`"
    ]


def test_an_unknown_argument_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert translations.main(["--chek"]) == 2
    assert "--check" in capsys.readouterr().out
