"""From finished networks to the verdict, and to the student that is delivered."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from kdcore.cores import usable_cores
from kdcore.describing import describe_corpus
from kdcore.evaluate import count_flops, count_parameters, latency_ms, score
from kdcore.events import Warned
from kdcore.export import Delivery
from kdcore.lock import lock_of
from kdcore.network import build, predict, size_of
from kdcore.parcel import Order, Parcel, pack
from kdcore.path import TEACHER
from kdcore.reporting.pareto import points
from kdcore.reporting.record import Report, StageTold
from kdcore.results import test_logits
from kdcore.run import Run
from kdcore.runtime import versions
from kdcore.task import Said
from kdcore.verdict import Measured, Sample, Verdict, reach_verdict


def weigh(run: Run, parcel: Parcel) -> Verdict:
    """Measure what was trained, and hold it against each other."""
    recipe = run.recipe
    student = _measured("student", run)
    agreements = [run.scores[f"student-{seed}"]["agreement"] for seed in recipe.seeds]
    return reach_verdict(
        seeds=recipe.seeds,
        teacher=_measured(TEACHER, run),
        student=student,
        baseline=_like(student, "baseline", run) if recipe.baseline.enabled else None,
        controls={"hard_labels": _like(student, "hard_labels", run)}
        if recipe.baseline.hard_labels
        else {},
        agreement=Sample.of(agreements).mean,
        confidence=recipe.evaluation.confidence,
        tie_margin=recipe.evaluation.tie_margin,
        test_size=len(run.corpus.test.labels),
        gates=recipe.gates,
        metric=recipe.task.metric,
        called=called(run),
        teacher_is_truth=run.corpus.teacher_is_truth,
        int8=parcel.int8,
        timings=parcel.timings,
    )


def called(run: Run) -> str:
    """Return what is compared, in words."""
    task = run.recipe.task
    if task.learns_labels and run.corpus.teacher_is_truth:
        return "agreement with the teacher"
    return task.title


def _measured(role: str, run: Run) -> Measured:
    name = role if role == TEACHER else f"{role}-{run.recipe.seeds[0]}"
    return _measure(run.networks[name], _scored(role, run), run)


def _measure(network: nn.Module, scored: Sample, run: Run) -> Measured:
    sample = run.corpus.test.inputs[:1]
    return Measured(
        score=scored,
        parameters=count_parameters(network),
        size_bytes=size_of(network),
        flops=count_flops(network, sample),
        latency_ms=latency_ms(network, sample),
    )


def _like(student: Measured, role: str, run: Run) -> Measured:
    """Return the measures of a control, the student's network as it is without a method."""
    models = {stage.role: stage.model for stage in run.plan}
    if models[role] == models["student"]:
        return student.model_copy(update={"score": _scored(role, run)})
    corpus = run.corpus
    plain = build(models[role], corpus.input_shape, corpus.num_classes, seed=0).to(run.device)
    return _measure(plain, _scored(role, run), run)


def _scored(role: str, run: Run) -> Sample:
    names = [role] if role == TEACHER else [f"{role}-{seed}" for seed in run.recipe.seeds]
    return Sample.of([run.scores[name][run.recipe.task.metric] for name in names])


def doubts(verdict: Verdict, run: Run) -> Iterator[Warned]:
    """Warn where the comparison is not what one would wish."""
    if verdict.int8 and verdict.int8.drop > run.recipe.evaluation.tie_margin:
        yield Warned(
            code="int8_loses",
            message=f"in int8 the student's {verdict.called} is {verdict.int8.score:.4f}, below "
            f"the {verdict.int8.float_score:.4f} that it has",
            hint="deliver it without int8, or calibrate on more samples",
        )
    if verdict.baseline and verdict.teacher.score.mean < verdict.baseline.score.mean:
        yield Warned(
            code="weak_teacher",
            message=f"the teacher's {verdict.called} is {verdict.teacher.score.mean:.4f}, "
            f"below the {verdict.baseline.score.mean:.4f} of the student alone",
            hint="train the teacher longer, or check that its weights are for this data",
        )
    if verdict.baseline and len(verdict.seeds) == 1:
        yield Warned(
            code="one_seed",
            message="one seed gives no interval; the outcome is inconclusive",
            hint="name at least three seeds",
        )


