"""The file of a shop's world: read, or refused in a sentence."""

import json
from pathlib import Path

import pytest

from txserver.pos_reasons import sentence
from txserver.pos_texts import Texts
from txserver.shop_file import WorldError, read_world, seat_folder

WORLD = {"codes": ["TSRE1A"], "cards": [{"card": "P1SECRET", "pin": "482917"}]}


def test_a_world_is_read_and_shows_no_secrets(tmp_path: Path) -> None:
    path = tmp_path / "shop.json"
    path.write_text(json.dumps(WORLD))
    world = read_world(path)
    assert (world.codes, world.cards[0].card, world.cards[0].pin) == (["TSRE1A"], "P1SECRET", "482917")
    shown = f"{world} {world.cards[0]!r}"
    assert not any(secret in shown for secret in ("TSRE1A", "P1SECRET", "482917"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is not a shop's world"),
        ("[]", "is not a shop's world"),
        ('{"codes": [], "cards": [{"card": "P1"}]}', "is not a shop's world"),
        ('{"codes": ["TSRE1"], "cards": []}', "holds no cards"),
        ("\udcff", "is not a shop's world"),
    ],
)
def test_a_file_that_is_none_is_a_sentence_in_both_languages(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "shop.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(WorldError, match=told) as error:
        read_world(path)
    assert "出错" not in sentence(str(error.value), Texts("zh"))


def test_no_file_is_a_sentence(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(WorldError) as error:
            read_world(path)
        assert "出错" not in sentence(str(error.value), Texts("zh"))


def test_terminals_live_beside_the_device() -> None:
    assert seat_folder(Path("var/pos"), 3) == Path("var/pos-shop-03")
