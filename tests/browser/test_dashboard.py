"""The dashboard, as people use it: a real browser, a real API, a real worker."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from opened import LONG, OpenPage
from playwright.sync_api import Locator, expect
from stillhouse import Client
from waiting import wait_until

pytestmark = pytest.mark.slow


def test_a_job_goes_from_the_form_to_a_verified_download(
    open_page: OpenPage, house: Client, tmp_path: Path
) -> None:
    page = open_page("/new")
    said = page.locator("#checked")
    expect(said).to_contain_text("It would be accepted")
    page.get_by_label("Name", exact=True).fill("by the form")
    page.locator("#f-method-entry").select_option("dkd")
    page.get_by_label("max_steps").fill("0")
    expect(page.locator(".wrong")).to_contain_text("greater than or equal to 1")
    expect(page.locator("#submit")).to_be_disabled()
    page.get_by_label("max_steps").fill("300")
    page.get_by_label("Seeds").fill("[0]")
    expect(said).to_contain_text("steps")
    expect(page.locator("#submit")).to_be_enabled()
    assert '"method": "dkd"' in page.locator("#spec").input_value()
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url("**/jobs/job_*")
    expect(page.locator(".pill").first).to_contain_text("succeeded", timeout=120_000)
    expect(page.locator(".verdict .sentence")).to_contain_text("The student keeps")
    expect(page.locator("#plots canvas").first).to_be_visible()
    page.locator("#files").scroll_into_view_if_needed()
    with page.expect_download() as coming:
        page.get_by_role("link", name="student.safetensors").click()
    kept = tmp_path / "student.safetensors"
    coming.value.save_as(kept)
    digest = hashlib.sha256(kept.read_bytes()).hexdigest()
    row = page.locator("tr", has_text="student.safetensors")
    expect(row.locator("code")).to_have_text(digest)
    job_id = page.url.rpartition("/")[2]
    assert house.get(job_id)["recipe"]["method"]["name"] == "dkd"


def test_what_is_wrong_in_a_spec_stands_beside_its_field(open_page: OpenPage) -> None:
    page = open_page("/new")
    expect(page.locator("#checked")).to_contain_text("It would be accepted")
    spec = page.locator("#spec")
    for written, says in (
        ('{"teacher": "mlp"}', "/student"),
        ("[1, 2", "things are not right|One thing"),
        ("teacher: mlp\nstudent: mlp\ndata: digits\nmethod: kdd", "did you mean|expected"),
        ("", "expected an object"),
    ):
        spec.fill(written)
        expect(page.locator("#checked.error")).to_be_visible()
        expect(page.locator("#new")).to_contain_text(re.compile(says))
    spec.fill("teacher: mlp\nstudent: mlp\ndata: digits")
    expect(page.locator("#checked")).to_contain_text("It would be accepted")


def test_curves_move_while_a_job_runs_and_verbs_work_by_keyboard_alone(
    open_page: OpenPage, house: Client
) -> None:
    job_id = house.submit(LONG)["id"]
    page = open_page(f"/jobs/{job_id}")
    expect(page.locator(".pill").first).to_contain_text("running")
    expect(page.locator("#plots canvas").first).to_be_visible()
    loss = page.locator("#plots figure").first
    before = loss.get_attribute("data-range")
    assert before is not None
    expect(loss).not_to_have_attribute("data-range", before)  # the last step moves on
    drawn = page.locator("#plots [role=img]").filter(has=page.locator("canvas")).first
    said = drawn.get_attribute("aria-label")
    assert said is not None
    assert re.fullmatch(r"Training loss, up to step \d+: Teacher [\d.e-]+", said)
    expect(drawn).not_to_have_attribute("aria-label", said)  # it tells the newest values
    log = page.locator("#log")
    log.locator("summary").click()
    expect(log.locator("pre")).to_contain_text("--- attempt 1 on ")
    expect(page.locator(".timeline")).to_have_attribute("aria-label", re.compile("Teacher"))
    expect(page.locator("#system")).to_contain_text("MB of memory at most")
    earlier = page.locator("#earlier")
    earlier.locator("summary").click()
    told = earlier.locator("summary").inner_text()
    expect(earlier.locator("summary")).not_to_have_text(told)  # it goes on while it is open
    expect(earlier).to_have_attribute("open", "")
    for button, state in (("#pause", "paused"), ("#resume", "running"), ("#cancel", "cancelled")):
        page.locator(button).focus()
        page.keyboard.press("Enter")
        expect(page.locator(".pill").first).to_contain_text(state)
        assert page.url.endswith(job_id)


def test_a_zoomed_chart_takes_all_others_along(open_page: OpenPage, finished: str) -> None:
    page = open_page(f"/jobs/{finished}")
    chart = page.locator("#plots .u-over").first
    expect(chart).to_be_visible()
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 4, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, middle, steps=5)
    page.mouse.up()
    expect(page.get_by_role("button", name="Whole training")).to_be_visible()
    expect(page.locator("#plots")).to_contain_text("Agreement with the teacher")
    figures = page.locator("#plots figure").all()
    ranges = [one.get_attribute("data-range") for one in figures]
    assert len(ranges) > 2
    assert len(set(ranges)) == 1
    first, last = map(float, str(ranges[0]).split())
    assert 50 < first < last < 200
    page.get_by_role("button", name="Whole training").click()
    expect(page.get_by_role("button", name="Whole training")).to_be_hidden()
    loss = page.locator("#plots figure", has_text="Training loss").locator("canvas")
    plain = drawn(loss)
    page.get_by_label("Smoothing").fill("0.9")
    smooth = wait_until(lambda: (now := drawn(loss)) != plain and now)
    page.get_by_label("Log scale").check()
    assert wait_until(lambda: (now := drawn(loss)) not in {plain, smooth} and now)


def drawn(canvas: Locator) -> str:
    """Return what a canvas shows."""
    picture: str = canvas.evaluate("canvas => canvas.toDataURL()")
    return picture


def test_a_command_is_copied_or_selected_where_a_browser_keeps_its_clipboard(
    open_page: OpenPage, house: Client, finished: str
) -> None:
    page = open_page(f"/jobs/{finished}")
    sheet = page.locator("[id='as-student.onnx']")
    curl = f"{house.url}/v1/jobs/{finished}/artifacts/student.onnx"
    sheet.locator("summary").click()
    sheet.get_by_role("button", name="Copy for curl").click()
    expect(sheet.get_by_role("status").first).to_have_text("Copied.")
    page.keyboard.press("Escape")
    expect(sheet.locator("pre").first).to_be_hidden()
    expect(sheet.locator("summary")).to_be_focused()
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.reload()
    sheet.locator("summary").click()
    sheet.get_by_role("button", name="Select for curl").click()
    expect(sheet.get_by_role("status").first).to_contain_text("Selected: copy it by hand")
    assert str(page.evaluate("getSelection().toString()")).strip().endswith(curl)


def test_ticked_jobs_stay_ticked_while_the_board_moves(open_page: OpenPage, house: Client) -> None:
    ids = [
        house.submit({**LONG, "name": f"many {place}", "labels": {"of": "many"}})["id"]
        for place in range(3)
    ]
    page = open_page("/?label=of%3Dmany")
    for job_id in ids:
        page.locator(f"#tick-{job_id}").check()
    late = house.submit({**LONG, "name": "late", "labels": {"of": "many"}})["id"]
    expect(page.locator(f"#tick-{late}")).to_be_visible()
    for job_id in ids:
        expect(page.locator(f"#tick-{job_id}")).to_be_checked()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("status")).to_contain_text("3 jobs cancelled.")
    assert "label=of" in page.url
    house.cancel(late)
    for job_id in [*ids, late]:
        assert house.wait(job_id, timeout_seconds=60)["status"] == "cancelled"
