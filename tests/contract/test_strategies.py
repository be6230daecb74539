"""The checks that every registered strategy must pass; each runs over all strategies, and a failure names the one that failed."""

import copy
import dataclasses
import functools
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
from distil.signals import (
    Costs,
    Embedding,
    Given,
    LabelProbs,
    Labels,
    Logits,
    MCPredictions,
    MCProbs,
    Predictions,
    Probs,
    Signals,
    Targets,
    measured_by,
)
from distil.strategies import STRATEGIES, Needs, Refine, ScoreStrategy, Selection, Strategy, strategy_named
from distil.strategies.base import ROLES, Sets
from distil.strategies.registry import tasks_of
from distil.system.runtime import Runtime

ALL = sorted(STRATEGIES)
N_POOL, N_INPUTS, N_CLASSES = 96, 6, 4
LABELED = (3, 17, 40, 77)
UNLABELED = set(range(N_POOL)) - set(LABELED)
SAMPLES = (MCProbs, MCPredictions)
COSTS = 1 + np.arange(12 * N_POOL) % 3  # what labels cost; few strategies read it
QUICK = {
    "refine": Refine(steps=2, selections=4, by=("random_sampling", "margin_sampling"))
}  # in place of some hundred selections
SIDE_SETS = {"validation": 5, "query": 4, "private": 3}  # their sizes


def measured(strategy, role="pool"):
    return measured_by(getattr(strategy.needs, role))


def task_of(strategy):
    """The first of the tasks that a strategy knows, in which it is checked."""
    return tasks_of(strategy_named(strategy) if isinstance(strategy, str) else strategy)[0]


def attacks_inputs(name):
    return any(signal.grad for role in ROLES for signal in measured(strategy_named(name), role))


def takes_a_model(name):
    """Whether a model can measure every signal; test_strategies_arrays.py checks the other strategies."""
    return not any(isinstance(signal, Given) for role in ROLES for signal in measured(strategy_named(name), role))


def takes_arrays(name):
    """Whether ``select_from`` has an argument for every signal that the strategy reads."""
    strategy = strategy_named(name)
    signals = {*measured(strategy), *measured(strategy, "labeled")}
    read = (Costs, Logits, Probs, Embedding, *SAMPLES, LabelProbs, Predictions)
    known = all(isinstance(signal, read) for signal in signals)
    return known and not any(getattr(strategy.needs, role) for role in ("validation", "query", "private"))


NAMES = [name for name in ALL if takes_a_model(name)]
ATTACKS = [name for name in NAMES if attacks_inputs(name)]
NO_ATTACKS = [name for name in NAMES if name not in ATTACKS]  # an attack makes as many forward passes as it needs
FROM_ARRAYS = [name for name in NAMES if takes_arrays(name)]
TARGETED = ["scg", "scmi", "smi"]  # need a query or a private set
VOTES = [
    "mix",
    "query_by_committee",
    "variation_ratio",
]  # ranks and votes tie; ties are ordered by the seed and the ids
DRAWN_BY_ID = ["stochastic_acquisition"]
SCORES = [name for name in NAMES if issubclass(STRATEGIES[name], ScoreStrategy)]
POOL_ALONE = [name for name in SCORES if not any(getattr(strategy_named(name).needs, role) for role in ROLES[1:])]
SHORTLISTS = [name for name in NAMES if strategy_named(name).needs.shortlist is not None]
# One strategy for each set of signals: what holds on the way from the data to the signals holds for all that read these.
WAYS = list(
    {tuple(map(frozenset, (measured(strategy_named(name), role) for role in ROLES))): name for name in NAMES}.values()
)
# Scores are computed while minibatches come; other strategies get a table, so the way there is all that minibatches can change.
STREAMED = sorted({*WAYS, *SCORES})
WAYS_FROM_DATA = [name for name in WAYS if strategy_named(name).needs != Needs()]
READ_LABELED = [name for name in NAMES if strategy_named(name).needs.labeled]
# Arrays of half precision are scored as they come, streamed, or widened where they enter: for all strategies in one place.
HALVES = [name for name in FROM_ARRAYS if name in STREAMED or name in ("badge", "core_set")]


