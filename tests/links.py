"""Links to servers that lead through a fault proxy."""

from collections.abc import Generator
from contextlib import contextmanager

from proxy import FaultProxy
from sqlalchemy import make_url

POSTGRES_PORT = 5432


@contextmanager
def proxied(database_url: str) -> Generator[tuple[FaultProxy, str]]:
    """Give a proxy before a PostgreSQL server, and the URL that leads through it."""
    url = make_url(database_url)
    host = url.host or url.query.get("host")
    assert isinstance(host, str), database_url
    port = url.port or POSTGRES_PORT
    upstream = f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)
    with FaultProxy(upstream) as proxy:
        through = url.set(host="127.0.0.1", port=proxy.port).difference_update_query(["host"])
        yield proxy, through.render_as_string(hide_password=False)
