"""Enrolment: a device makes its own key pair and becomes a terminal with a one-time code."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import trio

from protocol.credentials import EnrolmentCode
from protocol.errors import RemoteProtocolError
from protocol.messages import Enrol, EnrolReply
from protocol.noise import KEY_BYTES, KeyPair
from protocol.session import TerminalSession
from txserver.terminal import SOFTWARE
from txserver.terminal_envelope import Numbering
from txserver.terminal_identity import ServerKey, TerminalIdentity, read_private, write_private
from txserver.terminal_link import Connect
from txserver.terminal_rules import REPLY_S
from txserver.terminal_session import shake_hands

__all__ = ["EnrolmentFailed", "enrol"]

ENROLMENT_FILE = "enrolment.json"
MODEL = "emulated POS"


class EnrolmentFailed(Exception):
    """The device is no terminal. The text says why; the same code may be tried again."""


class _Begun(msgspec.Struct, frozen=True, kw_only=True):
    """enrolment.json: what must be the same when an enrolment is done again. Not the code's secret."""

    enrolment: bytes
    private_key: bytes
    txid: bytes


async def enrol(
    code: EnrolmentCode,
    connect: Connect,
    *,
    folder: Path,
    random: Callable[[int], bytes],
    now_ms: Callable[[], int],
    model: str = MODEL,
    software: str = SOFTWARE,
) -> TerminalIdentity:
    """Enrol, and save the identity in `folder`. EnrolmentFailed; IdentityError when the folder is no good.

    Repeatable when the reply was lost: the key pair is on the disk before the first byte is sent, and
    the server takes the same code with the same key again.
    """
    begun = read_private(folder / ENROLMENT_FILE, _Begun)
    repeat = begun is not None and begun.enrolment == code.enrolment.id
    numbering = Numbering(random=random, now_ms=now_ms)
    if begun is None or not repeat:
        txid = numbering.envelope()["id"]
        begun = _Begun(enrolment=code.enrolment.id, private_key=random(KEY_BYTES), txid=txid)
        write_private(folder / ENROLMENT_FILE, begun)
    pair = KeyPair.from_private(begun.private_key)
    hello = Enrol(**numbering.envelope(begun.txid), repeat=repeat, model=model, software=software)
    session = TerminalSession(
        static=pair,
        ephemeral=KeyPair.from_private(random(KEY_BYTES)),
        server_key=code.server_key,
        server_key_id=code.server_key_id,
        hello=hello,
        enrolment=code.enrolment,
    )
    reply = await _ask(connect, session)
    keys = [ServerKey(code.server_key_id, code.server_key)]
    if reply.next_key is not None:
        # Unless the server says otherwise it numbers its keys one after another, in one byte.
        following = (code.server_key_id + 1) % 256 if reply.next_key_id is None else reply.next_key_id
        keys.append(ServerKey(following, reply.next_key))
    identity = TerminalIdentity(
        key=pair,
        server_keys=tuple(keys),
        host=code.host,
        port=code.port,
        terminal=reply.terminal,
        merchant=reply.merchant,
        store=reply.store,
    )
    identity.save(folder)
    (folder / ENROLMENT_FILE).unlink(missing_ok=True)
    return identity


async def _ask(connect: Connect, session: TerminalSession) -> EnrolReply:
    """The server's yes. EnrolmentFailed for a no and for everything else."""
    stream: trio.abc.Stream | None = None
    try:
        with trio.fail_after(REPLY_S):
            stream = await connect()
            reply = (await shake_hands(stream, session))[0]
    except trio.TooSlowError:
        raise EnrolmentFailed(f"no answer in {REPLY_S:.0f} s; try the same code again") from None
    except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise EnrolmentFailed(f"the server cannot be reached: {error}; try the same code again") from error
    except RemoteProtocolError as error:
        if error.reason == "closed":
            raise EnrolmentFailed(
                "the server closed: the code was used or has expired; if not, try it again"
            ) from None
        raise EnrolmentFailed(f"that is not the server of this code ({error.reason})") from error
    finally:
        if stream is not None:
            await trio.aclose_forcefully(stream)
    if not isinstance(reply, EnrolReply):
        raise EnrolmentFailed("the server ended the session before it answered; try the same code again")
    if reply.code != 0:
        raise EnrolmentFailed(f"the server refused: {reply.code} {reply.text}")
    return reply
