"""State dicts: names, layout, loading all or nothing, and PyTorch's layout."""

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.errors import LayoutError, StateDictError


def network():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2),
        nn.Flatten(),
        nn.Linear((4, 4, 6), 5),
    )


def values(model):
    return {key: value.copy() for key, value in model.state_dict().items()}


def same(first, second):
    return list(first) == list(second) and all(np.array_equal(first[k], second[k]) for k in first)


def test_state_dict_has_names_copies_and_layout():
    model = network()
    state = model.state_dict()
    assert list(state)[:7] == [
        "0.weight",
        "0.bias",
        "1.weight",
        "1.bias",
        "1.running_mean",
        "1.running_var",
        "1.num_batches_tracked",
    ]
    assert state.layout == "OHWI"
    assert all(type(v) is np.ndarray for v in state.values())
    state["0.weight"][...] = 0
    assert model[0].weight.data.any()


def test_layout_survives_copies_and_merges():
    state = nn.StateDict({"a": np.zeros(1)}, layout="OHWI")
    assert state.copy().layout == "OHWI"
    merged = state | {"b": np.ones(1)}
    assert merged.layout == "OHWI"
    assert list(merged) == ["a", "b"]


def test_load_state_dict_gives_an_equal_model_and_bumps_versions():
    source, target = network(), network()
    assert not same(values(source), values(target))
    versions = [p._buffer.version for p in target.parameters()]
    report = target.load_state_dict(source.state_dict())
    assert report[:2] == ((), ())
    assert report.loaded == tuple(source.state_dict())
    assert same(values(source), values(target))
    assert all(p._buffer.version > v for p, v in zip(target.parameters(), versions, strict=True))


def test_loading_between_forward_and_backward_is_noticed():
    conv = nn.Conv2d(2, 3, 3)
    x = fc.tensor(np.ones((1, 4, 4, 2), "float32"), requires_grad=True)
    loss = conv(x).sum()
    conv.load_state_dict(conv.state_dict())
    with pytest.raises(fc.errors.GradientError, match="overwritten"):
        loss.backward()


def test_load_state_dict_names_everything_that_is_wrong_and_loads_nothing():
    model = network()
    before = values(model)
    state = nn.StateDict({k: v + 1 for k, v in before.items()})
    del state["0.weight"], state["1.running_var"]
    state["4.weight"] = state["4.weight"][:, :7]
    state["0.bias"] = np.arange(4)
    state["2.nonsense"] = np.zeros(1)
    with pytest.raises(StateDictError) as error:
        model.load_state_dict(state)
    text = str(error.value)
    for line in (
        "missing (2)",
        "0.weight",
        "1.running_var",
        "unexpected (1)",
        "2.nonsense",
        "misshapen (2)",
        "4.weight: expected (5, 96), got (5, 7)",
        "0.bias: expected float32, got int64",
        "nothing was loaded",
    ):
        assert line in text, line
    assert same(values(model), before)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda state: state.pop("0.bias"), "missing"),
        (lambda state: state.update(more=np.zeros(1)), "unexpected"),
        (lambda state: state.update({"0.bias": np.zeros(5, "float32")}), "misshapen"),
    ],
)
def test_one_fault_of_each_kind_is_enough(change, text):
    model = network()
    state = model.state_dict()
    change(state)
    with pytest.raises(StateDictError, match=rf"{text} \(1\)"):
        model.load_state_dict(state)


def test_strict_false_reports_and_loads_the_rest_but_never_wrong_shapes():
    model = network()
    state = nn.StateDict({"0.bias": np.arange(4, dtype="float32"), "old.weight": np.zeros(3)})
    report = model.load_state_dict(state, strict=False)
    assert report.unexpected == ("old.weight",)
    assert "0.weight" in report.missing
    assert "0.bias" not in report.missing
    assert model[0].bias.tolist() == [0, 1, 2, 3]
    with pytest.raises(StateDictError, match="expected"):
        model.load_state_dict(nn.StateDict({"0.bias": np.zeros(5, "float32")}), strict=False)


def test_floating_dtypes_are_cast():
    model = network()
    state = nn.StateDict({k: v.astype("float64") for k, v in values(model).items() if v.ndim})
    state["1.num_batches_tracked"] = np.int64(3)
    model.load_state_dict(state)
    assert model[0].weight.dtype == np.float32
    assert model[1].num_batches_tracked.item() == 3


@pytest.mark.parametrize("wrap", [dict, fc.to_torch_state_dict])
def test_load_state_dict_refuses_other_layouts(wrap):
    model = network()
    state = wrap(model) if wrap is fc.to_torch_state_dict else dict(model.state_dict())
    with pytest.raises(LayoutError, match=r"layout=OHWI.*load_torch_state_dict"):
        model.load_state_dict(state)


# ---- PyTorch's layout


