"""Hidden states, attention scores and MiniLM against formulas with loops and the authors' own.

Each author's expression is that of the file that the objective names: TinyBERT takes `MSELoss` of
the scores and of the hidden states, PKD `mse_loss` of the first tokens' states at length 1,
DistilBERT `CosineEmbeddingLoss` of the states that are no padding. The frozen numbers are theirs,
in float64, on the patterns below. MiniLMv2 has no published training code: its numbers are those of
the paper's formula in NumPy.
"""

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from recipes import TEXTS, encoder, tiny
from torch import Tensor, nn
from torch.nn import functional

from kdcore import distill
from kdcore.errors import RecipeError
from kdcore.network import measured
from kdcore.objectives import OBJECTIVES
from kdcore.objectives.attention_scores import AttentionScores, attention_scores_loss
from kdcore.objectives.hidden_states import HiddenStates, hidden_states_loss
from kdcore.objectives.minilm import MiniLM, minilm_loss
from kdcore.recipe import Recipe
from kdcore.stages import LayerShapes
from kdcore.tensors import Batch, Outputs, Seen, Sizes, Taps
from kdcore.tokens import Ids
from kdcore.transformer_layers import by_head

B, L, D, H = 3, 5, 8, 2
LENGTHS = (5, 3, 1)


def pattern(*shape: int, start: float) -> Tensor:
    """Return numbers that anybody can make again: sin(start + 0.7 i)."""
    places = torch.arange(math.prod(shape), dtype=torch.float64)
    return torch.sin(start + 0.7 * places).view(shape)


STUDENT, TEACHER = pattern(B, L, D, start=0.1), pattern(B, L, D, start=1.3) * 1.5
NARROW = pattern(B, L, 4, start=0.4)
ALL = torch.ones(B, L, dtype=torch.float64)
REAL = (torch.arange(L) < torch.tensor(LENGTHS)[:, None]).double()


def scores(query: Tensor, key: Tensor) -> Tensor:
    query, key = by_head(query, H), by_head(key, H)
    return query @ key.transpose(2, 3) / math.sqrt(D // H)


SCORES = scores(STUDENT, STUDENT.flip(1)), scores(TEACHER, TEACHER.flip(1))


def looped_hidden(student: Tensor, teacher: Tensor, distance: str) -> float:
    total = 0.0
    for sample, length in enumerate(LENGTHS):
        apart = 0.0
        for place in range(length):
            ours, theirs = student[sample, place], teacher[sample, place]
            if distance != "mse":
                ours, theirs = ours / ours.norm(), theirs / theirs.norm()
            squares = sum(float((a - b) ** 2) for a, b in zip(ours, theirs, strict=True))
            # Of unit vectors half of the squared distance is 1 - cos.
            apart += squares / 2 if distance == "cosine" else squares / D
        total += apart / length
    return total / B


@pytest.mark.parametrize("distance", ["mse", "normalized", "cosine"])
def test_hidden_states_are_what_loops_say(distance):
    loss = hidden_states_loss(STUDENT, TEACHER, REAL, distance=distance)
    assert float(loss) == pytest.approx(looped_hidden(STUDENT, TEACHER, distance), rel=1e-12)


def test_attention_scores_are_what_loops_say():
    student, teacher = SCORES
    total = 0.0
    for sample, length in enumerate(LENGTHS):
        places = list(product(range(H), range(length), range(length)))
        squares = [float((student - teacher)[sample, *place]) ** 2 for place in places]
        total += sum(squares) / len(places)
    assert float(attention_scores_loss(student, teacher, REAL)) == pytest.approx(total / B)


def softmax(row: Any) -> Any:
    shifted = np.exp(row - row.max())
    return shifted / shifted.sum()


def papers_minilm(student: Tensor, teacher: Tensor, heads: int, lengths: tuple[int, ...]) -> float:
    """MiniLMv2's formula, a row at a time."""
    total = 0.0
    for sample, length in enumerate(lengths):
        rows: list[float] = []
        for head, place in product(range(heads), range(length)):
            relations: list[Any] = []
            for projected in (teacher, student):
                size = projected.shape[2] // heads
                part = projected[sample, :length, head * size : (head + 1) * size].numpy()
                relations.append(softmax(part @ part[place] / math.sqrt(size)))
            theirs, ours = relations
            rows.append(float((theirs * np.log(theirs / ours)).sum()))
        total += sum(rows) / len(rows)
    return total / len(lengths)


@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("student", [STUDENT, NARROW])
def test_minilm_is_what_the_papers_formula_says(student, heads):
    loss = minilm_loss(student, TEACHER, REAL, relation_heads=heads)
    assert float(loss) == pytest.approx(papers_minilm(student, TEACHER, heads, LENGTHS))


def authors_cosine() -> Tensor:
    real = REAL[:1].bool().unsqueeze(-1).expand_as(STUDENT[:1])
    ours, theirs = (one[:1].masked_select(real).view(-1, D) for one in (STUDENT, TEACHER))
    return nn.CosineEmbeddingLoss(reduction="mean")(ours, theirs, ours.new_ones(len(ours)))


def test_without_padding_the_losses_are_the_authors():
    mse = nn.MSELoss()
    assert float(hidden_states_loss(STUDENT, TEACHER, ALL)) == pytest.approx(
        float(mse(STUDENT, TEACHER))
    )
    assert float(attention_scores_loss(*SCORES, ALL)) == pytest.approx(float(mse(*SCORES)))
    ours, theirs = (functional.normalize(one[:, 0], p=2, dim=1) for one in (STUDENT, TEACHER))
    first = hidden_states_loss(STUDENT[:, :1], TEACHER[:, :1], ALL[:, :1], distance="normalized")
    assert float(first) == pytest.approx(float(functional.mse_loss(ours, theirs)))
    cosine = hidden_states_loss(STUDENT[:1], TEACHER[:1], REAL[:1], distance="cosine")
    assert float(cosine) == pytest.approx(float(authors_cosine()))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (lambda: hidden_states_loss(STUDENT, TEACHER, ALL), 1.073564757992),
        (lambda: hidden_states_loss(STUDENT, TEACHER, ALL, distance="normalized"), 0.157716756457),
        (lambda: hidden_states_loss(STUDENT, TEACHER, ALL, distance="cosine"), 0.630867025828),
        (lambda: attention_scores_loss(*SCORES, ALL), 0.885493754099),
        (lambda: minilm_loss(STUDENT, TEACHER, ALL, relation_heads=2), 0.105295837607),
        (lambda: minilm_loss(NARROW, TEACHER, REAL, relation_heads=4), 0.223411296420),
    ],
)
def test_reference_tokens(found, expected):
    assert float(found()) == pytest.approx(expected, abs=1e-9)