def pack_student(run: Run) -> Parcel:
    """Make the forms of the student that will be delivered, and time it beside the teacher."""
    seed = _delivered_seed(run)
    return pack(
        Order(
            task=run.recipe.task,
            export=run.recipe.export,
            quantization=run.recipe.quantization,
            latency=run.recipe.latency,
            student=run.networks[f"student-{seed}"],
            seed=seed,
            teacher=run.networks[TEACHER],
            train=run.corpus.train.inputs,
            test=run.corpus.test,
            most_threads=run.threads.share or usable_cores(),
        )
    )


def _delivered_seed(run: Run) -> int:
    """Return the seed whose student does best on the validation samples, or else the first."""
    validation = run.corpus.validation
    if validation is None:
        return run.recipe.seeds[0]
    task = run.recipe.task
    reached = {
        seed: score(run.networks[f"student-{seed}"], validation, task)[task.metric]
        for seed in run.recipe.seeds
    }
    return max(run.recipe.seeds, key=lambda seed: reached[seed])


def delivery(run: Run, verdict: Verdict, parcel: Parcel) -> Delivery:
    """Put together what is delivered."""
    seed = _delivered_seed(run)
    assistants = [
        stage.name for stage in run.plan if stage.role == "assistant" and stage.seed == seed
    ]
    models = {stage.name: stage.model for stage in run.plan}
    teacher = None if run.recipe.teacher.given else run.networks[TEACHER]
    beside = {} if teacher is None else {TEACHER: run.models[TEACHER]}
    for place, name in enumerate(assistants, start=1):
        beside[f"assistant-{place}"] = run.models[name]
    return Delivery(
        recipe=run.recipe,
        report=_report(run, verdict, seed, parcel),
        parcel=parcel,
        lock=lock_of(run),
        model=models[f"student-{seed}"],
        folder=run.workdir / "artifacts",
        seed=seed,
        student=run.networks[f"student-{seed}"],
        teacher=teacher,
        assistants=[run.networks[name] for name in assistants],
        models=beside,
        samples=run.corpus.test.inputs,
        input_shape=run.corpus.input_shape,
        num_classes=run.corpus.num_classes,
        class_names=run.corpus.class_names,
        preprocessing=run.corpus.preprocessing,
        scores=run.scores,
        files=run.corpus.files,
    )


def _report(run: Run, verdict: Verdict, seed: int, parcel: Parcel) -> Report:
    """Put together all that the run has to tell; `seed` is the delivered student's."""
    recipe = run.recipe
    teacher = run.teacher_logits
    assert teacher is not None  # noqa: S101  # it was the first network that was finished
    return Report(
        name=recipe.name,
        teacher=recipe.teacher.model.label(),
        student=recipe.student.model.label(),
        task=recipe.task.name,
        data=recipe.data.name,
        method=recipe.method.name if recipe.method else None,
        verdict=verdict,
        quality=recipe.task.examine(
            Said(
                samples=run.corpus.test,
                teacher=teacher,
                students={
                    stage.seed: predict(run.networks[stage.name], run.corpus.test.inputs)
                    for stage in run.plan
                    if stage.role == "student"
                },
                baselines={
                    stage.seed: test_logits(stage, run)
                    for stage in run.plan
                    if stage.role == "baseline"
                },
                seed=seed,
                names=run.corpus.class_names,
                units=run.corpus.units,
            )
        ),
        data_quality=describe_corpus(run.corpus),
        forms=parcel.forms,
        timings=parcel.timings,
        pareto=points(verdict),
        stages=[
            StageTold(
                stage=stage.name,
                role=stage.role,
                seed=stage.seed,
                steps=stage.total_steps,
                seconds=run.seconds[stage.name],
                scores=run.scores[stage.name],
            )
            for stage in run.plan
        ],
        versions=versions(),
        digests={name: digest for name, digest in run.digests.items() if digest},
        recipe=recipe.model_dump(mode="json"),
    )
