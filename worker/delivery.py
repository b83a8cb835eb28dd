"""From a trainer's folder into the artifact store."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from jobs.artifacts import ArtifactStore, Delivery
from jobs.errors import ArtifactRefused
from jobs.leases import Claim
from worker.patience import insist_on_store


def deliver(
    store: ArtifactStore,
    claim: Claim,
    workdir: Path,
    announced: Iterable[Mapping[str, Any]],
    *,
    in_vain: Callable[[], bool],
) -> list[tuple[Delivery, str]]:
    """Put the announced files into the store; return them with their locations.

    A store that is away is waited for, unless that has become vain.

    Raises:
        ArtifactRefused: a file is missing, elsewhere, or not what was announced.
        StoreFull: there is no room.
        StoreUnavailable: the store stayed away.
    """
    delivered: list[tuple[Delivery, str]] = []
    for event in announced:
        delivery = Delivery(
            name=event["name"],
            kind=event["kind"],
            size_bytes=event["size_bytes"],
            sha256=event["sha256"],
            media_type=event["media_type"],
        )
        source = workdir / event["path"]
        if not source.resolve().is_relative_to(workdir.resolve()):
            raise ArtifactRefused(
                f"{delivery.name}: found the path {event['path']!r}; expected one in the workdir"
            )
        try:
            location = insist_on_store(
                partial(store.put, claim.job_id, claim.attempt, delivery, source), in_vain=in_vain
            )
        except FileNotFoundError as error:
            raise ArtifactRefused(f"{delivery.name}: announced, but not there") from error
        delivered.append((delivery, location))
    return delivered


def still_there(
    workdir: Path, earlier: Iterable[Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """Return by name what earlier attempts announced and this one took over."""
    return {event["name"]: event for event in earlier if (workdir / event["path"]).is_file()}
