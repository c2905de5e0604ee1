#!/usr/bin/env python3
"""Write tests/vectors/noise.json with an independent implementation: the PyPI package noiseprotocol.

    .venv/bin/python scripts/make_noise_vectors.py

The format is that of cacophony's and snow's published vectors. Keys and payloads are fixed, so the file
only changes when this script does.
"""

import json
from pathlib import Path
from typing import Any

from noise.connection import Keypair, NoiseConnection  # type: ignore[import-untyped]

TARGET = Path(__file__).parent.parent / "tests" / "vectors" / "noise.json"
PATTERNS = (
    "N", "K", "X", "NN", "NK", "NX", "KN", "KK", "KX", "XN", "XK", "XX", "IN", "IK", "IX",
    "NNpsk0", "NNpsk2", "XXpsk3", "IKpsk2", "KKpsk0", "XKpsk3",
)  # fmt: skip
HASHES = ("BLAKE2b", "SHA256")
PROLOGUE = b"a prologue that both ends know"
PSK = bytes(range(32))
INIT_STATIC, INIT_EPHEMERAL, RESP_STATIC, RESP_EPHEMERAL = (bytes([first]) * 32 for first in (1, 2, 3, 4))
PAYLOADS = [b"", b"\x01", b"third", b"x" * 64, b"y" * 300, b"last"]


def main() -> None:
    vectors = [make(f"Noise_{pattern}_25519_ChaChaPoly_{hash_}") for hash_ in HASHES for pattern in PATTERNS]
    TARGET.write_text(json.dumps({"vectors": vectors}, indent=1) + "\n")


def make(name: str) -> dict[str, Any]:
    """One vector: what each end knows, then six messages, handshake first, in hexadecimal."""
    pattern = name.split("_")[1]
    base = pattern.split("psk")[0]
    initiator, responder = (NoiseConnection.from_name(name.encode()) for _ in range(2))
    initiator.set_as_initiator()
    responder.set_as_responder()
    vector: dict[str, Any] = {"protocol_name": name}
    for end, side in ((initiator, "init"), (responder, "resp")):
        end.set_prologue(PROLOGUE)
        vector[f"{side}_prologue"] = PROLOGUE.hex()
        if "psk" in pattern:
            end.set_psks(psk=PSK)
            vector[f"{side}_psks"] = [PSK.hex()]
    # The first letter says whether the initiator has a static key and who knows it, the second (or,
    # one-way, the absence of one) the same of the responder.
    if base[0] != "N":
        give(vector, initiator, "init_static", Keypair.STATIC, INIT_STATIC)
    if len(base) == 1 or base[1] != "N":
        give(vector, responder, "resp_static", Keypair.STATIC, RESP_STATIC)
    if base[0] == "K":
        tell(vector, responder, "resp_remote_static", public_of(INIT_STATIC))
    if len(base) == 1 or base[1] == "K":
        tell(vector, initiator, "init_remote_static", public_of(RESP_STATIC))
    give(vector, initiator, "init_ephemeral", Keypair.EPHEMERAL, INIT_EPHEMERAL)
    if len(base) > 1:
        give(vector, responder, "resp_ephemeral", Keypair.EPHEMERAL, RESP_EPHEMERAL)
    initiator.start_handshake()
    responder.start_handshake()
    vector["messages"] = exchange(initiator, responder, one_way=len(base) == 1)
    vector["handshake_hash"] = initiator.get_handshake_hash().hex()
    return vector


def exchange(initiator: Any, responder: Any, *, one_way: bool) -> list[dict[str, str]]:
    """The handshake, then transport messages, alternating unless the pattern is one-way."""
    messages = []
    for number, payload in enumerate(PAYLOADS):
        turn = one_way or number % 2 == 0
        sender, receiver = (initiator, responder) if turn else (responder, initiator)
        if initiator.handshake_finished:
            ciphertext = bytes(sender.encrypt(payload))
            opened = receiver.decrypt(ciphertext)
        else:
            ciphertext = bytes(sender.write_message(payload))
            opened = receiver.read_message(ciphertext)
        if bytes(opened) != payload:
            raise SystemExit(f"noiseprotocol disagrees with itself on {payload!r}")
        messages.append({"payload": payload.hex(), "ciphertext": ciphertext.hex()})
    return messages


def give(vector: dict[str, Any], end: Any, name: str, which: Keypair, private: bytes) -> None:
    end.set_keypair_from_private_bytes(which, private)
    vector[name] = private.hex()


def tell(vector: dict[str, Any], end: Any, name: str, public: bytes) -> None:
    end.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, public)
    vector[name] = public.hex()


def public_of(private: bytes) -> bytes:
    holder = NoiseConnection.from_name(b"Noise_NN_25519_ChaChaPoly_SHA256")
    holder.set_keypair_from_private_bytes(Keypair.STATIC, private)
    public: bytes = holder.noise_protocol.keypairs["s"].public_bytes
    return public


if __name__ == "__main__":
    main()
