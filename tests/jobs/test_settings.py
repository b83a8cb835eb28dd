"""Settings from the environment."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsError
from sqlalchemy import make_url

from jobs.logs import secrets_of
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


def test_a_setting_may_stand_in_a_file_that_its_variable_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("p@ss:/word\n")
    for name in ("DATABASE", "BROKER"):
        monkeypatch.setenv(f"STILLHOUSE_{name}_PASSWORD_FILE", str(file))
    monkeypatch.setenv("STILLHOUSE_DATABASE_URL", "postgresql://me:old@db:5432/stillhouse")
    monkeypatch.setenv("STILLHOUSE_BROKER_URL", "redis://queue:6379/0;redis://other:6379/0")
    settings = Settings()
    opened = make_url(settings.database_url)
    assert (opened.drivername, opened.username, opened.password, opened.host, opened.port) == (
        *("postgresql+psycopg", "me", "p@ss:/word", "db", 5432),
    )
    assert settings.broker_url == (
        "redis://:p%40ss%3A%2Fword@queue:6379/0;redis://:p%40ss%3A%2Fword@other:6379/0"
    )
    assert "p@ss" not in repr(settings)
    assert "p@ss:/word" in secrets_of(settings)
    monkeypatch.setenv("STILLHOUSE_DATABASE_URL", "postgresql://me@/stillhouse?host=/run/pg")
    assert make_url(Settings().database_url).password == "p@ss:/word"  # noqa: S105  # planted
    file.write_text("\n")
    assert make_url(Settings().database_url).password is None
    monkeypatch.delenv("STILLHOUSE_DATABASE_URL")
    assert Settings().database_url.startswith("sqlite:///")


def test_a_file_that_is_not_there_or_one_too_many_is_told_without_its_content(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    monkeypatch.setenv("STILLHOUSE_BROKER_PASSWORD_FILE", str(file))
    with pytest.raises(SettingsError, match=f"BROKER_PASSWORD_FILE names {file}, which cannot be"):
        Settings()
    file.write_text("planted")
    monkeypatch.setenv("STILLHOUSE_BROKER_PASSWORD", "other")
    with pytest.raises(SettingsError, match="expected one of them") as told:
        Settings()
    assert "planted" not in str(told.value)
