"""Mixed images are a function of (seed, sample, view), and their labels of the same shares."""

import math

import pytest
import torch
from recipes import IMAGES, tiny
from scipy import stats
from test_stage import prepared

from kdcore.assign import assign
from kdcore.augment import augmented
from kdcore.corpus import Corpus, load_corpus
from kdcore.counters import below, uniform
from kdcore.dataset import Augmentation
from kdcore.errors import DataError
from kdcore.functional import labels_loss
from kdcore.lesson import draw
from kdcore.mixing import drawn_mix, mixed
from kdcore.objectives.cross_entropy import CrossEntropy
from kdcore.objectives.maskd import _MaskLearning
from kdcore.run import prepare_run
from kdcore.temperature import Softened
from kdcore.tensors import Batch, Mixed, Outputs, Seen, Taps

MANY = torch.arange(20_000)
BOTH = Augmentation(mixup=0.3, cutmix=1.0)


def corpus(**data: object) -> Corpus:
    recipe = tiny(data={**IMAGES["data"], "shape": [2, 6, 5], "train_size": 300, **data})
    return load_corpus(recipe.data, None, torch.device("cpu"))


def shares(alpha: float) -> torch.Tensor:
    mix = drawn_mix(MANY, how=Augmentation(mixup=alpha), seed=1, view=2, partners=9, size=(4, 4))
    return mix.own


@pytest.mark.parametrize("how", [BOTH, Augmentation(mixup=1.0, crop_padding=1)])
def test_a_mixed_view_does_not_depend_on_its_batch(how):
    data = corpus()
    index = torch.arange(284)
    together = data.view(index, how, seed=1, number=5)
    for part in torch.randperm(284, generator=torch.Generator().manual_seed(1)).split(7):
        apart = data.view(index[part], how, seed=1, number=5)
        assert torch.equal(apart.inputs, together.inputs[part])
        assert torch.equal(apart.mix.partner, together.mix.partner[part])
        assert torch.equal(apart.mix.own, together.mix.own[part])


def test_seed_and_view_each_change_partner_and_share_and_the_same_ones_do_not():
    def mix(seed: int, view: int) -> tuple[torch.Tensor, torch.Tensor]:
        drawn = drawn_mix(MANY, how=BOTH, seed=seed, view=view, partners=5000, size=(8, 8))
        return drawn.partner, drawn.own

    for other in (mix(2, 0), mix(1, 1)):
        assert float((other[0] == mix(1, 0)[0]).double().mean()) < 0.01
        assert float((other[1] == mix(1, 0)[1]).double().mean()) < 0.2
    assert all(map(torch.equal, mix(1, 0), mix(1, 0)))


@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.5, 1.0, 8.0, 200.0])
def test_a_blends_share_is_beta_distributed(alpha):
    found = stats.kstest(shares(alpha).double().numpy(), stats.beta(alpha, alpha).cdf)
    # Shares are multiples of 2^-16, which for a small alpha puts many on 0 and 1 themselves.
    rounded = stats.beta(alpha, alpha).cdf(2**-17)
    assert found.statistic < rounded + 1.95 / math.sqrt(len(MANY))  # beyond it once in 10^3


def test_partners_are_drawn_evenly_from_those_that_may_be():
    partner = drawn_mix(MANY, how=BOTH, seed=0, view=0, partners=50, size=(4, 4)).partner
    counts = torch.bincount(partner, minlength=50)
    assert len(counts) == 50
    assert float(((counts - 400.0) ** 2 / 400).sum()) < 100  # 49 degrees of freedom
    among = torch.tensor([3, 50, 77])
    view = corpus().view(torch.arange(284), BOTH, seed=0, number=0, among=among)
    assert set(view.mix.partner.tolist()) == {3, 50, 77}


def test_whole_numbers_stay_below_their_count():
    for count in (1, 2, 7, 2**31 - 1):
        numbers = below(count, 3, 1, MANY, 4)
        assert int(numbers.min()) >= 0
        assert int(numbers.max()) < count
        if count > 7:
            assert stats.kstest(numbers.double().numpy() / count, "uniform").pvalue > 1e-3


def test_a_blend_is_both_images_each_cropped_and_mirrored_as_in_its_own_view():
    data, index = corpus(), torch.arange(50)
    how = Augmentation(mixup=1.0, crop_padding=2, horizontal_flip=True)
    view = data.view(index, how, seed=3, number=4)
    assert not torch.equal(view.mix.partner, index)
    for place in range(50):
        own, other = (
            augmented(data.train.inputs[which], which, how=how, seed=3, view=4)
            for which in (index[place : place + 1], view.mix.partner[place : place + 1])
        )
        share = view.mix.own[place]
        assert torch.equal(view.inputs[place], (own * share + other * (1 - share))[0])


