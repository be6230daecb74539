"""Ids in every form: each argument reads each form, and the picks are those of plain positions."""

from __future__ import annotations

import dataclasses
import datetime
from collections import deque
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset, Subset

from distil import FitConfig, Learner, Selection, select, select_from
from distil.data.array_files import Column
from distil.data.distances import NEAR
from distil.data.examples import LabeledSet
from distil.errors import InvalidInput
from distil.measuring import source
from distil.selection.from_files import chosen, read_arrays, request
from distil.selection.ids import IdReader
from distil.signals import Inputs
from distil.strategies import Needs, Strategy
from distil.strategies.base import best_rows
from distil.system.runtime import Runtime

N = 40
IDS = [4, 30, 7, 12]
NAMES = [f"dir/{i:02}.jpg" for i in range(N)]
X = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
PROBS = np.random.default_rng(1).dirichlet(np.ones(3), N).astype(np.float32)


class Series:
    """The interface of a pandas or polars column that the code uses; the index of its rows is ignored."""

    def __init__(self, values):
        self.values = np.asarray(values)

    @property
    def shape(self):
        return self.values.shape

    def to_numpy(self):
        return self.values

    def __len__(self):
        return len(self.values)

    def __getitem__(self, label):
        raise KeyError(label)


class Items(Dataset):
    """The rows of X as a data set that is not an array."""

    def __len__(self):
        return N

    def __getitem__(self, row):
        return torch.from_numpy(X[row])


def pick(strategy, n, *, embeddings=None, probs=None, ids=None, no_duplicates=False, **options):
    """Select from files or columns by the steps of ``distil select``."""
    arrays = read_arrays({"embeddings": embeddings, "probs": probs, "mc_probs": None}, ids, Runtime())
    return chosen(request(strategy, n, arrays, near=NEAR if no_duplicates else None, **options))


def mask_of(ids):
    mask = np.zeros(N, dtype=bool)
    mask[ids] = True
    return mask


# Some forms keep the order of the ids and some have none; picks must not depend on it.
FORMS = {
    "list": list,
    "tuple": tuple,
    "deque": deque,
    "set": set,
    "frozenset": frozenset,
    "keys": lambda ids: dict.fromkeys(ids).keys(),
    "tensor": torch.tensor,
    "int32 tensor": lambda ids: torch.tensor(ids, dtype=torch.int32),
    "uint8 array": lambda ids: np.array(ids, dtype=np.uint8),
    "uint64 array": lambda ids: np.array(ids, dtype=np.uint64),
    "big-endian array": lambda ids: np.array(ids, dtype=">i4"),
    "read-only array": lambda ids: np.frombuffer(np.array(ids).tobytes(), np.int64),
    "objects": lambda ids: np.array(ids, dtype=object),
    "list of NumPy's": lambda ids: [np.int16(i) for i in ids],
    "list of tensors": lambda ids: [torch.tensor(i) for i in ids],
    "list of arrays": lambda ids: [np.array(i) for i in ids],
    "Series": Series,
    "mask": mask_of,
    "mask tensor": lambda ids: torch.from_numpy(mask_of(ids)),
    "mask list": lambda ids: mask_of(ids).tolist(),
    "mask Series": lambda ids: Series(mask_of(ids)),
    "where": lambda ids: np.where(mask_of(ids)),
    "torch.where": lambda ids: torch.where(torch.from_numpy(mask_of(ids))),
    "Selection": lambda ids: Selection(torch.tensor(ids)),
    "names": lambda ids: [NAMES[i] for i in ids],
    "set of names": lambda ids: {NAMES[i] for i in ids},
    "array of names": lambda ids: np.array([NAMES[i] for i in ids]),
    "objects that are names": lambda ids: np.array([NAMES[i] for i in ids], dtype=object),
    "Series of names": lambda ids: Series([NAMES[i] for i in ids]),
}
LABELED_FORMS = {
    **FORMS,
    "LabeledSet": lambda ids: LabeledSet(X, ids, [0] * len(ids)),
    "dict": lambda ids: dict.fromkeys(ids, 0),
    "dict of names": lambda ids: {NAMES[i]: 1 for i in ids},
    "pair": lambda ids: (ids, [0] * len(ids)),
    "pair of a mask": lambda ids: (mask_of(ids), np.zeros(len(ids), int)),
    "pair of Series": lambda ids: (Series([NAMES[i] for i in ids]), Series([2] * len(ids))),
}


