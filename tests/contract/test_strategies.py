"""What every strategy promises. Registered strategies come under these checks by themselves."""

import dataclasses
import hashlib
import inspect
import random
import re
from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

import distil.signals
import distil.strategies
from distil.data.examples import LabeledSet
from distil.errors import InvalidInput, MissingSignal
from distil.measuring.network_source import NetworkSource
from distil.networks.torch_network import TorchNetwork
from distil.rng import Rng
from distil.selection.choose import gather
from distil.selection.select import select, select_from
from distil.signals import Embedding, Labels, Logits, MCProbs, Probs, Signals, measured_by
from distil.strategies import STRATEGIES, Needs, ScoreStrategy, Selection, Strategy, strategy_named
from distil.strategies.base import ROLES, Sets
from distil.system.runtime import Runtime

NAMES = sorted(STRATEGIES)
N_POOL, N_INPUTS, N_CLASSES = 96, 6, 4
LABELED = (3, 17, 40, 77)
SIDE_SETS = {"validation": 5, "query": 4, "private": 3}  # their sizes

pytestmark = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(1).normal(size=(N_POOL, N_INPUTS)).astype(np.float32)


@pytest.fixture
def net(small_net):
    return small_net(n_inputs=N_INPUTS, n_classes=N_CLASSES)


@pytest.fixture(scope="module")
def sides():
    """Data of their own, with labels, for the sets that are not the pool."""
    rng = np.random.default_rng(2)
    return {
        role: (rng.normal(size=(n, N_INPUTS)).astype(np.float32), rng.integers(N_CLASSES, size=n))
        for role, n in SIDE_SETS.items()
    }


@pytest.fixture
def ask(net, x, sides):
    """``ask(name, n, ...)``: the selection of a strategy that is given every kind of set; keywords override.

    The labeled set is given by its positions, or with labels where the strategy reads them.
    """

    def run(name, n=10, data=x, network=net, labeled=LABELED, **options):
        if labeled is not None and len(labeled) and Labels() in measured(strategy_named(name), "labeled"):
            ids = torch.as_tensor(labeled)
            labeled = LabeledSet(data, ids, ids % N_CLASSES)
        return select(name, network, data, n, **{"labeled": labeled, "rng": 0, **sides, **options})

    return run


def check_valid(selection, n, allowed):
    """n distinct int64 ids among the allowed ones, plain ints when iterated."""
    assert isinstance(selection, Selection)
    assert selection.ids.dtype == torch.int64
    assert selection.ids.shape == (n,)
    assert selection.ids.device.type == "cpu"
    ids = list(selection)
    assert all(type(i) is int for i in ids)
    assert len(selection) == n == len(set(ids))
    assert set(ids) <= set(allowed)
    assert selection.tolist() == ids == np.asarray(selection).tolist()
    for column in (selection.scores, selection.weights):
        assert column is None or (column.shape == (n,) and bool(column.isfinite().all()))


def check_equal_up_to_ties(one, other):
    """The same ids, except where scores at the same place agree within 1e-6: then they are ties."""
    if one.tolist() == other.tolist():
        return
    assert one.scores is not None, f"{one.tolist()} != {other.tolist()}"
    assert other.scores is not None
    np.testing.assert_allclose(one.scores.numpy(), other.scores.numpy(), rtol=1e-6, atol=1e-6)


def digest(*values):
    found = hashlib.sha256()
    for value in values:
        found.update(np.ascontiguousarray(np.asarray(value)).tobytes())
        found.update(str((np.asarray(value).dtype, np.asarray(value).shape)).encode())
    return found.hexdigest()


def measured(strategy, role="pool"):
    return measured_by(getattr(strategy.needs, role))


