"""The official openai client, as tests point it at our servers."""

from __future__ import annotations

import io
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
import openai
from openai import OpenAI


def kd(**fields: Any) -> Any:
    """Return a method with fields of a spec."""
    return {"type": "distillation", "distillation": {"teacher": "plain_cnn", **fields}}


DIGITS: dict[str, Any] = {"model": "mlp", "training_file": "digits", "method": kd()}


@contextmanager
def client_of(url: str, **more: Any) -> Generator[tuple[OpenAI, list[Any]]]:
    """Give a client of a server, and the list of all requests that it sends."""
    sent: list[Any] = []
    http = openai.DefaultHttpxClient(event_hooks={"request": [sent.append]})
    options = {"api_key": "none", "timeout": 20.0, **more}
    with OpenAI(base_url=f"{url}/v1", http_client=http, **options) as client:
        yield client, sent


def arrays() -> bytes:
    """Return a file of a few samples of two classes."""
    stream = io.BytesIO()
    labels = np.arange(20) % 2
    x = np.linspace(0, 1, 80, dtype="float32").reshape(20, 4)
    np.savez(stream, x_train=x, y_train=labels, x_test=x, y_test=labels)
    return stream.getvalue()