def seen(objective: Any, features: dict[str, tuple[Tensor, Tensor]], heads: int = 1) -> Seen:
    ids = torch.where(REAL > 0, 5, 0)
    return Seen(
        student=Outputs(torch.zeros(B, 2), {name: pair[0] for name, pair in features.items()}),
        teacher=Outputs(torch.zeros(B, 2), {name: pair[1] for name, pair in features.items()}),
        batch=Batch(ids, torch.zeros(B).long(), torch.arange(B), view=0, padding=0),
        epoch=0,
        progress=0.0,
        taps=Taps(tuple(features), tuple(features), attention_heads=heads),
        seed=0,
    )


@pytest.mark.parametrize(
    ("objective", "names"),
    [
        (HiddenStates(), ("a", "b")),
        (HiddenStates(distance="cosine"), ("a",)),
        (AttentionScores(), ("q", "k")),
        (MiniLM(relation_heads=2), ("q", "k", "v")),
    ],
)
def test_what_stands_in_padding_changes_nothing(objective, names):
    plain = {name: (STUDENT.clone(), TEACHER.clone()) for name in names}
    noisy = {
        name: (ours + 100 * (1 - REAL)[..., None], theirs - 50 * (1 - REAL)[..., None])
        for name, (ours, theirs) in plain.items()
    }
    losses = [
        objective.loss(seen(objective, features, heads=H), None, None)
        for features in (plain, noisy)
    ]
    assert losses[0].shape == (B,)
    torch.testing.assert_close(*losses)
    assert float(losses[0].detach().max()) > 0
    equal = dict.fromkeys(names, (TEACHER, TEACHER))
    same = objective.loss(seen(objective, equal, heads=H), None, None)
    torch.testing.assert_close(same, torch.zeros_like(same), atol=1e-12, rtol=0)


def test_the_first_token_alone_may_be_compared():
    features = {"a": (STUDENT, TEACHER)}
    objective = HiddenStates(tokens="first")
    expected = (STUDENT[:, 0] - TEACHER[:, 0]).square().mean(-1)
    torch.testing.assert_close(objective.loss(seen(objective, features), None, None), expected)


def test_relations_have_factors():
    features = dict.fromkeys("qkv", (STUDENT, TEACHER))
    features["v"] = (STUDENT, STUDENT)
    one = MiniLM(relation_heads=2, key_weight=0.0)
    both = MiniLM(relation_heads=2, key_weight=3.0)
    torch.testing.assert_close(
        4 * one.loss(seen(one, features), None, None), both.loss(seen(both, features), None, None)
    )


def sizes(student: int = 1, teacher: int = 4, **config: Any) -> Sizes:
    """Return the shapes of two encoders with so many layers."""
    ids = Ids(10, vocabulary=30, pad=0)
    found: list[Any] = []
    for layers, width in ((student, 8), (teacher, 16)):
        document = encoder(layers, width)
        document["config"] |= config
        recipe = tiny(**TEXTS | {"student": {"model": document}})
        found.append(measured(recipe.student.model, ids, 4))
    return Sizes(*found, num_classes=4)


def test_uniform_pairs_the_embeddings_and_equal_shares_of_depth():
    taps = HiddenStates().taps(sizes(2, 4))
    layer = "bert.encoder.layer"
    assert taps.student == ("bert.embeddings", f"{layer}.0", f"{layer}.1")
    assert taps.teacher == ("bert.embeddings", f"{layer}.1", f"{layer}.3")
    assert HiddenStates(layers="last").taps(sizes(2, 4)).teacher == (f"{layer}.3",)
    pairs = HiddenStates(layers=[[f"{layer}.0", f"{layer}.2"]]).taps(sizes(2, 4))
    assert (pairs.student, pairs.teacher) == ((f"{layer}.0",), (f"{layer}.2",))