def arrays_of(name, net, x, seed=0):
    """The arrays that ``select_from`` takes, from a plain forward pass; samples from the network, with the draws of that seed."""
    strategy = strategy_named(name)
    needed = set(measured(strategy)) | set(measured(strategy, "labeled"))
    strange = [s for s in needed if not isinstance(s, (Logits, Probs, Embedding, MCProbs))]
    if strange or any(getattr(strategy.needs, role) for role in ("validation", "query", "private")):
        pytest.skip(f"select_from takes no arrays for what {name} reads: {strange or strategy.needs}")
    net.eval()
    with torch.no_grad():
        hidden = net.body(torch.from_numpy(x))
        probs = net.head(hidden).softmax(1).numpy()
    arrays = {}
    if Logits() in needed:
        arrays["probs"] = probs
    if Embedding() in needed:
        arrays["embeddings"] = hidden.numpy()
    for signal in needed:
        if isinstance(signal, MCProbs):
            source = NetworkSource(TorchNetwork(net), x, torch.arange(len(x)))
            table = gather(source, (signal,), Runtime(), Rng(seed).child("measure", "pool"))
            arrays["mc_probs"] = table[signal].numpy()
    return arrays or {"probs": probs}


class Rows(Dataset):
    """The rows of an array as a Dataset of (x, y) pairs."""

    def __init__(self, x, labels=None):
        self.x = torch.from_numpy(x)
        self.labels = torch.zeros(len(x)) if labels is None else labels

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], self.labels[i]


# --- what is returned -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 10, N_POOL - len(LABELED)])
def test_n_distinct_ids_of_the_pool(name, n, ask):
    check_valid(ask(name, n), n, set(range(N_POOL)) - set(LABELED))


@pytest.mark.parametrize("n", [1, 10, N_POOL - len(LABELED)])
def test_a_reason_for_each_pick(name, n, ask):
    found = ask(name, n)
    assert isinstance(found.reasons, tuple)
    assert len(found.reasons) == n
    for sentence in (*found.reasons, *found.notes):
        assert isinstance(sentence, str)
        assert sentence.strip() == sentence != ""
        assert "nan" not in sentence.lower().split()
        assert not re.search(r"[{}\n]|tensor\(", sentence)
    assert all(len(sentence) < 90 for sentence in found.reasons)


def test_reasons_read_what_is_measured_anyway(name):
    strategy = strategy_named(name)
    if isinstance(strategy, ScoreStrategy):
        assert set(measured_by(strategy.evidence)) <= set(measured(strategy))


def test_scores_are_in_pick_order(name, ask):
    if not issubclass(STRATEGIES[name], ScoreStrategy):
        pytest.skip("its picks depend on one another")
    scores = ask(name, 30).scores
    assert bool((scores[:-1] >= scores[1:]).all())


def test_score_strategies_pick_nested_selections(name, ask):
    if not issubclass(STRATEGIES[name], ScoreStrategy):
        pytest.skip("its picks depend on one another")
    assert ask(name, 30).tolist()[:7] == ask(name, 7).tolist()


def test_streamed_selection_equals_selection_from_the_whole_table(name, net, x):
    strategy = strategy_named(name)
    if not isinstance(strategy, ScoreStrategy) or any(getattr(strategy.needs, role) for role in ROLES[1:]):
        pytest.skip("only for scores of the pool alone")
    table = gather(
        NetworkSource(TorchNetwork(net), x, torch.arange(N_POOL)),
        strategy.needs.pool,
        Runtime(batch_size=13),
        Rng(0).child("measure", "pool"),
    )
    scores = strategy.score(Sets(table)).double().numpy()
    order = sorted(range(N_POOL), key=lambda row: (-scores[row], row))[:20]  # best first, then the smaller id
    assert select(strategy, net, x, 20, runtime=Runtime(batch_size=13), rng=0).tolist() == order


@pytest.mark.parametrize("labeled", [None, [], np.array([], dtype=np.int64)])
def test_empty_labeled_set(name, labeled, ask):
    check_valid(ask(name, 10, labeled=labeled), 10, range(N_POOL))


def test_everything_may_be_asked_for(name, ask):
    assert sorted(ask(name, N_POOL, labeled=None)) == list(range(N_POOL))


def test_candidates_are_kept_to(name, ask):
    candidates = [90, 5, 33, 8, 61, 60, 2]
    check_valid(ask(name, 4, candidates=candidates), 4, candidates)
    assert sorted(ask(name, 7, candidates=candidates)) == sorted(candidates)


