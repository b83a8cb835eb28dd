"""MasKD: the teacher with its masks, how they are learned, and the loss that they weigh."""

import copy
import json
from contextlib import closing
from itertools import islice

import pytest
import torch
from recipes import IMAGES, tiny
from torch import Tensor, nn

from kdcore import distill, load_student
from kdcore.errors import RecipeError
from kdcore.evaluate import count_parameters
from kdcore.events import StageFinished, StageProgress
from kdcore.layers import TokenMasks, Unmask
from kdcore.models.mlp import MLP
from kdcore.models.plain_cnn import PlainCNN
from kdcore.models.resnet import ResNet
from kdcore.network import build, observe, shapes_of
from kdcore.objectives.maskd import (
    MasKD,
    MaskedTeacher,
    _MaskLearning,
    dice,
    maskd_loss,
    masked_distances,
    split,
)
from kdcore.temperature import Softened
from kdcore.tensors import HIDDEN, Batch, Outputs, Seen, Sizes, Taps
from kdcore.training import Training

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


STUDENT_MAP = sequence(3, 4, 3, 2, step=7, modulus=11, shift=0.3)
TEACHER_MAP = sequence(3, 4, 3, 2, step=5, modulus=13, shift=0.4)


def tapped(*, weighted: bool) -> Tensor:
    """Return what the stage `masks` of three tokens says of the teacher's map."""
    return filled(TokenMasks(4, 3, weighted=weighted))(TEACHER_MAP).detach()


def seen_of(student: Outputs, teacher: Outputs, labels: Tensor, taps: Taps) -> Seen:
    batch = Batch(torch.zeros(len(labels), 1), labels, torch.arange(len(labels)), view=0)
    return Seen(student, teacher, batch, epoch=0, progress=0.0, taps=taps, seed=0)


@pytest.mark.parametrize(
    ("weighted", "loss"), [(False, 0.08472262335725651), (True, 0.08468426844420064)]
)
def test_the_loss_is_that_of_the_authors_code(weighted, loss):
    """hunto/MasKD b5af34f, mmrazor/mmrazor/models/losses/maskd.py executed, custom_mask=False."""
    teacher, masks, weights = split(tapped(weighted=weighted), tokens=3, weighted=weighted)
    torch.testing.assert_close(teacher, TEACHER_MAP, rtol=0, atol=0)
    assert float(maskd_loss(STUDENT_MAP, teacher, masks, weights)) == pytest.approx(loss, abs=1e-9)


@pytest.mark.parametrize(
    ("weighted", "total", "squares"),
    [(False, 6.357113189540167, 14.444395561821059), (True, 2.118290025876366, 1.6044627351988083)],
)
def test_the_masked_map_and_the_dice_are_those_of_the_authors_code(weighted, total, squares):
    """hunto/MasKD b5af34f, mmdetection/maskd.py, MaskModule.forward_train executed."""
    found = tapped(weighted=weighted)
    unmask = Unmask(3, weighted=weighted)
    masked = unmask.train()(found)
    assert float(masked.sum()) == pytest.approx(total, abs=1e-9)
    assert float(masked.square().sum()) == pytest.approx(squares, abs=1e-9)
    _, masks, _ = split(found, tokens=3, weighted=weighted)
    assert float(dice(masks).mean()) == pytest.approx(0.9895266443454425, abs=1e-9)
    torch.testing.assert_close(unmask.eval()(found), TEACHER_MAP, rtol=0, atol=0)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_is_the_written_sum(weighted):
    source = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 2, 3, 2, 2, generator=source, dtype=torch.float64)
    masks = torch.rand(2, 4, 2, 2, generator=source, dtype=torch.float64)
    weights = torch.rand(2, 4, generator=source, dtype=torch.float64).softmax(1)
    places = [(row, column) for row in range(2) for column in range(2)]
    for sample in range(2):
        expected = 0.0
        for token in range(4):
            size = sum(float(masks[sample, token, row, column]) for row, column in places)
            distance = 0.0
            for channel in range(3):
                for row, column in places:
                    difference = student[sample, channel, row, column]
                    difference = difference - teacher[sample, channel, row, column]
                    distance += float(difference * masks[sample, token, row, column]) ** 2
            weight = float(weights[sample, token]) if weighted else 1 / 4
            expected += weight * distance / size / 3
        found = masked_distances(student, teacher, masks, weights if weighted else None)
        assert float(found[sample]) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("value", [1.0, 0.3])
