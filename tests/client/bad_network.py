"""A network between client and server that cuts and corrupts."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field


@dataclass
class BadNetwork:
    """A way to a server that cuts each connection after so many bytes, or flips a bit."""

    upstream: int
    cut_after: int | None = None
    """Bytes of answers on one connection; None never cuts."""
    flip_at: int | None = None
    """Flip a bit of this byte of every answer."""
    connections: int = 0
    asked: bytearray = field(default_factory=bytearray)
    """All that came from clients, as it came."""
    _listener: socket.socket = field(default_factory=socket.socket)

    def open(self) -> None:
        """Begin to listen."""
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept nothing more."""
        self._listener.close()

    @property
    def url(self) -> str:
        """Where the server seems to be."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            far = socket.create_connection(("127.0.0.1", self.upstream))
            threading.Thread(target=self._asked, args=(near, far), daemon=True).start()
            threading.Thread(target=self._answered, args=(near, far), daemon=True).start()

    def _asked(self, near: socket.socket, far: socket.socket) -> None:
        try:
            while block := near.recv(65536):
                self.asked += block
                far.sendall(block)
        except OSError:
            pass
        finally:
            _end(far)

    def _answered(self, near: socket.socket, far: socket.socket) -> None:
        passed = 0
        try:
            while block := bytearray(far.recv(65536)):
                if self.flip_at is not None and passed <= self.flip_at < passed + len(block):
                    block[self.flip_at - passed] ^= 1
                if self.cut_after is not None:
                    block = block[: self.cut_after - passed]
                passed += len(block)
                near.sendall(block)
                if self.cut_after is not None and passed >= self.cut_after:
                    break
        except OSError:
            pass
        finally:
            _end(near)
            _end(far)


def _end(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
