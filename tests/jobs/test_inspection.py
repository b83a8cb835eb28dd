"""Whatever bytes an upload has, it is taken or refused; nothing else ever happens."""

from __future__ import annotations

import io
import json
import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tokenizers
from onnx import TensorProto, helper
from zips import plain

from jobs.folder_store import FolderStore
from jobs.formats import check_head, format_of
from jobs.input_errors import ContentRefused
from jobs.inspection import look_through
from jobs.receiving import Announced, Place, Reception

ROUNDS = 150


def arrays(**more: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, x=np.arange(6.0).reshape(2, 3), y=np.zeros(2, "int64"), **more)
    return file.getvalue()


def tensors() -> bytes:
    header = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
        "b": {"dtype": "I64", "shape": [], "data_offsets": [16, 24]},
    }
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(24)


GOOD = {
    "a.npz": arrays(),
    "a.zip": plain(("a/one.png", b"x" * 50), ("b/two.png", b"y" * 50)),
    "a.safetensors": tensors(),
    "a.parquet": b"PAR1" + bytes(30) + b"\x0c\0\0\0PAR1",
    "a.json": b'{"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": [["a", "b"]]}}',
    "a.onnx": b"\x08\x0a\x12\x03ptq" + b"\x3a\x05\x12\x03abc" + b"\x42\x02\x10\x12",
}


def spoiled(content: bytes, draw: random.Random) -> bytes:
    """Return the content with some bytes changed, cut out, doubled, or the end gone."""
    changed = bytearray(content)
    for _ in range(draw.randrange(1, 6)):
        first = draw.randrange(len(changed))
        some = draw.randrange(1, 12)
        match draw.randrange(5):
            case 0:
                changed[first : first + some] = draw.randbytes(some)
            case 1:
                changed[first : first + some] = b"\xff" * some
            case 2:
                del changed[first : first + some]
            case 3:
                changed[first:first] = changed[first : first + some]
            case _:
                changed[first:] = changed[first : first + draw.randrange(len(changed))]
        if not changed:
            return b"x"
    return bytes(changed)


def looked_at(store: FolderStore, name: str, content: bytes) -> str:
    """Return what is said of content: nothing, or why it is refused."""
    kind = "model" if name.endswith("onnx") else "dataset"
    claimed = format_of(kind, name)
    reception = Reception(
        store, Place("ds_1", name), most_bytes=10**7, announced=Announced(), claimed=claimed
    )
    try:
        reception.write(content)
        received = reception.finish()
        look_through(store, received, kind, claimed, name)
    except ContentRefused as error:
        reception.abandon()
        return str(error)
    return ""


@pytest.mark.parametrize("name", GOOD)
def test_whatever_comes_is_taken_or_refused(tmp_path: Path, name: str) -> None:
    store = FolderStore(tmp_path)
    assert not looked_at(store, name, GOOD[name])
    draw = random.Random(name)
    said: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy and zipfile warn of what they mend
        for _ in range(ROUNDS):
            said.add(looked_at(store, name, spoiled(GOOD[name], draw)))
    assert len(said) > 1
    assert all(one.isprintable() for one in said), [one for one in said if not one.isprintable()]


@pytest.mark.parametrize("kind", ["BPE", "Unigram", "WordLevel", "WordPiece"])
def test_what_tokenizers_saves_is_taken(tmp_path: Path, kind: str) -> None:
    made: Any = tokenizers.Tokenizer(getattr(tokenizers.models, kind)())
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    trainer = made.model.get_trainer()
    trainer.special_tokens, trainer.show_progress = ["[UNK]", "[PAD]"], False
    made.train_from_iterator(["the parcel is late", "the invoice is wrong"], trainer)
    assert not looked_at(FolderStore(tmp_path), "a.json", made.to_str().encode())


