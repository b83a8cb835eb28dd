"""Addresses of servers: their drivers, and the passwords in them."""

from collections.abc import Callable
from urllib.parse import quote, urlsplit

from pydantic import SecretStr, ValidationInfo


def with_driver(url: str) -> str:
    """Return a database's URL with the driver that a plain `postgresql://` does not name."""
    for plain in ("postgresql://", "postgres://"):
        if url.startswith(plain):
            return "postgresql+psycopg://" + url.removeprefix(plain)
    return url


def opened_by(field: str) -> Callable[[str, ValidationInfo], str]:
    """Return a validator that puts the password of another field into a URL."""

    def opened(url: str, info: ValidationInfo) -> str:
        secret: SecretStr | None = info.data.get(field)
        return url if secret is None else with_password(url, secret.get_secret_value())

    return opened


def with_password(url: str, password: str) -> str:
    """Return a URL, or several with `;` between, with a password in the place of any other one."""
    return ";".join(_with_password(one, quote(password, safe="")) for one in url.split(";"))


def _with_password(url: str, quoted: str) -> str:
    parts = urlsplit(url)
    if not parts.netloc:
        return url  # a file, or this process's memory: nobody asks
    user, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user.partition(':')[0]}:{quoted}@{host}").geturl()