@dataclasses.dataclass(frozen=True)
class Near(Strategy):
    """The examples nearest to the sum of the inputs in all sets."""

    paper: ClassVar[str] = "none"

    @property
    def needs(self):
        return Needs(**dict.fromkeys(("pool", "labeled", "validation", "query", "private"), (Inputs(),)))

    def select(self, sets, n, rng):
        value = [getattr(sets, role)[Inputs()] for role in ("labeled", "validation", "query", "private")]
        center = torch.cat(value).double().sum(0)
        scores = -(sets.pool[Inputs()].double() - center).norm(dim=1)
        return sets.pool.ids[best_rows(sets.pool.ids, scores, n)]


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 3))


def test_select(case, net):
    for role in ("labeled", "validation", "query", "private", "candidates", "exclude"):
        forms = FORMS if role in ("candidates", "exclude") else LABELED_FORMS
        for strategy in (Near(), "random_sampling", "margin_sampling"):
            expected = select(strategy, net, X, 3, **{role: IDS}).tolist()
            for name, form in forms.items():
                with case(role, strategy, name):
                    assert select(strategy, net, X, 3, names=NAMES, **{role: form(IDS)}).tolist() == expected


def test_labeled_examples_are_never_asked_again(net):
    for name, form in LABELED_FORMS.items():
        found = select("random_sampling", None, X, N - len(IDS), labeled=form(IDS), names=NAMES)
        assert sorted(found) == sorted(set(range(N)) - set(IDS)), name
    items = Items()
    assert not set(select("random_sampling", None, items, N - 4, labeled=Subset(items, IDS))) & set(IDS)


def test_select_from_and_pick(case):
    for argument in ("labeled", "candidates", "exclude"):
        forms = LABELED_FORMS if argument == "labeled" else FORMS
        for strategy in ("core_set", "random_sampling"):
            expected = select_from(strategy, 3, embeddings=X, **{argument: IDS})
            names = [NAMES[i] for i in expected]
            for name, form in forms.items():
                with case(argument, strategy, name):
                    found = select_from(strategy, 3, embeddings=X, names=NAMES, **{argument: form(IDS)})
                    assert (found.tolist(), list(found.names)) == (expected.tolist(), names)
                    picks = pick(strategy, 3, embeddings=Column(X, NAMES, "x.npy"), **{argument: form(IDS)})
                    assert (picks.rows, picks.ids) == (expected.tolist(), names)


def check_learner(name):
    value = FORMS[name](IDS)

    def learner(**options):
        return Learner(
            X, lambda: nn.Linear(3, 3), "random_sampling", num_classes=3, names=NAMES, fit=FitConfig(), **options
        )

    assert learner(candidates=value).pool.unlabeled.tolist() == sorted(IDS)
    skipping = learner()
    skipping.skip(value)
    assert skipping.pool.skipped.tolist() == sorted(IDS)
    assert not set(learner().query(N - 4, exclude=value)) & set(IDS)
    labeling = learner()
    if "set" in name or name == "keys":
        with pytest.raises(
            InvalidInput, match="ids is a set, which has no order that labels could follow; pass a list"
        ):
            labeling.label(value, [0, 1, 2, 1])
        return
    labels = [0, 1, 2, 1]
    ordered = "mask" not in name and "where" not in name
    labeling.label(value, labels)
    assert labeling.pool.labels(IDS if ordered else sorted(IDS)).tolist() == labels


def test_learner(case):
    for name in FORMS:
        with case(name):
            check_learner(name)


def test_learner_takes_dicts_and_pairs():
    for value in ({NAMES[3]: 1, NAMES[1]: 2}, {3: 1, 1: 2}, ([3, 1], [1, 2]), (np.array([3, 1]), Series([1, 2]))):
        subject = Learner(X, lambda: nn.Linear(3, 3), "random_sampling", num_classes=3, names=NAMES)
        subject.label(value)
        assert subject.pool.labels([1, 3]).tolist() == [2, 1]
    with pytest.raises(InvalidInput, match="labels are missing"):
        subject.label([5, 6])


