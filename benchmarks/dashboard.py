"""A job's page with a million points against one with a thousand, in a real Chromium.

    python benchmarks/dashboard.py [--points 1000000] [--repeats 7] [--json FILE]

Both jobs stand in one ledger and are served by one API process; the pages are opened in turns, each
in a window of its own. *Ready* is when the page can be read and its buttons work
(DOMContentLoaded), *answered* when a click that came as early as it could has done what it does,
*drawn* when the curves are there. Needs a Chromium: scripts/browser.sh.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from stand.serving import free_port, running
from stand.telling import Table, asked, ratio, spread, write

from jobs.database import Database, migrate
from jobs.repository import Repository
from jobs.spec import JobSpec

_SENT = {"teacher": "plain_cnn", "student": "mlp", "data": "digits"}
_KEYS = ("loss", "learning_rate", "loss/cross_entropy", "loss/kd")
_REPORT = 5_000
_FEW = 1_000
_READY = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"


def filled(database: Database, points: int) -> str:
    """Store a job that runs, with so many points of its student; return its id."""
    with database.write() as session:
        job_id = Repository(session).add(JobSpec.model_validate(_SENT), _SENT).id
    with database.write() as session:
        Repository(session).claim("bench", 86_400)
    steps = points // len(_KEYS)
    for batch, start in enumerate(range(0, steps, _REPORT), start=1):
        told = range(start + 1, min(start + _REPORT, steps) + 1)
        columns = {key: [random.random() for _ in told] for key in _KEYS}  # noqa: S311  # no secret
        event = {
            "type": "metrics",
            "stage": "student-0",
            "seed": 0,
            "columns": {"step": [*told], **columns},
        }
        with database.write() as session:
            Repository(session).record(job_id, 1, [event], batch=batch)
    return job_id


def opened(browser: Browser, url: str) -> list[float]:
    """Return when a page was ready, when it answered and when it was drawn, in milliseconds."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(url, wait_until="commit")
    page.locator("#recipe summary").click()
    page.locator("#recipe[open]").wait_for()
    answered = page.evaluate("performance.now()")
    page.locator("#plots canvas").nth(2).wait_for()
    drawn = page.evaluate("performance.now()")
    ready = page.evaluate(_READY)
    context.close()
    return [float(one) for one in (ready, answered, drawn)]


def main() -> None:
    """Measure, and print the table."""
    parser = asked(__doc__, 7)
    parser.add_argument("--points", type=int, default=1_000_000)
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("found no Chromium; scripts/browser.sh installs one")
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'ledger.sqlite3'}"
        with Database(url) as database:
            migrate(database)
            jobs = {name: filled(database, name) for name in (options.points, _FEW)}
        port = free_port()
        command = [sys.executable, "-m", "api", "--port", str(port)]
        variables = {"STILLHOUSE_DATA": folder, "STILLHOUSE_DATABASE_URL": url}
        variables["STILLHOUSE_LOG_LEVEL"] = "warning"
        times: dict[int, list[list[float]]] = {name: [] for name in jobs}
        with running(command, port, **variables), sync_playwright() as playwright:
            flags = ["--no-sandbox", "--disable-gpu"]
            browser = playwright.chromium.launch(executable_path=chromium, args=flags)
            for turn in range(options.repeats + 1):
                for points, job_id in jobs.items():
                    found = opened(browser, f"http://127.0.0.1:{port}/jobs/{job_id}")
                    if turn:  # the first one fills caches
                        times[points].append(found)
            browser.close()
    measured = ("ready, ms", "answered, ms", "drawn, ms")
    table = Table("points", *measured, numbers=measured)
    for points, found in times.items():
        table.add(f"{points:,}", *(spread(one, 0) for one in zip(*found, strict=True)))
    many, few = times[options.points], times[_FEW]
    for place, what in enumerate(("ready", "answered", "drawn")):
        both = [[one[place] for one in found] for found in (many, few)]
        print(f"\n{what}, {options.points:,} / {_FEW:,} points: {ratio(*both)}")
    write(options.json, {"times_ms": {str(points): found for points, found in times.items()}})


if __name__ == "__main__":
    main()