def test_attention_reads_queries_and_keys_and_minilm_values_too():
    inside = "bert.encoder.layer.{}.attention.self.{}"
    taps = AttentionScores().taps(sizes(2, 4))
    wanted = [(0, "query"), (0, "key"), (1, "query"), (1, "key")]
    assert taps.student == tuple(inside.format(*one) for one in wanted)
    assert taps.teacher == tuple(inside.format(2 * place + 1, name) for place, name in wanted)
    assert taps.attention_heads == 2
    last = MiniLM().taps(sizes(2, 4)).teacher
    assert last == tuple(inside.format(3, name) for name in ("query", "key", "value"))
    chosen = MiniLM(teacher_layer="bert.encoder.layer.1").taps(sizes(2, 4)).teacher
    assert chosen[0] == inside.format(1, "query")


def test_one_map_leads_to_the_teachers_width_where_it_is_another():
    heads = HiddenStates().heads(sizes(2, 4))
    assert isinstance(heads, nn.Linear)
    assert (heads.in_features, heads.out_features) == (8, 16)
    both = sizes(2, 4)
    assert HiddenStates().heads(Sizes(both.teacher, both.teacher, num_classes=4)) is None


FUSED = LayerShapes(
    {"layers.0.Wqkv": (3, 24), "layers.0": (3, 8)},
    maps=(),
    head=None,
    embedding=None,
    attention_heads=2,
)
CNN = {"stage1": (3, 8, 8), "head": (5,)}


@pytest.mark.parametrize(
    ("objective", "found", "words"),
    [
        (HiddenStates(), lambda: sizes(3, 4), "found 3 layers in the student and 4 in the teacher"),
        (HiddenStates(layers="last"), lambda: Sizes(CNN, CNN, 5), "student in these places: none"),
        (
            HiddenStates(layers=[["bert.encoder.layer.7", "bert.encoder.layer.0"]]),
            lambda: sizes(2, 4),
            "found no layer 'bert.encoder.layer.7' in the student",
        ),
        (
            HiddenStates(layers=[["classifier", "bert.encoder.layer.0"]]),
            lambda: sizes(2, 4),
            "expected equally many tokens",
        ),
        (
            HiddenStates(
                layers=[
                    ["bert.encoder.layer.0", "bert.encoder.layer.0"],
                    ["bert.encoder.layer.0.intermediate", "bert.encoder.layer.0"],
                ]
            ),
            lambda: sizes(2, 4),
            r"widths \[\(8, 16\), \(16, 16\)\]",
        ),
        (AttentionScores(), lambda: Sizes(CNN, CNN, 5), "no known number of attention heads"),
        (AttentionScores(), lambda: Sizes(FUSED, FUSED, 5), "found 0 projections to the query"),
        (MiniLM(relation_heads=3), lambda: sizes(2, 4), "divisor of both: 1, 2, 4, 8"),
        (MiniLM(), lambda: Sizes(FUSED, FUSED, 5), "found 0 projections to the query"),
        (MiniLM(), lambda: Sizes(CNN, CNN, 5), "in these places: none"),
    ],
)
def test_networks_without_such_layers_are_told(objective, found, words):
    with pytest.raises(RecipeError, match=words):
        objective.taps(found())


def test_another_number_of_heads_is_told():
    both, four = sizes(2, 4), sizes(2, 4, num_attention_heads=4)
    with pytest.raises(RecipeError, match="found 2 attention heads in the student and 4"):
        AttentionScores().taps(Sizes(both.student, four.teacher, num_classes=4))


@pytest.mark.parametrize("name", [one for one, entry in OBJECTIVES.items() if entry.needs_tokens])
def test_convolutions_are_refused_when_posted(name):
    with pytest.raises(ValueError, match=r"student|heads"):
        Recipe.model_validate(
            {
                "teacher": "plain_cnn",
                "student": "plain_cnn",
                "data": "digits",
                "objectives": [name],
            }
        )


def test_an_encoder_of_images_has_tokens_as_well(tmp_path):
    """Patches are tokens, and none of them is padding."""
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8}
    config = {"model_type": "vit", "image_size": 8, "patch_size": 4, **sizes}
    pair = {
        role: {"model": {"name": "huggingface_config", "config": config | {"num_hidden_layers": n}}}
        for role, n in (("teacher", 2), ("student", 1))
    }
    data = {"name": "synthetic", "shape": [1, 8, 8], "train_size": 32, "test_size": 16}
    recipe = tiny(**pair, data={**data, "labelled": 16, "validation_size": 0}, method="tinybert")
    shapes = measured(recipe.student.model, (1, 8, 8), 4)
    assert HiddenStates().taps(Sizes(shapes, shapes, 4)).student[-1] == "vit.layers.0"
    assert [event.type for event in distill(recipe, tmp_path)][-1] == "run.finished"
