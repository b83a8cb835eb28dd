"""The forms of a delivered student: what they compute, what int8 costs, how long they take."""

import copy
import json
import statistics
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml
from pydantic import ValidationError
from recipes import IMAGES, TEXTS, tiny
from resumed import results
from torch import nn

from kdcore import distill, load_student
from kdcore.corpus import load_corpus
from kdcore.errors import ExportError
from kdcore.events import ArtifactWritten, VerdictReached, Warned
from kdcore.gate import METRICS
from kdcore.measures import Int8, speedups
from kdcore.network import predict
from kdcore.parcel import Order, pack
from kdcore.portable import asked_onnx, exported_bytes, held_against, onnx_bytes
from kdcore.quantize import calibration_samples, quantized
from kdcore.reporting import forms
from kdcore.reporting.licences import as_metadata
from kdcore.reporting.pareto import points
from kdcore.reporting.record import Point, Report
from kdcore.shipping import Latency, Quantization, Target
from kdcore.tasks.classification import Classification
from kdcore.timing import batch_of, in_turns, timed

ALL = {
    **IMAGES,
    "export": ["safetensors", "onnx", "exported", "int8"],
    "quantization": {"calibration_samples": 20},
    "latency": [{"threads": 1, "batch": 3}, {"threads": 4096 // 16}],
    "gates": ["int8.drop <= 1", "int8.size_mb <= 1", "speedup >= 0"],
    "teacher": {**IMAGES["teacher"], "license": "apache-2.0"},
    "name": "forms",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forms")
    events = list(distill(tiny(**ALL), folder, max_threads=2))
    verdict = next(event for event in events if isinstance(event, VerdictReached)).verdict
    report = Report.model_validate_json((folder / "artifacts/report.json").read_bytes())
    test = load_corpus(tiny(**ALL).data, folder, torch.device("cpu")).test
    return SimpleNamespace(
        folder=folder / "artifacts", events=events, verdict=verdict, report=report, test=test
    )


def asked(file, samples):
    (logits,) = onnxruntime.InferenceSession(file).run(None, {"inputs": samples.numpy()})
    return torch.from_numpy(logits)


def test_every_form_is_announced_under_its_name(run):
    kinds = {event.name: event.kind for event in run.events if isinstance(event, ArtifactWritten)}
    assert kinds["student.onnx"] == "student_onnx"
    assert kinds["student.pt2"] == "student_exported"
    assert kinds["student.int8.onnx"] == "student_int8"


def test_the_program_computes_what_the_student_computes_for_any_batch(run):
    program = torch.export.load(run.folder / "student.pt2").module()
    student = load_student(run.folder)
    for size in (1, 2, 7):
        inputs = run.test.inputs[:size]
        torch.testing.assert_close(program(inputs), predict(student, inputs))


def test_the_differences_told_are_those_of_the_files(run):
    student, few = load_student(run.folder), run.test.inputs[:64]
    expected = predict(student, few)
    found = {one.form: one for one in run.report.forms}
    # Both are roundings: which kernels PyTorch takes depends on how weights are laid out.
    rounding = 8 * torch.finfo(torch.float32).eps * float(expected.abs().max())
    ours = float((asked(run.folder / "student.onnx", few) - expected).abs().max())
    assert found["onnx"].largest_difference == pytest.approx(ours, abs=rounding)
    assert 0 < found["onnx"].largest_difference <= found["onnx"].tolerance
    assert found["exported"].largest_difference <= found["exported"].tolerance
    for one in found.values():
        assert one.size_bytes == (run.folder / one.file).stat().st_size
        assert one.samples == len(few)


def test_int8_is_measured_as_anybody_would_measure_it(run):
    int8, labels = run.verdict.int8, run.test.labels
    said = asked(run.folder / "student.int8.onnx", run.test.inputs).argmax(1)
    before = predict(load_student(run.folder), run.test.inputs).argmax(1)
    assert int8.score == float((said == labels).double().mean())
    assert int8.float_score == float((before == labels).double().mean())
    assert int8.agreement == float((said == before).double().mean())
    assert int8.size_bytes == (run.folder / "student.int8.onnx").stat().st_size
    assert int8.float_size_bytes == (run.folder / "student.onnx").stat().st_size
    assert int8.drop == int8.float_score - int8.score
    gates = {gate.metric: gate.value for gate in run.verdict.gates}
    assert gates["int8.drop"] == int8.drop
    assert gates["int8.size_mb"] == int8.size_bytes / 1e6


def test_the_int8_file_holds_its_large_weights_in_int8(run):
    graph = onnx.load(run.folder / "student.int8.onnx").graph
    large = [one for one in graph.initializer if np.prod(one.dims) > 24]
    assert large
    assert {one.data_type for one in large} == {onnx.TensorProto.INT8}


def test_networks_are_timed_on_every_target_or_told_why_not(run):
    asked_for = {(one.network, one.runtime) for one in run.report.timings if one.batch == 3}
    assert asked_for == {
        ("teacher", "pytorch"),
        ("student", "pytorch"),
        ("teacher", "onnxruntime"),
        ("student", "onnxruntime"),
        ("int8", "onnxruntime"),
    }
    for one in run.report.timings:
        if one.threads == 1:
            assert 0 < one.low_ms <= one.median_ms <= one.high_ms
            assert one.repeats >= 5
            assert one.reason is None
        else:
            assert one.median_ms is None
            assert one.reason == "256 threads, and the run's share is 2 cores"


def test_the_speedup_is_the_smallest_of_all_targets(run):
    known = {
        (one.network, one.runtime): one.median_ms
        for one in run.report.timings
        if one.median_ms is not None
    }
    ratios = [
        known["teacher", runtime] / known["student", runtime]
        for runtime in ("pytorch", "onnxruntime")
    ]
    value = next(gate.value for gate in run.verdict.gates if gate.metric == "speedup")
    assert value == pytest.approx(min(ratios))
    assert speedups([]) == []


@pytest.mark.parametrize("file", ["report.md", "report.html", "README.md"])
def test_all_papers_tell_forms_times_and_int8(run, file):
    text = (run.folder / file).read_text()
    for words_told in (
        "student.int8.onnx, of seed 0",
        f"{run.verdict.int8.size_bytes / 1000:,.1f} kB",
        "student.pt2",
        "ONNX Runtime",
        "256 threads, and the run&#39;s share is 2 cores"
        if file == "report.html"
        else "256 threads, and the run's share is 2 cores",
    ):
        assert words_told in text


def test_the_card_is_read_by_the_hub_and_tells_the_teachers_licence(run):
    _, head, body = (run.folder / "README.md").read_text().split("---\n", 2)
    told = yaml.safe_load(head)
    assert told["license"] == "apache-2.0"
    assert "license_name" not in told
    assert told["pipeline_tag"] == "image-classification"
    (result,) = told["model-index"][0]["results"]
    assert result["metrics"][0]["value"] == run.verdict.student.score.mean
    assert "Licence of the teacher: apache-2.0" in body
    assert "Teacher: `plain_cnn`" in body
    parts = "80 train samples, 32 test samples, 16 validation samples"
    digest = run.report.digests["data"]
    assert f"Data: `synthetic`; {parts}; 4 classes; sha256 `{digest}`" in body
    assert "`kd`" not in head


@pytest.mark.parametrize(
    ("licence", "head"),
    [
        ("MIT", {"license": "mit"}),
        ("CC-BY-NC-4.0", {"license": "cc-by-nc-4.0"}),
        ("GPL-3.0-or-later", {"license": "gpl-3.0"}),
        (
            "CERN-OHL-P-2.0",
            {
                "license": "other",
                "license_name": "cern-ohl-p-2.0",
                "license_link": "https://spdx.org/licenses/CERN-OHL-P-2.0.html",
            },
        ),
    ],
)
def test_a_licence_is_told_in_the_hubs_words(licence, head):
    assert as_metadata(licence) == head


OTHERS = {
    "texts": (TEXTS, "accuracy", "text-classification"),
    "labels": ({**IMAGES, "task": "multi_label"}, "mean_average_precision", "image-classification"),
    "numbers": ({"task": "regression"}, "r2", "tabular-regression"),
}


@pytest.mark.parametrize(("changes", "metric", "hub"), OTHERS.values(), ids=OTHERS)
def test_every_task_and_kind_of_sample_has_every_form(changes, metric, hub, tmp_path):
    forms = {"export": ALL["export"], "latency": [{"batch": 3}], "baseline": False}
    recipe = tiny(**{**changes, **forms, "gates": [f"int8.{metric} >= -9"]})
    events = list(distill(recipe, tmp_path, max_threads=1))
    (verdict,) = (event.verdict for event in events if isinstance(event, VerdictReached))
    assert verdict.gates_passed
    folder = tmp_path / "artifacts"
    student = load_student(folder)
    test = load_corpus(recipe.data, tmp_path, torch.device("cpu"), recipe.task).test
    inputs = test.inputs
    expected = predict(student, inputs)
    program = torch.export.load(folder / "student.pt2").module()
    torch.testing.assert_close(program(inputs[:5]), expected[:5], rtol=1e-4, atol=1e-4)
    if not inputs.is_floating_point():
        torch.testing.assert_close(
            program(inputs[:1, :4]), predict(student, inputs[:1, :4]), rtol=1e-4, atol=1e-4
        )
    small = asked(folder / "student.int8.onnx", inputs)
    assert verdict.int8.score == pytest.approx(recipe.task.score(small, test.labels)[metric])
    card = yaml.safe_load((folder / "README.md").read_text().split("---\n", 2)[1])
    assert (card["pipeline_tag"], card["metrics"]) == (hub, [metric])
    assert (
        f"Test {verdict.called} {100 * verdict.int8.score:.2f} %"
        in (folder / "report.md").read_text()
    )


def test_a_file_that_computes_something_else_is_not_delivered():
    draw = torch.Generator().manual_seed(0)
    network, samples = nn.Sequential(nn.Linear(4, 3)), torch.randn(5, 4, generator=draw)
    logits = predict(network, samples)
    found = held_against(logits + 1e-6, network, samples, shown="a file", form="onnx")
    assert found.largest == pytest.approx(1e-6, rel=0.2)
    with pytest.raises(ExportError, match=r"a file differs from the network by 0\.01"):
        held_against(logits + 0.01, network, samples, shown="a file", form="onnx")
    with pytest.raises(ExportError):
        held_against(logits * float("nan"), network, samples, shown="a file", form="onnx")


class Choosy(nn.Module):
    """What no tracer follows."""

    def forward(self, inputs):
        """Look at numbers."""
        return inputs[:, :2] if inputs.sum() > 0 else inputs[:, 1:3]


def test_what_cannot_be_traced_is_told():
    with pytest.raises(ExportError, match=r"torch\.export cannot trace the student"):
        exported_bytes(Choosy(), torch.ones(4, 3))


def spread(seed=0):
    """Return a network, samples, and its file; static int8 does badly on some, dynamic better."""
    draw = torch.Generator().manual_seed(seed)
    network = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 5)).eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(torch.randn(weight.shape, generator=draw))
    samples = torch.randn(200, 8, generator=draw)
    return network, samples, onnx_bytes(network, samples[:2])


def test_auto_keeps_the_kind_that_agrees_more_often():
    network, samples, content = spread()
    samples[0] *= 1e4  # one far away sample spoils all ranges that are measured beforehand
    said = predict(network, samples).argmax(1)
    agree: dict[str, int] = {}
    for kind in ("static", "dynamic", "auto"):
        one = quantized(content, Quantization(kind=kind), samples, Classification())
        assert one.samples == (len(samples) if one.kind == "static" else 0)
        agree[kind] = int((asked_onnx(one.content, samples).argmax(1) == said).sum())
    assert agree["auto"] == max(agree.values())
    assert len(set(agree.values())) == 2


def test_quantising_twice_gives_the_same_file():
    _, samples, content = spread()
    how = Quantization(kind="static", calibration_samples=9)
    chosen = calibration_samples(samples, 9)
    assert len(chosen) == 9
    assert torch.equal(chosen, calibration_samples(samples, 9))
    assert len(calibration_samples(samples, 900)) == 200
    first, second = (quantized(content, how, chosen, Classification()).content for _ in range(2))
    assert first == second


def test_forms_and_times_change_no_network(run, tmp_path):
    list(distill(tiny(**IMAGES), tmp_path / "plain"))
    list(distill(tiny(**ALL), tmp_path / "forms"))
    assert results(tmp_path / "plain") == results(tmp_path / "forms")
    student = "artifacts/student.safetensors"
    assert (tmp_path / "plain" / student).read_bytes() == (
        tmp_path / "forms" / student
    ).read_bytes()


def test_packing_leaves_threads_and_networks_as_they_were():
    network, samples, _ = spread()
    before, state = torch.get_num_threads(), copy.deepcopy(network.state_dict())
    order = Order(
        task=Classification(),
        export=["safetensors"],
        quantization=Quantization(),
        latency=Latency(targets=[Target(threads=2, batch=4)], runtimes=["pytorch"], repeats=3),
        student=network,
        seed=0,
        teacher=network,
        train=samples,
        test=SimpleNamespace(inputs=samples, labels=torch.zeros(200, dtype=torch.long)),
        most_threads=2,
    )
    parcel = pack(order)
    assert {one.runtime for one in parcel.timings} == {"pytorch"}
    assert torch.get_num_threads() == before
    assert all(torch.equal(state[name], one) for name, one in network.state_dict().items())
    assert not parcel.files


def test_networks_are_run_in_turns_after_a_warm_up():
    ran: list[str] = []
    times = in_turns({"a": lambda: ran.append("a"), "b": lambda: ran.append("b")}, repeats=4)
    assert ran == ["a"] * 3 + ["b"] * 3 + ["a", "b"] * 4
    assert {who: len(one) for who, one in times.items()} == {"a": 4, "b": 4}


def test_a_target_that_takes_too_long_is_repeated_less(monkeypatch):
    clock = iter(range(0, 10_000, 2))
    monkeypatch.setattr("kdcore.timing.time.perf_counter", lambda: next(clock))
    times = in_turns({"slow": lambda: None}, repeats=100)
    assert len(times["slow"]) == 5


def test_median_and_quartiles_are_those_of_the_repeats(monkeypatch):
    took = [0.001, 0.002, 0.003, 0.004, 0.010]
    monkeypatch.setattr(
        "kdcore.timing.in_turns", lambda runners, _repeats: dict.fromkeys(runners, took)
    )
    (one,) = timed({("student", "pytorch"): lambda: None}, Target(threads=1, batch=7), 5)
    assert (one.low_ms, one.median_ms, one.high_ms) == pytest.approx((2, 3, 4))
    assert one.median_ms == pytest.approx(1000 * statistics.median(took))
    assert (one.batch, one.repeats) == (7, 5)


def test_a_batch_larger_than_the_test_part_meets_samples_again():
    samples = torch.arange(3.0)[:, None]
    assert batch_of(samples, 7).flatten().tolist() == [0, 1, 2, 0, 1, 2, 0]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"quantization": {"kind": "static"}}, "/quantization"),
        ({"gates": ["int8.drop <= 0.01"]}, "/gates"),
        ({"latency": [{"threads": 0}]}, "threads"),
        ({"latency": {"repeats": 2}}, "repeats"),
        ({"export": ["torchscript"]}, "export"),
    ],
)
def test_what_nobody_makes_is_refused_with_a_pointer(changes, pointer):
    with pytest.raises(ValidationError) as caught:
        tiny(**changes)
    fault = caught.value.errors()[0]
    assert pointer in str(fault.get("ctx", {}).get("pointer") or fault["loc"])