def test_labels_in_dicts_and_pairs_are_those_of_the_ids():
    """GLISTER reads labels."""
    labels = [2, 0, 1, 1]
    arrays = {"probs": PROBS, "embeddings": X}
    expected = select_from("glister", 5, labeled=IDS, labels=labels, **arrays).tolist()
    assert expected != select_from("glister", 5, labeled=IDS, labels=[0, 0, 0, 0], **arrays).tolist()
    named = [NAMES[i] for i in IDS]
    for value in (
        dict(zip(IDS, labels, strict=True)),
        dict(zip(named, labels, strict=True)),
        (IDS, labels),
        (named, torch.tensor(labels)),
        (Series(named), [torch.tensor(y) for y in labels]),
        LabeledSet(X, IDS, labels),
    ):
        assert select_from("glister", 5, labeled=value, names=NAMES, **arrays).tolist() == expected
    mask, sorted_labels = mask_of(IDS), [labels[IDS.index(i)] for i in sorted(IDS)]
    assert select_from("glister", 5, labeled=(mask, sorted_labels), **arrays).tolist() == expected
    with pytest.raises(InvalidInput, match="labeled has labels too"):
        select_from("glister", 5, labeled=(IDS, labels), labels=labels, **arrays)
    with pytest.raises(InvalidInput, match="labels was passed without labeled"):
        select_from("glister", 5, labels=labels, **arrays)
    with pytest.raises(InvalidInput, match="labels must have one entry for each of the 4 examples, got 3"):
        select_from("glister", 5, labeled=IDS, labels=labels[:3], **arrays)


WRONG = [
    ([3, N], "has 40, which is not a position in data of 40 examples"),
    ([3, -1], "has -1, which is not a position"),
    (range(N - 1, N + 2), "has 40, which is not"),
    ([3, 4, 3], "has the id 'dir/03.jpg' more than once"),
    ([NAMES[3], NAMES[3]], "has the id 'dir/03.jpg' more than once"),
    (
        ["dir/3.jpg"],
        r"has 'dir/3.jpg', which is not the name of an example of this pool; .* begin with 'dir/00.jpg'; did you mean 'dir/",
    ),
    ([NAMES[1], 7], "has 7, which is not the name of an example"),
    ([2**70], "has 1180591620717411303424, which is not the name"),
    ([None, 1], "has None, which is not the name"),
    ([1.0, 2.0], r"has the floating-point number 1.0; convert ids to whole numbers, as with .astype\(int\)"),
    (np.array([1.0, np.nan]), "has an id that is missing"),
    (torch.tensor([0.5]), "has the floating-point number 0.5"),
    (torch.tensor([0.5], dtype=torch.bfloat16), "has the floating-point number 0.5"),
    (np.zeros(N - 1, bool), "is a boolean mask and must have an entry for each of the 40 examples; got 39"),
    ([True, 1], "has booleans among other ids"),
    (np.ma.array([1, 2], mask=[True, False]), "has masked entries"),
    (torch.tensor([1, 0, 2]).to_sparse(), "is a sparse tensor"),
]


def check_wrong_ids_are_refused_everywhere(value, message, net):
    learner = Learner(X, lambda: nn.Linear(3, 3), "random_sampling", num_classes=3, names=NAMES)
    calls = [
        *(
            (role, lambda role=role: select("random_sampling", None, X, 3, names=NAMES, **{role: value}))
            for role in ("labeled", "validation", "query", "private", "candidates", "exclude")
        ),
        *(
            (name, lambda name=name: select_from("random_sampling", 3, probs=PROBS, names=NAMES, **{name: value}))
            for name in ("labeled", "candidates", "exclude")
        ),
        *(
            (name, lambda name=name: pick("random_sampling", 3, probs=Column(PROBS, NAMES, "p"), **{name: value}))
            for name in ("labeled", "candidates", "exclude")
        ),
        ("ids", lambda: learner.label(value, [0] * len(value))),
        ("ids", lambda: learner.skip(value)),
        ("exclude", lambda: learner.query(3, exclude=value)),
    ]
    for argument, call in calls:
        with pytest.raises(InvalidInput, match=f"^{argument} {message}"):
            call()
    assert learner.pool.unlabeled.tolist() == list(range(N))