def test_g27_a_constant_mask_gives_its_value_times_the_mean_squared_error(value):
    masks = torch.full((3, 2, 3, 2), value, dtype=torch.float64)
    error = float((STUDENT_MAP - TEACHER_MAP).square().mean())
    found = float(maskd_loss(STUDENT_MAP, TEACHER_MAP, masks))
    assert found == pytest.approx(value * error, rel=1e-9)


def test_g27_the_dice_of_equal_masks_is_one_and_of_masks_apart_is_nought():
    mask = torch.rand(2, 1, 3, 3, dtype=torch.float64)
    torch.testing.assert_close(dice(mask.expand(2, 4, 3, 3)), torch.ones(2, dtype=torch.float64))
    apart = torch.eye(4, dtype=torch.float64).view(1, 4, 2, 2)
    torch.testing.assert_close(dice(apart), torch.zeros(1, dtype=torch.float64))


def test_the_dice_is_the_mean_over_ordered_pairs():
    masks = torch.rand(2, 3, 2, 2, dtype=torch.float64)
    for sample in range(2):
        pairs = [(i, j) for i in range(3) for j in range(3) if i != j]
        expected = sum(
            float(2 * (masks[sample, i] * masks[sample, j]).sum())
            / float(masks[sample, i].square().sum() + masks[sample, j].square().sum())
            for i, j in pairs
        ) / len(pairs)
        assert float(dice(masks)[sample]) == pytest.approx(expected, rel=1e-10)


