"""A messenger that is killed in the middle: `python messaging.py`, settings from the environment.

It has claimed a message, and the receiver has it, when the process is killed: nobody has written
down what came of it.
"""

import os
import signal

from jobs import messenger
from jobs.database import Database
from jobs.messenger import Messenger
from jobs.settings import Settings
from jobs.webhook_sending import Sent


def main() -> None:
    """Send what is due, and be killed before any of it is written down."""
    real = messenger.post

    def post(*arguments: object) -> Sent:
        real(*arguments)  # type: ignore[arg-type]  # passed on as they came
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    messenger.post = post
    settings = Settings()
    with Database(settings.database_url) as database:
        Messenger(settings, database, lease_seconds=1.0).run()


if __name__ == "__main__":
    main()