def test_wrong_ids_are_refused_everywhere(case, net):
    for value, message in WRONG:
        with case(value, message):
            check_wrong_ids_are_refused_everywhere(value, message, net)


def check_a_value_that_is_not_a_list_is_refused_with_advice(value):
    with pytest.raises(
        InvalidInput, match=r"labeled must be ids of the pool .* boolean mask, or a Selection.*a dict {id: label}"
    ):
        select("random_sampling", None, X, 3, labeled=value, names=NAMES)
    for call in (
        lambda: select("random_sampling", None, X, 3, exclude=value),
        lambda: select_from("random_sampling", 3, probs=PROBS, exclude=value),
    ):
        with pytest.raises(InvalidInput, match="exclude must hold ids of the pool: a list, tuple, set"):
            call()


def test_a_value_that_is_not_a_list_is_refused_with_advice(case):
    for value in [5, "dir/03.jpg", 2.5, torch.tensor(3)]:
        with case(value):
            check_a_value_that_is_not_a_list_is_refused_with_advice(value)


def test_iterators_are_refused():
    for role in ("labeled", "exclude", "candidates", "query"):
        with pytest.raises(InvalidInput, match=rf"^{role} .*can be read only once; pass (list|a list)"):
            select("random_sampling", None, X, 3, **{role: (i for i in IDS)})
    with pytest.raises(InvalidInput, match="names must be a list with one name per example, got generator; pass list"):
        select("random_sampling", None, X, 3, names=(str(i) for i in range(N)))


def test_ids_alone_are_no_labels():
    for role in ("candidates", "exclude"):
        with pytest.raises(InvalidInput, match=f"{role} must hold ids of the pool: .*; got dict"):
            select("random_sampling", None, X, 3, **{role: {3: 1}})
        with pytest.raises(InvalidInput, match=f"{role} is a LabeledSet of other data; pass ids of this pool"):
            select("random_sampling", None, X, 3, **{role: LabeledSet(X.copy(), [3], [1])})


def test_names_in_a_pool_without_names(case):
    for names in [None, NAMES]:
        with case(names):
            value = ["missing"]
            message = "has no names|have no names" if names is None else "which is not the name"
            for role in ("labeled", "query", "candidates", "exclude"):
                with pytest.raises(InvalidInput, match=message):
                    select("random_sampling", None, X, 3, names=names, **{role: value})


# --- names that are not texts ------------------------------------------------------------------------------------------


class Times(Series):
    """Times in a column of pandas: an array of NumPy, whose elements are datetimes."""

    def listed(self, rows):
        return [self.to_numpy()[row].astype("datetime64[us]").item() for row in rows]


def test_names_of_any_kind(case):
    for kind, names in zip(
        ["dates", "tuples", "times", "times of pandas", "floats", "numbers", "array", "tensor", "Series"],
        [
            [datetime.date(2026, 1, 1) + datetime.timedelta(i) for i in range(N)],
            [("a", i) for i in range(N)],
            np.datetime64("2026-01-01", "ns") + np.arange(N),
            Times(np.datetime64("2026-01-01", "ns") + np.arange(N) * np.timedelta64(1, "D")),
            [0.5 * i + 0.25 for i in range(N)],
            list(range(100, 100 + N)),
            np.arange(100, 100 + N),
            torch.arange(100, 100 + N),
            Series(np.arange(100, 100 + N)),
        ],
        strict=True,
    ):
        with case(kind):
            listed = names.to_numpy() if isinstance(names, Series) else names
            value = names.listed(IDS) if isinstance(names, Times) else [listed[i] for i in IDS]
            expected = select_from("core_set", 3, embeddings=X, labeled=IDS).tolist()
            assert select_from("core_set", 3, embeddings=X, labeled=value, names=names).tolist() == expected
            assert (
                select_from("core_set", 3, embeddings=X, labeled=dict.fromkeys(value, 1), names=names).tolist()
                == expected
            )


