#!/usr/bin/env python3
"""Write the tables of protocol/README.md anew from the code and the vectors.

    .venv/bin/python scripts/generate_protocol_docs.py [--check]

Each table stands between two comments, "generated: NAME" and "end of NAME". With --check nothing is
written, and the exit code is 1 when the file would change.
"""

import argparse
import ast
import itertools
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from protocol import limits
from protocol.codes import CODES
from protocol.outcomes import OUTCOMES
from protocol.schema import describe
from scripts.protocol_fields import MEANINGS

ROOT = Path(__file__).parent.parent
README = ROOT / "protocol" / "README.md"
VECTORS = ROOT / "tests" / "vectors"
HEX_COLUMNS = 96
ENVELOPE = {
    "terminal": ("id", "stan", "batch", "at", "repeat"),
    "server": ("id", "code", "text", "server_at", "business_date", "recorded"),
}
ENVELOPE_NAMES = {"terminal": "Request", "server": "Reply"}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the tables of protocol/README.md anew.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 on a difference")
    options = parser.parse_args(arguments)
    present = README.read_text()
    made = rewrite(present)
    if made == present:
        return 0
    if options.check:
        print(
            f"protocol/{README.name} is out of date: run scripts/generate_protocol_docs.py",
            file=sys.stderr,
        )
        return 1
    README.write_text(made)
    return 0


def rewrite(text: str) -> str:
    """The text with every generated part made anew. SystemExit when a part has no place in it."""
    for name, make in PARTS.items():
        begin, end = f"<!-- generated: {name} -->", f"<!-- end of {name} -->"
        part = f"{begin}\n\n{make()}\n\n{end}"
        if (text.count(begin), text.count(end)) != (1, 1):
            raise SystemExit(f"{README.name} has not exactly one place for the generated part {name!r}")
        before, rest = text.split(begin)
        text = before + part + rest.split(end)[1]
    return text


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def limits_table() -> str:
    """Name, value and reason of each constant: the docstring under it."""
    body = ast.parse(Path(limits.__file__).read_text()).body
    rows = []
    for statement, reason in itertools.pairwise(body):
        if isinstance(statement, ast.Assign) and isinstance(reason, ast.Expr):
            assert isinstance(statement.targets[0], ast.Name)
            name, words = statement.targets[0].id, ast.literal_eval(reason.value)
            rows.append((f"`{name}`", f"{getattr(limits, name):,}", " ".join(words.split())))
    return table(("limit", "value", "what, and why"), rows)


def codes_table() -> str:
    rows = [(f"{info.code:04}", f"`{info.name}`", info.text, info.text_zh, info.terminal) for info in CODES]
    return table(("code", "name", "text", "in Chinese", "what the terminal does"), rows)


def outcomes_table() -> str:
    """The codes of each request's reply, in order of precedence."""
    rows = [
        (
            f"[{request.__name__}](#{request.__name__.lower()})",
            ", ".join(f"{info.code:04}" for info in CODES if info.code in codes),
        )
        for request, codes in OUTCOMES.items()
    ]
    return table(("request", "codes of its reply"), rows)


def messages_table() -> str:
    rows = [
        (entry["type"], f"[{entry['name']}](#{entry['name'].lower()})", entry["sender"], entry["iso"])
        for entry in describe()["messages"]
    ]
    return table(("type", "message", "sent by", "ISO 8583"), rows)


def envelopes() -> str:
    """The fields that every request and every reply begins with."""
    parts = []
    entries = {
        entry["sender"]: entry for entry in describe()["messages"] if entry["name"] in ("Echo", "EchoReply")
    }
    titles = {"terminal": "Every request", "server": "Every reply (Notice and Closing are none)"}
    for sender, title in titles.items():
        parts.append(f"{title}:\n\n{fields_table(ENVELOPE_NAMES[sender], entries[sender]['fields'])}")
    return "\n\n".join(parts)


def message_sections() -> str:
    described = describe()
    parts = [message_section(entry) for entry in described["messages"]]
    for name, item in described["items"].items():
        parts.append(
            f"### {name}\n\nA map inside a list. {item['about']}\n\n{fields_table(name, item['fields'])}"
        )
    return "\n\n".join(parts)


def message_section(entry: dict[str, Any]) -> str:
    name = entry["name"]
    envelope = ENVELOPE[entry["sender"]]
    own = [field for field in entry["fields"] if field["name"] not in envelope]
    if "id" not in (field["name"] for field in entry["fields"]):
        own, shared = entry["fields"], "No envelope."
    else:
        kind = ENVELOPE_NAMES[entry["sender"]].lower()
        shared = f"The fields of every {kind}{', and:' if own else '.'}"
    iso = "" if entry["iso"] == "–" else f", like ISO 8583 {entry['iso']}"
    lines = [
        f"### {name}",
        f"`{entry['type']}`, sent by the {entry['sender']}{iso}. {entry['about']}".strip(),
        shared,
    ]
    if own:
        lines.append(fields_table(name, own))
    return "\n\n".join(lines)


