"""From finished networks to the verdict, and to the student that is delivered."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from kdcore.evaluate import count_flops, count_parameters, latency_ms, score
from kdcore.events import Warned
from kdcore.export import Delivery
from kdcore.network import build, predict, size_of
from kdcore.path import TEACHER
from kdcore.reporting.record import Report, StageTold
from kdcore.results import test_logits
from kdcore.run import Run
from kdcore.runtime import versions
from kdcore.task import Said
from kdcore.verdict import Measured, Sample, Verdict, reach_verdict


def weigh(run: Run) -> Verdict:
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
        called=recipe.task.title,
    )


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


def doubts(verdict: Verdict) -> Iterator[Warned]:
    """Warn where the comparison is not what one would wish."""
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


def delivery(run: Run, verdict: Verdict) -> Delivery:
    """Deliver the student that does best on the validation samples, or the first seed's."""
    seed = run.recipe.seeds[0]
    validation = run.corpus.validation
    if validation is not None:
        task = run.recipe.task
        reached = {
            seed: score(run.networks[f"student-{seed}"], validation, task)[task.metric]
            for seed in run.recipe.seeds
        }
        seed = max(run.recipe.seeds, key=lambda seed: reached[seed])
    assistants = [
        stage.name for stage in run.plan if stage.role == "assistant" and stage.seed == seed
    ]
    models = {stage.name: stage.model for stage in run.plan}
    return Delivery(
        recipe=run.recipe,
        report=_report(run, verdict, seed),
        model=models[f"student-{seed}"],
        folder=run.workdir / "artifacts",
        seed=seed,
        student=run.networks[f"student-{seed}"],
        teacher=run.networks[TEACHER] if not run.recipe.teacher.given else None,
        assistants=[run.networks[name] for name in assistants],
        samples=run.corpus.test.inputs,
        num_classes=run.corpus.num_classes,
        class_names=run.corpus.class_names,
        preprocessing=run.corpus.preprocessing,
        scores=run.scores,
    )


def _report(run: Run, verdict: Verdict, seed: int) -> Report:
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
