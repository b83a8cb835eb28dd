"""SimKD: the student with the teacher's classifier, and the loss that teaches it."""

import copy
import json
from contextlib import closing
from itertools import islice

import pytest
import torch
from pydantic import ValidationError
from recipes import IMAGES, tiny
from safetensors.torch import load_file
from torch import Tensor, nn

from kdcore import distill, load_student
from kdcore.errors import RecipeError
from kdcore.evaluate import count_parameters
from kdcore.events import StageProgress, StageStarted
from kdcore.model import Model
from kdcore.models.mlp import MLP
from kdcore.models.plain_cnn import PlainCNN
from kdcore.models.resnet import ResNet
from kdcore.models.shufflenet_v2 import ShuffleNetV2
from kdcore.network import build, observe, shapes_of, weights_bytes
from kdcore.objectives.simkd import ReusedClassifier, SimKD, map_distances, projector, simkd_loss
from kdcore.portable import onnx_bytes
from kdcore.temperature import Softened
from kdcore.tensors import Batch, Seen, Sizes, Taps

IMAGE, CLASSES = (3, 16, 16), 5
TEACHER = ResNet(depth=8, stem=4, channels=[4, 6, 8])
STUDENT = ResNet(depth=8, stem=2, channels=[2, 3, 4])


def sequence(*shape: int, step: int, modulus: int, shift: float) -> Tensor:
    """Return the flat sequence i -> (step i mod modulus) / modulus - shift, in float64."""
    places = torch.arange(int(torch.tensor(shape).prod()), dtype=torch.float64)
    return ((places * step % modulus) / modulus - shift).view(*shape)


def filled(network: nn.Module) -> nn.Module:
    """Give the p-th matrix or kernel the flat sequence i -> ((7 i + 3 p) mod 11) / 11 - 0.4."""
    for place, weight in enumerate(one for one in network.parameters() if one.dim() > 1):
        flat = torch.arange(weight.numel(), dtype=torch.float64) * 7 + 3 * place
        weight.data = (flat % 11 / 11 - 0.4).view_as(weight)
    return network.double()


def reused(student: Model = STUDENT, teacher: Model = TEACHER) -> ReusedClassifier:
    model = SimKD().student_model(student, teacher)
    assert isinstance(model, ReusedClassifier)
    return model


def sizes_of(student: Model, teacher: Model) -> Sizes:
    return Sizes(student.shapes(IMAGE, CLASSES), teacher.shapes(IMAGE, CLASSES), CLASSES)


@pytest.mark.parametrize(
    ("side", "loss", "samples", "logits"),
    [
        pytest.param(
            4,
            0.4571560284781687,
            [0.8754095148957081, 0.1596009611586785, 0.33645760938011976],
            [
                0.31014520482521046,
                0.40498659400132975,
                0.41986405143711225,
                0.7023840771776302,
                0.41160522109366626,
            ],
            id="a larger map of the student",
        ),
        pytest.param(
            1,
            0.35684580205677896,
            [0.26316244304515596, 0.7452686350594862, 0.06210632806569483],
            [
                0.059541808715728825,
                0.24481329000683014,
                -0.25231893848886233,
                0.5628930700705979,
                0.36601028786696516,
            ],
            id="a smaller map of the student",
        ),
    ],
)
def test_loss_and_logits_are_those_of_the_authors_code(side, loss, samples, logits):
    """DefangChen/SimKD 2b389c3, models/util.py (SimKD) executed in float64, torch.nn.MSELoss."""
    student_map = sequence(3, 4, side, side, step=7, modulus=11, shift=0.3)
    teacher_map = sequence(3, 6, 2, 2, step=5, modulus=13, shift=0.4).relu()
    body = PlainCNN(stages=[[4]] if side == 4 else [[4], [4], [4]])
    teacher = ResNet(depth=8, stem=4, channels=[4, 4, 6])
    network = reused(body, teacher).build((1, 8, 8), CLASSES).double().train()
    project, pool, head = (network.get_submodule(name) for name in ("projector", "pool", "head"))
    filled(project)
    weight, bias = head.parameters()
    weight.data = sequence(5, 6, step=5, modulus=13, shift=0.4)
    bias.data = torch.arange(5, dtype=torch.float64) / 10
    projected = project(student_map).detach()
    assert float(simkd_loss(projected, teacher_map)) == pytest.approx(loss, abs=1e-9)
    assert map_distances(projected, teacher_map).tolist() == pytest.approx(samples, abs=1e-9)
    assert head(pool(projected)).detach()[0].tolist() == pytest.approx(logits, abs=1e-9)