def fields_table(owner: str, fields: list[dict[str, Any]]) -> str:
    rows = [
        (f"`{field['name']}`", type_words(field), presence(field), meaning(owner, field["name"]))
        for field in fields
    ]
    return table(("field", "type", "present", "meaning"), rows)


def type_words(field: dict[str, Any]) -> str:
    words, note = field["type"], field.get("note", "")
    low, high = field.get("min_length"), field.get("max_length")
    if words.startswith("list"):
        return f"{words}, at most {high}" if high is not None else words
    if "ge" in field:
        return f"int, {field['ge']} to {field['le']}"
    if choices := re.fullmatch(r"\^\(([a-z_|]+)\)\\Z", field.get("pattern", "")):
        return f"{words}, one of " + ", ".join(choices[1].split("|"))
    if "pattern" in field:
        return f"{words}, {note}"
    if high is not None:
        unit = "bytes" if words == "bin" else "characters"
        size = f"{high}" if low == high else f"{low or 0} to {high}"
        return f"{words}, {size} {unit}" + (", UUIDv7" if "UUIDv7" in note else "")
    return str(words)


def presence(field: dict[str, Any]) -> str:
    if field["required"]:
        return "always"
    if "default" in field:
        return f"left out: {json.dumps(field['default'])}"
    return "left out: empty" if field["type"].startswith("list") else "may be left out"


def meaning(owner: str, field: str) -> str:
    """SystemExit for a field that nobody has explained."""
    for key in (f"{owner}.{field}", field):
        if key in MEANINGS:
            return MEANINGS[key]
    raise SystemExit(f"scripts/protocol_fields.py does not say what {owner}.{field} means")


def hexadecimal(text: str) -> str:
    return "\n".join(text[at : at + HEX_COLUMNS] for at in range(0, len(text), HEX_COLUMNS))


def worked_example() -> str:
    vectors = json.loads((VECTORS / "session.json").read_text())
    keys = [
        (
            name.replace("_", " "),
            f"`{vectors[name]['private']}`",
            f"`{vectors[name]['public']}`",
        )
        for name in ("server_static", "server_ephemeral", "terminal_static", "terminal_ephemeral")
    ]
    parts = [
        f"Server key id {vectors['server_key_id']}.",
        table(("key pair", "private", "public"), keys),
        "#### A session",
        *(frame_words(each) for each in vectors["session"]["frames"]),
        "#### An enrolment",
        f"Enrolment id `{vectors['enrolment']['id']}`, secret `{vectors['enrolment']['secret']}`.",
        *(frame_words(each) for each in vectors["enrolment"]["frames"]),
    ]
    return "\n\n".join(parts)


def frame_words(each: dict[str, Any]) -> str:
    """One frame as it is on the socket and, where it holds a message, the padded plaintext."""
    title = f"**{each['name'].capitalize()}**, from the {each['from']}"
    if "message" in each:
        title += f", with {each['message']}"
    block = f"frame\n{hexadecimal(each['frame'])}"
    if "plaintext" in each:
        block += f"\n\nplaintext\n{hexadecimal(each['plaintext'])}"
    return f"{title}:\n\n```\n{block}\n```"


def credential_examples() -> str:
    vectors = json.loads((VECTORS / "credentials.json").read_text())
    token, code = vectors["tokens"][0], vectors["enrolment_codes"][0]
    numbers = ", ".join(f"{name} {token[name]}" for name in ("slot", "account", "card", "issue"))
    parts = [
        f"Card key {vectors['key_id']} `{vectors['key']}`, nonce `{vectors['nonce']}`; {numbers}, no chip:",
        f"```\n{token['text']}\n```",
        f"Enrolment code for `{code['host']}`, port {code['port']}, with the keys of the worked example:",
        f"```\n{hexadecimal(code['text'])}\n```",
    ]
    return "\n\n".join(parts)


PARTS: dict[str, Callable[[], str]] = {
    "limits": limits_table,
    "codes": codes_table,
    "outcomes": outcomes_table,
    "message types": messages_table,
    "envelopes": envelopes,
    "messages": message_sections,
    "worked example": worked_example,
    "credentials": credential_examples,
}


if __name__ == "__main__":
    raise SystemExit(main())