def test_order_of_candidates_does_not_matter(name, ask):
    candidates = np.delete(np.arange(N_POOL), LABELED)[::2]
    shuffled = np.random.default_rng(0).permutation(candidates)
    assert ask(name, 9, candidates=candidates).tolist() == ask(name, 9, candidates=shuffled).tolist()


# --- what may not matter --------------------------------------------------------------------------------------------


def coarse(values, unit):
    """The nearest multiples of ``unit``, a power of two."""
    return (values / unit).round() * unit


@pytest.fixture
def ask_exactly(ask, net, x):
    """``ask_exactly(name, n, ...)``: as ``ask``, with data and a network of few binary digits.

    No sum or product of a forward pass is rounded, so logits and embeddings are equal bit for bit however minibatches are cut:
    an ordinary network's may differ in the last digit, by the kernels that PyTorch takes for minibatches of different sizes.
    """
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(coarse(p, 1 / 16))
        normalization = net.body[1]
        normalization.running_mean.copy_(coarse(normalization.running_mean, 1 / 16))
        normalization.running_var.copy_(1 + 3 * (normalization.running_var > 1))  # standard deviations of 1 and 2
        normalization.eps = 0.0
    rows = coarse(x, 1 / 4)

    def run(name, n, kind=np.asarray, **options):
        return ask(name, n, data=kind(rows), **options)

    return run


def check_equal_measurements(name, one, other):
    """Equal selections, as equal measurements give; the steps of attacks are rounded, and their scores up to that."""
    if any(signal.grad for signal in measured(strategy_named(name))):
        check_equal_up_to_ties(one, other)
    else:
        assert one.tolist() == other.tolist()


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_minibatch_size_does_not_matter(name, batch_size, ask_exactly):
    whole = ask_exactly(name, 12, runtime=Runtime(batch_size=N_POOL))
    check_equal_measurements(name, whole, ask_exactly(name, 12, runtime=Runtime(batch_size=batch_size)))


def test_workers_and_the_kind_of_data_do_not_matter(name, ask_exactly):
    if strategy_named(name).needs == Needs():
        pytest.skip("does not read the data")
    array = ask_exactly(name, 12)
    serial = ask_exactly(name, 12, Rows, runtime=Runtime(batch_size=50))
    beside = ask_exactly(name, 12, Rows, runtime=Runtime(batch_size=50, num_workers=1))
    assert serial.tolist() == beside.tolist()
    check_equal_measurements(name, array, serial)


def test_labels_of_the_pool_are_not_read(name, ask, x):
    plain = ask(name, 12, data=Rows(x))
    nonsense = ask(name, 12, data=Rows(x, torch.full((N_POOL, 2), torch.nan)))
    assert plain.tolist() == nonsense.tolist()


def test_training_mode_does_not_matter(name, ask, net):
    net.train()
    first = ask(name, 12)
    net.eval()
    assert first.tolist() == ask(name, 12).tolist()


def test_float64_data_do_not_matter(name, ask, x):
    assert ask(name, 12).tolist() == ask(name, 12, data=x.astype(np.float64)).tolist()


# --- randomness -----------------------------------------------------------------------------------------------------


def test_same_rng_same_answer(name, ask):
    first = ask(name, 12, rng=5)
    assert first.tolist() == ask(name, 12, rng=Rng(5)).tolist() == ask(name, 12, rng=5).tolist()


def test_another_rng_another_answer_exactly_if_randomness_was_drawn(name, ask, monkeypatch):
    drawn = []
    integer = Rng.integer
    monkeypatch.setattr(Rng, "integer", lambda self: drawn.append(self.path) or integer(self))
    answers = {tuple(ask(name, 12, rng=seed)) for seed in range(5)}
    assert (len(answers) > 1) == bool(drawn)


def test_global_generators_are_not_touched(name, ask, x):
    def states():
        numpy_state = np.random.get_state()  # noqa: NPY002 - the global generator is the point
        return torch.get_rng_state().tolist(), str(numpy_state[1:]), numpy_state[1].tolist(), random.getstate()

    before = states()
    ask(name, 12)
    ask(name, 12, data=Rows(x))
    assert states() == before


def test_global_generators_are_not_read(name, ask):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first = ask(name, 12).tolist()
        torch.manual_seed(2)
        assert ask(name, 12).tolist() == first


