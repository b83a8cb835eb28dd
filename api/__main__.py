"""`python -m api`: serve the API and the pages."""

from __future__ import annotations

import argparse
import contextlib
import gc
import ipaddress
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Final

import uvicorn
from pydantic import ValidationError
from pydantic_settings import SettingsError

from api.app import create_app
from api.dependencies import House
from jobs.database import UNREACHABLE
from jobs.errors import MlflowMissing, SchemaOutOfDate, StoreMisconfigured
from jobs.logs import set_up_logging
from jobs.secrecy import hide_environment
from jobs.settings import Settings
from jobs.traces import set_up_traces

log = logging.getLogger(__name__)

EXIT_USAGE: Final = 2
SHUTDOWN_SECONDS: Final = 5


class Server(uvicorn.Server):
    """uvicorn, which tells the event streams to end before it waits for connections to close."""

    def __init__(self, config: uvicorn.Config, house: House) -> None:
        """Serve the app that `house` belongs to."""
        super().__init__(config)
        self._house = house

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then everything else."""
        self._house.tower.close()
        await super().shutdown(sockets)


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal comes; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m api", description=__doc__)
    parser.add_argument("--host", help="address to bind to (STILLHOUSE_HOST)")
    parser.add_argument("--port", type=int, help="port, 0 for a free one (STILLHOUSE_PORT)")
    parser.add_argument("--port-file", type=Path, help="file that the port is written into")
    chosen = parser.parse_args(arguments)
    given = {"host": chosen.host, "port": chosen.port}
    try:
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
    except (SettingsError, ValidationError) as error:
        return _fail(str(error))
    set_up_logging(settings, "api")
    hide_environment()
    set_up_traces("api")
    try:
        listener = _listen(settings.host, settings.port)
    except OSError as error:
        return _fail(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}")
    try:
        app = create_app(settings)
        house: House = app.state.house
        house.open()
    except (MlflowMissing, SchemaOutOfDate, StoreMisconfigured) as error:
        return _fail(f"{error}: {error.hint}")
    except UNREACHABLE as error:
        return _fail(f"the database does not answer: {type(error).__name__}")
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level=settings.log_level,
        access_log=settings.log_level == "debug",
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        server_header=False,
        proxy_headers=False,
    )
    if not (settings.allow_open or is_loopback(settings.host) or house.has_keys()):
        return _fail(
            f"found the address {settings.host}, which others can reach, and no API key to ask"
            " them for; expected a loopback address, or a key.\n"
            "Make one with `python -m jobs.make_key --house --name operator`, or bind to 127.0.0.1,"
            " or set STILLHOUSE_ALLOW_OPEN=1 where something else guards it."
        )
    port = listener.getsockname()[1]
    if chosen.port_file is not None:
        _write(chosen.port_file, f"{port}\n")
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    listens = f"Stillhouse listens on http://{shown}:{port}"
    if settings.log_format == "json":
        log.info(listens)
    else:
        print(listens, flush=True)  # noqa: T201 - the answer
    # uvicorn shuts down in order and then raises the signal again: both are an orderly end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # What is loaded by now stays: to look through it for garbage again and again would stop the
    # server for 80 ms each time.
    gc.collect()
    gc.freeze()
    with contextlib.suppress(KeyboardInterrupt):
        Server(config, house).run(sockets=[listener])
    return 0


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


def _write(path: Path, text: str) -> None:
    # Renamed into place, so that whoever waits for the file never reads half of it.
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    beside.write_text(text)
    beside.replace(path)


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)  # noqa: T201 - what a command line says
    return EXIT_USAGE


if __name__ == "__main__":
    sys.exit(main())