def test_whole_numbers_that_are_positions_and_other_names_are_refused():
    names = list(range(1, N + 1))  # numbered from 1, as in databases
    for value in (IDS, np.array(IDS), {4}):
        with pytest.raises(InvalidInput, match="labeled has 4, which is a position and the name of another example"):
            select_from("core_set", 3, embeddings=X, labeled=value, names=names)
    expected = select_from("core_set", 3, embeddings=X, labeled=IDS).tolist()
    for value in (mask_of(IDS), Selection(torch.tensor(IDS))):
        assert select_from("core_set", 3, embeddings=X, labeled=value, names=names).tolist() == expected
    assert select_from("core_set", 3, embeddings=X, labeled=IDS, names=range(N)).tolist() == expected
    learner = Learner(X, lambda: nn.Linear(3, 3), "random_sampling", num_classes=3, names=names)
    asked = learner.query(4)
    learner.label(asked, [0, 1, 2, 0])
    assert learner.pool.labels(asked).tolist() == [0, 1, 2, 0]
    assert not set(learner.query(5)) & set(asked)


def test_names_that_are_texts_of_whole_numbers():
    names = [str(number) for number in range(1, N + 1)]  # the ids of a table
    with pytest.raises(InvalidInput, match="labeled has 4, which is a position and the name of another example"):
        select_from("core_set", 3, embeddings=X, labeled=IDS, names=names)
    expected = select_from("core_set", 3, embeddings=X, labeled=IDS)
    far = [str(number) for number in range(1000, 1000 + N)]
    for value in ([1000 + row for row in IDS], IDS):
        assert select_from("core_set", 3, embeddings=X, labeled=value, names=far).tolist() == expected.tolist()


def test_names_are_matched_as_in_files():
    names = ["caf\u00e9.jpg", "a.jpg", *NAMES[2:]]
    for value in ("cafe\u0301.jpg", " caf\u00e9.jpg"):
        assert 0 not in select_from("core_set", N - 1, embeddings=X, labeled=[value], names=names)
    with pytest.raises(InvalidInput, match=r"has the id 'a\.jpg' more than once"):
        select_from("core_set", 3, embeddings=X, labeled=["a.jpg", "a.jpg "], names=names)


def test_missing_labels_are_refused_where_no_strategy_reads_them(case):
    probs = np.full((N, 2), 0.5)
    for strategy, labels in [
        ("core_set", [None, "cat"]),
        ("margin_sampling", [np.nan, 1.0]),
        ("random_sampling", ["", "b"]),
    ]:
        with (
            case(strategy),
            pytest.raises(InvalidInput, match=r"labels: 1 of 2 are missing .* those of ids 4"),
        ):
            select_from(strategy, 3, embeddings=X, probs=probs, labeled=([4, 5], labels))
    with pytest.raises(InvalidInput, match="labels of labeled: 1 of 2 are missing"):
        select("random_sampling", None, X, 3, labeled={4: None, 5: 1})


def test_a_name_that_is_there_twice_names_nothing():
    with pytest.raises(InvalidInput, match=r"names has 'dir/00\.jpg' more than once; names must be distinct"):
        select("random_sampling", None, X, 3, names=[*NAMES[:-1], NAMES[0]])


def test_a_pool_of_texts_without_names_has_texts_for_examples():
    texts = [f"text {i}" for i in range(N)]
    assert not IdReader(N, None, texts).reads(["one", "two"])
    assert IdReader(N, NAMES, texts).reads(["one", "two"])
    assert len(select("random_sampling", None, texts, N, labeled=["text 3", "another"])) == N


# --- names in messages -------------------------------------------------------------------------------------------------


