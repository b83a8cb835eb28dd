"""A teacher in an ONNX file: what it says, who may not learn, and files that are not to be run."""

import copy
import json
import pickle
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from pydantic import ValidationError
from recipes import tiny
from resumed import results

from kdcore import onnx_network
from kdcore.corpus import load_corpus
from kdcore.errors import RecipeError
from kdcore.models.onnx_file import OnnxFile
from kdcore.models.plain_cnn import PlainCNN
from kdcore.network import build, observe, predict, shapes_of
from kdcore.portable import onnx_bytes
from kdcore.recipe import Recipe
from kdcore.stages import embedding, maps
from kdcore.story import distill
from kdcore.student import load_student
from kdcore.tokens import Ids

DIGIT = (1, 8, 8)
MAPS = "/stage/Relu_output:0"
TEACHER = {"name": "onnx", "path": "teacher.onnx"}


def made(classes: int = 10, channels: int = 1, batch: Any = "batch") -> onnx.ModelProto:
    """Return a small network with a map and a vector among its outputs, named as elsewhere."""
    draw = np.random.default_rng(0)

    def numbers(name: str, *shape: int) -> TensorProto:
        return numpy_helper.from_array(draw.normal(size=shape).astype("float32"), name)

    nodes = [
        helper.make_node(
            "Conv", ["inputs", "kernel"], ["maps"], kernel_shape=[3, 3], strides=[2, 2]
        ),
        helper.make_node("Relu", ["maps"], [MAPS]),
        helper.make_node("Flatten", [MAPS], ["flat"]),
        helper.make_node("Gemm", ["flat", "inner"], ["vector"]),
        helper.make_node("Gemm", ["vector", "outer"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("inputs", TensorProto.FLOAT, [batch, channels, 8, 8])],
        [
            helper.make_tensor_value_info(MAPS, TensorProto.FLOAT, [batch, 4, 3, 3]),
            helper.make_tensor_value_info("vector", TensorProto.FLOAT, [batch, 6]),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, classes]),
        ],
        [
            numbers("kernel", 4, channels, 3, 3),
            numbers("inner", 36, 6),
            numbers("outer", 6, classes),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def written(folder: Path, model: onnx.ModelProto | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "teacher.onnx").write_bytes((model or made()).SerializeToString())
    return folder


def recipe(**changes: Any) -> Recipe:
    given = {
        "teacher": {"model": TEACHER},
        "student": {"model": {"name": "plain_cnn", "stages": [[4], [6]], "hidden": []}},
        "data": {"name": "digits", "labelled": 100},
        "training": {"max_steps": 4, "per_device_train_batch_size": 16, "save_steps": 500},
        "baseline": False,
        "objectives": ["kd"],
        "export": ["safetensors"],
        **changes,
    }
    return Recipe.model_validate({**tiny().model_dump(mode="json"), "method": None, **given})


def run(what: Recipe, folder: Path, inputs: Path) -> Path:
    for _ in distill(what, folder, inputs=inputs):
        pass
    return folder / "artifacts"


def test_a_file_answers_and_its_outputs_are_layers(tmp_path):
    model = OnnxFile(path="teacher.onnx").located(written(tmp_path))
    network = build(model, DIGIT, 10, seed=0)
    shapes = shapes_of(network, DIGIT)
    assert shapes == {MAPS: (4, 3, 3), "vector": (6,), "logits": (10,)}
    assert maps(shapes, "teacher") == [MAPS]
    assert embedding(shapes, "teacher") == "vector"
    inputs = torch.rand(5, *DIGIT).contiguous(memory_format=torch.channels_last)
    seen = observe(network, inputs, ["vector", MAPS])
    assert torch.equal(seen.logits, predict(network, inputs))
    assert seen.features["vector"].shape == (5, 6)
    assert network.numbers == 36 + 216 + 60
    for again in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):  # noqa: S301  # ours
        assert torch.equal(predict(again, inputs), seen.logits)