def test_to_torch_state_dict_permutes_by_module():
    model = network()
    ours, theirs = model.state_dict(), fc.to_torch_state_dict(model)
    assert list(ours) == list(theirs)
    assert theirs.layout == "OIHW"
    assert np.array_equal(theirs["0.weight"], ours["0.weight"].transpose(0, 3, 1, 2))
    assert np.array_equal(theirs["2.weight"], ours["2.weight"].transpose(0, 3, 1, 2))
    flattened = ours["4.weight"].reshape(5, 4, 4, 6).transpose(0, 3, 1, 2).reshape(5, 96)
    assert np.array_equal(theirs["4.weight"], flattened)
    assert all(v.flags.c_contiguous for v in theirs.values())


def test_torch_round_trip_is_exact():
    source, target = network(), network()
    fc.load_torch_state_dict(target, fc.to_torch_state_dict(source))
    assert same(values(source), values(target))


class Renamed(nn.Sequential):
    """Another library calls the first layer "stem" and has a convolution as its last."""

    key_map = ((r"^stem\.", "0."), (r"^head\.", "4."))


def renamed():
    ours = network()
    model = Renamed(*(getattr(ours, str(i)) for i in range(5)))
    state = fc.to_torch_state_dict(model)
    theirs = {
        key.replace("0.", "stem.", 1).replace("4.", "head."): np.zeros_like(value)
        for key, value in reversed(state.items())
    }
    theirs["head.weight"] = np.zeros((5, 6, 4, 4), "float32")
    return model, state, theirs


def test_names_and_shapes_of_another_library():
    model, state, theirs = renamed()
    found = fc.to_torch_state_dict(model, like=theirs)
    assert list(found) == list(theirs) and found.layout == "OIHW"
    assert {k: v.shape for k, v in found.items()} == {k: v.shape for k, v in theirs.items()}
    assert np.array_equal(found["stem.bias"], state["0.bias"]) and state["0.bias"].any()
    assert np.array_equal(found["head.weight"].reshape(5, 96), state["4.weight"])
    without = {key: value for key, value in theirs.items() if "num_batches" not in key}
    assert list(fc.to_torch_state_dict(model, like=without)) == list(without)


def test_names_of_another_network_are_refused_one_by_one():
    model, _, theirs = renamed()
    theirs["extra"] = theirs.pop("stem.bias")
    theirs["head.bias"] = np.zeros(6)
    with pytest.raises(StateDictError) as error:
        fc.to_torch_state_dict(model, like=theirs)
    assert sorted(str(error.value).splitlines()[1:]) == [
        "  0.bias (4,): like has no such key",
        "  extra (4,): the network has no extra",
        "  head.bias (6,): 4.bias of the network is (5,)",
    ]


def test_a_linear_behind_a_flattened_map_computes_the_same_from_either_order():
    fc.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear((2, 3, 4), 5))
    x = np.random.default_rng(0).standard_normal((2, 2, 3, 4)).astype("float32")
    theirs = fc.to_torch_state_dict(model)
    chw = x.transpose(0, 3, 1, 2).reshape(2, -1)
    np.testing.assert_allclose(
        model(fc.tensor(x)).data, chw @ theirs["1.weight"].T + theirs["1.bias"], atol=1e-5
    )


def test_load_torch_reports_shapes_as_torch_has_them_and_loads_nothing():
    model = network()
    before = values(model)
    state = dict(fc.to_torch_state_dict(network()))
    state["0.weight"] = state["0.weight"].transpose(0, 2, 3, 1)
    del state["4.bias"]
    state["extra"] = np.zeros(1)
    with pytest.raises(StateDictError) as error:
        fc.load_torch_state_dict(model, state)
    text = str(error.value)
    assert "0.weight: expected (4, 3, 3, 3), got (4, 3, 3, 3)" not in text
    assert "4.bias" in text
    assert "extra" in text
    assert same(values(model), before)
    state["2.weight"] = np.zeros((4, 2, 2, 3), "float32")
    with pytest.raises(StateDictError, match=r"2.weight: expected \(4, 3, 2, 2\), got \(4, 2"):
        fc.load_torch_state_dict(model, state)
    report = fc.load_torch_state_dict(
        model, {k: v for k, v in state.items() if k != "2.weight"}, strict=False
    )
    assert report.missing == ("2.weight", "4.bias")
    assert report.unexpected == ("extra",)


def test_load_torch_takes_old_checkpoints_without_batch_counts():
    model = network()
    state = dict(fc.to_torch_state_dict(model))
    del state["1.num_batches_tracked"]
    assert fc.load_torch_state_dict(model, state)[:2] == ((), ())


def test_load_torch_takes_anything_with_array():
    class Foreign:
        def __init__(self, array):
            self.array = array

        def __array__(self, dtype=None, copy=None):
            return np.array(self.array, dtype=dtype)

    source, target = network(), network()
    state = {k: Foreign(v) for k, v in fc.to_torch_state_dict(source).items()}
    fc.load_torch_state_dict(target, state)
    assert same(values(source), values(target))


def test_load_torch_refuses_our_layout():
    model = network()
    with pytest.raises(LayoutError, match=r"model\.load_state_dict"):
        fc.load_torch_state_dict(model, model.state_dict())
