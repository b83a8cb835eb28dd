"""`python -m jobs.migrate [REVISION]`: bring the ledger's schema up to date, or to a revision."""

import argparse
import logging

from jobs.database import Database, migrate
from jobs.logs import set_up_logging
from jobs.settings import Settings

log = logging.getLogger(__name__)


def main() -> None:
    """Migrate the database that the settings name; processes that do it at once take turns."""
    parser = argparse.ArgumentParser(prog="python -m jobs.migrate", description=__doc__)
    parser.add_argument("revision", nargs="?", default="head")
    arguments = parser.parse_args()
    settings = Settings()
    set_up_logging(settings, "migrate")
    with Database(settings.database_url) as database:
        migrate(database, arguments.revision)
        log.info("%s is at %s", database.engine.url, arguments.revision)


if __name__ == "__main__":
    main()