def test_a_single_mask_has_no_dice():
    assert dice(torch.rand(2, 1, 3, 3)).tolist() == [0, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_masks_that_let_nothing_through_give_a_finite_loss_and_gradient(dtype):
    student = torch.full((2, 3, 2, 2), 100.0, dtype=dtype, requires_grad=True)
    closed = torch.zeros(2, 4, 2, 2, dtype=dtype, requires_grad=True)
    loss = maskd_loss(student, torch.zeros(2, 3, 2, 2, dtype=dtype), closed) + dice(closed).sum()
    loss.backward()
    assert bool(loss.isfinite())
    for one in (student, closed):
        assert one.grad is not None
        assert bool(one.grad.isfinite().all())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("layer", [None, "stage2"])
def test_shapes_are_those_of_the_network(weighted, layer):
    model = MaskedTeacher(teacher=TEACHER, layer=layer, tokens=3, weighted=weighted)
    network = build(model, IMAGE, CLASSES, seed=0)
    shapes = model.shapes(IMAGE, CLASSES)
    assert shapes == shapes_of(network, IMAGE)
    names = list(shapes)
    assert names == [name for name, _ in network.named_children()]
    place = names.index("masks")
    assert names[place - 1 : place + 2] == [layer or "stage3", "masks", "unmask"]


def test_tokens_begin_small_and_weights_alike_for_no_mask():
    masks = TokenMasks(64, 512, weighted=True)
    assert float(masks.tokens.weight.detach().std()) == pytest.approx(0.01, rel=0.05)
    _, drawn, weights = split(masks(torch.rand(2, 64, 4, 4)), tokens=512, weighted=True)
    assert float((drawn - 0.5).abs().max().detach()) < 0.1
    assert weights is not None
    torch.testing.assert_close(weights.sum(1), torch.ones(2))


@pytest.mark.parametrize("teacher", [TEACHER, PlainCNN(stages=[[4], [6]], hidden=[7])])
def test_what_teaches_has_the_teachers_own_logits(teacher):
    model = MaskedTeacher(teacher=teacher)
    network = build(model, IMAGE, CLASSES, seed=0)
    theirs = build(teacher, IMAGE, CLASSES, seed=1)
    theirs.train()(torch.randn(8, *IMAGE))  # the running statistics are inherited, too
    model.inherit(network, theirs)
    inputs = torch.randn(4, *IMAGE)
    torch.testing.assert_close(network.eval()(inputs), theirs.eval()(inputs), rtol=0, atol=0)
    assert not torch.equal(network.train()(inputs), theirs(inputs))


def test_the_masks_alone_are_learned():
    model = MaskedTeacher(teacher=TEACHER, tokens=2)
    network = build(model, IMAGE, CLASSES, seed=0).train()
    model.inherit(network, build(TEACHER, IMAGE, CLASSES, seed=1))
    before = copy.deepcopy(network.state_dict())
    learned = [one for one in network.parameters() if one.requires_grad]
    assert sum(one.numel() for one in learned) == count_parameters(network.get_submodule("masks"))
    optimizer = torch.optim.AdamW(learned, lr=0.01, weight_decay=0.001)
    objective = _MaskLearning(tokens=2)
    taps = objective.taps(Sizes(model.shapes(IMAGE, CLASSES), {}, CLASSES))
    inputs, labels = torch.randn(16, *IMAGE), torch.randint(CLASSES, (16,))
    losses: list[float] = []
    for _ in range(40):
        outputs = observe(network, inputs, taps.student)
        softened = Softened(outputs.logits, outputs.logits, 1.0)
        loss = objective.loss(seen_of(outputs, outputs, labels, taps), softened, None)
        assert loss.shape == (16,)
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
        losses.append(float(loss.detach().mean()))
    assert losses[-1] < losses[0] - 0.05
    moved = {
        name.partition(".")[0]
        for name, value in network.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert moved == {"masks"}


def test_learning_adds_the_dice_to_the_cross_entropy_of_the_labelled():
    logits = torch.randn(3, CLASSES, dtype=torch.float64)
    features = tapped(weighted=True)
    labels = torch.tensor([2, HIDDEN, 0])
    outputs = Outputs(logits, {"masks": features})
    seen = seen_of(outputs, outputs, labels, Taps(("masks",)))
    found = _MaskLearning(tokens=3, mu=0.5).loss(seen, Softened(logits, logits, 1.0), None)
    _, masks, _ = split(features, tokens=3, weighted=True)
    for sample, label in enumerate(labels.tolist()):
        task = 0.0 if label == HIDDEN else -float(logits[sample].log_softmax(0)[label])
        expected = task + 0.5 * float(dice(masks)[sample])
        assert float(found[sample]) == pytest.approx(expected, rel=1e-12)


def test_the_tutor_learns_as_published_on_batches_like_the_students():
    objective = MasKD(tokens=3, weighted=False, mu=0.2, mask_steps=77, teacher_layer="stage2")
    tutor = objective.tutor(TEACHER, Training(per_device_train_batch_size=24, num_train_epochs=9))
    assert tutor.model == MaskedTeacher(teacher=TEACHER, layer="stage2", tokens=3, weighted=False)
    assert tutor.objectives == (_MaskLearning(tokens=3, weighted=False, mu=0.2),)
    found = tutor.training
    assert (found.total_steps(5), found.per_device_train_batch_size) == (77, 24)
    assert (found.optim, found.learning_rate, found.weight_decay) == ("adamw", 0.01, 0.001)
    assert found.lr_scheduler_type == "cosine"
    assert MasKD().mask_steps == 2000


@pytest.mark.parametrize(("student", "aligned"), [(STUDENT, True), (TEACHER, False)])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_student_is_compared_with_the_masked_teacher(student, aligned, weighted):
    objective = MasKD(tokens=3, weighted=weighted)
    tutor = objective.tutor(TEACHER, Training())
    network = build(student, IMAGE, CLASSES, seed=0)
    teacher = build(tutor.model, IMAGE, CLASSES, seed=1).eval()
    sizes = Sizes(student.shapes(IMAGE, CLASSES), tutor.model.shapes(IMAGE, CLASSES), CLASSES)
    taps = objective.taps(sizes)
    assert taps == Taps(("stage3",), ("masks",))
    heads = objective.heads(sizes)
    assert (heads is not None) == aligned
    inputs = torch.randn(4, *IMAGE)
    outputs = observe(network, inputs, taps.student)
    with torch.no_grad():
        answers = observe(teacher, inputs, taps.teacher)
        own = observe(teacher, inputs, ("stage3",)).features["stage3"]
        (tokens,) = teacher.get_submodule("masks.tokens").parameters()
        masks = torch.einsum("tc,bchw->bthw", tokens[:, :, 0, 0], own).sigmoid()
    seen = seen_of(outputs, answers, torch.zeros(4, dtype=torch.int64), taps)
    found = objective.loss(seen, Softened(outputs.logits, answers.logits, 1.0), heads)
    ours = outputs.features["stage3"]
    ours = ours if heads is None else heads(ours)
    weights = answers.features["masks"][:, -3:, 0, 0] if weighted else None
    torch.testing.assert_close(found, masked_distances(ours, own, masks, weights))
    found.mean().backward()
    learned = [*network.get_submodule("stage1").parameters()]
    learned += [] if heads is None else [*heads.parameters()]
    assert all(one.grad is not None and bool(one.grad.any()) for one in learned)


def test_maps_of_unequal_size_are_refused_with_a_way_out():
    objective = MasKD()
    masked = objective.tutor(TEACHER, Training()).model.shapes(IMAGE, CLASSES)
    small = PlainCNN(stages=[[4], [4], [4]]).shapes(IMAGE, CLASSES)
    with pytest.raises(RecipeError, match=r"2x2 at stage 'stage3' .* 4x4") as caught:
        objective.taps(Sizes(small, masked, CLASSES))
    assert caught.value.hint
    assert MasKD(student_layer="stage2").taps(Sizes(small, masked, CLASSES)) == Taps(
        ("stage2",), ("masks",)
    )


def test_networks_without_what_is_read_are_refused():
    plain = STUDENT.shapes(IMAGE, CLASSES)
    with pytest.raises(RecipeError, match="no stage 'masks' in the teacher"):
        MasKD().taps(Sizes(plain, TEACHER.shapes(IMAGE, CLASSES), CLASSES))
    with pytest.raises(RecipeError, match="no stage 'masks' in the student"):
        _MaskLearning().taps(Sizes(plain, {}, CLASSES))
    with pytest.raises(RecipeError, match="found no feature map"):
        MasKD().tutor(MLP(), Training()).model.shapes(IMAGE, CLASSES)
    with pytest.raises(RecipeError, match="no stage 'stage9'"):
        MasKD(teacher_layer="stage9").tutor(TEACHER, Training()).model.shapes(IMAGE, CLASSES)


def test_a_run_learns_the_masks_first_and_delivers_the_plain_student(tmp_path):
    recipe = tiny(**IMAGES, method={"name": "maskd", "mask_steps": 8}, baseline=False)
    events = list(distill(recipe, tmp_path))
    finished = [event for event in events if isinstance(event, StageFinished)]
    assert [(event.role, event.step) for event in finished] == [
        ("teacher", 12),
        ("tutor", 8),
        ("student", 12),
    ]
    teacher, tutor, _ = (event.scores for event in finished)
    assert tutor["accuracy"] == teacher["accuracy"]
    assert tutor["agreement"] == 1
    config = json.loads((tmp_path / "artifacts" / "config.json").read_bytes())
    assert config["model"]["name"] == "plain_cnn"
    student = load_student(tmp_path / "artifacts")
    assert [name for name, _ in student.named_children()] == ["stage1", "stage2", "flatten", "head"]


def test_a_stopped_run_ends_with_the_same_masks_and_the_same_student(tmp_path):
    recipe = tiny(**IMAGES, method={"name": "maskd", "mask_steps": 8}, baseline=False)
    list(distill(recipe, tmp_path / "whole", report_every=0))
    for reports, stage in ((12 + 3, "tutor-maskd-teacher-0"), (5 + 4, "student-0")):
        with closing(distill(recipe, tmp_path / "cut", report_every=0)) as events:
            told = (event for event in events if isinstance(event, StageProgress))
            assert [event.stage for event in islice(told, reports)][-1] == stage
    list(distill(recipe, tmp_path / "cut", report_every=0))
    for file in ("tutor-maskd-teacher-0", "student-0"):
        path = f"stages/{file}.safetensors"
        assert (tmp_path / "cut" / path).read_bytes() == (tmp_path / "whole" / path).read_bytes()


def test_masks_go_with_a_reused_classifier_and_an_assistant(tmp_path):
    """The assistant's own masks are learned on the network that reuses the teacher's classifier."""
    assistant = {"name": "plain_cnn", "stages": [[4], [6]], "hidden": []}
    recipe = tiny(
        **IMAGES,
        objectives=[{"name": "maskd", "mask_steps": 4}, "simkd"],
        path={"name": "takd", "assistants": [assistant]},
        baseline=False,
    )
    events = list(distill(recipe, tmp_path))
    stages = [event.stage for event in events if isinstance(event, StageFinished)]
    assert stages == [
        "teacher",
        "tutor-maskd-teacher-0",
        "assistant-1-0",
        "tutor-maskd-assistant-1-0",
        "student-0",
    ]