def test_every_metric_of_a_gate_is_explained():
    assert {"int8.accuracy", "int8.drop", "int8.size_mb", "int8.latency_ms", "speedup"} <= set(
        METRICS
    )


def an_int8(**changes) -> Int8:
    return Int8.model_validate(
        {
            "kind": "static",
            "seed": 3,
            "calibration_samples": 9,
            "score": 0.90,
            "float_score": 0.95,
            "agreement": 0.91,
            "size_bytes": 1000,
            "float_size_bytes": 4000,
            "latency_ms": 2.0,
            "float_latency_ms": 1.0,
            **changes,
        }
    )


def test_a_loss_in_int8_is_told_by_the_sentence_and_a_warning():
    from test_verdict import measured

    from kdcore.judge import doubts
    from kdcore.verdict import reach_verdict

    def told(int8: Int8):
        return reach_verdict(
            seeds=[0, 1],
            teacher=measured(0.97),
            student=measured(0.95, 0.96),
            baseline=measured(0.9, 0.9),
            controls={},
            agreement=0.9,
            confidence=0.95,
            tie_margin=0.005,
            test_size=100,
            gates=["int8.accuracy >= 0.94"],
            int8=int8,
        )

    bad, good = told(an_int8()), told(an_int8(score=0.95))
    assert bad.sentence.endswith("In int8 the delivered student loses 5.0 points.")
    assert "int8" not in good.sentence
    assert (bad.gates_passed, good.gates_passed) == (False, True)
    run = SimpleNamespace(recipe=tiny())
    assert [one.code for one in doubts(bad, run) if isinstance(one, Warned)] == ["int8_loses"]
    assert not list(doubts(good, run))
    assert "4 times as small as student.onnx" in forms.int8(an_int8(), "accuracy")
    assert "2 times as slow" in forms.int8(an_int8(), "accuracy")
    assert "-5.00 points" in forms.int8(an_int8(), "accuracy")


