"""Set-up: makes the environment once, again when something changed, and says what is wrong."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import setup
from scripts.setup import Environment, SetupFailed

ROOT = Path(__file__).resolve().parents[2]

ENSURE = (
    "import sys; from pathlib import Path; import setup; setup.Environment(Path(sys.argv[1])).ensure('run')"
)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout that needs no packages, and no uv on PATH: nothing is fetched."""
    (tmp_path / "requirements").mkdir()
    for kind in ("run", "test"):
        (tmp_path / "requirements" / f"{kind}.txt").write_text("# nothing\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_the_environment_is_made_once(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    python = Environment(checkout).ensure("test")
    seen = subprocess.run(
        [python, "-c", "import sys; print(sys.prefix, sys.path)"], capture_output=True, text=True, check=True
    )
    assert str(checkout / ".venv") in seen.stdout
    assert f"'{checkout}'" in seen.stdout  # the checkout's packages are importable from anywhere
    assert "Making" in capsys.readouterr().err

    Environment(checkout).ensure("test")
    Environment(checkout).ensure("run")  # a part of test's
    assert capsys.readouterr().err == ""

    (checkout / "requirements" / "run.txt").write_text("# nothing new\n")
    Environment(checkout).ensure("run")
    said = capsys.readouterr().err
    assert "Installing" in said
    assert "Making" not in said

    Environment(checkout).ensure("test")  # run's packages are not all of test's
    assert "Installing" in capsys.readouterr().err

    # With the environment at hand: a package that is needed, and an index that nobody answers at.
    (checkout / "requirements" / "run.txt").write_text(f"tessera-none==1 --hash=sha256:{'0' * 64}\n")
    with monkeypatch.context() as patch:
        patch.setenv("PIP_CONFIG_FILE", "/dev/null")
        patch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
        patch.setenv("PIP_NO_CACHE_DIR", "1")
        patch.delenv("PIP_FIND_LINKS", raising=False)
        with pytest.raises(SetupFailed, match=r"package index cannot be reached: .*无法访问软件包索引"):
            Environment(checkout).ensure("run")
    (checkout / "requirements" / "run.txt").write_text("# nothing newer\n")
    Environment(checkout).ensure("run")  # what failed was not taken for done
    assert "Installing" in capsys.readouterr().err


def test_an_environment_whose_interpreter_is_gone_is_made_anew_and_by_two_at_once_just_once(
    checkout: Path,
) -> None:
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(checkout / "gone")
    command = [sys.executable, "-c", ENSURE, str(checkout)]
    both = [
        subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, cwd=ROOT / "scripts", env={"PATH": str(checkout)}
        )
        for _ in range(2)
    ]
    said = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("Making" in text for text in said) == 1
    assert subprocess.run([python, "-c", ""], check=False).returncode == 0


def test_an_old_python_is_said_in_two_languages(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "OLDEST", (99, 0))
    with pytest.raises(SetupFailed, match=r"Python 3.11 or newer is needed; .*需要 Python 3.11"):
        setup.require_python()


@pytest.mark.parametrize("name", ["setup.py", "run", "test", "check"])
def test_old_pythons_get_as_far_as_the_sentence_about_them(name: str) -> None:
    ast.parse((ROOT / "scripts" / name).read_text(encoding="utf-8"), feature_version=(3, 7))


@pytest.mark.parametrize("program", ["run", "test", "check"])
def test_a_closed_stdout_is_one_sentence(program: str) -> None:
    command = f'"{sys.executable}" scripts/{program} >&-'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.startswith("Standard output is closed")
    assert done.stderr.count("\n") == 1
