"""Commands in processes that need not import torch, MLflow and clipgan: they are forked from one that has done so.

`Popen` and `run` are those of `subprocess`, as far as the tests use them. The command is `[sys.executable, ...]`. It
has its own arguments, environment and standard streams; signals and exit statuses are those of any process. What a
library reads from the environment while it is imported (HF_HOME, OMP_NUM_THREADS ...) is as pytest has it: a test of
such a variable starts its process with `subprocess`.

pytest-xdist starts its own processes in this way, too (tests/conftest.py): each would take ten seconds to import all.
"""

import json
import os
import pickle
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT, CalledProcessError, CompletedProcess, TimeoutExpired
from typing import IO, Any

NUMBER = struct.Struct("i")  # as in warm_template.py, which this file does not import: as a command it has no package
ROOT = Path(__file__).parent.parent
SOCKET = "CLIPGAN_TESTS_SOCKET"
CALL = "import pickle, sys; function, arguments = pickle.loads(bytes.fromhex(sys.argv[1])); function(*arguments)"


class Template:
    """The process that forks, for all of pytest's processes."""

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp()
        os.environ[SOCKET] = f"{self.folder}/socket"
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("warm_template.py")), os.environ[SOCKET]],
            stdin=subprocess.PIPE,
            env={"OMP_NUM_THREADS": "1", **os.environ},
        )

    def close(self) -> None:
        """End it, and its children."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()
        shutil.rmtree(self.folder)
        del os.environ[SOCKET]


def _connect() -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    deadline = time.monotonic() + 60
    while True:  # the template may be starting
        try:
            connection.connect(os.environ[SOCKET])
        except (FileNotFoundError, ConnectionRefusedError):
            assert time.monotonic() < deadline, "the template has died"
            time.sleep(0.01)
        else:
            return connection


class Popen:
    """A command that runs."""

    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        stdin: int | IO[Any] | None = None,
        stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None,
        text: bool = True,
    ) -> None:
        executable, *arguments = map(os.fspath, command)
        assert text
        assert executable == sys.executable
        self.args, self.returncode = [executable, *arguments], None
        self._out: dict[str, str] = {}
        request = {
            "arguments": arguments,
            "cwd": os.path.abspath(cwd or os.getcwd()),
            "environment": dict(os.environ if env is None else env),
        }
        theirs: list[int] = []
        self.stdin = self._pipe(stdin, 0, theirs)
        self.stdout = self._pipe(stdout, 1, theirs)
        self.stderr = self._pipe(stderr, 2, theirs)
        self._connection = _connect()
        with tempfile.TemporaryFile("w+") as file:
            json.dump(request, file)
            file.flush()
            file.seek(0)
            socket.send_fds(self._connection, [b"x"], [file.fileno(), *theirs])
            self.pid = self._number()
        for descriptor in theirs:
            os.close(descriptor)

    def _pipe(self, wanted: int | IO[Any] | None, standard: int, theirs: list[int]) -> IO[str] | None:
        """Append the child's descriptor to `theirs`; return this side's file of a pipe."""
        if wanted == PIPE:
            read, write = os.pipe()
            theirs.append(read if standard == 0 else write)
            return open(write, "w") if standard == 0 else open(read)
        if wanted == DEVNULL:
            theirs.append(os.open(os.devnull, os.O_RDWR))
        elif wanted == STDOUT:
            theirs.append(os.dup(theirs[1]))
        else:
            theirs.append(
                os.dup(standard if wanted is None else wanted if isinstance(wanted, int) else wanted.fileno())
            )
        return None

    def _number(self) -> int:
        data = self._connection.recv(NUMBER.size, socket.MSG_WAITALL)
        assert len(data) == NUMBER.size, "the template has died"
        return int(NUMBER.unpack(data)[0])

    def poll(self) -> int | None:
        """The exit status, or None while it runs."""
        with suppress(TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit status at its end, negative for a signal."""
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise TimeoutExpired(self.args, timeout or 0)
            self.returncode = self._number()
            self._connection.close()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str | None, str | None]:
        """Read what it prints until its end; return standard output and error."""
        end = None if timeout is None else time.monotonic() + timeout
        if self.stdin:
            self.stdin.close()
        streams = {name: getattr(self, name) for name in ("stdout", "stderr") if getattr(self, name)}
        readers = [threading.Thread(target=self._read, args=item, daemon=True) for item in streams.items()]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(None if end is None else max(0.0, end - time.monotonic()))
            if reader.is_alive():
                raise TimeoutExpired(self.args, timeout or 0)
        self.wait(None if end is None else max(0.0, end - time.monotonic()))
        return self._out.get("stdout"), self._out.get("stderr")

    def _read(self, name: str, stream: IO[str]) -> None:
        with suppress(ValueError):  # closed: read before
            self._out[name] = self._out.get(name, "") + stream.read()
            stream.close()

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> "Popen":
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream:
                stream.close()


def run(
    command: Sequence[str | os.PathLike[str]],
    *,
    capture_output: bool = False,
    check: bool = False,
    timeout: float | None = None,
    **more: Any,
) -> CompletedProcess[str]:
    """Run a command to its end."""
    if capture_output:
        more |= {"stdout": PIPE, "stderr": PIPE}
    process = Popen(command, **more)
    try:
        out, err = process.communicate(timeout)
    except TimeoutExpired:
        process.kill()
        raise
    if check and process.returncode:
        raise CalledProcessError(process.returncode, process.args, out, err)
    return CompletedProcess(process.args, process.returncode or 0, out, err)


def call(function: Callable[..., Any], *arguments: Any) -> Popen:
    """Call a function of a module in a process of its own."""
    command = [sys.executable, "-c", CALL, pickle.dumps((function, arguments)).hex()]
    return Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})


def call_by_ranks(function: Callable[..., Any], *arguments: Any, processes: int) -> None:
    """Call `function(rank, *arguments)` in each of several processes that run at a time, and wait for all."""
    started = [call(function, rank, *arguments) for rank in range(processes)]
    assert [process.wait(timeout=300) for process in started] == [0] * processes


if __name__ == "__main__":  # in the place of Python: the command of a shell
    given = sys.argv[2:] if sys.argv[1] == "-u" else sys.argv[1:]  # pytest-xdist asks for unbuffered streams
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the command as well
    sys.exit(Popen([sys.executable, *given]).wait())
