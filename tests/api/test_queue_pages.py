"""What pages say of the queue: why jobs wait, and which of them come next."""

from __future__ import annotations

import re
from collections.abc import Callable

from fastapi.testclient import TestClient
from stage_worker import StageWorker
from test_pages import read

from api.pages import queue, workers

Submit = Callable[..., str]


def reasons(text: str) -> list[str]:
    return re.findall(r'class="why" title="[^"]+">([^<]+)<', text)


def test_the_board_says_why_each_job_waits_and_counts_the_reasons(
    client: TestClient, submit: Submit, worker: StageWorker
) -> None:
    for _ in range(2):
        submit(resources={"queue": "gpu", "gpus": 2})
    submit(name="first")
    assert (
        "3 wait: 2 for a worker of queue gpu with 2 GPUs, 1 for a worker of queue default"
        in (read(client, "/")[0])
    )
    worker.greet({"queues": ["default"]})
    text, _ = read(client, "/")
    assert "3 wait: 2 for a worker of queue gpu with 2 GPUs, 1 comes next" in text
    here = "waits for a worker of queue gpu with 2 GPUs"
    assert reasons(text) == ["comes next", here, here]
    assert 'title="1 worker is there, but none takes jobs of queue gpu with 2 GPUs."' in text
    worker.begin()
    submit(name="second")
    submit(name="third")
    text, _ = read(client, "/?q=third")
    assert reasons(text) == ["1 comes before it"]
    assert "1 behind others" in text


def test_no_more_jobs_are_asked_than_a_page_can_afford(
    client: TestClient, submit: Submit, worker: StageWorker
) -> None:
    worker.greet()
    for _ in range(queue.ASKED + 3):
        submit()
    text, _ = read(client, "/")
    assert "23 wait: of the next 20, 19 behind others, 1 comes next" in text
    assert len(reasons(text)) == 23  # of the front of the queue, and of the newest
    assert "23 wait: of the next 20" in read(client, "/workers")[0]


def test_the_page_of_workers_lists_what_is_claimed_next(
    client: TestClient, submit: Submit, worker: StageWorker
) -> None:
    worker.greet()
    shown = workers.SHOWN
    assert shown == 100
    submit(name="the oldest")
    for _ in range(shown):
        submit(name="late")
    submit(name="urgent", priority=90)
    text, _ = read(client, "/workers")
    listed = text.partition('id="queue"')[2]
    assert listed.index("urgent") < listed.index("the oldest") < listed.index("late")
    assert "The next 100 of 102." in listed
    assert "It is the next of its project; 1 slot may take it once there is room." in listed
    assert "1 job of its project comes before it." in listed
