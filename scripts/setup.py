"""Makes `.venv` with the pinned packages, once; used by run, test and check. Standard library only.

The packages are installed again only when requirements/*.txt, the interpreter or the place of the
checkout changes. uv is used when it is on PATH, pip otherwise. What people must do is said in English
and Chinese in one line, because this may be the first thing that they see.

This file and its callers must parse on old Pythons too, so that the sentence about them is reached.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)
NEWER = ("python3.14", "python3.13", "python3.12", "python3.11")

# What uv, pip and the system say when nobody answers at the index.
_UNREACHABLE = (
    "error sending request", "failed to fetch", "could not connect", "connection", "name resolution",
    "dns error", "timed out", "network is unreachable", "no matching distribution",
)  # fmt: skip


class SetupFailed(Exception):
    """Set-up cannot go on; the text says what to do, in English and Chinese."""


class Environment:
    """The virtual environment of one checkout: `root`/.venv."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        self.folder = root / ".venv"
        self.python = self.folder / "bin" / "python"
        self._stamp = self.folder / "tessera-stamp"

    def ensure(self, kind: str) -> Path:
        """The environment's python, with the packages of `kind`: run, or test (run's and more)."""
        try:
            with _locked(self.root):
                if not self._is_done(kind):
                    self._make(kind)
        except PermissionError as error:
            raise SetupFailed(
                f"Cannot write {error.filename}: use a checkout of your own, or change its owner."
                f" / 无法写入 {error.filename}：请使用自己的检出目录，或更改其所有者。"
            ) from error
        return self.python

    def _requirements(self, kind: str) -> Path:
        return self.root / "requirements" / f"{kind}.txt"

    def _interpreter(self) -> str | None:
        """The version of the environment's interpreter, None when it does not run or is too old."""
        asked = "import sys; print(sys.version if sys.version_info >= %r else '')" % (OLDEST,)
        try:
            said = subprocess.run(
                [str(self.python), "-c", asked], capture_output=True, text=True, check=False
            )
        except OSError:
            return None
        return said.stdout.strip() if said.returncode == 0 and said.stdout.strip() else None

    def _wanted(self, interpreter: str) -> str:
        told = [interpreter, str(self.root)]
        told += [self._requirements(kind).read_text(encoding="utf-8") for kind in ("run", "test")]
        return hashlib.sha256("\0".join(told).encode()).hexdigest()

    def _is_done(self, kind: str) -> bool:
        try:
            done, digest = self._stamp.read_text(encoding="ascii").split()
        except (OSError, ValueError):
            return False
        interpreter = self._interpreter()
        return interpreter is not None and done in (kind, "test") and digest == self._wanted(interpreter)

    def _make(self, kind: str) -> None:
        began = time.monotonic()
        uv = shutil.which("uv")
        with contextlib.suppress(FileNotFoundError):
            self._stamp.unlink()
        if self._interpreter() is None:
            say(f"Making {self.folder} …", f"正在创建 {self.folder} …")
            self._make_folder(uv)
        say(f"Installing the packages of requirements/{kind}.txt …", "正在安装软件包 …")
        self._install(kind, uv)
        self._add_checkout()
        interpreter = self._interpreter()
        if interpreter is None:
            raise SetupFailed(f"{self.python} does not run. / {self.python} 无法运行。")
        self._stamp.write_text(f"{kind} {self._wanted(interpreter)}\n", encoding="ascii")
        seconds = time.monotonic() - began
        say(f"… set up in {seconds:.0f} s", f"… 安装完成，用时 {seconds:.0f} 秒")

    def _make_folder(self, uv: str | None) -> None:
        if self.folder.exists():
            shutil.rmtree(self.folder)
        if uv is not None:
            made = _quiet([uv, "venv", "--quiet", "--python", sys.executable, str(self.folder)])
            if made.returncode == 0:
                return
        # Debian keeps ensurepip in a package of its own; the system's pip serves just as well.
        options = [] if _has_module("ensurepip") else ["--without-pip"]
        made = _quiet([sys.executable, "-m", "venv", "--clear", *options, str(self.folder)])
        if made.returncode != 0 and not options:
            made = _quiet([sys.executable, "-m", "venv", "--clear", "--without-pip", str(self.folder)])
        if made.returncode != 0:
            raise SetupFailed(
                f"{_last(made)} — cannot make {self.folder}: on Debian or Ubuntu, install python3-venv."
                f" / 无法创建 {self.folder}：在 Debian 或 Ubuntu 上请安装 python3-venv。"
            )

    def _install(self, kind: str, uv: str | None) -> None:
        chosen = ["--require-hashes", "-r", str(self._requirements(kind))]
        if uv is not None:
            done = _quiet([uv, "pip", "install", "--quiet", "--python", str(self.python), *chosen])
            if done.returncode == 0:
                return
            # uv and pip find their index in different settings: what one cannot reach the other may.
            say(f"uv could not ({_last(done)}); trying pip …", "uv 未能完成，改用 pip …")
        pip = self._pip()
        done = _quiet([*pip, "install", "--quiet", "--disable-pip-version-check", "--retries", "2", *chosen])
        if done.returncode == 0:
            return
        sys.stderr.write(done.stderr)
        if any(sign in done.stderr.lower() for sign in _UNREACHABLE):
            raise SetupFailed(
                "The package index cannot be reached: check the network, or name a mirror in PIP_INDEX_URL"
                " (for uv: UV_DEFAULT_INDEX), then start again."
                " / 无法访问软件包索引：请检查网络，或用 PIP_INDEX_URL"
                "（uv 用 UV_DEFAULT_INDEX）指定镜像后重试。"
            )
        raise SetupFailed(
            "The packages could not be installed; the reason is above."
            " / 软件包安装失败，原因见上。"
        )  # fmt: skip

    def _pip(self) -> list[str]:
        """The command that is pip, working on this environment."""
        if _quiet([str(self.python), "-m", "pip", "--version"]).returncode == 0:
            return [str(self.python), "-m", "pip"]
        if _has_module("pip"):
            return [sys.executable, "-m", "pip", "--python", str(self.python)]
        raise SetupFailed(
            "There is no pip: on Debian or Ubuntu, install python3-venv; or install uv."
            " / 找不到 pip：在 Debian 或 Ubuntu 上请安装 python3-venv，或安装 uv。"
        )

    def _add_checkout(self) -> None:
        """Put the checkout on the environment's path: its packages are imported from where they lie."""
        asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
        site = subprocess.run([str(self.python), "-c", asked], capture_output=True, text=True, check=True)
        Path(site.stdout.strip(), "tessera.pth").write_text(f"{self.root}\n", encoding="utf-8")


