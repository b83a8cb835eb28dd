"""A short run of chaos on each database; `make chaos` is a longer one."""

import pytest

from chaos.__main__ import KINDS, main


@pytest.mark.slow
@pytest.mark.timeout(900)  # it waits for every job that it has disturbed
@pytest.mark.parametrize("database", KINDS)
def test_every_accepted_job_ends_in_one_truthful_way(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = main(["--database", database, "--seconds", "20", "--kills", "6"])
    assert not failed, capsys.readouterr().out