def each(names=NAMES):
    """Make a test of a check: it runs the check on each of these strategies and adds the strategy's name to an error.

    The check's arguments are its fixtures: ``name``, ``net`` (new for each strategy), ``ask``, ``ask_exactly``, ``x``, ``sides``,
    ``fingerprint`` and ``monkeypatch``.
    """
    assert names

    def decorate(check):
        arguments = inspect.signature(check).parameters

        def test(small_net, fingerprint, x, sides):
            for name in names:
                with pytest.MonkeyPatch.context() as monkeypatch:
                    fixtures = {
                        "name": name,
                        "net": small_net(n_inputs=N_INPUTS, n_classes=N_CLASSES),
                        "x": x,
                        "sides": sides,
                        "fingerprint": fingerprint,
                        "monkeypatch": monkeypatch,
                    }
                    fixtures["ask"] = functools.partial(ask_for, fixtures["net"], x, sides)
                    if "ask_exactly" in arguments:
                        fixtures["ask_exactly"] = asking_exactly(fixtures["ask"], fixtures["net"], x)
                    try:
                        check(**{argument: fixtures[argument] for argument in arguments})
                    except BaseException as error:
                        error.add_note(f"strategy: {name}")
                        raise

        return test

    return decorate


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(1).normal(size=(N_POOL, N_INPUTS)).astype(np.float32)


@pytest.fixture(scope="module")
def sides():
    """Separate data, with labels, for the sets other than the pool."""
    rng = np.random.default_rng(2)
    return {
        role: (rng.normal(size=(n, N_INPUTS)).astype(np.float32), rng.integers(N_CLASSES, size=n))
        for role, n in SIDE_SETS.items()
    }


def ask_for(net, x, sides, name, n=10, data=None, network=None, labeled=LABELED, **options):
    """The selection of a strategy when every kind of set is passed; keywords override.

    The labeled set is passed as positions, or with labels where the strategy reads them.
    """
    data, network = x if data is None else data, net if network is None else network
    if task_of(name) == "multilabel":
        sides = {role: (rows, np.eye(N_CLASSES)[labels]) for role, (rows, labels) in sides.items()}
    sides = {"costs": COSTS[: len(data)], **sides}
    if labeled is not None and len(labeled) and {Labels(), Targets()} & {*measured(strategy_named(name), "labeled")}:
        ids = torch.as_tensor(labeled)
        labeled = LabeledSet(data, ids, ids % N_CLASSES)
    given = {"labeled": labeled, "rng": 0, "task": task_of(name), **sides, **options}
    return select(QUICK.get(name, name), network, data, n, **given)


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
    """Equal ids, or scores that agree within 1e-6 at every place: ties in another order."""
    if one.tolist() == other.tolist():
        return
    assert one.scores is not None, f"{one.tolist()} != {other.tolist()}"
    assert other.scores is not None
    np.testing.assert_allclose(one.scores.numpy(), other.scores.numpy(), rtol=1e-6, atol=1e-6)


def digest(*values):
    sha = hashlib.sha256()
    for value in values:
        sha.update(np.ascontiguousarray(np.asarray(value)).tobytes())
        sha.update(str((np.asarray(value).dtype, np.asarray(value).shape)).encode())
    return sha.hexdigest()