def test_errors_contain_the_callers_names(net):
    spoiled = X.copy()
    spoiled[[7, 30]] = np.nan
    named = r"in 2 of 40 examples: ids 'dir/07.jpg', 'dir/30.jpg'$"
    with pytest.raises(InvalidInput, match=f"^data has NaN or infinite values {named}"):
        select("margin_sampling", net, spoiled, 3, names=NAMES)
    with pytest.raises(InvalidInput, match=f"has NaN or infinite values {named}"):
        select("margin_sampling", net, list(torch.from_numpy(spoiled)), 3, names=NAMES)
    with pytest.raises(InvalidInput, match=f"^embeddings has NaN or infinite values {named}"):
        select_from("core_set", 3, embeddings=spoiled, names=NAMES)
    with pytest.raises(InvalidInput, match=f"^embeddings has NaN or infinite values {named}"):
        pick("core_set", 3, embeddings=Column(spoiled, NAMES, "x.npy"))
    with pytest.raises(InvalidInput, match=f"^embeddings has NaN or infinite values {named}"):
        pick("random_sampling", 3, embeddings=Column(spoiled, NAMES, "x.npy"), no_duplicates=True)
    wrong = PROBS.copy()
    wrong[7] = 1
    with pytest.raises(InvalidInput, match=r"^probs\['dir/07.jpg'\] is not a probability distribution"):
        select_from("margin_sampling", 3, probs=wrong, names=NAMES)
    learner = Learner(spoiled, lambda: net, "margin_sampling", num_classes=3, names=NAMES)
    with pytest.raises(InvalidInput, match=named):
        learner.query(3)
    with pytest.raises(InvalidInput, match=r"candidates has 'dir/04\.jpg', which is in labeled too"):
        select("random_sampling", None, X, 3, labeled=IDS, candidates=[1, 4], names=NAMES)
    learner.skip([3])
    with pytest.raises(InvalidInput, match=r"id 'dir/03\.jpg' has no label"):
        learner.pool.labels([3])


def test_rows_of_their_own_have_no_names_of_the_pool():
    own = np.array([[1.0, 2.0, 3.0], [np.nan, 1.0, 1.0]], dtype=np.float32)
    with pytest.raises(
        InvalidInput, match=r"^labeled_embeddings has NaN or infinite values in 1 of 2 examples: ids 1$"
    ):
        select_from("core_set", 3, embeddings=X, labeled_embeddings=own, names=NAMES)


def test_files_are_read_once(monkeypatch):
    """Values are checked in the pass that scores them."""
    read = []
    take = source.take
    monkeypatch.setattr(source, "take", lambda array, ids: read.append(len(ids)) or take(array, ids))
    pick("margin_sampling", 3, probs=Column(PROBS, NAMES, "p.npy"))
    assert sum(read) == N


def test_a_subset_of_the_pool_is_positions():
    items = Items()
    assert set(select("random_sampling", None, items, N, labeled=Subset(items, []))) == set(range(N))
    for indices, lost in (([1, 40], 40), ([1, -1], -1)):
        for argument in ("labeled", "candidates", "exclude"):
            with pytest.raises(InvalidInput, match=f"^{argument} has {lost}, which is not a position"):
                select("random_sampling", None, items, 1, **{argument: Subset(items, indices)})


def test_subsets_of_one_data_set_share_examples():
    items = Items()
    pool, apart = Subset(items, range(10, N)), Subset(items, [1, 2])
    chosen = select("random_sampling", None, pool, N - 12, labeled=Subset(items, [12, 10]))
    assert not set(chosen) & {0, 2}
    assert len(select("random_sampling", None, pool, N - 10, labeled=apart)) == N - 10
    for argument in ("labeled", "exclude"):
        with pytest.raises(InvalidInput, match="some of whose examples are in this pool; pass ids"):
            select("random_sampling", None, pool, 1, **{argument: Subset(items, [1, 12])})


def test_labels_need_ids_in_order():
    for labeled in (({1, 2}, [0, 1]), {"labeled": {1, 2}, "labels": [0, 1]}):
        value = labeled if isinstance(labeled, dict) else {"labeled": labeled}
        with pytest.raises(InvalidInput, match="labeled is a set, which has no order that labels could follow"):
            select_from("glister", 1, probs=PROBS, embeddings=X, **value)


def test_a_selection_made_by_the_caller_is_read():
    assert IdReader(N).positions(Selection([3, 1]), "ids").tolist() == [3, 1]


def test_a_selection_prints_its_first_ids_and_not_a_reason_for_each():
    many = Selection(torch.arange(1200), reasons=("far",) * 1200, notes=("a note",))
    assert repr(many) == "<Selection of 1,200: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...; reasons; a note>"
    assert repr(Selection(torch.tensor([3, 1]), scores=torch.ones(2), names=("b.png", "a.png"))) == (
        "<Selection of 2: b.png, a.png; scores>"
    )
    assert repr(Selection([3, 1])) == "<Selection of 2: 3, 1>"  # as a strategy of the user may return