# --- difficult data -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_distinct", [1, 5])
def test_duplicate_rows_still_give_distinct_ids(name, n_distinct, ask, x):
    tiled = np.tile(x[:n_distinct], (12, 1))
    for n in (1, n_distinct, n_distinct + 7, len(tiled)):
        check_valid(ask(name, n, data=tiled, labeled=None), n, range(len(tiled)))


def test_duplicates_of_labeled_rows(name, ask, x):
    tiled = np.tile(x[:4], (6, 1))
    check_valid(ask(name, 9, data=tiled, labeled=[0, 1, 2, 3]), 9, range(4, 24))


def test_one_class_predicted_everywhere(name, ask, net):
    with torch.no_grad():
        net.head.bias[2] += 30
    check_valid(ask(name, 10), 10, set(range(N_POOL)) - set(LABELED))


def test_constant_model(name, ask, net):
    with torch.no_grad():
        net.head.weight.zero_()
        net.body[0].weight.zero_()
    check_valid(ask(name, 10), 10, set(range(N_POOL)) - set(LABELED))


def test_saturated_probabilities(name, ask, net):
    with torch.no_grad():
        net.head.weight.mul_(200)
        net.head.bias.mul_(200)
    check_valid(ask(name, 10), 10, set(range(N_POOL)) - set(LABELED))


def test_float16_arrays(name, net, x):
    arrays = {key: array.astype(np.float16) for key, array in arrays_of(name, net, x).items()}
    widened = {key: array.astype(np.float32) for key, array in arrays.items()}
    half = select_from(name, 10, labeled=list(LABELED), **arrays)
    check_valid(half, 10, set(range(N_POOL)) - set(LABELED))
    assert half.tolist() == select_from(name, 10, labeled=list(LABELED), **widened).tolist()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_models_in_any_precision(name, dtype, ask, net):
    """They are asked in their own precision; most picks are those of the same weights in single precision (of 92, by chance 2)."""
    found = ask(name, 12, network=net.to(dtype))
    check_valid(found, 12, set(range(N_POOL)) - set(LABELED))
    assert all(p.dtype == dtype for p in net.parameters())
    assert len(set(found) & set(ask(name, 12, network=net.float()))) >= (11 if dtype == torch.float64 else 7)


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, -1, N_POOL - len(LABELED) + 1, True, 2.5, 3.0, "3", None])
def test_impossible_n(name, n, ask):
    with pytest.raises(InvalidInput, match=r"\bn must be"):
        ask(name, n)


@pytest.mark.parametrize("n", [0, N_POOL + 1, True, 2.5])
def test_impossible_n_from_arrays(name, n, net, x):
    with pytest.raises(InvalidInput, match=r"\bn must be"):
        select_from(name, n, **arrays_of(name, net, x))


def test_whole_numbers_of_numpy_are_fine(name, ask):
    assert ask(name, np.int64(5)).tolist() == ask(name, 5).tolist()


# --- nothing is changed ---------------------------------------------------------------------------------------------


def test_the_model_is_bit_identical_afterwards(name, ask, net, fingerprint):
    net.train()
    net.body[1].eval()  # a mixture of modes
    net.body[0].weight.requires_grad_(False)
    before = fingerprint(net)
    ask(name, 12)
    assert fingerprint(net) == before
    assert all(p.grad is None for p in net.parameters())
    assert torch.is_grad_enabled()


def test_gradients_that_were_there_stay(name, ask, net, fingerprint):
    for p in net.parameters():
        p.grad = torch.full_like(p, 0.25)
    before = fingerprint(net)
    ask(name, 12)
    assert fingerprint(net) == before


def test_arguments_are_not_changed(name, ask, x, sides):
    labeled, candidates = list(LABELED), np.arange(40, 70)[::-1].copy()
    candidates = candidates[~np.isin(candidates, labeled)]
    given = [x, labeled, candidates, *[array for pair in sides.values() for array in pair]]
    before = digest(*given)
    ask(name, 12, labeled=labeled, candidates=candidates)
    assert digest(*given) == before


