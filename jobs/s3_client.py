"""boto3, loaded when a bucket is used and not before, with time-outs that end."""

from typing import Any, Final, Literal

from jobs.errors import StoreMisconfigured
from jobs.s3_bucket import Bucket

CONNECT_SECONDS: Final = 5.0
PROBE_SECONDS: Final = 3.0
"""Longest silence where a probe only asks whether anybody is there."""
PROMPT_SECONDS: Final = 20.0
"""Longest silence where a client waits for the answer."""
PATIENT_SECONDS: Final = 60.0
"""Longest silence where a worker puts a large part."""
DEFAULT_REGION: Final = "us-east-1"

Patience = Literal["probe", "prompt", "patient"]


def connect(bucket: Bucket, patience: Patience, *, public: bool = False) -> Any:
    """Return an S3 client; nothing is sent yet.

    The SDK tries again what failed in passing: a probe never, twice in all for somebody who waits,
    five times for a worker.

    Raises:
        StoreMisconfigured: boto3 is not installed.
    """
    try:
        from boto3.session import Session
        from botocore.config import Config
    except ModuleNotFoundError as error:
        raise StoreMisconfigured(
            f"the artifact store is {bucket.place}, and boto3 is not installed",
            hint="pip install 'stillhouse-server[s3]'",
        ) from error
    seconds, attempts = {
        "probe": (PROBE_SECONDS, 1),
        "prompt": (PROMPT_SECONDS, 2),
        "patient": (PATIENT_SECONDS, 5),
    }[patience]
    path_style = bool(bucket.endpoint) if bucket.path_style is None else bucket.path_style
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if path_style else "auto"},
        connect_timeout=min(CONNECT_SECONDS, seconds),
        read_timeout=seconds,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=64,
        # We send and check sha256 ourselves; the SDK's own trailers are unknown to many servers.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    secret, token = bucket.secret_access_key, bucket.session_token
    with bucket.named_errors():
        # A session of our own: the default one is not to be shared between threads.
        session: Any = Session()
        client: Any = session.client(
            "s3",
            config=config,
            endpoint_url=(public and bucket.public_endpoint) or bucket.endpoint or None,
            region_name=bucket.region or session.region_name or DEFAULT_REGION,
            aws_access_key_id=bucket.access_key_id or None,
            aws_secret_access_key=secret.get_secret_value() if secret else None,
            aws_session_token=token.get_secret_value() if token else None,
        )
        return client
