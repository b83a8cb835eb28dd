"""Several processes that share each step do what one process does with the same samples."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
import yaml
from recipes import IMAGES, shared_recipe, tiny
from waiting import wait_until

from kdcore import Recipe, distill
from kdcore.catalog import METHODS
from kdcore.crew import launched
from kdcore.errors import CrewError, RecipeError
from kdcore.events import Checkpointed, RunFinished, RunStarted, StageFinished, StageProgress

HERE = Path(__file__).parent
ROUNDING = 1e-4
"""What sums in another order come to over some steps; a wrong step is off by far more."""


def free_ports(count: int) -> list[str]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [str(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def curves(folder: Path) -> dict[str, list[dict[str, float]]]:
    """Return the points of every stage, step after step."""
    found: dict[str, list[dict[str, float]]] = {}
    for file in sorted((folder / "curves").glob("*.jsonl")):
        points = found[file.stem] = []
        for line in file.read_text().splitlines():
            columns = json.loads(line)
            points += [
                {name: value for name, value in zip(columns, row, strict=True) if value is not None}
                for row in zip(*columns.values(), strict=True)
            ]
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (folder / "stages").glob("*.safetensors")}


def both(command: list[str], folder: Path) -> None:
    """Launch a command as two processes; fail where one of them does, and leave neither waiting."""
    bare = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    with contextlib.ExitStack() as held:
        processes: list[subprocess.Popen[bytes]] = []
        for rank in range(2):
            log = held.enter_context((folder / f"{rank}.log").open("wb"))
            one = subprocess.Popen(command, env={**bare, "RANK": str(rank)}, stderr=log)
            held.callback(one.wait)
            held.callback(one.kill)
            processes.append(one)

        def ended() -> bool:
            codes = [one.poll() for one in processes]
            return any(codes) or codes == [0, 0]

        wait_until(ended, seconds=300)
        logs = [(folder / f"{rank}.log").read_text()[-2000:] for rank in range(2)]
        assert [one.poll() for one in processes] == [0, 0], logs


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every method, trained by two processes that were launched together."""
    folder = tmp_path_factory.mktemp("shared")
    ports = free_ports(len(METHODS))
    both([sys.executable, str(HERE / "launched.py"), str(folder), *ports], folder)
    return folder


@pytest.mark.parametrize("method", METHODS)
def test_two_processes_follow_the_curves_of_one(method, shared, tmp_path):
    list(distill(shared_recipe(method, 1), tmp_path))
    alone, together = curves(tmp_path), curves(shared / method)
    assert alone.keys() == together.keys()
    for stage, points in alone.items():
        for one, other in zip(points, together[stage], strict=True):
            assert other == pytest.approx(one, rel=ROUNDING, abs=ROUNDING), (stage, one["step"])


def test_a_batch_that_cannot_be_cut_in_equal_parts_is_shared_all_the_same(tmp_path):
    def student(processes: int, batch: int, teachers_batch: int) -> list[dict[str, float]]:
        small = {"max_steps": 3, "learning_rate": 1e-3}
        teacher = {**small, "per_device_train_batch_size": teachers_batch}
        changes = {
            **IMAGES,
            "teacher": {**IMAGES["teacher"], "training": teacher},
            "data": {**IMAGES["data"], "labelled": 16, "unlabelled": False},
            "training": {**small, "per_device_train_batch_size": batch},
            "runtime": {"device": "cpu", "processes": processes},
        }
        list(distill(tiny(**changes), tmp_path / str(processes)))
        return curves(tmp_path / str(processes))["student-0"]

    # Three processes ask for 18 of the 16 samples that there are: 6, 5 and 5.
    together, alone = student(3, 6, 5), student(1, 16, 15)
    assert together == [pytest.approx(point, rel=ROUNDING, abs=ROUNDING) for point in alone]


def test_mixed_images_are_shared_with_what_was_mixed_into_them(tmp_path):
    losses: list[list[float]] = []
    for processes in (1, 2):
        document = shared_recipe("kd", processes).model_dump(mode="json")
        document["data"]["augmentation"] |= {"mixup": 1.0, "views": 2}
        recipe = Recipe.model_validate(document)
        list(distill(recipe, tmp_path / str(processes)))
        points = curves(tmp_path / str(processes))["student-0"]
        losses.append([point["loss"] for point in points])
    assert losses[1] == pytest.approx(losses[0], rel=ROUNDING)


def test_stopped_and_started_again_two_processes_end_with_the_same_student(tmp_path):
    recipe = tiny(**IMAGES, method="crd", runtime={"device": "cpu", "processes": 2})
    events = list(distill(recipe, tmp_path / "whole", report_every=0))
    (started,) = [event for event in events if isinstance(event, RunStarted)]
    assert started.processes == 2
    folder = tmp_path / "in parts #1?"
    for stage, step in (("teacher", 1), ("teacher", 12), ("baseline-0", 7), ("student-0", 6)):
        with closing(distill(recipe, folder, report_every=0)) as story:
            steps = (event for event in story if isinstance(event, StageProgress))
            next(event for event in steps if (event.stage, event.step) == (stage, step))
        assert not followers()
    list(distill(recipe, folder))
    assert files(tmp_path / "whole") == files(folder)
    assert not (folder / "crew.tmp").exists()


