"""Settings from the environment."""

from pathlib import Path

import pytest

from jobs.settings import Settings


def test_everything_lives_in_one_folder_unless_told_otherwise(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    assert settings.database_url == f"sqlite:///{tmp_path}/ledger.sqlite3"
    assert (settings.artifacts, settings.inputs) == (tmp_path / "artifacts", tmp_path / "inputs")
    assert not settings.rings


def test_the_environment_names_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLHOUSE_DATABASE_URL", "postgresql://me:secret@db/stillhouse")
    monkeypatch.setenv("STILLHOUSE_BROKER_URL", "redis://queue/0")
    monkeypatch.setenv("STILLHOUSE_ARTIFACTS", "")
    settings = Settings()
    assert settings.database_url == "postgresql+psycopg://me:secret@db/stillhouse"
    assert settings.rings
    assert settings.artifacts == settings.data / "artifacts"
    assert "secret" not in repr(settings)


def test_a_relative_folder_is_the_same_for_every_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(data=Path("here"))
    monkeypatch.chdir("/")
    assert settings.data == tmp_path / "here"