def test_the_loss_is_the_mean_squared_difference_of_each_sample():
    source = torch.Generator().manual_seed(0)
    projected = torch.rand(2, 3, 2, 2, generator=source, dtype=torch.float64)
    teacher = torch.rand(2, 3, 4, 4, generator=source, dtype=torch.float64)
    for sample in range(2):
        total = 0.0
        for channel in range(3):
            for row in range(2):
                for column in range(2):
                    window = teacher[
                        sample, channel, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2
                    ]
                    mean = sum(float(value) for value in window.flatten()) / 4
                    total += (float(projected[sample, channel, row, column]) - mean) ** 2
        found = map_distances(projected, teacher)[sample]
        assert float(found) == pytest.approx(total / 12, rel=1e-12)
    assert float(simkd_loss(teacher, teacher)) == 0


def test_the_network_is_the_body_a_projector_and_the_classifier():
    network = build(reused(), IMAGE, CLASSES, seed=0)
    assert [name for name, _ in network.named_children()] == [
        *("stem", "stage1", "stage2", "stage3", "projector", "pool", "head")
    ]
    kinds = [type(layer).__name__ for layer in network.get_submodule("projector")]
    assert kinds == ["Conv2d", "BatchNorm2d", "ReLU"] * 3
    widths = [
        (layer.in_channels, layer.out_channels, layer.kernel_size[0], layer.bias)
        for layer in network.get_submodule("projector")
        if isinstance(layer, nn.Conv2d)
    ]
    assert widths == [(4, 4, 1, None), (4, 4, 3, None), (4, 8, 1, None)]


def test_the_bottleneck_is_never_empty():
    assert projector(3, 1, reduction=8)[0].out_channels == 1


@pytest.mark.parametrize("student", [STUDENT, PlainCNN(stages=[[4], [4], [4], [4]])])
@pytest.mark.parametrize("teacher", [TEACHER, ShuffleNetV2(size="x0_5")])
def test_shapes_are_those_of_the_network(student, teacher):
    model = reused(student, teacher)
    image = (3, 32, 32)
    network = build(model, image, CLASSES, seed=0)
    assert model.shapes(image, CLASSES) == shapes_of(network, image)
    assert list(model.shapes(image, CLASSES)) == [name for name, _ in network.named_children()]


def test_the_body_starts_with_the_weights_of_the_plain_student():
    plain = build(STUDENT, IMAGE, CLASSES, seed=3).state_dict()
    network = build(reused(), IMAGE, CLASSES, seed=3).state_dict()
    body = [name for name in plain if name.startswith("st")]
    assert body
    for name in body:
        torch.testing.assert_close(network[name], plain[name], rtol=0, atol=0)


@pytest.mark.parametrize("teacher", [TEACHER, PlainCNN(stages=[[4], [6]], hidden=[7])])
def test_the_classifier_is_the_teachers_after_inheriting(teacher):
    model = reused(teacher=teacher)
    network = build(model, IMAGE, CLASSES, seed=0)
    theirs = build(teacher, IMAGE, CLASSES, seed=1).eval()
    model.inherit(network, theirs)
    taps = SimKD().taps(sizes_of(model, teacher))
    seen = observe(theirs, torch.randn(2, *IMAGE), taps.teacher)
    logits = seen.features[taps.teacher[0]]
    after = [name for name, _ in network.named_children()]
    for name in after[after.index("projector") + 1 :]:
        logits = network.get_submodule(name)(logits)
    torch.testing.assert_close(logits, seen.logits, rtol=0, atol=0)


