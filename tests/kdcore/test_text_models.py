"""Text encoders of transformers: one tensor of ids goes in, and what is delivered is a folder."""

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from pydantic import ValidationError
from recipes import TEXTS, encoder, tiny
from torch import nn

from kdcore.errors import RecipeError, WeightsError
from kdcore.hub import TEXTS as ARCHITECTURES
from kdcore.models.huggingface import HuggingFace, HuggingFaceConfig
from kdcore.network import build, measured, observe, predict
from kdcore.recipe import Recipe
from kdcore.stages import LayerShapes
from kdcore.story import distill
from kdcore.student import load_student
from kdcore.tokens import Ids
from kdcore.transformer_layers import encoder as layers_of
from kdcore.validation import explain
from kdcore.vision import import_transformers

IDS = Ids(10, vocabulary=30, pad=0)
SMALL: dict[str, Any] = {
    "num_hidden_layers": 2,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}
ODD: dict[str, dict[str, Any]] = {
    "distilbert": {"n_layers": 2, "dim": 16, "n_heads": 2, "hidden_dim": 24},
    "mobilebert": {**SMALL, "embedding_size": 8, "intra_bottleneck_size": 8},
}


def bert(**config: Any) -> HuggingFaceConfig:
    written = encoder(2, 16)["config"] | config
    return HuggingFaceConfig(config=written)


def saved(folder: Path, *, layers: int = 4, classes: int = 4, **config: Any) -> nn.Module:
    """Write a folder as the library itself does."""
    transformers = import_transformers()
    sizes = {"num_hidden_layers": layers, "hidden_size": 16, "intermediate_size": 24}
    sizes |= {"num_attention_heads": 2, "max_position_embeddings": 16, "vocab_size": 30}
    read = transformers.BertConfig(num_labels=classes, **(sizes | config))
    network = transformers.BertForSequenceClassification(read).eval()
    network.save_pretrained(folder)
    return network


def some_ids(count: int = 4) -> torch.Tensor:
    """Return texts of 10 ids and fewer, with padding behind the shorter ones."""
    ids = torch.randint(1, 30, (count, 10), generator=torch.Generator().manual_seed(3))
    ids[0, 6:] = 0
    ids[1, 9:] = 0
    return ids


@pytest.mark.parametrize("again", [copy.deepcopy, lambda ids: pickle.loads(pickle.dumps(ids))])  # noqa: S301
def test_what_is_known_of_ids_goes_with_their_shape(again):
    ids = again(Ids(7, vocabulary=50, pad=1, separator=3))
    assert ids == (7,)
    assert (ids.vocabulary, ids.pad, ids.separator) == (50, 1, 3)


@pytest.mark.parametrize("kind", sorted(ARCHITECTURES))
def test_every_architecture_is_built_without_numbers_and_leaves_padding_out(kind):
    sizes = ODD.get(kind, SMALL)
    model = HuggingFaceConfig(config={"model_type": kind, "max_position_embeddings": 16, **sizes})
    shapes = measured(model, IDS, 3)
    assert isinstance(shapes, LayerShapes)
    assert shapes.attention_heads == 2
    found = layers_of(shapes, "student")
    assert len(found.layers) == (1 if kind == "albert" else 2), "albert has one layer, run twice"
    assert found.embeddings is not None
    network = build(model, IDS, 3, seed=0).eval()
    ids = some_ids()
    with torch.no_grad():
        logits, alone = network(ids), network(ids[:1, :6])
        torch.testing.assert_close(logits[:1], alone, atol=1e-5, rtol=1e-4)
        seen = observe(network, ids, found.layers)
    assert torch.equal(seen.logits, logits)
    assert {one.shape for one in seen.features.values()} == {shapes_with_batch(shapes, found)}


def shapes_with_batch(shapes: LayerShapes, found: Any) -> tuple[int, ...]:
    return (4, *shapes[found.layers[0]])


