"""Where an S3 store is, who we are there, and what its refusals mean."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import urlsplit

from pydantic import SecretStr

from jobs.errors import ArtifactNotFound, JobError, StoreFull, StoreMisconfigured, StoreUnavailable
from jobs.settings import Settings

SCHEME: Final = "s3://"
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9!_*'()-][A-Za-z0-9!_.*'()-]*")
_GONE = {"NoSuchKey", "NoSuchUpload", "404", "InvalidRange"}
_NO_ROOM = {"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "StorageFull"}
_LATER = {"SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "TooManyRequests"}
_DAMAGED = {
    "BadDigest",
    "InvalidDigest",
    "XAmzContentSHA256Mismatch",
    "XAmzContentChecksumMismatch",
}
_KEYS_REFUSED = (
    "see that the credentials (STILLHOUSE_S3_ACCESS_KEY_ID, or AWS's own ways) may read, write,"
    " list and delete there"
)
_HINTS: Final = {
    "NoSuchBucket": "make the bucket, or name another one in STILLHOUSE_ARTIFACTS",
    "PermanentRedirect": "name the bucket's region in STILLHOUSE_S3_REGION",
    "AuthorizationHeaderMalformed": "name the bucket's region in STILLHOUSE_S3_REGION",
    "RequestTimeTooSkewed": "set this machine's clock",
    "404": "make the bucket, or name another one in STILLHOUSE_ARTIFACTS",
    "301": "name the bucket's region in STILLHOUSE_S3_REGION",
}


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket, the part of it that is ours, and the way there."""

    name: str
    prefix: str = ""
    """What our keys begin with: nothing, or words that each end in a slash."""
    endpoint: str = ""
    public_endpoint: str = ""
    region: str = ""
    path_style: bool | None = None
    access_key_id: str = field(default="", repr=False)
    secret_access_key: SecretStr | None = None
    session_token: SecretStr | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Read the settings.

        Raises:
            StoreMisconfigured: they name no bucket, or no endpoint.
        """
        name, _, prefix = str(settings.artifacts).removeprefix(SCHEME).strip("/").partition("/")
        words = prefix.split("/") if prefix else []
        if not _NAME.fullmatch(name) or not all(map(_PREFIX.fullmatch, words)):
            # Not repeated here: somebody may have put a password into it.
            raise StoreMisconfigured(
                "STILLHOUSE_ARTIFACTS begins with s3:// and is no s3://bucket/prefix",
                hint="a bucket has 3 to 63 of a-z, 0-9, dot and hyphen; keys have settings of"
                " their own",
            )
        secret = settings.s3_secret_access_key
        if bool(settings.s3_access_key_id) != bool(secret):
            raise StoreMisconfigured(
                "found one of STILLHOUSE_S3_ACCESS_KEY_ID and STILLHOUSE_S3_SECRET_ACCESS_KEY;"
                " expected both or neither",
                hint="set the other one as well, or leave both to AWS's own ways",
            )
        return cls(
            name=name,
            prefix="".join(f"{word}/" for word in words),
            endpoint=_endpoint("STILLHOUSE_S3_ENDPOINT", settings.s3_endpoint),
            public_endpoint=_endpoint("STILLHOUSE_S3_PUBLIC_ENDPOINT", settings.s3_public_endpoint),
            region=settings.s3_region,
            path_style=settings.s3_path_style,
            access_key_id=settings.s3_access_key_id,
            secret_access_key=secret,
            session_token=settings.s3_session_token,
        )

    @property
    def place(self) -> str:
        """What people call it."""
        return f"{SCHEME}{self.name}/{self.prefix}".rstrip("/") + (
            f" at {self.endpoint}" if self.endpoint else ""
        )

    @contextmanager
    def named_errors(self, gone: str | None = None) -> Generator[None]:
        """Say in the ledger's words what went wrong; `gone` names what was asked for."""
        import botocore.exceptions as aws
        from urllib3.exceptions import HTTPError

        try:
            yield
        except aws.ClientError as error:
            raise self._refused(error, gone) from error
        except (
            aws.NoCredentialsError,
            aws.PartialCredentialsError,
            aws.CredentialRetrievalError,
            aws.ProfileNotFound,
            aws.TokenRetrievalError,
        ) as error:
            raise StoreMisconfigured(
                f"found no credentials for the artifact store {self.place}"
                f" ({type(error).__name__})",
                hint="set STILLHOUSE_S3_ACCESS_KEY_ID and STILLHOUSE_S3_SECRET_ACCESS_KEY, or use"
                " AWS's own ways (AWS_ACCESS_KEY_ID, a profile, a role)",
            ) from error
        except (aws.BotoCoreError, aws.HTTPClientError, HTTPError, OSError) as error:
            raise StoreUnavailable(
                f"the artifact store {self.place} does not answer ({type(error).__name__})",
                hint="it is asked again; see STILLHOUSE_S3_ENDPOINT if it never does",
            ) from error

    def _refused(self, error: Any, gone: str | None) -> JobError:
        code = str(error.response.get("Error", {}).get("Code", ""))[:60]
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if gone is not None and code in _GONE:
            return ArtifactNotFound(gone, gone=True)
        if code in _NO_ROOM or status == 507:  # noqa: PLR2004  # Insufficient Storage
            return StoreFull(
                f"no room in the artifact store {self.place} ({code})",
                hint="free some space; the job goes on from its last checkpoint",
            )
        if code in _DAMAGED:
            return StoreUnavailable(
                f"what came to the artifact store {self.place} was not what was sent ({code})",
                hint="it is sent again; see the network if this stays so",
            )
        if status >= 500 or status == 429 or code in _LATER:  # noqa: PLR2004  # it is not us
            return StoreUnavailable(
                f"the artifact store {self.place} answers {status} ({code})",
                hint="it is asked again",
            )
        return StoreMisconfigured(
            f"the artifact store {self.place} refuses us: {status} {code}",
            hint=_HINTS.get(code, _KEYS_REFUSED),
        )


def _endpoint(variable: str, url: str) -> str:
    parts = urlsplit(url)
    odd = parts.username or parts.password or parts.query or parts.path.strip("/")
    if url and (parts.scheme not in {"http", "https"} or not parts.hostname or odd):
        raise StoreMisconfigured(
            f"{variable} is no URL of an endpoint", hint="expected https://host:port and no more"
        )
    return url.rstrip("/")