def test_arrays_are_not_changed(name, net, x):
    arrays = arrays_of(name, net, x)
    tensors = {key: torch.from_numpy(array.copy()) for key, array in arrays.items()}
    before = digest(*arrays.values())
    select_from(name, 12, **arrays)
    select_from(name, 12, **tensors)
    assert digest(*arrays.values()) == before == digest(*tensors.values())


def test_read_only_arrays_are_enough(name, net, x):
    arrays = arrays_of(name, net, x)
    frozen = {key: array.copy() for key, array in arrays.items()}
    for array in frozen.values():
        array.flags.writeable = False
    assert select_from(name, 12, **frozen).tolist() == select_from(name, 12, **arrays).tolist()


# --- needs ----------------------------------------------------------------------------------------------------------


def tables_of(strategy, net, x, sides):
    """Tables that hold exactly the measured signals, by role; only for roles that are needed."""
    data = {"pool": (x, None), "labeled": (x[list(LABELED)], np.array([0, 1, 2, 3])), **sides}
    found = {}
    for role in ROLES:
        if getattr(strategy.needs, role) or role == "pool":
            rows, y = data[role]
            labels = None if y is None else torch.from_numpy(y)
            source = NetworkSource(TorchNetwork(net), rows, torch.arange(len(rows)), labels)
            stored = measured(strategy, role)
            found[role] = gather(source, stored, Runtime(), Rng(0)) if stored else Signals(source.ids, {})
            assert set(found[role].values) == set(stored)
    return found


def test_needs_are_sufficient(name, net, x, sides):
    strategy = strategy_named(name)
    selection = strategy.select(Sets(**tables_of(strategy, net, x, sides)), 10, Rng(0))
    check_valid(selection, 10, range(N_POOL))


@pytest.mark.parametrize("n", [1, 7, 40])
def test_the_shortlist_is_enough(name, n, net, x, sides):
    """A strategy chooses from the examples that pass, in the order of the pool, what it chooses from all."""
    strategy = strategy_named(name)
    shortlist = strategy.needs.shortlist
    if shortlist is None:
        pytest.skip("looks at the whole pool")
    tables = tables_of(strategy, net, x, sides)
    passed = shortlist.by.select(Sets(tables["pool"]), shortlist.rows(n, N_POOL), Rng(0)).ids.sort().values
    seen = {**tables, "pool": tables["pool"].rows(passed)}
    assert strategy.select(Sets(**seen), n, Rng(5)).tolist() == strategy.select(Sets(**tables), n, Rng(5)).tolist()


def test_needs_are_necessary(name, net, x, sides):
    strategy = strategy_named(name)
    tables = tables_of(strategy, net, x, sides)
    removals = [(role, signal) for role, table in tables.items() for signal in table.values]
    assert bool(removals) == (strategy.needs != Needs())
    for role, signal in removals:
        rest = {s: column for s, column in tables[role].values.items() if s != signal}
        without = Sets(**{**tables, role: Signals(tables[role].ids, rest)})
        with pytest.raises(MissingSignal, match="was not measured"):
            strategy.select(without, 10, Rng(0))


def test_ids_are_those_of_the_table_not_its_rows(name, net, x, sides):
    strategy = strategy_named(name)
    tables = tables_of(strategy, net, x, sides)
    ids = torch.arange(N_POOL) * 1000 + 7
    renamed = Sets(**{**tables, "pool": Signals(ids, tables["pool"].values)})
    plain = strategy.select(Sets(**tables), 10, Rng(0))
    assert strategy.select(renamed, 10, Rng(0)).tolist() == ids[plain.ids].tolist()


def test_no_needs_no_model_and_no_data_read(name):
    strategy = strategy_named(name)

    class Unreadable(Dataset):
        def __len__(self):
            return 20

        def __getitem__(self, i):
            raise AssertionError("the data was read")

    if strategy.needs == Needs():
        check_valid(select(strategy, None, Unreadable(), 5), 5, range(20))
    else:
        with pytest.raises(InvalidInput, match="measures a model"):
            select(strategy, None, Unreadable(), 5)


# --- as an object ---------------------------------------------------------------------------------------------------


def test_repr_round_trips(name):
    strategy = strategy_named(name)
    scope = {**vars(distil.signals), **vars(distil.strategies)}
    assert eval(repr(strategy), scope) == strategy


