"""The pages: complete without JavaScript, and safe with whatever people write into their specs."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import get_args

import pytest
from fastapi.testclient import TestClient
from stage_worker import StageWorker

from api.pages import charts, words
from jobs.database import Database
from jobs.metrics import Series
from jobs.repository import Repository
from kdcore.events import Role

Submit = Callable[..., str]
HTML = {"Accept": "text/html"}
EVIL = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>"


class Reader(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id" and value]


def read(client: TestClient, path: str) -> tuple[str, Reader]:
    response = client.get(path, headers=HTML)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    reader = Reader()
    reader.feed(response.text)
    assert len(reader.ids) == len(set(reader.ids))
    assert not {name for _, name, _ in reader.attributes if name.startswith("on")}
    assert "style" not in {name for _, name, _ in reader.attributes}
    assert "style" not in reader.tags
    sources = [value for _, name, value in reader.attributes if name in {"src", "href", "action"}]
    known = "/", "#", "https://arxiv.org/abs/", "data:image/png;base64,"
    assert all(value and value.startswith(known) for value in sources), sources
    scripts = [value for tag, name, value in reader.attributes if (tag, name) == ("script", "src")]
    assert len(scripts) == reader.tags.count("script")
    return response.text, reader


def test_an_empty_board_tells_how_to_post_the_first_job(client: TestClient) -> None:
    text, _ = read(client, "/")
    assert "curl" in text


def test_the_board_shows_jobs_with_status_and_progress(
    client: TestClient, submit: Submit, worker: StageWorker
) -> None:
    submit(name="first", priority=90)
    submit(name="second", method="dkd")
    worker.begin()
    worker.start()
    worker.train(0)
    text, reader = read(client, "/")
    assert text.index("second") < text.index("first")
    assert re.search(r"plain_cnn</a> → <a[^>]+>mlp<", text)
    assert "No worker is running" in text
    assert ("progress", "value", "10.0") in reader.attributes
    assert "second" not in read(client, "/?show=active&q=first")[0]
    assert "No job fits" in read(client, "/?show=failed")[0]


def test_a_page_of_a_job_that_succeeded_shows_all_of_it(
    client: TestClient, submit: Submit, worker: StageWorker
) -> None:
    job_id = submit(name="digits")
    worker.play({"student.onnx": b"1234", "report.md": b"#"})
    text, reader = read(client, f"/jobs/{job_id}")
    verdict = client.get(f"/v1/jobs/{job_id}").json()["verdict"]
    assert verdict["outcome"] == "beats"
    assert "distillation beats training it alone" in text
    assert text.count('class="pass"') == 2
    assert text.count('class="miss"') == 1
    assert ("a", "href", f"/v1/jobs/{job_id}/artifacts/student.onnx") in reader.attributes
    assert "03ac674216f3e15c761ee1a5e255f067953623c8b388b4459e13f978d7c846f4" in text
    assert reader.tags.count("polyline") == 8
    assert "Student, distilled, seed 2" in text
    assert "data-stream" not in {name for _, name, _ in reader.attributes}
    assert "/cancel" not in text


def test_a_page_of_a_failed_job_tells_why_and_offers_a_retry(
    client: TestClient, submit: Submit, worker: StageWorker, database: Database
) -> None:
    job_id = submit()
    worker.begin()
    worker.start()
    worker.train(0, until=0.5)
    log = f"Warning: {EVIL}\nlast words\n".encode()
    with database.write() as session:
        Repository(session).keep_log(job_id, 1, log, 0, b"")
    worker.fail("nan_loss", EVIL, "lower the learning rate")
    text, _ = read(client, f"/jobs/{job_id}")
    assert "nan_loss" in text
    assert "last words" in text
    assert "1 thread" in text
    assert "346 MB of memory at most" in text
    assert "teacher: plain_cnn" in text
    assert "lower the learning rate" in text
    assert "stopped" in text
    response = client.post(f"/jobs/{job_id}/retry?from=scratch", follow_redirects=False)
    assert (response.status_code, response.headers["location"]) == (303, f"/jobs/{job_id}")
    assert "Waiting for a worker" in read(client, f"/jobs/{job_id}")[0]


def test_the_page_of_a_job_with_an_attempt_shows_the_last_lines_of_its_log(
    client: TestClient, submit: Submit, worker: StageWorker, database: Database
) -> None:
    job_id = submit()
    assert "The whole log" not in read(client, f"/jobs/{job_id}")[0]
    worker.begin()
    with database.write() as session:
        log = "".join(f"line {n} {EVIL}\n" for n in range(99)).encode()
        Repository(session).keep_log(job_id, 1, log, 0, b"")
    text, reader = read(client, f"/jobs/{job_id}")
    assert "line 98 " in text
    assert "line 50 " not in text
    assert ("a", "href", f"/v1/jobs/{job_id}/logs?tail=10000") in reader.attributes
    assert client.get(f"/v1/jobs/{job_id}/logs?tail=10000").text.count("line") == 99


def test_the_cancel_button_works_without_javascript(client: TestClient, submit: Submit) -> None:
    job_id = submit()
    response = client.post(f"/jobs/{job_id}/cancel?mode=graceful", headers=HTML)
    assert response.status_code == 200
    assert "cancelled" in response.text
    foreign = {"Sec-Fetch-Site": "cross-site"}
    assert client.post(f"/jobs/{job_id}/cancel", headers=foreign).status_code == 403


def test_a_tutor_a_chain_and_the_choice_of_a_teacher_are_told(
    client: TestClient, submit: Submit, worker: StageWorker
) -> None:
    job_id = submit()
    worker.begin()
    stages = {
        "tutor-maskd-teacher-0": "tutor",
        "assistant-1-0": "assistant",
        "assistant-2-0": "assistant",
        "student-0": "student",
    }
    worker.start([(name, role, 0, 20) for name, role in stages.items()])
    for name in stages:
        columns = {"step": [1, 20], "loss": [2.0, 1.0], "validation/accuracy": [0.25, 0.5]}
        worker.report({"type": "metrics", "stage": name, "seed": 0, "columns": columns})
    worker.report(
        {
            "type": "teacher.chosen",
            "stage": "student-0",
            "seed": 0,
            "teacher": "assistant-2-0",
            "scores": {"assistant-1-0": 0.97, "assistant-2-0": 0.925},
            "target": 0.94,
        }
    )
    text, _ = read(client, f"/jobs/{job_id}")
    for title in ("Teacher, prepared (maskd teacher), seed 0", "Assistant (2), seed 0"):
        assert f"{title}</td>" in text
    assert text.count('<polyline class="line tutor"') == 2
    assert "(2 trainings)" in text
    assert (
        "assistant-2-0 teaches student-0: it is nearest the midpoint 94.0 % "
        "(of assistant-1-0 97.0 %, assistant-2-0 92.5 %)"
    ) in text
    metrics = client.get(f"/v1/jobs/{job_id}/metrics").json()["stages"]
    assert {name: told["role"] for name, told in metrics.items()} == stages


def test_every_role_has_a_word_a_colour_and_a_line_of_its_own(client: TestClient) -> None:
    style = client.get("/static/style.css").text
    assert set(charts.ROLES) == set(get_args(Role))
    for role in charts.ROLES:
        light, dark = re.findall(rf"--{role}: (#[0-9a-f]{{6}});", style)
        assert min(contrast(light, "#ffffff"), contrast(dark, "#1c2226")) > 3, role
        assert f".{role} {{ stroke: var(--{role}); }}" in style
    dashes = re.findall(r"\.line\.(\w+) { stroke-dasharray: ([\d ]+); }", style)
    assert {role for role, _ in dashes} == set(charts.ROLES) - {"teacher", "student"}
    assert len({dash for _, dash in dashes}) == len(dashes)


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, as WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        ]
        return sum(w * part for w, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_whatever_people_write_stays_text(
    client: TestClient, submit: Submit, worker: StageWorker
) -> None:
    job_id = submit(name=EVIL, labels={"k": EVIL})
    worker.begin()
    worker.start()
    worker.report({"type": "warning", "code": EVIL, "message": EVIL})
    for path in ("/", f"/jobs/{job_id}"):
        text, reader = read(client, path)
        assert "<img src=x" not in text
        assert not [value for tag, _, value in reader.attributes if tag == "img" and value == "x"]


def test_people_are_told_problems_as_a_page_and_programs_as_json(client: TestClient) -> None:
    page = client.get("/jobs/nope", headers=HTML)
    assert page.status_code == 404
    assert "there is no job" in page.text
    assert client.get("/jobs/nope").headers["content-type"] == "application/problem+json"
    assert client.get("/v1/jobs/nope", headers=HTML).json()["code"] == "job_not_found"
    for path in ("/?show=x", "/?after=x", "/?q=%00"):
        assert client.get(path, headers=HTML).status_code == 422


def test_scripts_and_styles_come_from_the_server_alone(client: TestClient) -> None:
    for name in ("style.css", "live.js", "icon.svg"):
        response = client.get(f"/static/{name}")
        assert response.status_code == 200
        assert not re.findall(r"https?://(?!www\.w3\.org)", response.text)


def test_a_chart_has_one_line_for_each_role_and_the_teachers_level() -> None:
    steps = list(range(1, 301))
    stages = {
        f"{role}-{seed}": Series(
            seed, {"step": steps, "loss": [1000.0 / (s + seed) for s in steps]}
        )
        for role in ("student", "baseline")
        for seed in (0, 1)
    }
    lines = charts.curves(stages, "loss")
    assert [(line.role, line.seeds) for line in lines] == [("student", 2), ("baseline", 2)]
    assert all(len(line.means) <= 80 for line in lines)
    drawn = charts.loss_chart(lines)
    assert drawn.count("<polyline") == drawn.count("<polygon") == 2
    assert "nan" not in drawn
    assert "Teacher: 99.0 %" in charts.score_chart(charts.curves(stages, "loss"), "accuracy", 0.99)


@pytest.mark.parametrize("values", [[0.0], [0.5, 0.5], [1.0] * 3, [None, 0.1], [1e-30, 1e30]])
def test_odd_curves_are_drawn_all_the_same(values: list[float | None]) -> None:
    series = Series(0, {"step": list(range(len(values))), "loss": values})
    lines = charts.curves({"student-0": series}, "loss")
    for drawn in (charts.loss_chart(lines), charts.score_chart(lines, "accuracy", None)):
        assert "nan" not in drawn
        assert "inf" not in drawn


def test_numbers_are_told_as_people_read_them() -> None:
    assert [words.duration(s) for s in (0, 59, 60, 200, 7500, 100_000)] == [
        "0 s", "59 s", "1 min", "3 min 20 s", "2 h 5 min", "1 d 3 h",
    ]  # fmt: skip
    assert [words.size(n) for n in (0, 999, 9940, 233_620, 5e9)] == [
        "0 B", "999 B", "9.94 kB", "234 kB", "5 GB",
    ]  # fmt: skip
    assert [words.count(n) for n in (None, 2410, 58_330, 25.6e6)] == [
        words.NOTHING, "2.41 k", "58.3 k", "25.6 M",
    ]  # fmt: skip


def test_a_search_that_has_not_looked_at_all_jobs_leads_on_to_the_older_ones(
    client: TestClient, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.listing.LOOK", 2)
    submit(name="needle")
    for _ in range(2):
        submit(name="hay")
    text, seen = read(client, "/?q=needle")
    assert "have not been looked at yet" in text
    (older,) = [
        value for _, name, value in seen.attributes if name == "href" and "after" in str(value)
    ]
    text, _ = read(client, str(older))
    assert "needle</bdi></a>" in text
