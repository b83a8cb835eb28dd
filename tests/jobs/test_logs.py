"""What is logged is one line an entry, harms no terminal, and never holds a password."""

import io
import json
import logging
import threading
from collections.abc import Generator

import pytest

from jobs.logs import HIDDEN, bind, bound, plain, secrets_of, set_up_logging
from jobs.settings import Settings

EVIL = "a\nb\r\x1b[2J\x1b]0;title\x07\u2028\u202e\ud800 {'level': 'error'}"
PASSWORD = "s3cret@word/1"  # noqa: S105  # nobody's


@pytest.fixture(autouse=True)
def _as_before() -> Generator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def fail_with(error: Exception) -> None:
    """Log an exception as who caught it does."""
    try:
        raise error
    except type(error):
        logging.getLogger("a").exception("failed")


def written(form: str, act: object, **settings: object) -> str:
    stream = io.StringIO()
    set_up_logging(Settings(log_format=form, **settings), "test", stream)  # type: ignore[arg-type]
    act()  # type: ignore[operator]
    return stream.getvalue()


def test_json_has_one_object_a_line_with_what_it_belongs_to() -> None:
    def act() -> None:
        bind(request_id="r-1", job_id="job_1", attempt=2)
        logging.getLogger("a.b").warning("%s is odd", EVIL, extra={"fields": {"status": 201}})
        bind(attempt=None)
        logging.getLogger("a.b").info("next")
        bind(request_id=None, job_id=None)

    text = written("json", act)
    assert text.isascii()
    first, second = map(json.loads, text.splitlines())
    assert first["message"] == f"{EVIL} is odd"
    assert (first["level"], first["logger"], first["process"]) == ("warning", "a.b", "test")
    assert (first["request_id"], first["job_id"], first["attempt"]) == ("r-1", "job_1", 2)
    assert first["status"] == 201
    assert first["time"].endswith("Z")
    assert "attempt" not in second
    assert second["job_id"] == "job_1"


def test_an_exception_is_part_of_its_entry() -> None:
    (line,) = written("json", lambda: fail_with(ValueError(EVIL))).splitlines()
    assert "ValueError" in json.loads(line)["exception"]


def test_no_text_can_begin_a_line_of_its_own_or_move_the_cursor() -> None:
    def act() -> None:
        logging.getLogger("a").warning("job %s", EVIL)
        fail_with(ValueError("x\n2026-01-01T00:00:00.000Z INFO forged: entry"))

    lines = written("text", act).split("\n")[:-1]
    assert all(line.isprintable() for line in lines)
    starts = [line for line in lines if not line.startswith("  | ")]
    assert len(starts) == 2
    assert "\\n" in starts[0]
    assert "\\x1b" in starts[0]


@pytest.mark.parametrize("form", ["json", "text"])
def test_passwords_are_hidden_wherever_they_come_from(form: str) -> None:
    def act() -> None:
        log = logging.getLogger("a")
        log.warning("cannot reach %s", settings["database_url"])
        log.warning("cannot reach %s", settings["broker_url"])
        log.warning("refused with %s", settings["s3_secret_access_key"])
        fail_with(OSError(f"bad password {PASSWORD}"))

    settings = {
        "database_url": "postgresql://me:s3cret%40word%2F1@db/house",
        "broker_url": "redis://:hunter22hunter@queue/0;redis://:other-secret@queue2/0",
        "s3_secret_access_key": "bucket-secret",
    }
    text = written(form, act, **settings)
    for secret in (PASSWORD, "s3cret%40word", "hunter22hunter", "other-secret", "bucket-secret"):
        assert secret not in text
    assert HIDDEN in text
    assert secrets_of(Settings()) == []


def test_what_a_thread_is_at_work_on_is_its_own() -> None:
    seen: list[object] = []
    bind(job_id="job_1")
    thread = threading.Thread(target=lambda: seen.append(bound("job_id")))
    thread.start()
    thread.join()
    assert seen == [None]
    assert bound("job_id") == "job_1"
    bind(job_id=None)


def test_plain_text_stays_as_it_is() -> None:
    assert plain("größer als 模型 🙂") == "größer als 模型 🙂"
    assert plain("a\tb\x00") == "a\\tb\\x00"