def arrays_of(name, net, x, seed=0):
    """The arguments of ``select_from``: the outputs of a plain forward pass, and samples of the network with this seed."""
    strategy = strategy_named(name)
    needed = {*measured(strategy), *measured(strategy, "labeled")}
    net.eval()
    with torch.no_grad():
        hidden = net.body(torch.from_numpy(x))
        logits = net.head(hidden)
    probs, task = logits.softmax(1).numpy(), task_of(strategy)
    arrays = {}
    if Logits() in needed:
        arrays["probs"] = probs
    if LabelProbs() in needed:
        arrays["probs"] = logits.sigmoid().numpy()
    if Predictions() in needed:
        arrays["predictions"] = logits.numpy()
    if Embedding() in needed:
        arrays["embeddings"] = hidden.numpy()
    if Costs() in needed:
        arrays["costs"] = COSTS[: len(x)]
    for signal in needed:
        if isinstance(signal, SAMPLES):
            source = NetworkSource(TorchNetwork(net, task=task), x, torch.arange(len(x)))
            table = gather(source, (signal,), Runtime(), Rng(seed).child("measure", "pool"))
            arrays[signal.argument] = table[signal].numpy()
    return arrays or {"probs": probs}


def array_picks(name, n, **options):
    """The selection of a strategy from arrays, in the task in which it is checked."""
    return select_from(name, n, task=task_of(name), **options)


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


@each()
def test_n_distinct_ids_of_the_pool_with_a_reason_each(name, ask):
    few = [90, 5, 33, 8, 61, 60, 2]
    for n, candidates in ((1, None), (10, None), (7, few)):  # the last are all that there are
        selection = ask(name, n, candidates=candidates)
        check_valid(selection, n, UNLABELED if candidates is None else candidates)
        assert isinstance(selection.reasons, tuple)
        assert len(selection.reasons) == n
        for sentence in (*selection.reasons, *selection.notes):
            assert isinstance(sentence, str)
            assert sentence.strip() == sentence != ""
            assert "nan" not in sentence.lower().split()
            assert not re.search(r"[{}\n]|tensor\(", sentence)
        assert all(len(sentence) < 90 for sentence in selection.reasons)


@each(SCORES)
def test_reasons_read_no_signals_beyond_the_needs(name):
    strategy = strategy_named(name)
    assert set(measured_by(strategy.evidence)) <= set(measured(strategy))


@each(SCORES)
def test_selections_by_score_are_in_the_order_of_scores_and_nested(name, ask):
    selection = ask(name, 30)
    assert bool((selection.scores[:-1] >= selection.scores[1:]).all())
    assert selection.tolist()[:7] == ask(name, 7).tolist()


@each([name for name in POOL_ALONE if name not in VOTES])
def test_streamed_selection_equals_selection_from_the_whole_table(name, net, x):
    strategy = strategy_named(name)
    table = gather(
        NetworkSource(TorchNetwork(net, task=task_of(name)), x, torch.arange(N_POOL)),
        strategy.needs.pool,
        Runtime(batch_size=13),
        Rng(0).child("measure", "pool"),
    )
    scores = strategy.score(Sets(table)).double().numpy()
    order = sorted(range(N_POOL), key=lambda row: (-scores[row], row))[:20]  # best first, then the smaller id
    own = {"runtime": Runtime(batch_size=13), "rng": 0, "task": task_of(name)}
    assert select(strategy, net, x, 20, **own).tolist() == order


@each(sorted({*WAYS, *READ_LABELED}))
def test_empty_labeled_set(name, ask):
    for labeled in (None, [], np.array([], dtype=np.int64)) if name in WAYS else (None,):
        check_valid(ask(name, 10, labeled=labeled), 10, range(N_POOL))


@each()
def test_the_whole_pool_may_be_selected(name, ask, x):
    assert sorted(ask(name, 24, data=x[:24], labeled=None)) == list(range(24))


@each()
def test_the_order_of_candidates_makes_no_difference(name, ask):
    candidates = np.delete(np.arange(N_POOL), LABELED)[::2]
    shuffled = np.random.default_rng(0).permutation(candidates)
    selection = ask(name, 9, candidates=candidates)
    check_valid(selection, 9, candidates.tolist())
    assert ask(name, 9, candidates=shuffled).tolist() == selection.tolist()


# --- what must make no difference --------------------------------------------------------------------------------------------


