"""A link that can fail: a proxy for any TCP or Unix socket that passes, swallows, delays or cuts.

`swallow` is what no test double shows: everything that is sent is taken and acknowledged, and
nothing ever comes back, as behind a firewall that forgot the connection.
"""

import contextlib
import socket
import struct
import threading
import time
from typing import Self

READ_BYTES = 1 << 16
RESET = struct.pack("ii", 1, 0)


class FaultProxy:
    """Listens on the loopback, and carries each connection to where it leads."""

    def __init__(self, upstream: tuple[str, int] | str) -> None:
        """Lead to a host and port, or to the path of a Unix socket."""
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.delay_seconds = 0.0
        self.cut_after: int | None = None
        """Bytes, in either direction, after which everything is cut once."""
        self.swallow_from: bytes | None = None
        """What is sent with these bytes in it, either way, is the first to be swallowed."""
        self._passes = threading.Event()
        self._passes.set()
        self._closed = False
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def swallow(self) -> None:
        """Take everything from now on and bring nothing, on old and new connections."""
        self._passes.clear()

    def heal(self) -> None:
        """Carry again what new connections bring, and cut those that were swallowed from.

        Cut last: whoever connects anew at once must not be swallowed from any more.
        """
        was_swallowing = not self._passes.is_set()
        self._passes.set()
        if was_swallowing:
            self.cut()

    def cut(self) -> None:
        """Reset every connection that there is."""
        for pair in list(self._pairs):
            for end in pair:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Accept no more, and cut what there is."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while not self._closed:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry_both, args=(near,), daemon=True).start()

    def _carry_both(self, near: socket.socket) -> None:
        kind = socket.AF_UNIX if isinstance(self._upstream, str) else socket.AF_INET
        with near, socket.socket(kind, socket.SOCK_STREAM) as far:
            try:
                far.connect(self._upstream)
            except OSError:
                return  # as if nobody listened: the connection ends at once
            pair = (near, far)
            self._pairs.add(pair)
            back = threading.Thread(target=self._carry, args=(far, near), daemon=True)
            back.start()
            self._carry(near, far)
            back.join()
            self._pairs.discard(pair)

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(READ_BYTES):
                if self.swallow_from is not None and self.swallow_from in data:
                    self.swallow_from = None
                    self.swallow()
                if not self._passes.is_set():
                    continue
                time.sleep(self.delay_seconds)
                target.sendall(data)
                if self.cut_after is not None:
                    self.cut_after -= len(data)
                    if self.cut_after <= 0:
                        self.cut_after = None
                        self.cut()
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        """Give the proxy itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()
