"""Which keys the next handshake takes, and which are kept."""

from dataclasses import replace
from typing import Any

import pytest

from protocol.messages import LoginReply, Notice
from protocol.noise import KeyPair
from tests.txserver.terminal_peer import NOW_MS, SERVER_KEY, TERMINAL_KEY, Entropy, create_identity
from txserver.terminal_identity import IdentityError, ServerKey, TerminalIdentity
from txserver.terminal_keys import TerminalKeys

NEXT_KEY = KeyPair.from_private(bytes([21] * 32))
IN_USE = ServerKey(1, SERVER_KEY.public)
SECOND = ServerKey(2, bytes([12] * 32))
THIRD = ServerKey(3, bytes([13] * 32))


def create_reply(**more: Any) -> LoginReply:
    return LoginReply(
        id=bytes(16), code=0, text="", server_at=NOW_MS, business_date="2027-01-15", session="s", terminal=17,
        merchant="", store="", catalogue=1, idle_s=120, **more,
    )  # fmt: skip


def create_keys(
    kept: list[TerminalIdentity] | None = None, *, next_key: KeyPair | None = None,
    server_keys: tuple[ServerKey, ...] = (IN_USE,),
) -> TerminalKeys:  # fmt: skip
    identity = replace(create_identity(), next_key=next_key, server_keys=server_keys)
    return TerminalKeys(identity, random=Entropy(), keep=None if kept is None else kept.append)


def test_without_anything_new_it_is_always_the_same_pair() -> None:
    keys = create_keys()
    for _ in range(3):
        assert (keys.own(), keys.server()) == (TERMINAL_KEY, IN_USE)
        keys.failed(server_proved=True, closed=True)
        keys.failed(server_proved=False, closed=True)


def test_a_stored_next_pair_is_tried_first_and_the_old_one_when_it_is_closed_out() -> None:
    keys = create_keys([], next_key=NEXT_KEY)
    tried = []
    for _ in range(4):
        tried.append(keys.own())
        keys.failed(server_proved=True, closed=True)
    assert tried == [NEXT_KEY, TERMINAL_KEY, NEXT_KEY, TERMINAL_KEY]


def test_only_being_closed_out_by_the_right_server_says_anything_about_our_key() -> None:
    keys = create_keys([], next_key=NEXT_KEY)
    keys.failed(server_proved=False, closed=True)
    keys.failed(server_proved=True, closed=False)
    assert keys.own() == NEXT_KEY


def test_a_login_with_the_next_pair_makes_it_ours() -> None:
    kept: list[TerminalIdentity] = []
    keys = create_keys(kept, next_key=NEXT_KEY)
    keys.logged_in(NEXT_KEY, IN_USE, create_reply())
    assert (keys.own(), keys.identity.key, keys.identity.next_key) == (NEXT_KEY, NEXT_KEY, None)
    assert kept == [keys.identity]
    assert not keys.wanted


def test_a_login_with_the_old_pair_means_that_the_next_is_still_to_be_told() -> None:
    keys = create_keys([], next_key=NEXT_KEY)
    keys.logged_in(TERMINAL_KEY, IN_USE, create_reply())
    assert keys.wanted
    assert keys.next_pair() == NEXT_KEY
    assert keys.own() == NEXT_KEY


def test_a_pair_is_kept_before_it_is_given_out() -> None:
    kept: list[TerminalIdentity] = []
    keys = create_keys(kept)
    pair = keys.next_pair()
    assert pair is not None
    assert [identity.next_key for identity in kept] == [pair]
    assert [identity.key for identity in kept] == [TERMINAL_KEY]
    assert keys.next_pair() == pair
    assert len(kept) == 1


def test_a_pair_that_cannot_be_kept_is_not_given_out() -> None:
    def full(identity: TerminalIdentity) -> None:
        raise IdentityError("the disk is full")

    keys = TerminalKeys(create_identity(), random=Entropy(), keep=full)
    with pytest.raises(IdentityError):
        keys.next_pair()
    assert keys.identity == create_identity()
    assert keys.own() == TERMINAL_KEY


def test_without_a_place_for_it_there_is_no_new_pair() -> None:
    keys = create_keys()
    keys.logged_in(TERMINAL_KEY, IN_USE, create_reply(change_key=True))
    assert keys.next_pair() is None
    assert not keys.wanted


def test_a_refused_pair_is_dropped() -> None:
    kept: list[TerminalIdentity] = []
    keys = create_keys(kept)
    keys.next_pair()
    keys.refused()
    assert (keys.own(), keys.identity.next_key, kept[-1].next_key) == (TERMINAL_KEY, None, None)


@pytest.mark.parametrize(
    ("held", "told", "expected"),
    [
        ((IN_USE,), {}, (IN_USE,)),
        ((IN_USE,), {"next_key": SECOND.public, "next_key_id": 2}, (IN_USE, SECOND)),
        ((IN_USE,), {"next_key": SECOND.public}, (IN_USE, SECOND)),
        ((IN_USE, SECOND), {}, (IN_USE, SECOND)),
        ((IN_USE, SECOND), {"next_key": THIRD.public, "next_key_id": 3}, (IN_USE, THIRD)),
        ((SECOND, IN_USE), {"next_key": SECOND.public, "next_key_id": 2}, (IN_USE, SECOND)),
        ((SECOND, IN_USE), {"next_key": IN_USE.public, "next_key_id": 1}, (IN_USE,)),
    ],
)
@pytest.mark.parametrize("by_notice", [True, False])
def test_the_servers_key_in_use_and_its_newest_are_kept(
    held: tuple[ServerKey, ...], told: dict[str, Any], expected: tuple[ServerKey, ...], by_notice: bool
) -> None:
    kept: list[TerminalIdentity] = []
    keys = create_keys(kept, server_keys=held)
    if by_notice:
        keys.heard(IN_USE, Notice(server_at=NOW_MS, **told))
    else:
        keys.logged_in(TERMINAL_KEY, IN_USE, create_reply(**told))
    assert keys.identity.server_keys == expected
    assert keys.server() == IN_USE
    assert [identity.server_keys for identity in kept] == ([] if held == expected else [expected])


def test_after_255_comes_0() -> None:
    last = ServerKey(255, SERVER_KEY.public)
    keys = create_keys(server_keys=(last,))
    keys.heard(last, Notice(server_at=NOW_MS, next_key=SECOND.public))
    assert keys.identity.server_keys[1].id == 0


def test_a_server_that_does_not_hold_its_key_any_more_is_tried_with_the_next() -> None:
    keys = create_keys(server_keys=(IN_USE, SECOND))
    keys.failed(server_proved=False, closed=True)
    assert keys.server() == SECOND
    keys.failed(server_proved=False, closed=False)
    assert keys.server() == IN_USE
