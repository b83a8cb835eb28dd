"""A nursery that has nothing to load, and whose trainers follow a script."""

import sys

from script_trainer import train

from worker.nursery import main

if __name__ == "__main__":
    sys.exit(main(rehearse=lambda: None, probe=lambda: None, train=train))