def test_what_was_exported_here_teaches_what_it_did(tmp_path):
    network = build(PlainCNN(stages=[[4], [6]], hidden=[]), DIGIT, 10, seed=0).eval()
    inputs = torch.rand(4, *DIGIT)
    (tmp_path / "teacher.onnx").write_bytes(onnx_bytes(network, inputs[:2]))
    found = build(OnnxFile(path="teacher.onnx").located(tmp_path), DIGIT, 10, seed=0)
    torch.testing.assert_close(predict(found, inputs), predict(network, inputs))


def test_it_teaches_logits_and_features_kept_or_asked_the_same(tmp_path):
    inputs = written(tmp_path / "inputs")
    pair = {"name": "at", "layers": [["stage2", MAPS]]}
    for use in ("always", "never"):
        caching = {"use": use, "dtype": "float32"}
        what = recipe(objectives=["kd", "rkd", pair], teacher_cache=caching)
        artifacts = run(what, tmp_path / use, inputs)
        assert not (artifacts / "teacher.safetensors").exists()
    kept, asked = (results(tmp_path / use) for use in ("always", "never"))
    assert kept["student-0.safetensors"] == asked["student-0.safetensors"]
    sheets = {one.name for one in (tmp_path / "always/teacher-caches").glob("*/train*")}
    assert any("_stage_Relu_output_0" in name for name in sheets)


def test_another_file_is_another_teacher_to_the_cache(tmp_path):
    inputs = written(tmp_path / "inputs")
    what = recipe(teacher_cache="always")
    caches = tmp_path / "work/teacher-caches"
    run(what, tmp_path / "work", inputs)
    first = {one.name for one in caches.glob("*/about.json")}, [*caches.glob("*/about.json")]
    other = made()
    other.graph.initializer[2].CopyFrom(
        numpy_helper.from_array(np.ones((6, 10), "float32"), "outer")
    )
    written(inputs, other)
    with pytest.raises(Exception, match="belongs to another recipe"):
        run(what, tmp_path / "work", inputs)
    (tmp_path / "work/run.digest").unlink()
    run(what, tmp_path / "work", inputs)
    assert len([*caches.glob("*/about.json")]) == 2 * len(first[1])


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"student": {"model": TEACHER}}, "/student/model"),
        ({"teacher": {"model": TEACHER, "training": {"max_steps": 3}}}, "/teacher/training"),
        ({"teacher": {"model": TEACHER, "weights": "a.safetensors"}}, "/teacher/weights"),
        ({"path": {"name": "takd", "assistants": [TEACHER]}}, "/path"),
        ({"path": "rco"}, "/path"),
        ({"objectives": ["maskd"]}, "/teacher/model"),
        ({"objectives": ["simkd"]}, "/teacher/model"),
    ],
)
def test_it_is_never_trained(changes, pointer):
    with pytest.raises(ValidationError) as refusal:
        recipe(**changes)
    assert refusal.value.errors()[0]["ctx"]["pointer"] == pointer


def test_an_assistant_of_a_method_is_refused_at_the_method():
    document = tiny().model_dump(mode="json", exclude={"path", "objectives", "temperature"})
    method = {"name": "takd", "assistants": [TEACHER]}
    document |= {"data": {"name": "digits"}, "weighting": "uniform", "method": method}
    with pytest.raises(ValidationError, match="cannot be trained") as refusal:
        Recipe.model_validate(document)
    assert refusal.value.errors()[0]["ctx"]["pointer"] == "/method"


def outside(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, "../../secret")
    tensor.data_location = TensorProto.EXTERNAL


def outside_within(model: onnx.ModelProto) -> None:
    value = copy.deepcopy(model.graph.initializer[0])
    value.external_data.add(key="location", value="/etc/passwd")
    node = helper.make_node("Constant", [], ["unused"], value=value)
    branch = helper.make_graph([node], "branch", [], [])
    both = {"then_branch": branch, "else_branch": branch}
    model.graph.node.append(helper.make_node("If", ["x"], ["y"], **both))


def custom(model: onnx.ModelProto) -> None:
    model.graph.node[1].domain = "evil.ops"
    model.opset_import.append(helper.make_opsetid("evil.ops", 1))


