"""An acknowledged debit survives kill -9, of PostgreSQL and of the server. The one promise of the product."""

import tempfile
from pathlib import Path

from scripts.chaos import chaos


def test_what_was_acknowledged_survives_kill_9() -> None:
    with tempfile.TemporaryDirectory(prefix="tessera-chaos-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        found = chaos(folder, seconds=3, terminals=12, seed=20_261_122)
        said = (folder / "server.log").read_text()
    assert found.right, found
    assert found.database_kills >= 1
    assert found.server_kills >= 1
    assert found.cuts >= 1
    assert found.acknowledged > 20
    assert found.repeats > 0, "nobody was ever in doubt: that was no chaos"
    assert "database_lost" in said
    assert "Traceback" not in said
