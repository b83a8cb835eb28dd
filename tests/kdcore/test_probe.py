"""Networks that are not sequences of stages: layers by path, through hooks."""

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from kdcore.errors import RecipeError
from kdcore.network import has_stages, observe, shapes_of
from kdcore.probe import layers_of
from kdcore.ranks import Ranks
from kdcore.stages import LayerShapes, embedding, last_map, map_pairs, maps, named

IMAGE = (1, 8, 8)


class _Block(nn.Module):
    def __init__(self, channels: int, wider: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, wider, 3, 2, 1)
        self.bn = nn.BatchNorm2d(wider)
        self.act = nn.ReLU(inplace=True)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(inputs)))


class _Foreign(nn.Module):
    """Blocks, a pooling and a head, with a flattening that is no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([_Block(1, 4), _Block(4, 6)])
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.unused = nn.Linear(2, 2)
        self.fc = nn.Linear(6, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        for block in self.blocks:
            inputs = block(inputs)
        return self.fc(self.pool(inputs).flatten(1))


class _Tokens(nn.Module):
    """Patches that become tokens; it gives a dictionary inside, as some libraries do."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 6, 4, 4)
        self.mix = nn.Linear(6, 6)
        self.fc = nn.Linear(6, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        tokens = self.mix(self.patches(inputs).flatten(2).mT)
        return self.fc(tokens[:, 0])


@pytest.fixture
def network() -> _Foreign:
    torch.manual_seed(0)
    return _Foreign()


def test_layers_are_named_by_path_in_the_order_in_which_they_are_done(network):
    assert not has_stages(network)
    shapes = shapes_of(network, IMAGE)
    assert [*shapes] == [
        "blocks.0.conv",
        "blocks.0.bn",
        "blocks.0.act",
        "blocks.0",
        "blocks.1.conv",
        "blocks.1.bn",
        "blocks.1.act",
        "blocks.1",
        "pool",
        "fc.input",
        "fc",
    ]
    assert shapes["blocks.0"] == (4, 4, 4)
    assert shapes["fc.input"] == (6,)
    assert all(one.device.type == "cpu" for one in network.parameters())


def test_usual_layers_are_the_last_map_of_each_size_and_what_the_head_is_given(network):
    shapes = shapes_of(network, IMAGE)
    assert maps(shapes, "teacher") == ["blocks.0", "blocks.1"]
    assert last_map(shapes, "teacher") == "blocks.1"
    assert last_map(shapes, "teacher", "blocks.1.bn") == "blocks.1.bn"
    assert embedding(shapes, "teacher") == "fc.input"
    ours = {"stage1": (3, 8, 8), "pool": (3,), "head": (3,)}
    assert map_pairs(ours, shapes) == [("stage1", "blocks.1")]


def test_a_map_of_one_place_is_usual_only_where_there_is_no_larger_one(network):
    assert maps(shapes_of(network, (1, 2, 2)), "teacher") == ["blocks.1"]
    assert maps(shapes_of(network, (1, 4, 4)), "teacher") == ["blocks.0"]


def test_what_ends_in_tokens_has_no_usual_map_but_may_be_named():
    shapes = shapes_of(_Tokens(), IMAGE)
    with pytest.raises(RecipeError, match="found no feature map in the student"):
        maps(shapes, "student")
    assert embedding(shapes, "student") == "fc.input"
    assert last_map(shapes, "student", "patches") == "patches"


def test_a_layer_that_is_not_there_is_refused_with_those_that_are(network):
    with pytest.raises(RecipeError, match=r"no layer 'block\.1' in the teacher") as refusal:
        named("block.1", shapes_of(network, IMAGE), "teacher")
    assert "blocks.1" in str(refusal.value)
    assert "python -m kdcore layers" in refusal.value.hint
    alike = {f"blocks.{place}": (1,) for place in range(99)}
    many = LayerShapes(alike, maps=(), head=None, embedding=None)
    with pytest.raises(RecipeError, match=r"blocks\.77, .* and 87 more") as refusal:
        named("block.77", many, "teacher")
    assert len(str(refusal.value)) < 300
    for absent in ("nothing", "nothing.input", "unused"):
        with pytest.raises(RecipeError, match=absent):
            observe(network, torch.zeros(2, *IMAGE), [absent])
    assert not any(one._forward_hooks for one in network.modules())


def test_observing_changes_no_bit_and_features_are_what_layers_gave(network):
    inputs = torch.randn(4, *IMAGE, requires_grad=True)
    seen = observe(network.eval(), inputs, ["blocks.0.bn", "blocks.1", "fc.input", "fc"])
    assert torch.equal(seen.logits, network(inputs))
    assert torch.equal(seen.features["fc"], seen.logits)
    first = network.blocks[0]
    assert torch.equal(seen.features["blocks.0.bn"], first.bn(first.conv(inputs)))
    assert bool((seen.features["blocks.0.bn"] < 0).any()), "a layer behind it has written into it"
    pooled = seen.features["blocks.1"].mean((2, 3))
    torch.testing.assert_close(seen.features["fc.input"], pooled)
    seen.features["blocks.1"].sum().backward()
    assert inputs.grad is not None
    assert not any(one._forward_hooks for one in network.modules())


def test_shapes_survive_copies_and_other_processes(network):
    shapes = shapes_of(network, IMAGE)
    for again in (copy.deepcopy(shapes), pickle.loads(pickle.dumps(shapes))):  # noqa: S301  # ours
        assert again == shapes
        assert (again.maps, again.head) == (shapes.maps, "fc")


def test_a_network_that_looks_at_numbers_is_run_as_it_is(network):
    class _Looks(_Foreign):
        def forward(self, inputs: Tensor) -> Tensor:
            return super().forward(inputs * (1 if float(inputs.sum()) == 0 else 2))

    assert layers_of(_Looks(), IMAGE) == layers_of(network, IMAGE)


def test_inputs_that_a_network_cannot_take_are_refused(network):
    with pytest.raises(RecipeError, match=r"cannot take inputs of shape \(3, 8, 8\)"):
        shapes_of(network, (3, 8, 8))
    with pytest.raises(RecipeError, match="cannot take"), torch.device("meta"):
        shapes_of(_Foreign(), (3, 8, 8))


def test_batch_norms_of_another_kind_are_not_shared_by_processes(network):
    class Rectified(nn.BatchNorm2d):
        pass

    assert Ranks(0, 2).in_step(network)
    network.blocks[0].bn = Rectified(4)
    with pytest.raises(RecipeError, match="Rectified"):
        Ranks(0, 2).in_step(network)