HEADERS = [
    "[" * 5000,
    "(" * 150 + ")" * 150,
    "-" * 9000 + "1",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (2",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} if",
    "{'descr': ['a'], 'fortran_order': False, 'shape': (2,)}",
    "{'descr': 'O8', 'fortran_order': False, 'shape': (2,)}",
    "{'descr': '<f4', 'fortran_order': 1, 'shape': 2}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (True,)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1e99,)}",
    "\\N{nope}'''\n  \t\n 1",
    "\0",
]


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_of_an_array_that_is_none_is_refused(tmp_path: Path, header: str) -> None:
    text = header.encode().ljust(20) + b"\n"
    for version, length in ((b"\x01\x00", 2), (b"\x02\x00", 4), (b"\x03\x00", 4)):
        array = b"\x93NUMPY" + version + len(text).to_bytes(length, "little") + text + bytes(8)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            said = looked_at(FolderStore(tmp_path), "a.npz", plain(("x.npy", array)))
        assert "'x.npy'" in said, (header[:40], said)


def test_text_that_is_cut_in_the_middle_of_a_letter_is_text() -> None:
    claimed = format_of("dataset", "a.csv")
    for shift in range(4):
        check_head(claimed, ("x" * shift + "\u00e4\u20ac\U0001f600" * 999).encode()[:4096])
    with pytest.raises(ContentRefused):
        check_head(claimed, b"a,b\n" + b"\xff" * 4092)


def model(*nodes: Any, **more: Any) -> onnx.ModelProto:
    """Return a model of these operators."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    return helper.make_model(helper.make_graph(list(nodes), "small", [value], [value], **more))


def outside() -> TensorProto:
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [2], bytes(8), raw=True)
    onnx.external_data_helper.set_external_data(tensor, "../../secret")
    tensor.data_location = TensorProto.EXTERNAL
    return tensor


def in_branch(**attributes: Any) -> onnx.NodeProto:
    inner = helper.make_node("Constant", [], ["y"], **attributes)
    graph = helper.make_graph([inner], "branch", [], [])
    return helper.make_node("If", ["x"], ["y"], then_branch=graph, else_branch=graph)


def sparse() -> onnx.SparseTensorProto:
    return onnx.SparseTensorProto(values=outside(), indices=outside(), dims=[4])


def shallow() -> onnx.NodeProto:
    branch = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "branch", [], [])
    return helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)


OTHERS = {
    "an operator": (model(helper.make_node("A", ["x"], ["y"], domain="evil.ops")), "'evil.ops'"),
    "an operator in a branch": (model(in_branch(domain="com.microsoft")), "'com.microsoft'"),
    "a long domain": (model(helper.make_node("A", [], ["y"], domain="e" * 999)), f"'{'e' * 80}'"),
    "data": (model(initializer=[outside()]), "lie outside of the file"),
    "data of an operator": (
        model(helper.make_node("Constant", [], ["y"], value=outside())),
        "lie outside of the file",
    ),
    "data in a branch": (model(in_branch(value=outside())), "lie outside of the file"),
    "sparse data": (model(sparse_initializer=[sparse()]), "lie outside of the file"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_a_model_that_needs_code_or_data_of_others_is_refused(tmp_path: Path, case: str) -> None:
    made, words = OTHERS[case]
    assert words in looked_at(FolderStore(tmp_path), "a.onnx", made.SerializeToString())


def test_a_model_of_standard_operators_is_taken_and_a_deep_one_is_not(tmp_path: Path) -> None:
    numbers = helper.make_tensor("w", TensorProto.FLOAT, [99_999], bytes(4 * 99_999), raw=True)
    nodes = [helper.make_node("Relu", ["x"], ["y"], domain="ai.onnx"), shallow()]
    good = model(*nodes, initializer=[numbers]).SerializeToString()
    assert not looked_at(FolderStore(tmp_path), "a.onnx", good)
    said = looked_at(FolderStore(tmp_path), "a.onnx", model(deep_chain()).SerializeToString())
    assert "graphs in graphs" in said


def deep_chain() -> onnx.NodeProto:
    """Return branches in branches, one in each."""
    node = helper.make_node("Relu", ["x"], ["y"])
    for _ in range(30):
        graph = helper.make_graph([node], "branch", [], [])
        node = helper.make_node("Loop", ["x"], ["y"], body=graph)
    return node
