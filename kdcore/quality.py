"""What a verdict's numbers hide: which classes, how sure, and where student and teacher part."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Bin(_Record):
    """Test samples that a network is about equally sure of."""

    confidence: float
    """Mean probability of the class that it names."""
    accuracy: float
    count: int


class Calibration(_Record):
    """Whether a network is right as often as it says."""

    ece: float
    """Expected calibration error, 0 to 1: the mean distance of accuracy and confidence."""
    bins: list[Bin]
    """By rising confidence; those without a sample are left out."""


class ClassScore(_Record):
    """How often one class is recognised."""

    label: int
    name: str
    count: int
    """Test samples of the class."""
    teacher: float
    """Share of them that is recognised; of the others, the mean over the seeds."""
    student: float
    baseline: float | None


class Disagreement(_Record):
    """A test sample that the teacher gets right and the student does not."""

    sample: int
    """Its place in the test part."""
    label: str
    answer: str
    """The student's."""
    confidence: float
    """The student's, in its answer."""
    picture: str | None
    """PNG in base64, if it is an image; its brightness is stretched from black to white."""
    text: str | None = None
    """Its beginning, if it is a text."""


class ClassQuality(_Record):
    """Of one class a sample: the delivered student, beside its teacher and the student alone."""

    kind: Literal["classification"] = "classification"
    seed: int
    calibration: dict[str, Calibration]
    """Of `teacher`, `student` and `baseline`."""
    classes: list[ClassScore]
    """All of them; of very many, those whose accuracy changed most."""
    confusion: list[list[int]] | None
    """`[label][answer]` of the student, counted; none where there are very many classes."""
    both_right: int
    only_teacher: int
    only_student: int
    neither: int
    disagreements: list[Disagreement]
    """Those that the student is surest of."""


class LabelScore(_Record):
    """How well one of several labels is told from its absence."""

    label: int
    name: str
    count: int
    """Test samples that have it."""
    teacher: float
    """Average precision; of the others, the mean over the seeds."""
    student: float
    baseline: float | None


class LabelQuality(_Record):
    """Of several labels a sample: the student, beside its teacher and the student alone."""

    kind: Literal["multi_label"] = "multi_label"
    seed: int
    """The delivered student's."""
    labels: list[LabelScore]
    """Those that some test sample has; of very many, those that changed most."""
    micro_f1: dict[str, float]
    """Of `teacher`, `student` and `baseline`, a label being given where it is likelier than not."""
    exact: dict[str, float]
    """Share of the samples all of whose labels are right."""


class Errors(_Record):
    """How far a network is from a target."""

    r2: float
    """Share of the variance that is explained."""
    rmse: float
    """Root of the mean squared error, in the target's own unit."""
    mae: float
    """Mean absolute error, in the target's own unit."""


class TargetScore(_Record):
    """How well one number is met."""

    name: str
    networks: dict[str, Errors]
    """Of `teacher`, `student` and `baseline`, the delivered seed's."""


class TargetQuality(_Record):
    """Of numbers: the student, beside its teacher and the student alone."""

    kind: Literal["regression"] = "regression"
    seed: int
    """The delivered student's."""
    targets: list[TargetScore]


class Retrieval(_Record):
    """What a search by a network's vectors finds, of each test sample among the others."""

    nearest: float
    """How often the nearest neighbour is the teacher's."""
    overlap: float
    """Share of the teacher's nearest neighbours that are among its own."""
    same_class: float | None
    """How often the nearest neighbour is of the sample's class (recall at 1), where the data has
    classes."""


class VectorQuality(_Record):
    """Of a vector a sample: the student, beside its teacher."""

    kind: Literal["embedding"] = "embedding"
    seed: int
    """The delivered student's."""
    searched: int
    """Test samples that were searched for and among: all, or the first of very many."""
    neighbours: int
    """How many are taken for near."""
    constant: float
    """Cosine to the teacher that one vector for every sample would reach, at best."""
    networks: dict[str, Retrieval]
    """Of `teacher` and `student`."""


Quality = Annotated[
    ClassQuality | LabelQuality | TargetQuality | VectorQuality, Field(discriminator="kind")
]
"""What a task tells of the test part."""
