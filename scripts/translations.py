"""The site's words in Chinese: gather them from admin/, keep the .po in step, compile the .mo.

    python scripts/translations.py            gather, update, compile; lists what has no Chinese yet
    python scripts/translations.py --check    change nothing; fail when Chinese is missing or a file is stale

English is what stands in the code and the templates. The compiled file is committed, so that a
machine with nothing but pip shows both languages.
"""

import io
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

__all__ = ["faults", "main", "save", "untranslated", "updated"]

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "admin"
PO = SITE / "translations" / "zh" / "LC_MESSAGES" / "messages.po"
METHODS = [("**.py", "python"), ("templates/**.html", "jinja2")]
KEYWORDS = DEFAULT_KEYWORDS | {"_l": None, "lazy_gettext": None}
HEADER = "# The site's words in Chinese. Written by scripts/translations.py; translate the msgstr lines.\n#"
NEVER = datetime(2000, 1, 1, tzinfo=UTC)  # the same every time, so that only words make a difference


def updated(po: Path, site: Path) -> Catalog:
    """The catalogue of `po`, with exactly the words that stand in `site`."""
    catalog = Catalog(locale="zh")
    if po.exists():
        with po.open("rb") as file:
            catalog = read_po(file, locale="zh")
    template = Catalog()
    options = {"templates/**.html": {"trimmed": "true", "silent": "false"}}
    for filename, _line, message, comments, context in extract_from_dir(
        site, METHODS, options, keywords=KEYWORDS, strip_comment_tags=True
    ):
        template.add(message, None, [(filename, 1)], auto_comments=comments, context=context)
    catalog.update(template, no_fuzzy_matching=True)
    catalog.obsolete.clear()
    catalog.header_comment, catalog.fuzzy = HEADER, False
    catalog.project, catalog.version, catalog.last_translator = "tessera", "1", "–"
    catalog.language_team, catalog.msgid_bugs_address = "zh", "–"
    catalog.creation_date = catalog.revision_date = NEVER
    return catalog


def _po_bytes(catalog: Catalog) -> bytes:
    file = io.BytesIO()
    write_po(file, catalog, width=100, sort_by_file=True, include_lineno=False)
    return file.getvalue()


def _mo_bytes(catalog: Catalog) -> bytes:
    file = io.BytesIO()
    write_mo(file, catalog)
    return file.getvalue()


def save(catalog: Catalog, po: Path) -> None:
    """Write the .po and, beside it, the compiled .mo."""
    po.parent.mkdir(parents=True, exist_ok=True)
    po.write_bytes(_po_bytes(catalog))
    po.with_suffix(".mo").write_bytes(_mo_bytes(catalog))


def untranslated(catalog: Catalog) -> list[str]:
    """The words that have no Chinese, or one whose placeholders differ."""
    found = []
    for message in catalog:
        if not message.id:
            continue
        strings = message.string if isinstance(message.string, list | tuple) else [message.string]
        if not all(strings) or message.fuzzy:
            found.append(f"no Chinese: {message.id!r}")
        elif any(_placeholders(text) != _placeholders(message.id) for text in strings):
            found.append(f"other placeholders in Chinese: {message.id!r}")
    return found


def _placeholders(text: str | list[str] | tuple[str, ...] | None) -> set[str]:
    return set(re.findall(r"%\(\w+\)s|\{\w+\}", text if isinstance(text, str) else " ".join(text or ())))


def faults(po: Path = PO, site: Path = SITE) -> list[str]:
    """A sentence for everything that is missing or stale; empty when all is well."""
    catalog = updated(po, site)
    found = untranslated(catalog)
    for path, wanted in ((po, _po_bytes(catalog)), (po.with_suffix(".mo"), _mo_bytes(catalog))):
        if not path.exists() or path.read_bytes() != wanted:
            found.append(f"{path.name} is stale: run `python scripts/translations.py`")
    return found


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        print(__doc__)
        return 2
    if not arguments:
        save(updated(PO, SITE), PO)
    found = faults()
    print("\n".join(found) if found else "every word of the site has its Chinese")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