def say(english: str, chinese: str) -> None:
    print(f"{english} / {chinese}", file=sys.stderr, flush=True)


def require_python() -> None:
    """Go on with a newer Python from PATH when this one is too old; SetupFailed when there is none."""
    if sys.version_info >= OLDEST:
        return
    for name in NEWER:
        found = shutil.which(name)
        if found is not None:
            os.execv(found, [found, *sys.argv])
    here = ".".join(map(str, sys.version_info[:3]))
    raise SetupFailed(
        f"Python 3.11 or newer is needed; this is {here}. Install one, then start again."
        f" / 需要 Python 3.11 或更高版本；当前为 {here}。请安装后重试。"
    )


def _require_streams() -> None:
    """Nobody else's file may become number 0, 1 or 2; SetupFailed when stdout is closed."""
    if sys.stdout is None:
        raise SetupFailed("Standard output is closed; open it. / 标准输出已关闭；请打开后重试。")
    for number in (0, 2):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: most often this one
            if nowhere == number:
                os.set_inheritable(nowhere, True)
            else:
                os.dup2(nowhere, number)
                os.close(nowhere)


def start(kind: str, arguments: list[str]) -> None:
    """Set up, then become the environment's python with `arguments`, in the checkout's folder."""
    try:
        _require_streams()
        require_python()
        python = Environment().ensure(kind)
    except SetupFailed as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Stopped; start again to complete the set-up. / 已中断；再次运行即可完成安装。")
    os.chdir(ROOT)
    sys.stdout.flush()
    os.execv(python, [str(python), *arguments])


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Hold the checkout's folder, so that two set-ups at once do the work once."""
    folder = os.open(root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another set-up is at work here; waiting …", "另一个安装正在进行，请稍候 …")
            fcntl.flock(folder, fcntl.LOCK_EX)
        except OSError:
            pass  # some network file systems lock no folders: then two at once are not safe
        yield
    finally:
        os.close(folder)


def _quiet(command: list[str]) -> subprocess.CompletedProcess[str]:
    # A user's own pip settings ("user = true") would install beside the environment.
    surroundings = {**os.environ, "PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}
    surroundings.pop("PYTHONHOME", None)
    return subprocess.run(
        command, check=False, text=True, errors="replace", env=surroundings,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def _has_module(name: str) -> bool:
    return _quiet([sys.executable, "-c", f"import {name}"]).returncode == 0


def _last(done: subprocess.CompletedProcess[str]) -> str:
    """The last line that a command said."""
    lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    return lines[-1] if lines else f"exit status {done.returncode}"