def function(model: onnx.ModelProto) -> None:
    opset = [helper.make_opsetid("", 17)]
    node = helper.make_node("Relu", ["x"], ["y"])
    model.functions.append(helper.make_function("mine", "Twice", ["x"], ["y"], [node], opset))


def cyclic(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "logits"


def without_outputs(model: onnx.ModelProto) -> None:
    del model.graph.output[:]


def two_inputs(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))


def doubles(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE


HOSTILE = {
    "external data": (outside, "lie outside of the file"),
    "external data in a branch": (outside_within, "lie outside of the file"),
    "an operator of others": (custom, r"operator 'Relu' of 'evil\.ops'"),
    "a function": (function, "functions of its own"),
    "a circle": (cyclic, "not a readable ONNX file"),
    "no outputs": (without_outputs, "no outputs|not a readable"),
    "two inputs": (two_inputs, "found 2 inputs"),
    "doubles": (doubles, "float32"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused(kind, tmp_path):
    spoil, message = HOSTILE[kind]
    model = made()
    spoil(model)
    refused(tmp_path, model.SerializeToString(), message)


def refused(tmp_path: Path, content: bytes, message: str, **changes: Any) -> None:
    (tmp_path / "teacher.onnx").write_bytes(content)
    work = Path(tempfile.mkdtemp(dir=tmp_path))
    with pytest.raises(RecipeError, match=message) as told:
        run(recipe(**changes), work, tmp_path)
    assert told.value.pointer == "/teacher/model"
    assert told.value.hint
    assert len(str(told.value)) < 600
    assert not (work / "stages").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no outputs|not a readable"),
        (b"\x80\x04K\x01.", "not a readable"),
        (made().SerializeToString()[:-99], "not a readable"),
        (made(classes=7).SerializeToString(), "7 classes, and data of 10"),
        (made(channels=3).SerializeToString(), r"samples of shape \(1, 8, 8\)"),
        (made(batch=4).SerializeToString(), "a batch of any size"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(content, message, tmp_path):
    refused(tmp_path, content, message)


def test_a_missing_and_a_large_file_are_refused(tmp_path, monkeypatch):
    with pytest.raises(RecipeError, match="no such file"):
        run(recipe(), tmp_path / "work", tmp_path)
    monkeypatch.setattr(onnx_network, "LARGEST", 100)
    refused(tmp_path, made().SerializeToString(), "expected at most 100")


def test_outputs_are_chosen_by_name(tmp_path):
    content = made().SerializeToString()
    nothing = {"model": {**TEACHER, "output": "nothing"}}
    refused(tmp_path, content, "no output 'nothing'", teacher=nothing)
    maps_as_logits = {"model": {**TEACHER, "output": MAPS}}
    refused(tmp_path, content, "gives no float32 logits", teacher=maps_as_logits)
    model = OnnxFile(path="teacher.onnx", output="vector").located(tmp_path)
    assert build(model, DIGIT, 6, seed=0)(torch.rand(3, *DIGIT)).shape == (3, 6)


@pytest.mark.parametrize("path", ["../teacher.onnx", "/etc/passwd", "a/../../b.onnx", "C:x"])
def test_a_file_outside_is_refused(path):
    with pytest.raises(ValidationError, match="inside the inputs folder"):
        recipe(teacher={"model": {"name": "onnx", "path": path}})


TEXTS = Ids(6, vocabulary=20, pad=0, separator=3)
BERT = {
    "model_type": "bert",
    **dict.fromkeys(("hidden_size", "intermediate_size"), 8),
    **dict.fromkeys(("num_attention_heads", "num_hidden_layers"), 1),
}


def encoder_file(*names: str, length: Any = "length", kind: int = TensorProto.INT64) -> bytes:
    """Return an embedding of 20 tokens that is summed over those that the mask leaves."""
    draw = np.random.default_rng(0)
    nodes = [helper.make_node("Gather", ["table", names[0]], ["rows"])]
    summed = "rows"
    for name in names[1:]:
        nodes += [
            helper.make_node("Cast", [name], [f"{name}_float"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", [f"{name}_float", "last"], [f"{name}_wide"]),
            helper.make_node("Mul", [summed, f"{name}_wide"], [f"{name}_rows"]),
        ]
        summed = f"{name}_rows"
    nodes.append(helper.make_node("ReduceSum", [summed, "length"], ["logits"], keepdims=0))
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info(name, kind, ["batch", length]) for name in names],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 4])],
        [
            numpy_helper.from_array(draw.normal(size=(20, 4)).astype("float32"), "table"),
            numpy_helper.from_array(np.array([-1], "int64"), "last"),
            numpy_helper.from_array(np.array([1], "int64"), "length"),
        ],
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def read_by(folder: Path, content: bytes, shape: Ids = TEXTS) -> Any:
    (folder / "teacher.onnx").write_bytes(content)
    return build(OnnxFile(path="teacher.onnx").located(folder), shape, 4, seed=0)


def test_an_encoder_is_given_ids_and_a_mask_and_types_that_are_made_of_them(tmp_path):
    ids = torch.tensor([[5, 3, 7, 3, 0, 0], [9, 8, 3, 4, 6, 3]])
    plain = read_by(tmp_path, encoder_file("anything"))
    table = predict(plain, torch.arange(20)[:, None].expand(-1, 1))
    masked = read_by(tmp_path, encoder_file("input_ids", "attention_mask"))
    torch.testing.assert_close(predict(masked, ids)[0], table[[5, 3, 7, 3]].sum(0))
    second = read_by(tmp_path, encoder_file("input_ids", "attention_mask", "token_type_ids"))
    torch.testing.assert_close(predict(second, ids)[0], table[[7, 3]].sum(0))
    torch.testing.assert_close(predict(second, ids)[1], table[[4, 6, 3]].sum(0))
    assert masked(ids.to("meta")).dtype == torch.float32


def test_a_text_student_that_was_delivered_teaches(tmp_path):
    data = {"name": "synthetic_text"}
    given = {"model": {"name": "huggingface_config", "config": BERT}}
    first = recipe(teacher=given, student=given, data=data, export=["safetensors", "onnx"])
    delivered = run(first, tmp_path / "first", tmp_path)
    (tmp_path / "teacher.onnx").write_bytes((delivered / "student.onnx").read_bytes())
    again = run(recipe(student=given, data=data), tmp_path / "second", tmp_path)
    assert (again / "student.safetensors").exists()
    told = [json.loads((one / "verdict.json").read_text()) for one in (delivered, again)]
    assert told[1]["teacher"]["score"] == told[0]["student"]["score"]
    ids = torch.tensor([[1, 5, 2, 4, 0, 0], [1, 3, 6, 7, 2, 1]])
    corpus = load_corpus(first.data, tmp_path, torch.device("cpu"))
    teacher = OnnxFile(path="teacher.onnx").located(tmp_path)
    said = predict(build(teacher, corpus.input_shape, corpus.num_classes, seed=0), ids)
    torch.testing.assert_close(said, predict(load_student(delivered), ids))


@pytest.mark.parametrize(
    ("content", "shape", "message"),
    [
        (encoder_file("input_ids", "position_ids"), TEXTS, "'position_ids'; expected ids of token"),
        (encoder_file("a", "attention_mask"), TEXTS, "'a', 'attention_mask'; expected ids"),
        (encoder_file("input_ids", length=5), TEXTS, r"shape \(any, 5\); expected int64 of a"),
        (encoder_file("input_ids", kind=TensorProto.INT32), TEXTS, "expected int64 of a batch"),
        (made().SerializeToString(), TEXTS, r"expected int64 of a batch .* of shape \(6,\)"),
        (encoder_file("input_ids"), Ids(6, vocabulary=21, pad=0), "ONNX Runtime cannot run it"),
        (encoder_file("input_ids"), (6,), "expected float32 of a batch"),
    ],
)
def test_an_encoder_that_does_not_fit_is_refused(content, shape, message, tmp_path):
    with pytest.raises(RecipeError, match=message) as told:
        read_by(tmp_path, content, shape)
    assert told.value.hint