def test_frozen_and_hashable(name):
    strategy = strategy_named(name)
    assert dataclasses.is_dataclass(strategy)
    assert isinstance(strategy, Strategy)
    assert hash(strategy) == hash(strategy_named(name))
    assert strategy == strategy_named(name)
    for field in [f.name for f in dataclasses.fields(strategy)] or ["anything"]:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(strategy, field, 1)


def test_documented(name):
    cls = STRATEGIES[name]
    assert inspect.getdoc(cls)
    assert "\n" not in cls.paper.strip()
    assert cls.paper.strip()
    for field in dataclasses.fields(cls):
        assert f"{field.name}:" in cls.__doc__, f"{field.name} is not described"


def test_unknown_parameters_are_refused(name):
    with pytest.raises(InvalidInput, match="no parameter 'no_such_thing'"):
        strategy_named(name, no_such_thing=1)


# --- measuring ------------------------------------------------------------------------------------------------------


def test_equal_picks_from_the_model_and_from_arrays_of_its_outputs(name, net, x):
    arrays = arrays_of(name, net, x, seed=3)
    from_model = select(name, net, x, 12, labeled=list(LABELED), rng=3)
    from_arrays = select_from(name, 12, labeled=list(LABELED), seed=3, **arrays)
    check_equal_up_to_ties(from_model, from_arrays)


def skip_attacks(strategy):
    if any(signal.grad for role in ROLES for signal in measured(strategy, role)):
        pytest.skip("an attack on the inputs takes as many passes as it needs")


def test_one_forward_pass_a_minibatch(name, net, ask, monkeypatch):
    strategy = strategy_named(name)
    skip_attacks(strategy)
    sizes = {"pool": N_POOL - len(LABELED), "labeled": len(LABELED), **SIDE_SETS}
    outputs, samples = Counter(), Counter()
    for role, size in sizes.items():
        needed = measured(strategy, role)
        minibatches = Counter(len(part) for part in torch.arange(size).split(20))
        if any(isinstance(s, (Logits, Embedding)) for s in needed):
            outputs += minibatches
        for _ in [s for s in needed if isinstance(s, MCProbs)]:
            samples += minibatches
    asked = {"outputs": [], "sample": []}
    network = TorchNetwork(net)
    for method, sizes_asked in asked.items():
        original = getattr(network, method)
        count = lambda batch, *more, original=original, to=sizes_asked: to.append(len(batch)) or original(batch, *more)  # noqa: E731
        monkeypatch.setattr(network, method, count)
    ask(name, 12, network=network, runtime=Runtime(batch_size=20))
    assert Counter(asked["outputs"]) == outputs
    assert Counter(asked["sample"]) == samples


def test_the_module_itself_is_called_once_a_minibatch(name, net, x):
    """At most nine more calls, on at most 8 rows, find out what the model returns and where it drops."""
    calls = []

    class Calls(type(net)):
        def forward(self, x):
            calls.append(len(x))
            return super().forward(x)

    net.__class__ = Calls
    strategy = strategy_named(name)
    skip_attacks(strategy)
    select(strategy, net, x, 12, runtime=Runtime(batch_size=20))
    needed = measured(strategy)
    passes = any(isinstance(s, (Logits, Embedding)) for s in needed) + sum(
        s.n_samples for s in needed if isinstance(s, MCProbs)
    )
    expected = Counter({20: 4 * passes, 16: passes})
    finding_out = Counter(calls) - expected
    assert Counter(calls) - finding_out == expected - Counter()
    assert sum(finding_out.values()) <= 9
    assert all(rows <= 8 for rows in finding_out)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_cpu_and_cuda_agree(name, ask, net):
    on_cpu = ask(name, 12)
    on_cuda = ask(name, 12, runtime=Runtime(device="cuda"))
    assert next(net.parameters()).device.type == "cpu"
    if on_cpu.tolist() != on_cuda.tolist():
        assert on_cpu.scores is not None
        np.testing.assert_allclose(on_cpu.scores.numpy(), on_cuda.scores.numpy(), rtol=1e-4, atol=1e-5)
