"""A process that has imported the heavy libraries and most of clipgan, and forks itself for each command of a test.

python tests/warm_template.py SOCKET

A client connects, and sends one message: the file descriptors of the request (JSON), of standard input, output and
error. It gets the child's process id, and at the child's end its exit status, negative for a signal, as `Popen` has it.
The libraries are imported at the first request. The process ends when its own standard input is closed.

No library starts a thread of Python while it is imported, and torch computes nothing here, so that a fork is safe.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import struct
import sys
import threading
import warnings
import weakref
from contextlib import suppress

LIBRARIES = (
    "torch", "torchvision", "open_clip", "torch_fidelity", "hydra", "hydra._internal.hydra", "optuna", "mlflow",
    "mlflow.pytorch", "sqlalchemy.dialects.sqlite", "alembic.command", "torch.utils._sympy.functions", "rich.live",
    "rich.table", "scipy.stats", "torch.distributed.nn", "torch.serialization", "PIL.PngImagePlugin",
    # what Hydra, Optuna and MLflow import late
    "hydra._internal.core_plugins.basic_launcher", "hydra._internal.core_plugins.file_config_source",
    "optuna.storages._rdb.models", "alembic.migration", "rich.progress", "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.tracing.client", "cryptography.fernet", "ijson", "rich.panel", "torch.utils.flop_counter",
    # what most commands import of clipgan
    "clipgan.main", "clipgan.tasks.gan.training", "sweeps.workers.run",
)  # fmt: skip
NUMBER = struct.Struct("i")
ended: BaseException | None = None  # what has ended the command


def import_libraries() -> None:
    sys.path[0] = os.path.dirname(sys.path[0])  # this file's folder has `sweeps`, too
    for name in LIBRARIES:
        importlib.import_module(name)
    from hydra.core.plugins import Plugins

    Plugins.instance()  # a command would look for them
    for finalizer in list(weakref.finalize._registry):  # the libraries' would take most of a short command's time
        finalizer.atexit = False
    assert threading.active_count() == 1, threading.enumerate()
    gc.collect()
    gc.freeze()  # a child's collections copy no page of what is here


def serve(listener: socket.socket) -> list[int] | None:
    """Fork for each request. Return the request's descriptors in a child, None when nobody needs this process."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    os.set_blocking(read, False)
    signal.set_wakeup_fd(write)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends pytest, and so this process
    clients: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([0, read, listener], [], [])
        if 0 in ready and not os.read(0, 1):
            for pid in clients:
                os.kill(pid, signal.SIGKILL)
            return None
        if read in ready:
            os.read(read, 4096)
            for pid in list(clients):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    with clients.pop(pid) as client, suppress(OSError):  # who asked may have ended
                        client.sendall(NUMBER.pack(os.waitstatus_to_exitcode(status)))
        if listener in ready:
            client, _ = listener.accept()
            if "torch" not in sys.modules:
                import_libraries()
            _, given, _, _ = socket.recv_fds(client, 1, 4)
            with warnings.catch_warnings():  # Python 3.12 warns of a library's threads, which compute nothing here
                warnings.simplefilter("ignore", DeprecationWarning)
                pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                for inherited in (listener, client, *clients.values()):
                    inherited.close()
                os.close(read)
                os.close(write)
                return given
            for descriptor in given:
                os.close(descriptor)
            clients[pid] = client
            with suppress(OSError):
                client.sendall(NUMBER.pack(pid))


def become(given: list[int]) -> tuple[str, str]:
    """Make this child what the request asks for. Return what Python runs: a kind, `-m`, `-c` or empty, and its text."""
    with open(given[0]) as file:
        request = json.load(file)
    for standard, descriptor in enumerate(given[1:]):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    for number, action in ((signal.SIGCHLD, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
        signal.signal(number, action)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    kind, *rest = request["arguments"]
    if kind in ("-m", "-c"):
        text, *rest = rest
        sys.argv = [kind, *rest]
        sys.path[0] = request["cwd"] if kind == "-m" else ""
    else:
        kind, text = "", kind
        sys.argv = [text, *rest]
        sys.path[0] = os.path.dirname(os.path.abspath(text))
    sys.path[1:1] = [path for path in os.environ.get("PYTHONPATH", "").split(":") if path and path not in sys.path]
    sys.orig_argv = [sys.executable, *request["arguments"]]
    return kind, text


def run(kind: str, text: str) -> None:
    if kind == "-m":
        runpy.run_module(text, run_name="__main__", alter_sys=True)
    elif kind == "":
        runpy.run_path(text, run_name="__main__")
    else:
        exec(compile(text, "<string>", "exec"), {"__name__": "__main__"})


def leave() -> None:
    """Leave a child without taking the libraries down, which would copy all the memory that it shares."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    if isinstance(ended, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    code = ended.code if isinstance(ended, SystemExit) else int(ended is not None)
    os._exit(code & 255 if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    atexit.register(leave)  # Python calls it after what the libraries and the command register
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        listener.listen(64)
        given = serve(listener)
    if given is not None:
        try:
            run(*become(given))
        except BaseException as error:
            ended = error
            raise