def authors_box(share: float, row: int, column: int, height: int, width: int) -> list[int]:
    """Follow rand_bbox of clovaai/CutMix-PyTorch, one image at a time."""
    cut = math.sqrt(1.0 - share)
    high, wide = int(height * cut), int(width * cut)
    return [
        max(row - high // 2, 0),
        min(row + high // 2, height),
        max(column - wide // 2, 0),
        min(column + wide // 2, width),
    ]


@pytest.mark.parametrize("alpha", [0.3, 1.0, 5.0])
def test_a_pasted_box_is_the_authors_and_the_share_is_what_is_left_of_the_image(alpha):
    index, size = torch.arange(500), (9, 14)
    how = Augmentation(cutmix=alpha)
    mix = drawn_mix(index, how=how, seed=2, view=1, partners=500, size=size)
    blend = drawn_mix(
        index, how=Augmentation(mixup=alpha), seed=2, view=1, partners=500, size=size
    ).own
    shown = mixed(torch.zeros(500, 3, *size), torch.ones(500, 3, *size), mix)
    rows, columns = (below(n, 2, s, index, 1) for n, s in zip(size, (21, 22), strict=True))
    cut_off = 0
    for place in range(500):
        top, bottom, left, right = authors_box(
            float(blend[place]), int(rows[place]), int(columns[place]), *size
        )
        expected = torch.zeros(3, *size)
        expected[:, top:bottom, left:right] = 1
        assert torch.equal(shown[place], expected)
        cut_off += top == 0 or bottom == size[0]
    assert cut_off > 20
    assert torch.equal(mix.own, (1 - shown[:, 0].double().mean((1, 2))).float())


def test_a_wide_box_covers_its_share_but_for_what_is_beyond_the_border():
    """On a large image the mean area is that of Yun's box: a uniform place, cut off."""
    mix = drawn_mix(
        torch.arange(2000),
        how=Augmentation(cutmix=1.0),
        seed=0,
        view=0,
        partners=9,
        size=(64, 64),
    )
    side = torch.linspace(0, 1, 2001).double()  # of the box; of a uniform share 1 - side^2
    place = (torch.arange(1000).double() + 0.5) / 1000
    inside = (place + side[:, None] / 2).clamp(max=1) - (place - side[:, None] / 2).clamp(min=0)
    expected = float(torch.trapezoid(inside.mean(1) ** 2 * 2 * side, side))
    assert float(1 - mix.own.double().mean()) == pytest.approx(expected, abs=0.02)


def test_both_take_turns_evenly_and_a_part_of_the_views_stays_as_it_is():
    how = BOTH.model_copy(update={"mixup_prob": 0.6})
    mix = drawn_mix(MANY, how=how, seed=5, view=0, partners=9, size=(8, 8))
    pasted, blended = mix.box.flatten(1).any(1), mix.blend < 1
    assert not (pasted & blended).any()
    # A tenth of the boxes is empty or so: their share is nearly 1.
    assert float(pasted.double().mean()) == pytest.approx(0.3, abs=0.04)
    assert float(blended.double().mean()) == pytest.approx(0.3, abs=0.04)
    apart = uniform(5, 17, MANY, 0) >= 0.6
    assert not (pasted | blended)[apart].any()
    assert float(apart.double().mean()) == pytest.approx(0.4, abs=0.02)
    assert (mix.own[apart] == 1).all()
    data = corpus()
    view = data.view(torch.arange(284), how, seed=5, number=0)
    assert torch.equal(view.inputs[apart[:284]], data.train.inputs[apart[:284]])


def test_off_is_as_if_there_were_no_mixes_and_kept_answers_are_named_as_before():
    off = Augmentation(mixup=0.5, cutmix=1.0, mixup_prob=0.0, crop_padding=1, views=4)
    assert not off.mixes
    assert off.what_changes() == {"crop_padding": 1, "horizontal_flip": False}
    assert corpus().view(MANY[:9], off, seed=0, number=0).mix is None
    on = off.model_copy(update={"mixup_prob": 1.0})
    assert on.what_changes() == {**off.what_changes(), "mixup": 0.5, "cutmix": 1.0, "mixup_prob": 1}


def seen(logits: torch.Tensor, batch: Batch) -> Seen:
    said = Outputs(logits, {"masks": torch.ones(len(logits), 5, 2, 2)})
    taps = Taps(("masks",))
    return Seen(said, said, batch, epoch=0, progress=0.0, taps=taps, seed=0)


def batch(labels: list[int], others: list[int], share: list[float]) -> Batch:
    inputs, index = torch.zeros(len(labels), 1), torch.arange(len(labels))
    mix = Mixed(torch.tensor(others), torch.tensor(share))
    return Batch(inputs, torch.tensor(labels), index, view=0, mixed=mix)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_label_of_a_mixed_image_is_both_labels_by_their_shares(smoothing):
    logits = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    given = batch([0, 1, 2, 3], [4, 1, 0, 2], [0.75, 0.5, 1.0, 0.0])
    soft = torch.zeros(4, 5)
    for row, (own, other, share) in enumerate(
        zip(given.labels, given.mixed.labels, given.mixed.own, strict=True)
    ):
        soft[row, own] += share
        soft[row, other] += 1 - share
    expected = torch.nn.functional.cross_entropy(logits, soft, label_smoothing=smoothing)
    objective = CrossEntropy(label_smoothing=smoothing)
    unread = Softened(logits, logits, 1.0)
    assert torch.allclose(objective.loss(seen(logits, given), unread, None), expected)
    plain = Batch(given.inputs, given.labels, given.index, view=0)
    whole = batch([0, 1, 2, 3], [4, 4, 4, 4], [1.0] * 4)
    assert torch.allclose(
        objective.loss(seen(logits, whole), unread, None),
        objective.loss(seen(logits, plain), unread, None),
    )


def test_a_hidden_label_leaves_the_other_with_its_own_share():
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    given = batch([0, -1, 2, -1, 1], [3, 3, -1, -1, 2], [0.5, 0.75, 0.75, 0.5, 1.0])
    doubt = -logits.log_softmax(-1)
    losses, known = labels_loss(logits, given)
    expected = [
        0.5 * doubt[0, 0] + 0.5 * doubt[0, 3],
        0.25 * doubt[1, 3],
        0.75 * doubt[2, 2],
        torch.tensor(0.0),
        doubt[4, 1],
    ]
    assert torch.allclose(losses, torch.stack(expected))
    assert known.tolist() == [1.0, 0.25, 0.75, 0.0, 1.0]
    unread = Softened(logits, logits, 1.0)
    loss = CrossEntropy().loss(seen(logits, given), unread, None)
    assert torch.allclose(loss, torch.stack(expected).sum() / 3)
    few = batch([-1] * 5, [0, -1, -1, -1, -1], [0.75] * 5)
    rare = CrossEntropy().loss(seen(logits, few), unread, None)
    assert torch.allclose(rare, 0.25 * doubt[0, 0]), "a quarter of a label is no whole one"
    learning = _MaskLearning(tokens=5, weighted=False, mu=0)
    assert torch.allclose(learning.loss(seen(logits, given), unread, None), losses)


def test_a_batch_has_the_labels_of_what_its_images_were_mixed_with():
    recipe = tiny(**{**IMAGES, "data": {**IMAGES["data"], "augmentation": {"mixup": 0.5}}})
    stage, lesson, data = prepared(recipe)
    for step in range(8):
        drawn = draw(step, stage, lesson)
        view = data.view(drawn.index, lesson.augmentation, seed=stage.seed, number=drawn.view)
        assert torch.equal(drawn.inputs, view.inputs)
        assert torch.equal(drawn.labels, lesson.labels[drawn.index])
        assert torch.equal(drawn.mixed.labels, lesson.labels[view.mix.partner])
        assert torch.equal(drawn.mixed.own, view.mix.own)


def test_a_training_without_unlabelled_images_has_none_mixed_in(tmp_path):
    data = {**IMAGES["data"], "labelled": 20, "augmentation": {"cutmix": 1.0, "views": 2}}
    run = prepare_run(tiny(**{**IMAGES, "data": data}), tmp_path, tmp_path, 0)
    for stage in run.plan:
        lesson = assign(stage, run, ())
        if stage.role != "baseline":
            assert lesson.partners is None
            continue
        kept = set(lesson.pool.tolist())
        assert len(kept) == 20
        for step in range(12):
            drawn = draw(step, stage, lesson)
            assert (drawn.mixed.labels >= 0).all()
            view = run.corpus.view(
                drawn.index,
                lesson.augmentation,
                seed=None,
                number=drawn.stored,
                among=lesson.partners,
            )
            assert torch.equal(drawn.inputs, view.inputs)
            assert set(view.mix.partner.tolist()) <= kept


def test_stored_mixes_are_the_same_for_every_seed():
    recipe = tiny(
        **{**IMAGES, "data": {**IMAGES["data"], "augmentation": {"mixup": 1, "views": 2}}}
    )
    shown: dict[tuple[int, int], torch.Tensor] = {}
    met = 0
    for seed in (0, 1):
        stage, lesson, _ = prepared(recipe.model_copy(update={"seeds": [seed]}))
        for step in range(12):
            drawn = draw(step, stage, lesson)
            for place, image in zip(drawn.index.tolist(), drawn.inputs, strict=True):
                before = shown.setdefault((place, drawn.stored), image)
                assert torch.equal(before, image)
                met += before is not image
    assert met > 100


def test_data_that_turns_out_to_be_flat_is_not_mixed():
    spec = tiny().data.model_copy(update={"augmentation": BOTH})
    with pytest.raises(DataError, match="is for images"):
        load_corpus(spec, None, torch.device("cpu"))