def test_a_second_text_is_told_by_the_separator():
    pairs = Ids(10, vocabulary=30, pad=0, separator=2)
    network = build(bert(), pairs, 3, seed=0).eval()
    ids = torch.tensor([[1, 5, 6, 2, 7, 8, 2, 0, 0, 0]])
    types = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 0, 0, 0]])
    theirs = import_transformers().BertForSequenceClassification(network.config).eval()
    theirs.load_state_dict(network.state_dict())
    with torch.no_grad():
        expected = theirs(ids, attention_mask=ids != 0, token_type_ids=types).logits
        assert torch.equal(network(ids), expected)
        plain = build(bert(), IDS, 3, seed=0).eval()
        assert not torch.equal(plain(ids), expected)


def test_a_student_is_delivered_as_a_folder_that_transformers_opens(tmp_path):
    what = tiny(**{**TEXTS, "export": ["safetensors", "onnx"]}, baseline=False, method="tinybert")
    for _ in distill(what, tmp_path):
        pass
    folder = tmp_path / "artifacts"
    transformers = import_transformers()
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    ours, ids = load_student(folder), some_ids()
    with torch.no_grad():
        expected = theirs(ids, attention_mask=ids != 0).logits
    assert torch.equal(predict(ours, ids), expected)
    session = onnxruntime.InferenceSession(
        folder / "student.onnx", providers=["CPUExecutionProvider"]
    )
    for part in (ids, ids[2:3, :4], ids[2:, :1]):  # any batch, and shorter texts
        (logits,) = session.run(None, {"inputs": part.numpy()})
        torch.testing.assert_close(
            torch.from_numpy(logits), predict(ours, part), atol=1e-5, rtol=1e-4
        )
    config = json.loads((folder / "config.json").read_bytes())
    assert config["architectures"] == ["BertForSequenceClassification"]
    assert config["vocab_size"] == 30
    assert config["stillhouse"]["ids"] == {"vocabulary": 30, "pad": 0, "separator": None}
    card = (folder / "README.md").read_text()
    assert "AutoModelForSequenceClassification.from_pretrained" in card
    assert "int64 (batch, tokens), ids of the delivered tokenizer" in card


def test_a_student_begins_as_some_layers_of_its_teacher(tmp_path):
    whole = saved(tmp_path / "inputs/mine")
    half = {"name": "huggingface", "path": "mine", "layers": [1, 3]}
    model = HuggingFace.model_validate(half).located(tmp_path / "inputs")
    assert not model.comes_trained
    student = build(model, IDS, 4, seed=0, furnished=True)
    theirs, ours = whole.state_dict(), student.state_dict()
    assert len(student.bert.encoder.layer) == 2
    for name, value in ours.items():
        for place, layer in enumerate([1, 3]):
            before = f"bert.encoder.layer.{place}."
            if name.startswith(before):
                name = name.replace(before, f"bert.encoder.layer.{layer}.")  # noqa: PLW2901
                break
        assert torch.equal(value, theirs[name]), name
    what = tiny(
        **TEXTS
        | {
            "teacher": {"model": {"name": "huggingface", "path": "mine"}},
            "student": {"model": half},
        },
        method="distilbert",
    )
    for _ in distill(what, tmp_path / "work", inputs=tmp_path / "inputs"):
        pass
    delivered = load_student(tmp_path / "work/artifacts")
    assert len(delivered.bert.encoder.layer) == 2


@pytest.mark.parametrize("layers", [[4], [0, 9]])
def test_layers_that_are_not_there_are_told(layers, tmp_path):
    saved(tmp_path / "mine")
    model = HuggingFace(path="mine", layers=layers).located(tmp_path)
    with pytest.raises(RecipeError, match=r"found layers 4 of bert\.encoder\.layer"):
        build(model, IDS, 4, seed=0, furnished=True)


MLP = {"model": {"name": "mlp"}}
VIT = {"model": {"name": "huggingface_config", "config": {"model_type": "vit"}}}
BERT = {"model": encoder(1, 8)}