def coarse(values, unit):
    """The nearest multiples of ``unit``, a power of two."""
    return (values / unit).round() * unit


def asking_exactly(ask, net, x):
    """``ask_exactly(name, n, ...)``: as ``ask``, with data and a network of few binary digits.

    A forward pass then rounds no sum or product, so logits and embeddings are equal bit for bit for every size of minibatch. With
    an ordinary network they may differ in the last digit, as PyTorch takes different kernels for different sizes.
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
    """Equal selections, as from equal measurements; up to ties for attacks, whose steps are rounded."""
    if name in ATTACKS:
        check_equal_up_to_ties(one, other)
    else:
        assert one.tolist() == other.tolist()


@each(STREAMED)
def test_minibatch_size_makes_no_difference(name, ask_exactly):
    ask = functools.partial(ask_exactly, name, 6, candidates=sorted(UNLABELED)[:15])
    whole = ask(runtime=Runtime(batch_size=N_POOL))
    for batch_size in (1, 10):
        check_equal_measurements(name, whole, ask(runtime=Runtime(batch_size=batch_size)))


@each(WAYS_FROM_DATA)
def test_workers_and_the_kind_of_data_make_no_difference(name, ask_exactly):
    array = ask_exactly(name, 12)
    serial = ask_exactly(name, 12, Rows, runtime=Runtime(batch_size=50))
    in_a_worker = ask_exactly(name, 12, Rows, runtime=Runtime(batch_size=50, num_workers=1))
    assert serial.tolist() == in_a_worker.tolist()
    check_equal_measurements(name, array, serial)


@each(WAYS)
def test_labels_of_the_pool_are_not_read(name, ask, x):
    plain = ask(name, 12, data=Rows(x))
    nonsense = ask(name, 12, data=Rows(x, torch.full((N_POOL, 2), torch.nan)))
    assert plain.tolist() == nonsense.tolist()


@each(WAYS)
def test_training_mode_makes_no_difference(name, ask, net):
    net.train()
    first = ask(name, 12)
    net.eval()
    assert first.tolist() == ask(name, 12).tolist()


@each(WAYS)
def test_float64_data_make_no_difference(name, ask, x):
    assert ask(name, 12).tolist() == ask(name, 12, data=x.astype(np.float64)).tolist()


# --- randomness -----------------------------------------------------------------------------------------------------


@each()
def test_same_arguments_same_answer_whatever_the_global_generators(name, ask, x, sides):
    labeled, candidates = list(LABELED), np.array(sorted(UNLABELED))[70:30:-1]
    arguments = [x, labeled, candidates, *[array for pair in sides.values() for array in pair]]
    before = digest(*arguments)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first = ask(name, 12, rng=5, labeled=labeled, candidates=candidates)
        assert digest(*arguments) == before
        torch.manual_seed(2)
        np.random.seed(2)  # noqa: NPY002
        random.seed(2)
        assert ask(name, 12, rng=Rng(5), labeled=labeled, candidates=candidates).tolist() == first.tolist()


@each()
def test_selections_vary_with_the_rng_exactly_if_random_numbers_are_drawn(name, ask, monkeypatch):
    draws = []
    integer = Rng.integer
    monkeypatch.setattr(Rng, "integer", lambda self: draws.append(self.path) or integer(self))
    selections = {tuple(ask(name, 12, rng=0))}
    drawn = any(path[-1] != "ties" for path in draws)
    for seed in range(1, 5 if drawn else 2):
        if len(selections) == 1:
            selections.add(tuple(ask(name, 12, rng=seed)))
    # The last gains of facility location and sums of ranks tie; max_det needs its draws for rows wider than 2,048,
    # robust_core_set for pools of more than 4,096 examples, and anchors for classes with more than 10 labels.
    assert (len(selections) > 1) == drawn or name in ("anchors", "fass", "max_det", "mix", "robust_core_set", "scmi")


@each(WAYS)
def test_global_generators_are_not_touched(name, ask, x):
    def states():
        numpy_state = np.random.get_state()  # noqa: NPY002 - the global generator is the point
        return torch.get_rng_state().tolist(), str(numpy_state[1:]), numpy_state[1].tolist(), random.getstate()

    before = states()
    ask(name, 12)
    ask(name, 12, data=Rows(x))
    assert states() == before


# --- difficult data -------------------------------------------------------------------------------------------------


@each()
def test_duplicate_rows_give_distinct_ids(name, ask, x):
    for n_distinct, n in ((1, 6), (3, 18)):
        tiled = np.tile(x[:n_distinct], (6, 1))
        check_valid(ask(name, n, data=tiled, labeled=None), n, range(len(tiled)))
    tiled = np.tile(x[:4], (6, 1))  # duplicates of labeled rows
    check_valid(ask(name, 9, data=tiled, labeled=[0, 1, 2, 3]), 9, range(4, 24))


@each()
def test_one_class_predicted_everywhere(name, ask, net):
    with torch.no_grad():
        net.head.bias[2] += 30
    check_valid(ask(name, 10), 10, UNLABELED)


@each()
def test_constant_model(name, ask, net):
    with torch.no_grad():
        net.head.weight.zero_()
        net.body[0].weight.zero_()
    check_valid(ask(name, 10), 10, UNLABELED)


@each()
def test_saturated_probabilities(name, ask, net):
    with torch.no_grad():
        net.head.weight.mul_(200)
        net.head.bias.mul_(200)
    check_valid(ask(name, 10), 10, UNLABELED)


@each(HALVES)
def test_float16_arrays(name, net, x):
    arrays = {key: array.astype(np.float16) for key, array in arrays_of(name, net, x).items()}
    widened = {key: array.astype(np.float32) for key, array in arrays.items()}
    half = array_picks(name, 10, labeled=list(LABELED), **arrays)
    check_valid(half, 10, UNLABELED)
    assert half.tolist() == array_picks(name, 10, labeled=list(LABELED), **widened).tolist()


@each(WAYS)
def test_models_of_any_precision(name, ask, net):
    """They run in their own precision; most of the 12 picks of 92 are those in single precision, 2 of which would be by chance."""
    for dtype, n_equal in ((torch.float64, 11), (torch.float16, 7), (torch.bfloat16, 5)):
        module = copy.deepcopy(net).to(dtype)
        selection = ask(name, 12, network=module)
        check_valid(selection, 12, UNLABELED)
        assert all(p.dtype == dtype for p in module.parameters())
        rounded = module.float()
        assert len(set(selection) & set(ask(name, 12, network=rounded))) >= n_equal, dtype


# --- refusals -------------------------------------------------------------------------------------------------------


@each(WAYS)
def test_n_out_of_range_is_refused(name, ask):
    for n in (0, -1, len(UNLABELED) + 1, True, 2.5, 3.0, "3", None):
        with pytest.raises(InvalidInput, match=r"\bn must be"):
            ask(name, n)
    assert ask(name, np.int64(5)).tolist() == ask(name, 5).tolist()


@each(FROM_ARRAYS)
def test_n_out_of_range_is_refused_for_arrays(name, net, x):
    arrays = arrays_of(name, net, x)
    for n in (0, N_POOL + 1, True, 2.5):
        with pytest.raises(InvalidInput, match=r"\bn must be"):
            array_picks(name, n, **arrays)


# --- arguments stay unchanged ---------------------------------------------------------------------------------------------


@each(WAYS)
def test_the_model_is_bit_identical_afterwards(name, ask, net, fingerprint):
    net.train()
    net.body[1].eval()  # a mixture of modes
    net.body[0].weight.requires_grad_(False)
    before = fingerprint(net)
    ask(name, 12)
    assert fingerprint(net) == before
    assert all(p.grad is None for p in net.parameters())
    assert torch.is_grad_enabled()


@each(WAYS)
def test_stored_gradients_stay(name, ask, net, fingerprint):
    for p in net.parameters():
        p.grad = torch.full_like(p, 0.25)
    before = fingerprint(net)
    ask(name, 12)
    assert fingerprint(net) == before


# --- needs ----------------------------------------------------------------------------------------------------------


def tables_of(strategy, net, x, sides):
    """Tables of exactly the signals that the strategy needs measured, by role."""
    data = {"pool": (x, None), "labeled": (x[list(LABELED)], np.array([0, 1, 2, 3])), **sides}
    tables = {}
    for role in ROLES:
        if getattr(strategy.needs, role) or role == "pool":
            rows, y = data[role]
            labels = None if y is None else torch.from_numpy(y)
            network = TorchNetwork(net, task=task_of(strategy))
            if network.task == "regression" and labels is not None:
                labels = labels[:, None].double()
            ids, costs = torch.arange(len(rows)), torch.from_numpy(COSTS[: len(rows)]).float()
            source = NetworkSource(network, rows, ids, labels, costs=costs)
            stored = measured(strategy, role)
            tables[role] = gather(source, stored, Runtime(), Rng(0)) if stored else Signals(source.ids, {})
            assert set(tables[role].values) == set(stored)
    return tables


@each()
def test_needs_are_sufficient_and_ids_are_those_of_the_table(name, net, x, sides):
    strategy = QUICK.get(name, strategy_named(name))
    tables = tables_of(strategy, net, x, sides)
    selection = strategy.select(Sets(**tables), 10, Rng(0))
    check_valid(selection, 10, range(N_POOL))
    if name not in (*VOTES, *DRAWN_BY_ID):
        ids = torch.arange(N_POOL) * 1000 + 7
        renamed = Sets(**{**tables, "pool": Signals(ids, tables["pool"].values)})
        assert strategy.select(renamed, 10, Rng(0)).tolist() == ids[selection.ids].tolist()


@each(SHORTLISTS)
def test_the_shortlist_is_enough(name, net, x, sides):
    """From the shortlisted examples, in the order of the pool, a strategy makes the same selection as from the whole pool."""
    strategy = strategy_named(name)
    shortlist = strategy.needs.shortlist
    tables = tables_of(strategy, net, x, sides)
    for n in (1, 7, 40):
        passed = shortlist.by.select(Sets(tables["pool"]), shortlist.rows(n, N_POOL), Rng(0)).ids.sort().values
        short = {**tables, "pool": tables["pool"].rows(passed)}
        assert strategy.select(Sets(**short), n, Rng(5)).tolist() == strategy.select(Sets(**tables), n, Rng(5)).tolist()


@each()
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


@each()
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
        with pytest.raises(InvalidInput, match="needs a model"):
            select(strategy, None, Unreadable(), 5, task=task_of(name))


# --- as an object ---------------------------------------------------------------------------------------------------


@each(ALL)
def test_repr_round_trips(name):
    strategy = strategy_named(name)
    scope = {**vars(distil.signals), **vars(distil.strategies)}
    assert eval(repr(strategy), scope) == strategy


@each(ALL)
def test_frozen_and_hashable(name):
    strategy = strategy_named(name)
    assert dataclasses.is_dataclass(strategy)
    assert isinstance(strategy, Strategy)
    assert hash(strategy) == hash(strategy_named(name))
    assert strategy == strategy_named(name)
    for field in [f.name for f in dataclasses.fields(strategy)] or ["anything"]:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(strategy, field, 1)


@each(ALL)
def test_documented(name):
    cls = STRATEGIES[name]
    assert inspect.getdoc(cls)
    assert "\n" not in cls.paper.strip()
    assert cls.paper.strip()
    for field in dataclasses.fields(cls):
        assert f"{field.name}:" in cls.__doc__, f"{field.name} is not described"


@each(ALL)
def test_unknown_parameters_are_refused(name):
    with pytest.raises(InvalidInput, match="no parameter 'no_such_thing'"):
        strategy_named(name, no_such_thing=1)


# --- measuring ------------------------------------------------------------------------------------------------------


@each(FROM_ARRAYS)
def test_equal_picks_from_the_model_and_from_arrays_of_its_outputs(name, net, x):
    """From arrays, read-only arrays and tensors alike, none of which are changed."""
    arrays = arrays_of(name, net, x, seed=3)
    tensors = {key: torch.from_numpy(array.copy()) for key, array in arrays.items()}
    before = digest(*arrays.values())
    from_model = select(name, net, x, 12, labeled=list(LABELED), rng=3, task=task_of(name), costs=COSTS[:N_POOL])
    ask = functools.partial(array_picks, name, 12, labeled=list(LABELED), seed=3)
    from_arrays = ask(**arrays)
    check_equal_up_to_ties(from_model, from_arrays)
    assert digest(*arrays.values()) == before
    if name in HALVES:  # how arrays are read depends on the signals
        for array in arrays.values():
            array.flags.writeable = False
        assert ask(**arrays).tolist() == from_arrays.tolist()
    assert ask(**tensors).tolist() == from_arrays.tolist()
    assert digest(*tensors.values()) == before


@each(NO_ATTACKS)
def test_one_forward_pass_per_minibatch(name, net, ask, monkeypatch):
    strategy = strategy_named(name)
    sizes = {"pool": N_POOL - len(LABELED), "labeled": len(LABELED), **SIDE_SETS}
    outputs, samples = Counter(), Counter()
    for role, size in sizes.items():
        needed = measured(strategy, role)
        minibatches = Counter(len(part) for part in torch.arange(size).split(20))
        if any(not isinstance(s, (*SAMPLES, Labels, Targets)) for s in needed):
            outputs += minibatches
        for _ in [s for s in needed if isinstance(s, SAMPLES)]:
            samples += minibatches
    asked = {"outputs": [], "sample": []}
    network = TorchNetwork(net, task=task_of(name))
    for method, sizes_asked in asked.items():
        original = getattr(network, method)
        count = lambda batch, *more, original=original, to=sizes_asked: to.append(len(batch)) or original(batch, *more)  # noqa: E731
        monkeypatch.setattr(network, method, count)
    ask(name, 12, network=network, runtime=Runtime(batch_size=20))
    assert Counter(asked["outputs"]) == outputs
    assert Counter(asked["sample"]) == samples


@each([name for name in WAYS if name not in (*ATTACKS, *TARGETED)])
def test_the_module_is_called_once_per_minibatch(name, net, x):
    """At most nine more calls, on at most 8 rows, find out what the model returns and where it drops."""
    calls = []

    class Calls(type(net)):
        def forward(self, x):
            calls.append(len(x))
            return super().forward(x)

    net.__class__ = Calls
    strategy = strategy_named(name)
    select(strategy, net, x, 12, runtime=Runtime(batch_size=20), task=task_of(name), costs=COSTS[:N_POOL])
    needed = measured(strategy)
    passes = any(not isinstance(s, SAMPLES) for s in needed) + sum(
        s.n_samples for s in needed if isinstance(s, SAMPLES)
    )
    expected = Counter({20: 4 * passes, 16: passes})
    probes = Counter(calls) - expected
    assert Counter(calls) - probes == expected - Counter()
    assert sum(probes.values()) <= 9
    assert all(rows <= 8 for rows in probes)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@each()
def test_cpu_and_cuda_agree(name, ask, net):
    on_cpu = ask(name, 12)
    on_cuda = ask(name, 12, runtime=Runtime(device="cuda"))
    assert next(net.parameters()).device.type == "cpu"
    if on_cpu.tolist() != on_cuda.tolist():
        assert on_cpu.scores is not None
        np.testing.assert_allclose(on_cpu.scores.numpy(), on_cuda.scores.numpy(), rtol=1e-4, atol=1e-5)