def followers() -> list[psutil.Process]:
    """Return the processes that this one has started to share its steps."""
    found = psutil.Process().children(recursive=True)
    return [one for one in found if "kdcore.follow" in one.cmdline()]


def test_a_process_that_is_killed_ends_the_run_with_a_word_for_it(tmp_path):
    recipe = tiny(
        training={"max_steps": 100_000, "save_steps": 5},
        runtime={"device": "cpu", "processes": 2},
    )
    with closing(distill(recipe, tmp_path, report_every=0)) as story:
        next(event for event in story if isinstance(event, Checkpointed))
        (follower,) = followers()
        follower.send_signal(signal.SIGKILL)
        with pytest.raises(CrewError, match="process 2 of 2 ended with exit code -9"):
            list(story)
    assert list((tmp_path / "checkpoints" / "teacher").iterdir()), "a retry goes on from here"


def test_a_process_that_is_killed_after_the_last_step_is_not_missed(tmp_path):
    recipe = tiny(training={"max_steps": 4}, runtime={"device": "cpu", "processes": 3})
    with closing(distill(recipe, tmp_path)) as story:
        finished = (event for event in story if isinstance(event, StageFinished))
        next(event for event in finished if event.role == "student")
        followers()[0].kill()
        *_, last = story
    assert isinstance(last, RunFinished)
    assert not followers()


def meddle(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Have every process that follows run some code before all else."""
    lines = ["import sys", "if 'kdcore.follow' in sys.orig_argv:", *indented(code)]
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("\n".join(lines))
    monkeypatch.setenv("PYTHONPATH", str(folder))


def indented(code: str) -> list[str]:
    return [f"    {line}" for line in code.splitlines()]


def test_a_process_that_does_not_come_to_the_meeting_is_named(tmp_path, monkeypatch):
    meddle(
        tmp_path / "meddled",
        monkeypatch,
        "import os, kdcore.crew\nkdcore.crew.join = lambda *_: os._exit(7)",
    )
    monkeypatch.setattr("kdcore.crew._TO_MEET", timedelta(seconds=2))
    with pytest.raises(CrewError, match="process 2 of 2 ended with exit code 7"):
        list(distill(tiny(runtime={"device": "cpu", "processes": 2}), tmp_path / "out"))
    monkeypatch.delenv("PYTHONPATH")
    list(distill(tiny(runtime={"device": "cpu", "processes": 2}), tmp_path / "out"))


def test_what_a_library_prints_disturbs_nobody(tmp_path, monkeypatch):
    meddle(
        tmp_path / "meddled",
        monkeypatch,
        "import kdcore.stage as stage\nprint('hello', flush=True)\nplain = stage._step\n"
        "def loud(*arguments):\n    print('x' * 100_000, flush=True)\n"
        "    return plain(*arguments)\nstage._step = loud",
    )
    list(distill(tiny(runtime={"device": "cpu", "processes": 2}), tmp_path / "out"))


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_wish_to_stop_may_go_to_the_whole_group_at_any_time(signum, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    document = tiny(training={"max_steps": 100_000}, runtime={"device": "cpu", "processes": 2})
    recipe.write_text(yaml.safe_dump(document.model_dump(mode="json")))
    command = [sys.executable, "-m", "kdcore", str(recipe), str(tmp_path / "out")]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, start_new_session=True, **quiet) as leader:
        wait_until(lambda: psutil.Process(leader.pid).children(), every=0.001)
        os.killpg(leader.pid, signum)  # the one that follows has hardly begun
        _, said = leader.communicate(timeout=60)
    assert (leader.returncode, b"stopped and saved" in said) == (130, True), said


def test_who_follows_goes_with_the_leader_even_when_it_is_killed(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    document = tiny(
        training={"max_steps": 100_000}, runtime={"device": "cpu", "processes": 2}
    ).model_dump(mode="json")
    recipe.write_text(yaml.safe_dump(document))
    command = [sys.executable, "-m", "kdcore", str(recipe), str(tmp_path / "out"), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as leader:
        assert leader.stdout is not None
        next(line for line in leader.stdout if b"stage.progress" in line)
        (follower,) = psutil.Process(leader.pid).children()
        leader.kill()
        follower.wait(10)


def test_launched_by_torchrun_it_is_the_same_run(tmp_path):
    recipe = tiny(**IMAGES, method="dkd", runtime={"device": "cpu", "processes": 2})
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    launch = [*torchrun, "-m", "kdcore", str(file), str(tmp_path / "launched")]
    subprocess.run(launch, check=True, timeout=120, capture_output=True)
    list(distill(recipe, tmp_path / "started"))
    assert files(tmp_path / "launched") == files(tmp_path / "started")
    # All is done already: nobody waits for a training that does not come.
    subprocess.run(launch, check=True, timeout=120, capture_output=True)


def test_another_number_of_processes_than_were_launched_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert launched()
    recipe = tiny(runtime={"device": "cpu", "processes": 2})
    with pytest.raises(RecipeError, match="processes is 2, and 4 processes were launched"):
        list(distill(recipe, tmp_path))


def test_more_processes_than_samples_are_refused(tmp_path):
    recipe = tiny(
        data={"labelled": 3},
        training={"per_device_train_batch_size": 1},
        runtime={"device": "cpu", "processes": 4},
    )
    with pytest.raises(RecipeError, match="found 3 samples that baseline-0 learns from, and 4"):
        list(distill(recipe, tmp_path))