def test_the_front_is_of_those_that_no_other_beats():
    from test_verdict import measured, verdict

    reached = verdict(measured(0.8, 0.8, parameters=100), measured(0.7, 0.7, parameters=100))
    front = {one.network: one.front for one in points(reached)}
    assert front == {"teacher": True, "student": True, "baseline": False}
    int8 = points(reached.model_copy(update={"int8": an_int8()}))[-1]
    assert (int8.network, int8.flops, int8.latency_ms, int8.front) == ("int8", None, None, True)
    assert Point.model_validate_json(int8.model_dump_json()) == int8


def test_a_report_without_forms_is_read_as_before(run):
    document = json.loads((run.folder / "report.json").read_text())
    for added in ("forms", "timings", "pareto"):
        del document[added]
    del document["verdict"]["int8"]
    assert Report.model_validate_json(json.dumps(document)).timings == []


def test_a_teacher_in_an_onnx_file_is_timed_by_its_own_runtime(run, tmp_path):
    (tmp_path / "teacher.onnx").write_bytes((run.folder / "student.onnx").read_bytes())
    recipe = tiny(
        **{
            **IMAGES,
            "teacher": {"model": {"name": "onnx", "path": "teacher.onnx"}},
            "latency": [{}],
        }
    )
    list(distill(recipe, tmp_path / "out", inputs=tmp_path))
    report = Report.model_validate_json((tmp_path / "out/artifacts/report.json").read_bytes())
    found = {(one.network, one.runtime): one for one in report.timings}
    assert found["teacher", "onnxruntime"].median_ms
    assert "PyTorch does not run" in str(found["teacher", "pytorch"].reason)
    assert {one.network: one.flops for one in report.pareto}["teacher"] is None
