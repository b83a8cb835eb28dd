"""Guards taken away by name: a test that never failed proves nothing, so each is seen to fail.

`make mutants`, or `python -m mutants --help` with `tests` on the path.
"""