@pytest.mark.parametrize(
    ("changes", "pointer", "words"),
    [
        ({"student": MLP}, "/student/model", "found mlp, which takes images or numbers, and texts"),
        ({"teacher": VIT}, "/teacher/model", "model_type vit, which takes images"),
        (
            {"data": {"name": "digits"}},
            "/student/model",
            "model_type bert, which takes texts, and samples that are shape (1, 8, 8)",
        ),
        (
            {"data": {**TEXTS["data"], "augmentation": {"mixup": 0.2}}},
            "/data",
            "changes of images",
        ),
        ({"data": {**TEXTS["data"], "vocabulary": 5}}, "/data", "expected 6 or more"),
    ],
)
def test_texts_and_what_is_not_for_them_are_refused_when_posted(changes, pointer, words):
    document = {**tiny(**TEXTS).model_dump(mode="json"), **TEXTS, "method": "kd"}
    document = {key: document[key] for key in ("teacher", "student", "data", "method")} | changes
    with pytest.raises(ValidationError) as caught:
        Recipe.model_validate(document)
    told = {one.pointer: one.message for one in explain(caught.value, Recipe, document)}
    assert words in told[pointer], told


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"vocab_size": 29}, "found vocab_size 29, and a tokenizer of 30 tokens"),
        ({"pad_token_id": 3}, "found pad_token_id 3, and a tokenizer that pads with 0"),
        ({"max_position_embeddings": 9}, "found 9 positions"),
        (
            {"model_type": "roberta", "max_position_embeddings": 10},
            "1 of them before the first",
        ),
        ({"num_attention_heads": 5}, "transformers cannot build bert for texts of 10"),
    ],
)
def test_an_encoder_for_another_tokenizer_is_told(config, words, tmp_path):
    what = tiny(**TEXTS | {"student": {"model": bert(**config).model_dump(mode="json")}})
    with pytest.raises(RecipeError, match=r".+") as told:
        list(distill(what, tmp_path))
    assert words in str(told.value)
    assert told.value.pointer == "/student/model"


def test_a_larger_vocabulary_than_the_tokenizers_is_taken():
    assert build(bert(vocab_size=64), IDS, 3, seed=0).config.vocab_size == 64


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"vocab_size": 20}, "found vocab_size 20"),
        ({"pad_token_id": 1}, "found pad_token_id 1"),
        ({"max_position_embeddings": 8}, "found 8 positions"),
    ],
)
def test_a_folder_for_another_tokenizer_is_told(config, words, tmp_path):
    saved(tmp_path / "mine", **config)
    what = tiny(**TEXTS | {"teacher": {"model": {"name": "huggingface", "path": "mine"}}})
    with pytest.raises(RecipeError, match=words) as told:
        list(distill(what, tmp_path / "work", inputs=tmp_path))
    assert told.value.pointer == "/teacher/model"


def test_a_folder_of_images_is_told_when_it_is_read(tmp_path):
    from test_huggingface import saved as saved_vit

    saved_vit(tmp_path / "mine")
    what = tiny(**TEXTS | {"teacher": {"model": {"name": "huggingface", "path": "mine"}}})
    with pytest.raises(RecipeError, match="model_type vit, which takes images") as told:
        list(distill(what, tmp_path / "work", inputs=tmp_path))
    assert told.value.pointer == "/teacher/model"


def test_a_folder_for_other_classes_is_told(tmp_path):
    saved(tmp_path / "mine", classes=7)
    what = tiny(**TEXTS | {"teacher": {"model": {"name": "huggingface", "path": "mine"}}})
    with pytest.raises(WeightsError, match="does not fit the network for 4 classes"):
        list(distill(what, tmp_path / "work", inputs=tmp_path))


def test_a_teacher_of_timm_takes_no_texts():
    what = {"name": "timm", "architecture": "test_resnet"}
    with pytest.raises(ValidationError, match="found timm, which takes images or numbers"):
        tiny(**TEXTS | {"teacher": {"model": what}})


