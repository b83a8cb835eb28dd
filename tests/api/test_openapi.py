"""The API does what its OpenAPI document says, on every route, whatever is sent: by Schemathesis.

Routes are taken from the document, so a new one is under this law without being named here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as effort
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from ledgers import empty
from schemathesis import Case, GenerationMode
from schemathesis.python.asgi import shutdown_lifespans
from schemathesis.specs.openapi.checks import positive_data_acceptance
from serving import SPEC
from sqlalchemy import insert
from stage_worker import StageWorker

from api.app import create_app
from api.inspections import MAX_WAIT_SECONDS
from api.keeping import PREFIXES
from jobs.artifacts import ArtifactStore
from jobs.database import Database, migrate
from jobs.formats import InputKind, format_of
from jobs.ids import new_id
from jobs.inputs import Brought
from jobs.intake import store_all
from jobs.keys import Scope, digest, new_key
from jobs.moments import clock
from jobs.receiving import Announced, Place, Received, Reception
from jobs.repository import Repository
from jobs.settings import Settings
from jobs.spec import JobSpec
from jobs.stores import open_store
from jobs.submission import Submission
from jobs.tables import ApiKey
from jobs.uploads import Wanted
from jobs.webhooks import NewWebhook

pytestmark = [
    pytest.mark.slow,
    # Ids of requests are drawn at random while an answer is validated; no case depends on them.
    pytest.mark.filterwarnings("ignore:Do not use the `random` module"),
]

LABELS = [
    (path, method)
    for path, methods in create_app(Settings(data=Path("unused"))).openapi()["paths"].items()
    for method in methods
]
EXAMPLES = 12
KEY = new_key()
SHOWN = {"Authorization": f"Bearer {KEY.text}"}
CONTENT = b"a,b\n1,2\n"
NAMES: dict[InputKind, str] = {"dataset": "a.csv", "model": "a.onnx"}
FILES = {"student.safetensors": b"\0" * 64, "report.md": b"# Report\n"}


@dataclass(frozen=True)
class Contract:
    """The document of an app, and what puts jobs into its ledger."""

    schema: Any
    database: Database
    worker: StageWorker

    def fresh(self) -> None:
        """Leave nothing but a key of the house in the ledger: one that is posted shuts the door."""
        empty(self.database)
        with self.database.write() as session:
            session.execute(
                insert(ApiKey).values(
                    id=KEY.id,
                    name="tests",
                    scope=Scope.ADMIN.value,
                    sha256=digest(KEY.text),
                    created_at=clock(),
                )
            )
            # As the app's own sweeper would at its next turn: without it the house is not ready.
            Repository(session).note_sweep("tests")

    def jobs(self) -> list[dict[str, str]]:
        """Return what paths may name: a job that runs, one that ended, one that waits."""
        stored = [self._store() for _ in range(2)]
        self.worker.play(FILES)
        self.worker.begin()
        self.worker.start()
        stored.append(self._store())
        return [{"job_id": job_id, "name": "student.safetensors"} for job_id in stored]

    def brought(self, kind: InputKind) -> list[dict[str, str | int]]:
        """Return what paths may name: a file that was uploaded, and an upload of two parts."""
        store = self.worker._store
        with self.database.write() as session:
            ledger = Repository(session)
            input_id = new_id(PREFIXES[kind])
            received = self._receive(store, Place(input_id, NAMES[kind]))
            media_type = format_of(kind, NAMES[kind]).media_type
            brought = Brought(input_id, kind, NAMES[kind], media_type, received)
            ledger.keep_input("default", brought)
            wanted = Wanted(kind, NAMES[kind], 2 * len(CONTENT))
            upload, _ = ledger.begin_upload(
                "default", wanted, part_bytes=len(CONTENT), seconds=600, by=None
            )
            part = self._receive(store, Place(upload.id, "part", 1))
            ledger.keep_part(upload.id, 1, part, 600)
        return [{"input_id": input_id, "file_id": input_id, "upload_id": upload.id, "number": 2}]

    def listening(self) -> list[dict[str, str]]:
        """Return what paths may name: a webhook, and a message that is under way to nobody."""
        with self.database.write() as session:
            ledger = Repository(session)
            one = ledger.add_webhook(NewWebhook("default", "https://127.0.0.1:9/", ["job.queued"]))
            message = ledger.test_webhook(one.id)
        return [{"webhook_id": one.id, "delivery_id": message.id}]

    @staticmethod
    def _receive(store: ArtifactStore, place: Place) -> Received:
        reception = Reception(store, place, most_bytes=99, announced=Announced())
        reception.write(CONTENT)
        return reception.finish()

    def _store(self) -> str:
        submission = Submission.of(JobSpec.model_validate(SPEC), SPEC)
        (row,) = store_all(self.database, [submission])
        assert not isinstance(row, Exception)
        return row.id


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def contract(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Contract]:
    folder = tmp_path_factory.mktemp("contract")
    url = f"sqlite:///{folder / 'ledger.sqlite3'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    settings = Settings(data=folder, database_url=url, rate_per_second=0)
    with Database(settings.database_url) as database:
        migrate(database)
        app = create_app(settings)
        schema = schemathesis.openapi.from_asgi("/openapi.json", app, headers={"Host": "localhost"})
        worker = StageWorker(database, open_store(settings), folder / "files")
        yield Contract(schema, database, worker)
        shutdown_lifespans()
        empty(database)


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("path", "method"), LABELS)
def test_what_is_answered_is_what_is_documented(
    contract: Contract, path: str, method: str, mode: GenerationMode
) -> None:
    contract.fresh()
    operation = contract.schema[path][method.upper()]
    known: list[Any] = contract.jobs() if "{job_id}" in path else []
    if any(f"{{{name}}}" in path for name in ("input_id", "upload_id", "file_id")):
        known = contract.brought("model" if "/models/" in path else "dataset")
    if "{webhook_id}" in path:
        known = contract.listening()
    named = [{key: one[key] for key in one if f"{{{key}}}" in path} for one in known]
    for parameters in [None, *named]:
        ask(operation.as_strategy(generation_mode=mode, path_parameters=parameters), mode)


def ask(cases: st.SearchStrategy[Case], mode: GenerationMode) -> None:
    """Send what is generated, and hold each answer against the document."""

    @seed(5)
    @effort(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def each(case: Case) -> None:
        if case.query and case.query.get("wait") in range(1, MAX_WAIT_SECONDS + 1):
            case.query["wait"] = 0  # nobody here looks at anything, however long one waits
        # A document may fit the schema and mean nothing, so not all that fits is accepted.
        response = case.call_and_validate(
            base_url="http://localhost",
            headers=SHOWN,
            excluded_checks=[positive_data_acceptance],
        )
        assert response.status_code != HTTPStatus.UNAUTHORIZED
        documented = case.operation.definition.raw["responses"]
        if "etag" in response.headers:
            known = {**SHOWN, "If-None-Match": response.headers["etag"][0]}
            again = case.call(base_url="http://localhost", headers=known)
            assert str(again.status_code) in documented

    # Where a route takes nothing that could be wrong, nothing wrong can be made up.
    nothing = contextlib.suppress(Unsatisfiable) if mode.is_negative else contextlib.nullcontext()
    with nothing:
        each()
