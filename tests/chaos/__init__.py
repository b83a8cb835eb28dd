"""Chaos: real processes, a stream of real jobs, and everything that can happen to them.

`make chaos`, or `python -m chaos --help` with `tests` on the path. The seed decides which faults
come and when; what they meet is up to the machine.
"""