def sentences(folder: Path, kind: str = "Bert", **config: Any) -> nn.Module:
    """Write an encoder without a head, as the library itself does."""
    transformers = import_transformers()
    sizes = {"num_hidden_layers": 2, "hidden_size": 16, "intermediate_size": 24}
    sizes |= {"num_attention_heads": 2, "max_position_embeddings": 16, "vocab_size": 30}
    read = getattr(transformers, f"{kind}Config")(**(sizes | config))
    network = getattr(transformers, f"{kind}Model")(read).eval()
    network.save_pretrained(folder)
    return network


DISTILBERT = {"n_layers": 1, "dim": 16, "n_heads": 2, "hidden_dim": 24}


@pytest.mark.parametrize(("kind", "config"), [("Bert", {}), ("DistilBert", DISTILBERT)])
def test_a_sentence_encoder_gives_the_mean_over_the_tokens(kind, config, tmp_path):
    theirs = sentences(tmp_path / "mine", kind, **config)
    model = HuggingFace(path="mine", pooling="mean").located(tmp_path)
    network = build(model, IDS, 16, seed=0, furnished=True).eval()
    ids = some_ids()
    mask = (ids != 0).long()
    with torch.no_grad():
        states = theirs(input_ids=ids, attention_mask=mask).last_hidden_state
    rows = [row[: int(kept)].mean(0) for row, kept in zip(states, mask.sum(1), strict=True)]
    torch.testing.assert_close(predict(network, ids), torch.stack(rows))
    assert predict(copy.deepcopy(network), ids).equal(predict(network, ids))
    with pytest.raises(RecipeError, match="vectors have 16 numbers, and a task of 4") as told:
        build(model, IDS, 4, seed=0)
    assert "dimensions: 16" in str(told.value.hint)


def test_a_classifiers_encoder_is_taken_without_its_head(tmp_path):
    whole = saved(tmp_path / "mine")
    model = HuggingFace(path="mine", pooling="mean").located(tmp_path)
    network = build(model, IDS, 16, seed=0, furnished=True)
    embedded = network.get_parameter("embeddings.word_embeddings.weight")
    assert torch.equal(embedded, whole.get_parameter("bert.embeddings.word_embeddings.weight"))
    sentences(tmp_path / "other")
    with pytest.raises(WeightsError, match=r"classifier\.bias is missing") as told:
        build(HuggingFace(path="other").located(tmp_path), IDS, 4, seed=0, furnished=True)
    assert "pooling is mean" in str(told.value.hint)


def test_a_sentence_encoder_teaches_vectors_and_is_never_trained(tmp_path):
    transformers = import_transformers()
    small = encoder(1, 8)
    pooled = {"name": "huggingface", "path": "mine", "pooling": "mean"}
    given: dict[str, Any] = {
        "task": {"name": "embedding", "dimensions": 16},
        "teacher": {"model": pooled},
        "student": {"model": small},
        "data": {"name": "synthetic_text"},
        "method": "kd",
        "baseline": False,
        "training": {"max_steps": 4},
    }
    recipe = tiny(**given)
    sentences(tmp_path / "mine", vocab_size=64, max_position_embeddings=64)
    for _ in distill(recipe, tmp_path / "run", inputs=tmp_path):
        pass
    report = json.loads((tmp_path / "run/artifacts/report.json").read_text())
    assert report["verdict"]["teacher"]["score"]["mean"] == pytest.approx(1)
    opened = transformers.AutoModelForSequenceClassification
    assert opened.from_pretrained(tmp_path / "run/artifacts").config.num_labels == 16
    with pytest.raises(ValidationError, match="cannot be trained"):
        tiny(**given | {"student": {"model": pooled}})
    with pytest.raises(ValidationError, match="as it was saved"):
        HuggingFace(path="mine", pooling="mean", new_head=True)
