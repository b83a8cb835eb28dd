"""Settings from the environment."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from jobs.settings import Settings


def test_everything_lives_in_one_folder_unless_told_otherwise(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    assert settings.database_url == f"sqlite:///{tmp_path}/ledger.sqlite3"
    assert (settings.artifacts, settings.inputs) == (tmp_path / "artifacts", tmp_path / "inputs")
    assert not settings.rings


def test_the_environment_names_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLHOUSE_DATABASE_URL", "postgresql://me:hunter2@db/stillhouse")
    monkeypatch.setenv("STILLHOUSE_S3_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("STILLHOUSE_S3_SESSION_TOKEN", "hunter2")
    monkeypatch.setenv("STILLHOUSE_BROKER_URL", "redis://queue/0")
    monkeypatch.setenv("STILLHOUSE_ARTIFACTS", "")
    settings = Settings()
    assert settings.database_url == "postgresql+psycopg://me:hunter2@db/stillhouse"
    assert settings.rings
    assert settings.artifacts == settings.data / "artifacts"
    assert "hunter2" not in repr(settings) + str(settings.model_dump(exclude={"database_url"}))


def test_artifacts_are_kept_in_a_folder_or_in_a_bucket(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for given, meant in (
        ("here", tmp_path / "here"),
        ("/there", Path("/there")),
        ("s3://bucket/prefix", "s3://bucket/prefix"),
    ):
        monkeypatch.setenv("STILLHOUSE_ARTIFACTS", given)
        assert Settings().artifacts == meant
    for odd in ("gs://bucket", "https://bucket", "file:///there"):
        monkeypatch.setenv("STILLHOUSE_ARTIFACTS", odd)
        with pytest.raises(ValidationError, match="expected the path of a folder, or s3://"):
            Settings()


def test_a_relative_folder_is_the_same_for_every_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(data=Path("here"))
    monkeypatch.chdir("/")
    assert settings.data == tmp_path / "here"


def test_every_setting_stands_in_the_documentation() -> None:
    told = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()
    for name in Settings.model_fields:
        assert f"`STILLHOUSE_{name.upper()}`" in told
