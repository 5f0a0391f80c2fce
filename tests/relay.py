"""A port in front of a server, to make its faults: connections are passed on, refused, or never answered."""

import socket
import threading
from contextlib import suppress


class Relay:
    """Passes connections on to `target`, a port of this machine; without one it accepts and keeps silent."""

    def __init__(self, target: int | None = None) -> None:
        self.target = target
        self.count = 0  # connections so far
        self._lost, self._answers_to_lose = b"", 0
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._accept()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def lose_answers(self, request: bytes, times: int) -> None:
        """Pass on the next requests with these words in them, and cut the connection in place of the answer."""
        self._lost, self._answers_to_lose = request, times

    def refuse(self) -> None:
        """As if the server had died."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        self._listener.close()
        self._cut()

    def listen(self) -> None:
        """As if it had been started again."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._accept()

    def answer(self, target: int | None) -> None:
        """Cut the connections that there are, and pass on, or no more, those that come."""
        self.target = target
        self._cut()

    def _cut(self) -> None:
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def _accept(self) -> None:
        threading.Thread(target=self._work, args=(self._listener,), daemon=True).start()

    def _work(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                self.count += 1
                self._open.append(client)
                if self.target is not None:
                    server = socket.create_connection(("127.0.0.1", self.target))
                    self._open.append(server)
                    lost = threading.Event()
                    for pair in ((client, server), (server, client)):
                        threading.Thread(target=self._copy, args=(*pair, client, lost), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, client: socket.socket, lost: threading.Event) -> None:
        with suppress(OSError):
            while data := source.recv(2**16):
                if source is client and self._answers_to_lose and self._lost in data:
                    self._answers_to_lose -= 1
                    lost.set()
                elif sink is client and lost.is_set():
                    client.shutdown(socket.SHUT_RDWR)
                    return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