def test_a_classifier_with_layers_before_its_pooling_is_reused_from_the_last_map_on():
    teacher = ShuffleNetV2(size="x0_5")
    model = reused(teacher=teacher)
    image = (3, 32, 32)
    sizes = Sizes(model.shapes(image, CLASSES), teacher.shapes(image, CLASSES), CLASSES)
    assert SimKD().taps(sizes) == Taps(("projector",), ("expand",))
    assert list(sizes.student)[-3:] == ["projector", "pool", "head"]


def test_an_assistant_passes_the_teachers_classifier_on():
    middle = ResNet(depth=8, stem=3, channels=[3, 4, 5])
    assistant = reused(middle)
    student = SimKD().student_model(STUDENT, assistant)
    assert student == reused(STUDENT)
    teacher = build(TEACHER, IMAGE, CLASSES, seed=1)
    heard = build(assistant, IMAGE, CLASSES, seed=0)
    assistant.inherit(heard, teacher)
    network = build(student, IMAGE, CLASSES, seed=0)
    student.inherit(network, heard)
    head = network.get_submodule("head").state_dict().values()
    for mine, theirs in zip(head, teacher.get_submodule("head").state_dict().values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
    assert SimKD().taps(sizes_of(student, assistant)).teacher == ("projector",)


def test_the_classifier_stays_as_it_is_while_the_rest_is_trained():
    teacher = PlainCNN(stages=[[4], [6]], hidden=[7])
    model = reused(teacher=teacher)
    network = build(model, IMAGE, CLASSES, seed=0)
    model.inherit(network, build(teacher, IMAGE, CLASSES, seed=1))
    before = copy.deepcopy(network.state_dict())
    network.train()
    assert not network.get_submodule("head").training
    assert network.get_submodule("projector").training
    learned = [one for one in network.parameters() if one.requires_grad]
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, weight_decay=0.1, momentum=0.9)
    network(torch.randn(4, *IMAGE)).square().mean().backward()
    optimizer.step()
    moved = {
        name.partition(".")[0]
        for name, value in network.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert moved == {"stem", "stage1", "stage2", "stage3", "projector"}
    assert all(one.grad is not None for one in learned)


def test_the_projector_counts_in_the_size():
    network = build(reused(), IMAGE, CLASSES, seed=0)
    parts = sum(
        count_parameters(network.get_submodule(name))
        for name in ("stem", "stage1", "stage2", "stage3")
    )
    extra = 4 * 4 + 4 * 4 * 9 + 4 * 8 + 2 * (4 + 4 + 8)
    classifier = 8 * CLASSES + CLASSES
    assert count_parameters(network) == parts + extra + classifier


def test_a_smaller_map_of_the_student_is_refused_where_the_classifier_needs_all_of_it():
    small = PlainCNN(stages=[[4], [4], [4]])
    with pytest.raises(RecipeError, match=r"2x2 in the student and of 4x4 .*'flatten'") as caught:
        reused(small, PlainCNN(stages=[[4], [6]])).shapes(IMAGE, CLASSES)
    assert caught.value.hint
    assert reused(small).shapes(IMAGE, CLASSES)["projector"] == (8, 2, 2)


@pytest.mark.parametrize(("student", "teacher"), [(MLP(), TEACHER), (STUDENT, MLP())])
def test_a_network_without_maps_is_refused(student, teacher):
    with pytest.raises(RecipeError, match="found no feature map"):
        reused(student, teacher).shapes(IMAGE, CLASSES)


def test_a_plain_student_is_refused():
    with pytest.raises(RecipeError, match="no stage 'projector' in the student"):
        SimKD().taps(sizes_of(STUDENT, TEACHER))


def test_the_objective_reads_the_projector_and_the_teachers_last_map():
    model = reused()
    network, teacher = (build(one, IMAGE, CLASSES, seed=0) for one in (model, TEACHER))
    taps = SimKD().taps(sizes_of(model, TEACHER))
    assert taps == Taps(("projector",), ("stage3",))
    inputs = torch.randn(4, *IMAGE)
    student = observe(network, inputs, taps.student)
    with torch.no_grad():
        answers = observe(teacher, inputs, taps.teacher)
    batch = Batch(inputs, torch.zeros(4, dtype=torch.int64), torch.arange(4), view=0)
    seen = Seen(student, answers, batch, epoch=0, progress=0.0, taps=taps, seed=0)
    found = SimKD().loss(seen, Softened(student.logits, answers.logits, 1.0), None)
    expected = (student.features["projector"] - answers.features["stage3"]).square()
    torch.testing.assert_close(found, expected.mean((1, 2, 3)))
    found.mean().backward()
    assert all(
        one.grad is not None and bool(one.grad.any())
        for one in network.get_submodule("stage1").parameters()
    )


def test_a_delivered_student_is_read_like_any_other(tmp_path):
    model = reused(PlainCNN(stages=[[4]]))
    network = build(model, IMAGE, CLASSES, seed=0).eval()
    config = {
        "model": model.model_dump(mode="json"),
        "input_shape": list(IMAGE),
        "num_classes": CLASSES,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "student.safetensors").write_bytes(weights_bytes(network))
    inputs = torch.randn(3, *IMAGE)
    torch.testing.assert_close(load_student(tmp_path)(inputs), network(inputs), rtol=0, atol=0)


@pytest.mark.parametrize("stages", [[[4]], [[4], [4], [4]]])
def test_the_onnx_file_computes_the_same(stages):
    onnxruntime = pytest.importorskip("onnxruntime")
    network = build(reused(PlainCNN(stages=stages)), IMAGE, CLASSES, seed=0).eval()
    inputs = torch.randn(3, *IMAGE)
    session = onnxruntime.InferenceSession(
        onnx_bytes(network, inputs[:2]), providers=["CPUExecutionProvider"]
    )
    (logits,) = session.run(None, {"inputs": inputs.numpy()})
    torch.testing.assert_close(torch.from_numpy(logits), network(inputs), rtol=1e-4, atol=1e-5)


def test_a_run_delivers_the_student_with_the_teachers_classifier(tmp_path):
    events = list(distill(tiny(**IMAGES, method="simkd"), tmp_path))
    artifacts = tmp_path / "artifacts"
    config = json.loads((artifacts / "config.json").read_bytes())
    assert config["model"]["name"] == "reused_classifier"
    student = load_student(artifacts)
    teacher = load_file(artifacts / "teacher.safetensors")
    head = student.get_submodule("head").state_dict()
    assert [*head] == ["0.weight", "0.bias"]
    torch.testing.assert_close(head["0.weight"], teacher["head.weight"], rtol=0, atol=0)
    torch.testing.assert_close(head["0.bias"], teacher["head.bias"], rtol=0, atol=0)
    sizes = {event.role: event.parameters for event in events if isinstance(event, StageStarted)}
    assert sizes["student"] == count_parameters(student)
    assert sizes["student"] > sizes["baseline"]


def test_a_student_whose_map_is_too_small_is_refused_before_anything_is_trained():
    small = {"model": {"name": "plain_cnn", "stages": [[3], [4], [4]], "hidden": []}}
    with pytest.raises(ValidationError, match="1x1 in the student and of 2x2 in the teacher"):
        tiny(**{**IMAGES, "student": small}, method="simkd")


def test_a_stopped_run_ends_with_the_same_student(tmp_path):
    recipe = tiny(**IMAGES, method="simkd", baseline=False)
    list(distill(recipe, tmp_path / "whole", report_every=0))
    for reports in (12 + 2, 7):  # in the student's training, which follows the teacher's 12 steps
        with closing(distill(recipe, tmp_path / "cut", report_every=0)) as events:
            told = (event for event in events if isinstance(event, StageProgress))
            assert [event.stage for event in islice(told, reports)][-1] == "student-0"
    list(distill(recipe, tmp_path / "cut", report_every=0))
    student = "artifacts/student.safetensors"
    assert (tmp_path / "cut" / student).read_bytes() == (tmp_path / "whole" / student).read_bytes()
