"""Settings from the environment: `STILLHOUSE_<NAME>`, every one with a default that just works."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from jobs.addresses import opened_by, with_driver
from jobs.receivers import Allowed
from jobs.setting_files import PREFIX, SettingsWithFiles
from jobs.tenants import DEFAULT_QUEUE
from kdcore.teacher_cache.shelf import DEFAULT_BUDGET

MEMORY_BROKER = "memory://"


def _absolute(path: Path) -> Path:
    # Processes of one house may have different working directories; they must mean one folder.
    return path.expanduser().absolute()


def _ledger_file(values: dict[str, Any]) -> str:
    return f"sqlite:///{values['data'] / 'ledger.sqlite3'}"


def _inside_data(name: str) -> Any:
    def path(values: dict[str, Any]) -> Path:
        return values["data"] / name

    return path


def _place(value: Any) -> Any:
    if not isinstance(value, str) or "://" not in value:
        return value if isinstance(value, Path) else Path(value)
    if not value.startswith("s3://"):
        raise ValueError("expected the path of a folder, or s3://bucket/prefix")
    return value


def _readable_list(text: str) -> str:
    Allowed.of(text)
    return text


def _template(text: str) -> str:
    rest = text.replace("{project}", "")
    if not re.fullmatch(r"[A-Za-z0-9._ -]*", rest) or not text.strip():
        raise ValueError(
            f"found {text!r}; expected letters, digits, '.', '_', '-' and spaces, and {{project}}"
            " where the project's name is to stand"
        )
    return text


def _alias(text: str) -> str:
    if not re.fullmatch(r"(?!latest$|[vV][0-9]+$)[A-Za-z0-9_-]{1,255}", text):
        raise ValueError(
            f"found {text!r}; expected letters, digits, '_' and '-', and not latest or v1, v2, …,"
            " which MLflow keeps for itself"
        )
    return text


def _absolute_place(place: Path | str) -> Path | str:
    return _absolute(place) if isinstance(place, Path) else place


Folder = Annotated[Path, AfterValidator(_absolute)]
Place = Annotated[Path | str, BeforeValidator(_place), AfterValidator(_absolute_place)]


class Settings(SettingsWithFiles):
    """Where things are kept and how patient the processes are."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        validate_default=True,
    )

    data: Folder = Path("stillhouse-data")
    """Folder of everything that is not told to live elsewhere."""
    database_password: SecretStr | None = None
    """Password for the user of `database_url`, in the place of one in it."""
    database_url: Annotated[
        str, AfterValidator(with_driver), AfterValidator(opened_by("database_password"))
    ] = Field(default_factory=_ledger_file, repr=False)
    """SQLAlchemy URL; a plain `postgresql://` is given its driver."""
    broker_password: SecretStr | None = None
    """Password for `broker_url`, in the place of one in it."""
    broker_url: Annotated[str, AfterValidator(opened_by("broker_password"))] = Field(
        default=MEMORY_BROKER, repr=False
    )
    """Celery broker that carries the bell; with `memory://` it rings in the data folder, for the
    workers of this machine, and others poll."""
    artifacts: Place = Field(default_factory=_inside_data("artifacts"))
    """The artifact store: a folder, or `s3://bucket/prefix`. It belongs to one ledger alone."""
    s3_endpoint: str = ""
    """URL of a server that speaks S3; without it, AWS."""
    s3_public_endpoint: str = ""
    """URL by which clients reach it, for presigned downloads, where that is another one."""
    s3_region: str = ""
    """Region of the bucket; without it, what AWS's own ways say, else us-east-1."""
    s3_path_style: bool | None = None
    """Whether the bucket stands in the path and not in the host; by default where an endpoint is
    named."""
    s3_access_key_id: str = Field(default="", repr=False)
    """Key of its own for the bucket; without it, AWS's own ways: variables, a profile, a role."""
    s3_secret_access_key: SecretStr | None = None
    """The secret of that key."""
    s3_session_token: SecretStr | None = None
    """The token of a key that is valid for a while."""
    s3_presign: bool = False
    """Send clients that download to the bucket itself, by a presigned URL, unless they ask for
    `redirect=false`."""
    s3_presign_seconds: int = Field(default=300, ge=1, le=604_800)
    """How long such a URL is valid."""
    orphan_grace_seconds: float = Field(default=86_400.0, gt=0)
    """How old a file in the store must be before it is removed because no job names it."""
    collect_seconds: float = Field(default=60.0, gt=0)
    """How often a part of the store is looked through for such files."""
    teacher_caches: Folder = Field(default_factory=_inside_data("teacher-caches"))
    """Folder of what teachers said, shared by all jobs."""
    teacher_cache_bytes: int = Field(default=DEFAULT_BUDGET, ge=0)
    """Room for it; the caches that were not used for the longest time make way. 20 GiB."""
    inputs: Folder = Field(default_factory=_inside_data("inputs"))
    """Folder that relative paths in specs (`data.path`, `teacher.weights`) start from."""

    input_cache: Folder = Field(default_factory=_inside_data("input-cache"))
    """Folder of uploaded files that this machine's jobs have used."""
    input_cache_bytes: int = Field(default=50 << 30, ge=0)
    """Room for it; files that were not used for the longest time make way. 50 GiB."""
    hub_url: str = "https://huggingface.co"
    """Where workers fetch `hub:owner/name@commit` from; `off` refuses such specs."""
    hub_token: SecretStr | None = None
    """Token for repositories that are not everybody's."""
    hub_seconds: float = Field(default=1800.0, gt=0)
    """Longest time to fetch one of its files."""
    upload_bytes: int = Field(default=10 << 30, ge=1024)
    """Largest file that a client may upload. 10 GiB."""
    upload_part_bytes: int = Field(default=64 << 20, ge=1024)
    """Size of the parts of an upload in parts. 64 MiB."""
    upload_seconds: float = Field(default=86_400.0, gt=0)
    """How long an upload in parts may be left alone before it is given up. A day."""
    stored_bytes: int | None = Field(default=None, ge=0)
    """Most that the uploads of one project may take together; without it, no limit."""

    inspection_seconds: float = Field(default=600.0, gt=0)
    """How long a data report, a list of layers or a preflight may take."""
    inspection_memory_bytes: int = Field(default=8 << 30, ge=1 << 28)
    """Memory that the process of one may ask for (on Linux). 8 GiB."""
    inspection_days: float = Field(default=30.0, gt=0)
    """How long what was found is kept that nobody asks for any more."""

    webhooks: bool = True
    """Send messages to webhooks from this API process; workers never do."""
    webhook_allow: Annotated[str, AfterValidator(_readable_list)] = ""
    """Hosts, addresses and networks, separated by commas, that messages may go to although they
    are not of the public internet, and also by plain http."""
    webhook_days: float = Field(default=30.0, gt=0)
    """How long it is known what webhooks were told."""

    mlflow_url: str = Field(default="", repr=False)
    """Tracking URI of an MLflow in which each job is a run; without it, nothing is told to any."""
    mlflow_public_url: str = Field(default="", repr=False)
    """URL by which people reach it, for links, where that is another one."""
    mlflow_password: SecretStr | None = None
    """What `MLFLOW_TRACKING_PASSWORD` says to MLflow's client."""
    mlflow_token: SecretStr | None = None
    """What `MLFLOW_TRACKING_TOKEN` says to it."""
    mlflow_experiment: Annotated[str, AfterValidator(_template)] = "stillhouse-{project}"
    """Name of a project's experiment."""
    mlflow_register: bool = True
    """Whether a student whose gates passed becomes a version of a registered model."""
    mlflow_model: Annotated[str, AfterValidator(_template)] = "stillhouse-{project}"
    """Name of that model; a job's label `registered-model` is added to it, behind a dot."""
    mlflow_alias: Annotated[str, AfterValidator(_alias)] = "candidate"
    """Alias of the newest of its versions."""
    mlflow_artifact_bytes: int = Field(default=1 << 30, ge=0)
    """Largest file that is copied there. 1 GiB."""

    lease_seconds: float = Field(default=60.0, gt=0)
    """How long a worker may be silent before its job is given to another."""
    database_seconds: float = Field(default=20.0, gt=0)
    """How long PostgreSQL may take to answer one call before its connection is given up for a new
    one; a third of the lease, so that a heartbeat behind a dead link comes in time."""
    poll_seconds: float = Field(default=0.5, gt=0)
    """How often a worker with a free slot looks for a job without being rung."""
    sweep_seconds: float = Field(default=5.0, gt=0)
    """How often expired leases and lost bells are looked for."""
    retry_seconds: float = Field(default=2.0, ge=0)
    """Wait before the first retry of a crashed attempt; doubles with each, up to 900 seconds."""
    hang_seconds: float = Field(default=900.0, gt=0)
    """A trainer that reports nothing for this long is taken for hung and killed."""
    stop_seconds: float = Field(default=60.0, gt=0)
    """How long a trainer that was asked to stop may take to save before it is killed."""
    retention_days: float | None = Field(default=None, gt=0)
    """How long files of a job are kept after its end; without it, for ever. Its verdict, curves and
    story stay."""
    slots: int = Field(default=1, ge=1, le=64)
    """Attempts that one worker runs at a time."""
    queues: str = Field(
        default=DEFAULT_QUEUE, pattern=r"^[a-z0-9][a-z0-9._-]*(?:\s*,\s*[a-z0-9][a-z0-9._-]*)*$"
    )
    """Queues that a worker looks into, separated by commas, the first one first: jobs name theirs
    in `resources.queue`."""
    gpus: int | None = Field(default=None, ge=0)
    """GPUs that a worker has for one job: those that ask for more are left to others. Without a
    number it takes any job, and one that asks for what is not there fails."""
    worker_jobs: int | None = Field(default=None, ge=1)
    """Jobs that a worker takes before it ends; without a number, it stays for more."""
    worker_idle_seconds: float | None = Field(default=None, gt=0)
    """How long a worker may have nothing to do before it ends; without it, it waits for ever."""
    warm: bool = True
    """Keep a process at hand that has the engine loaded, and fork trainers from it (on Linux). It
    takes some 300 MB of memory, and a trainer then starts a hundred times sooner."""

    host: str = "127.0.0.1"
    """Address that the API binds to."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port that the API binds to; 0 takes a free one."""
    allow_open: bool = False
    """Let the API bind to an address that others reach while there is no key to ask for."""
    allowed_hosts: str = ""
    """Names, separated by commas, that requests may call the API by, beside the loopback ones and
    `host`; `*` allows any. Names that are not listed are refused, since a web page could have them
    resolve to this machine."""
    max_body_bytes: int = Field(default=1 << 20, ge=1024)
    """Largest request body that the API reads."""
    rate_per_second: float = Field(default=100.0, ge=0)
    """Requests that one API key may make in a second, over time; four times as many at once. 0 is
    no limit."""
    max_parameters: int = Field(default=500_000_000, ge=1)
    """Largest network that a spec may name."""
    max_steps: int = Field(default=50_000_000, ge=1)
    """Most optimiser steps of a job, all its trainings and seeds together."""
    max_memory_bytes: int = Field(default=64 << 30, ge=1 << 20)
    """Most memory that a training of a job may need, as far as that is known beforehand: weights,
    gradients, the optimiser's numbers and the outputs of the stages. 64 GiB."""
    max_disk_bytes: int = Field(default=64 << 30, ge=1 << 20)
    """Most room that a job's checkpoints and finished networks may take on a worker. 64 GiB."""
    migrate: bool | None = None
    """Bring the schema up to date at start; by default only on SQLite."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Level of the processes' own logs."""
    log_format: Literal["text", "json"] = "text"
    """How they are written: lines for people, or one JSON object a line."""

    @property
    def queue_names(self) -> list[str]:
        """The queues that a worker looks into, in their order."""
        return [name.strip() for name in self.queues.split(",")]

    @property
    def webhook_allowed(self) -> Allowed:
        """Where messages may go to beside the public internet."""
        return Allowed.of(self.webhook_allow)

    @property
    def work(self) -> Path:
        """Folder of the attempts' working directories."""
        return self.data / "work"

    @property
    def inspected(self) -> Path:
        """Folder of what inspections look at."""
        return self.data / "inspections"

    @property
    def bells(self) -> Path:
        """Folder of the named pipes that workers of this machine are woken by."""
        return self.data / "bells"

    @property
    def rings(self) -> bool:
        """Whether there is a broker that can carry a bell between processes."""
        return not self.broker_url.startswith(MEMORY_BROKER)
