"""Selections from shards are those of one process, for any number of shards, order of replies and losses of actors."""

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from distil import pick, select_from
from distil.data.ids import ListedIds
from distil.data.shards import read_manifest, write_manifest
from distil.distributed import select as module
from distil.distributed.select import forms, pick_from_shards
from distil.distributed.shards import Part, Shard
from distil.errors import DistilError, InvalidInput, MissingSignal
from distil.functional import centers, weighted_rows
from distil.selection.from_files import chosen, read_arrays, request
from distil.signals import Embedding
from distil.strategies import CoreSet, GreeDi, strategy_named
from distil.strategies.base import Needs, Strategy
from distil.strategies.registry import for_task
from distil.system.executor import Actors, Executor, Serial
from distil.system.scratch import Space

BLOCK = 16  # in place of 4,096
N = 120


class Shuffled(Actors):
    """Actors in this process that answer in random order, and are lost now and then."""

    def __init__(self, make, keys, losses, seed):
        self.make, self.keys, self.losses = make, keys, losses
        self.states, self.rng, self.n_lost = {}, np.random.default_rng(seed), 0

    def ask(self, work, messages):
        for number in self.rng.permutation(list(messages)).tolist():
            if number in self.states and self.rng.uniform() < self.losses:
                del self.states[number]
                self.n_lost += 1
            if number not in self.states:
                self.states[number] = self.make(self.keys[number])
            yield number, work(self.states[number], messages[number])


class Shuffling(Executor):
    def __init__(self, seed, losses=0.0):
        self.seed, self.losses, self.n_lost = seed, losses, 0

    def map(self, prepare, work, tasks, report):
        raise NotImplementedError

    @contextmanager
    def actors(self, make, keys):
        actors = Shuffled(make, keys, self.losses, self.seed)
        yield actors
        self.n_lost += actors.n_lost


def in_shards(folder, arrays, ends):
    """Write arrays into shards that end at these rows."""
    Path(folder).mkdir()
    starts = [0, *ends[:-1]]
    for name, array in arrays.items():
        for k, (start, stop) in enumerate(zip(starts, ends, strict=True)):
            np.save(f"{folder}/{name}{k}.npy", array[start:stop])
    files = {name: [f"{name}{k}.npy" for k in range(len(ends))] for name in arrays}
    write_manifest(Path(folder), [stop - start for start, stop in zip(starts, ends, strict=True)], files)


def rows_of(kind, rng):
    x = rng.normal(size=(N, 5)).astype(np.float32)
    if kind == "duplicates":
        return x[rng.integers(0, 12, N)]
    if kind == "grid":  # many exact ties
        return rng.integers(0, 3, size=(N, 3)).astype(np.float32)
    if kind == "equal":
        return np.ones((N, 3), np.float32)
    if kind == "far":  # near-ties that only float64 distinguishes, and rows whose squares overflow
        return x * np.float32(1e25)
    return x.astype(np.float16) if kind == "half" else x


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A folder, and blocks of 16 rows."""
    monkeypatch.chdir(tmp_path)
    for target in (weighted_rows, module, centers):
        monkeypatch.setattr(target, "CANONICAL_BLOCK", BLOCK)


ENDS = {1: [N], 2: [96, N], 3: [16, 80, N], 4: [40, N - 2, N - 1, N], 7: [16, 40, 41, 64, 80, 112, N]}
KINDS = ["plain", "duplicates", "grid", "equal", "far", "half"]


@pytest.mark.parametrize("name", ["margin_sampling", "core_set", "badge", "maxherding", "uherding"])
def test_shards_make_the_selection_of_one_process(name, small):
    strategy = strategy_named(name)
    for seed, kind in enumerate(KINDS):
        rng = np.random.default_rng(seed)
        x = rows_of(kind, rng)
        p = rng.dirichlet(np.ones(4), N)[rng.integers(0, N, N)].astype(x.dtype)
        np.save("x.npy", x)
        np.save("p.npy", p)
        labeled = ListedIds(tuple(map(str, rng.permutation(N)[:20].tolist())), None, "labeled") if seed % 2 else None
        arrays = read_arrays({"embeddings": "x.npy", "probs": "p.npy"})
        for n in (1, 40):
            one = chosen(request(strategy, n, arrays, labeled=labeled, seed=seed))
            for count, ends in ENDS.items():
                folder = f"{kind}{count}"
                if not Path(folder).exists():
                    in_shards(folder, {"embeddings": x, "probs": p}, ends)
                memory = 0 if count == 3 else 1 << 20  # without memory, rows are read whenever they are used
                found = pick_from_shards(strategy, n, folder, Shuffling(n), labeled=labeled, seed=seed, memory=memory)
                assert found.picks.rows == one.rows, (kind, n, count)
                assert found.picks.scores == one.scores
                assert found.picks.why == one.why
                assert found.available == N - 20 * (seed % 2)


def test_shortlists_of_shards_make_the_selection_of_one_process(small):
    for seed, kind in enumerate(KINDS):
        rng = np.random.default_rng(seed)
        x = rows_of(kind, rng)
        p = rng.dirichlet(np.ones(4), N)[rng.integers(0, 30, N)].astype(x.dtype)
        p = np.full_like(p, 0.25) if kind == "equal" else p
        np.save("x.npy", x)
        np.save("p.npy", p)
        arrays = read_arrays({"embeddings": "x.npy", "probs": "p.npy"})
        labeled = ListedIds(tuple(map(str, rng.permutation(N)[:20].tolist())), None, "labeled")
        for count, ends in ENDS.items():
            in_shards(f"{kind}{count}", {"embeddings": x, "probs": p}, ends)
        for name, given in (
            ("prefilter", {"factor": 2, "of": "badge"}),
            ("prefilter", {"factor": 1.5, "of": "core_set", "by": "entropy_sampling"}),
            ("prefilter", {"of": "maxherding"}),  # of all: no shortlist
            ("prefilter", {"of": "typiclust", "factor": 2}),  # the order of the labeled rows counts
            ("fass", {"top_n": 2}),
            ("cluster_margin", {}),
        ):
            strategy = strategy_named(name, **given)
            one = chosen(request(strategy, 25, arrays, labeled=labeled, seed=seed))
            for count in ENDS:
                found = pick_from_shards(strategy, 25, f"{kind}{count}", Shuffling(count), labeled=labeled, seed=seed)
                alike = tuple(note for note in one.notes if not note.startswith("all 100 examples are equal in"))
                assert vars(found.picks) == vars(one) | {"notes": alike}, (name, kind, count)


@pytest.mark.parametrize("name", ["margin_sampling", "core_set", "badge", "uherding"])
def test_actors_that_come_back_empty_do_not_change_the_selection(name, small):
    rng = np.random.default_rng(0)
    x, p = rows_of("plain", rng), rng.dirichlet(np.ones(4), N).astype(np.float32)
    in_shards("pool", {"embeddings": x, "probs": p}, ENDS[3])
    strategy = strategy_named(name)
    expected = pick_from_shards(strategy, 40, "pool", Serial(), seed=1)
    lost = 0
    for seed in range(4):
        executor = Shuffling(seed, losses=0.15)
        assert pick_from_shards(strategy, 40, "pool", executor, seed=1).picks.rows == expected.picks.rows
        lost += executor.n_lost
    assert lost > 2
    assert expected.traffic.rounds > 2
    assert expected.traffic.n_bytes > 1000


def test_herding_among_candidates_by_components_is_that_of_one_process(small, monkeypatch):
    by = "distil.strategies.herding."
    for name, number in {"_FEWEST": 50, "_FEWEST_EACH": 2, "_PAIRS": 0, "_SAMPLE": 20, "_REFERENCE": 35}.items():
        monkeypatch.setattr(by + name, number)
    rng = np.random.default_rng(3)
    x, p = rows_of("plain", rng), rng.dirichlet(np.ones(4), N).astype(np.float32)
    np.save("x.npy", x * 1e-9)
    np.save("p.npy", p)
    arrays = read_arrays({"embeddings": "x.npy", "probs": "p.npy"})
    labeled = ListedIds(tuple(map(str, rng.permutation(N)[:20].tolist())), None, "labeled")
    for count, ends in ENDS.items():
        in_shards(f"pool{count}", {"embeddings": x * 1e-9, "probs": p}, ends)
    for products in (10**12, 0):
        monkeypatch.setattr(by + "_PRODUCTS", products)
        monkeypatch.setattr(by + "_COMPONENTS", 2)
        for name, given in (
            ("maxherding", {}),
            ("uherding", {"candidates": 40}),
            ("uherding", {"form": "published"}),
            ("maxherding", {"width": 2e-9}),
        ):
            strategy = strategy_named(name, **given)
            one = chosen(request(strategy, 30, arrays, labeled=labeled, seed=7))
            assert any("random candidates of the 100 examples" in note for note in one.notes)
            assert any("first 2 principal components" in note for note in one.notes) == (products == 0)
            for count in ENDS:
                losses, memory = 0.1 * (count == 7), 0 if count == 3 else 1 << 20
                executor = Shuffling(count, losses)
                found = pick_from_shards(strategy, 30, f"pool{count}", executor, labeled=labeled, seed=7, memory=memory)
                assert vars(found.picks) == vars(one), (name, given, count)


WORDS = {"classification": ("cat", "dog", "eel"), "multilabel": ("cat", "dog;eel", "[]", "cat;eel")}


def labels_for(rng, task):
    """A list of 30 labeled rows."""
    rows, words = rng.permutation(N)[:30].tolist(), WORDS[task]
    return ListedIds(tuple(map(str, rows)), tuple(words[k % len(words)] for k in range(30)), "labeled")


def test_labels_train_the_head_of_one_process(small):
    for seed, (kind, name) in enumerate(
        [
            ("plain", "margin_sampling"),
            ("duplicates", "entropy_sampling"),
            ("far", "badge"),
            ("half", "badge"),
            ("half", "margin_sampling"),
            ("plain", "multilabel_uncertainty"),
        ]
    ):
        rng = np.random.default_rng(seed)
        x, task = rows_of(kind, rng), "multilabel" if name == "multilabel_uncertainty" else "classification"
        x[::7] += np.asarray(50, x.dtype)  # a pool whose center counts
        np.save("x.npy", x)
        exclude = ListedIds(tuple(map(str, range(16, 40))), None, "exclude")  # one block whole
        given = {"labeled": labels_for(rng, task), "exclude": exclude, "task": task, "seed": seed}
        strategy, arrays = strategy_named(name), read_arrays({"embeddings": "x.npy"}, task=task)
        one = chosen(request(strategy, 25, arrays, **given))
        assert "a linear head was trained on the embeddings of 30 labeled examples" in one.notes[-1]
        for count, ends in ENDS.items():
            in_shards(f"{kind}{name}{count}", {"embeddings": x}, ends)
            executor = Shuffling(count, losses=0.05 if count > 3 else 0.0)
            memory = 0 if count == 3 else 1 << 20
            found = pick_from_shards(
                for_task(strategy, task), 25, f"{kind}{name}{count}", executor, **given, memory=memory
            )
            assert vars(found.picks) == vars(one), (kind, name, count)


def test_auto_follows_the_facts_of_the_shards(small, monkeypatch):
    rng = np.random.default_rng(0)
    x, p = rows_of("plain", rng), rng.dirichlet(np.ones(4), N).astype(np.float32)
    auto, labeled = strategy_named("auto"), labels_for(rng, "classification")
    np.save("x.npy", x)
    np.save("p.npy", p)
    in_shards("x", {"embeddings": x}, ENDS[4])
    in_shards("p", {"probs": p}, ENDS[3])
    in_shards("both", {"embeddings": x, "probs": p}, ENDS[7])
    both = {"embeddings": "x.npy", "probs": "p.npy"}
    for folder, files, known, most, note in (
        ("x", {"embeddings": "x.npy"}, labeled, 0, "auto chose badge"),  # a selection that is too large for uherding
        ("p", {"probs": "p.npy"}, labeled, 0, "auto chose margin_sampling"),
        ("both", both, labeled, 0, "auto chose badge"),
        ("x", {"embeddings": "x.npy"}, labeled, 10**6, "auto chose uherding"),
        ("both", both, None, 10**6, "auto chose uherding"),
        ("x", {"embeddings": "x.npy"}, None, 10**6, "auto chose maxherding"),
    ):
        monkeypatch.setattr("distil.strategies.auto._MOST_PAIRS", most)
        one = chosen(request(auto, 20, read_arrays(files), labeled=known, seed=3))
        found = pick_from_shards(auto, 20, folder, Shuffling(1, losses=0.05), labeled=known, seed=3)
        assert vars(found.picks) == vars(one), folder
        assert any(each.startswith(note) for each in one.notes)
    monkeypatch.setattr("distil.strategies.auto._MOST_PAIRS", 0)
    monkeypatch.setattr(module, "_form_of", lambda _: None)
    with pytest.raises(
        InvalidInput, match=r"auto chose maxherding: .* yet; MaxHerding has no distributed form; choose"
    ):
        pick_from_shards(auto, 20, "x", Serial())
    with pytest.raises(InvalidInput, match=r"auto chose badge: .*; BADGE has no distributed form; choose"):
        pick_from_shards(auto, 20, "x", Serial(), labeled=labeled)


def test_faults_of_the_head(small):
    x = rows_of("plain", np.random.default_rng(0))
    in_shards("pool", {"embeddings": x}, ENDS[2])
    margin, three = strategy_named("margin_sampling"), ("3", "100", "7")
    for labels, message in (
        (("cat", "cat", "cat"), "needs labels of two classes"),
        (
            None,
            r"add the files of probs to manifest\.json, or .*, or pass labels \(--labeled\), on which a linear head is trained",
        ),
    ):
        with pytest.raises(DistilError, match=message):
            pick_from_shards(margin, 2, "pool", Serial(), labeled=ListedIds(three, labels, "labeled"))
    x[110, 0] = np.nan
    np.save("pool/embeddings1.npy", x[96:])
    labeled = ListedIds(three, ("cat", "dog", "cat"), "labeled")
    with pytest.raises(InvalidInput, match="110"):
        pick_from_shards(margin, 2, "pool", Serial(), labeled=labeled)
    exclude = ListedIds(("110",), None, "exclude")  # is not read
    assert 110 not in pick_from_shards(margin, 50, "pool", Serial(), labeled=labeled, exclude=exclude).picks.rows


def test_greedi_has_a_part_for_each_shard(small):
    x, labeled = rows_of("plain", np.random.default_rng(0)), list(range(0, 40, 2))
    ends, blocks = ENDS[7], [16, 48, 64, 80, 112, N]  # no canonical block begins in the third shard
    in_shards("pool", {"embeddings": x}, ends)
    lists = ListedIds(tuple(map(str, labeled)), None, "labeled")
    found = [
        pick_from_shards(GreeDi(of=CoreSet()), 12, "pool", Shuffling(seed, losses), labeled=lists)
        for seed, losses in ((0, 0.0), (1, 0.3))
    ]
    assert found[0].picks.rows == found[1].picks.rows
    assert found[0].picks.why == found[1].picks.why

    def best(rows):
        free = [row for row in rows if row not in labeled]
        return select_from("core_set", min(12, len(free)), embeddings=x, labeled=labeled, candidates=free).tolist()

    first = [row for start, end in zip([0, *blocks], blocks, strict=False) for row in best(range(start, end))]
    assert found[0].picks.rows == best(first)
    among = f"picked among the {len(first)} examples that were chosen in {len(blocks)} shards of the pool"
    assert found[0].picks.notes[0] == among
    assert found[0].picks.notes[1].startswith("the guarantee of GreeDi does not hold: CoreSet")
    assert "greedi" in forms()
    with pytest.raises(InvalidInput, match="GreeDi has no distributed form"):
        pick_from_shards(GreeDi(of=strategy_named("smi")), 2, "pool", Serial())


def test_greedi_returns_the_set_of_largest_coverage_from_shards(small):
    by, ends, labeled = strategy_named("maxherding", width=2.0), ENDS[3], [3, 100]  # so wide that there are no ties
    lists = ListedIds(tuple(map(str, labeled)), None, "labeled")
    parted = []
    for seed in range(8):
        x = np.random.default_rng(seed).normal(size=(N, 2)).astype(np.float32)
        in_shards(f"pool{seed}", {"embeddings": x}, ends)

        def picks(rows, x=x):
            return select_from(by, 4, embeddings=x, labeled=labeled, candidates=rows).tolist()

        free = [row for row in range(N) if row not in labeled]
        first = [picks([row for row in free if start <= row < end]) for start, end in ((0, 16), (16, 80), (80, N))]
        sets = [picks(sorted(row for part in first for row in part)), *first]
        values = [np.exp(-(cdist(x[free], x[[*labeled, *rows]]) ** 2) / 4).max(1).sum() for rows in sets]
        best = int(np.argmax(values))
        found = [
            pick_from_shards(GreeDi(by), 4, f"pool{seed}", Shuffling(seed, losses), labeled=lists).picks
            for losses in (0, 0.3)
        ]
        assert found[0].rows == found[1].rows
        assert set(found[0].rows) == set(sets[best])  # a part and the second round may pick the same rows
        assert found[0].why == found[1].why
        assert "they cover the whole pool at least as well as the picks of any single part" in found[0].notes
        parted.append(best > 0)
    assert any(parted), "the picks of single shards are returned too"


def test_greedi_breaks_ties_by_the_seed_not_by_position(small):
    in_shards("pool", {"embeddings": np.ones((N, 2), np.float32)}, ENDS[2])
    by = GreeDi(of=strategy_named("maxherding"))
    found = {seed: pick_from_shards(by, 3, "pool", Serial(), seed=seed).picks.rows for seed in range(4)}
    assert len({row for rows in found.values() for row in rows}) > 6


@dataclass(frozen=True)
class _Repeated(Strategy):
    """Picks its first row twice."""

    needs = Needs(pool=(Embedding(),))

    def select(self, sets, n, rng):
        return sets.pool.ids[[0, 0]]


def test_what_a_strategy_of_the_user_returns_to_greedi_is_checked(small):
    in_shards("pool", {"embeddings": np.ones((N, 2), np.float32)}, ENDS[2])
    with pytest.raises(InvalidInput, match=r"_Repeated\.select"):
        pick_from_shards(GreeDi(of=_Repeated()), 2, "pool", Serial())


def test_ids_and_lists(small):
    rng = np.random.default_rng(0)
    x = rows_of("plain", rng)
    np.save("x.npy", x)
    names = [f"n{i}" for i in rng.permutation(N)]
    Path("x.ids.txt").write_text("".join(f"{name}\n" for name in names))
    in_shards("pool", {"embeddings": x}, ENDS[3])
    for k, (start, stop) in enumerate([(0, 16), (16, 80), (80, N)]):
        Path(f"pool/embeddings{k}.ids.txt").write_text("".join(f"{name}\n" for name in names[start:stop]))
    lists = {
        "labeled": ListedIds(("n3", "n7"), None, "labeled"),
        "candidates": ListedIds(tuple(f"n{i}" for i in range(70, 120)), None, "candidates"),
        "exclude": ListedIds(("n101", "n102"), None, "exclude"),
    }
    one = chosen(request("core_set", 20, read_arrays({"embeddings": "x.npy"}), seed=5, **lists))
    found = pick_from_shards(strategy_named("core_set"), 20, "pool", Shuffling(0), seed=5, **lists)
    assert (found.picks.rows, found.picks.ids, found.available) == (one.rows, one.ids, 48)
    with pytest.raises(
        InvalidInput, match=r"labeled: 1 of 1 ids are not in the pool: 'm3'; the pool's ids begin with 'n"
    ):
        pick_from_shards(strategy_named("core_set"), 2, "pool", Serial(), labeled=ListedIds(("m3",), None, "labeled"))
    both = {**lists, "labeled": ListedIds(("n3", "n80"), None, "labeled")}
    for choose in (
        lambda: request("core_set", 20, read_arrays({"embeddings": "x.npy"}), **both).pool,
        lambda: pick_from_shards(strategy_named("core_set"), 20, "pool", Serial(), **both),
    ):
        with pytest.raises(InvalidInput, match="candidates has 'n80', which is in labeled too; remove it from one"):
            choose()


def test_lists_are_matched_by_the_rules_for_the_whole_pool(small):
    """Positions and ids together, labels of lists that have no use for them, ids that match others of several shards."""
    p = np.random.default_rng(0).dirichlet(np.ones(3), N).astype(np.float32)
    np.save("probs.npy", p)
    names = [str(1000 + i) for i in range(N)]
    names[10], names[100], names[110] = "7", "7.0", "0042"
    Path("probs.ids.txt").write_text("".join(f"{name}\n" for name in names))
    in_shards("pool", {"probs": p}, ENDS[3])
    for k, (start, stop) in enumerate([(0, 16), (16, 80), (80, N)]):
        Path(f"pool/probs{k}.ids.txt").write_text("".join(f"{name}\n" for name in names[start:stop]))
    np.save("rows.npy", np.arange(5, 60))
    texts = {
        "ids.txt": "1060\n1061\n7.0\n1010 \n",
        "done.csv": "id,label\n1070,cat\n1071,dog\n",
        "other.csv": "id,label\n1070,bird\n",
        "twice.csv": "id,label\n1020,cat\n1020.0,dog\n",
        "alike.txt": "7.00\n",
        "cut.txt": "42\n",
    }
    for file, text in texts.items():
        Path(file).write_text(text)
    for lists in (
        {"exclude": ["rows.npy", "ids.txt"]},
        {"exclude": ["ids.txt", "rows.npy"]},
        {"exclude": ["done.csv", "ids.txt"], "labeled": "rows.npy"},
        {"exclude": ["done.csv", "other.csv"], "candidates": ["rows.npy", "done.csv"]},
        {"labeled": ["done.csv", "other.csv"]},
        {"labeled": "twice.csv"},
        {"exclude": "alike.txt"},
        {"exclude": "cut.txt"},
    ):
        one, found = (said_of(lists, **where) for where in ({"probs": "probs.npy"}, {"shards": "pool"}))
        assert found == one, lists
    assert said_of({"exclude": "alike.txt"}, shards="pool").startswith("alike.txt: 1 of 1 ids are not in the pool")


def said_of(lists, **where):
    """The picks of a selection, or the message of its refusal."""
    try:
        return pick("margin_sampling", 8, progress=False, **lists, **where)["picks"]
    except InvalidInput as error:
        return str(error)


def test_names_of_classes_are_those_of_the_whole_pool(small):
    rng = np.random.default_rng(0)
    x, p = rows_of("plain", rng), rng.dirichlet(np.ones(3), N).astype(np.float32)
    in_shards("x", {"embeddings": x}, ENDS[3])
    in_shards("p", {"probs": p}, ENDS[3])
    np.save("x.npy", x)
    np.save("p.npy", p)
    Path("labeled.csv").write_text("id,label\n3,dog\n50,cat\n110,dog\n")
    for one, shards in (({"embeddings": "x.npy"}, "x"), ({"probs": "p.npy"}, "p")):
        for classes in ("cat,dog,bird", "dog,bird", "a,b,c,cat,dog"):
            lists = {"labeled": "labeled.csv", "classes": classes}
            whole, found = said_of(lists, **one), said_of(lists, shards=shards)
            if isinstance(whole, str):
                assert whole.split(": ")[-1] == found.split(": ")[-1]
            else:
                assert found == whole
    assert "bird" in "".join(each["why"] for each in said_of({"classes": "cat,dog,bird"}, shards="p"))


def test_ids_of_the_user_are_those_of_one_row(small):
    """A pick that another shard has too, or that is a position in one shard and an id in another, names no row."""
    x = rows_of("plain", np.random.default_rng(0))
    in_shards("pool", {"embeddings": x}, ENDS[2])
    Path("pool/embeddings0.ids.txt").write_text("".join(f"n{i}\n" for i in range(96)))
    with pytest.raises(InvalidInput, match="some shards of pool have ids and others have none"):
        pick_from_shards(strategy_named("core_set"), 2, "pool", Serial())
    Path("pool/embeddings1.ids.txt").write_text("".join(f"n{i}\n" for i in range(95, N - 1)))
    assert len(pick_from_shards(strategy_named("core_set"), 2, "pool", Serial()).picks.ids) == 2
    with pytest.raises(InvalidInput, match="pool: the id 'n95' occurs more than once"):
        pick_from_shards(strategy_named("core_set"), N, "pool", Serial())


def test_rows_of_several_files_stay_within_the_memory(small, monkeypatch):
    """The rows of an actor begin in one file and end in the next, as after items were left out of a shard."""
    in_shards("pool", {"embeddings": rows_of("plain", np.random.default_rng(0))}, [40, N])
    shards, made = [], Space._in_memory
    monkeypatch.setattr(Space, "_in_memory", lambda *given: shards.append(given[1]) or made(*given))
    strategy, manifest = strategy_named("core_set"), read_manifest(Path("pool"))
    parts = [Part(Path("pool"), *rows, strategy, 0, 0) for rows in module._parts(manifest)]
    assert [len(Shard(part).x) for part in parts] == [48, 72]
    assert shards == []


def test_faults(small):
    x = rows_of("plain", np.random.default_rng(0))
    in_shards("pool", {"embeddings": x}, ENDS[2])
    assert {"core_set", "badge", "margin_sampling"} <= set(forms())
    assert not {"typiclust", "adversarial_bim", "mnlp"} & set(forms())
    with pytest.raises(
        InvalidInput,
        match=r"KMeansSampling has no distributed form.*badge.*core_set.*margin_sampling.*greedi --set of=",
    ):
        pick_from_shards(strategy_named("kmeans_sampling"), 2, "pool", Serial())
    with pytest.raises(MissingSignal, match=r"BADGE needs probs, .* pool have embeddings; add the files of probs"):
        pick_from_shards(strategy_named("badge"), 2, "pool", Serial())
    with pytest.raises(InvalidInput, match="n must be between 1 and 120"):
        pick_from_shards(strategy_named("core_set"), 121, "pool", Serial())
    for name, array, message in (
        ("core_set", x[:, 0], r"embeddings must have two axes, \(examples, columns\), got shape"),
        ("margin_sampling", np.ones((N, 1), np.float32), "probs must have a column for each of at least two classes"),
    ):
        in_shards(name, {message.split()[0]: array}, ENDS[2])
        with pytest.raises(InvalidInput, match=message):
            pick_from_shards(strategy_named(name), 2, name, Serial())
    np.save("pool/embeddings1.npy", torch.zeros(24, 4).numpy())
    with pytest.raises(
        InvalidInput,
        match=r"embeddings1\.npy has .* 4, and pool/embeddings0\.npy has .* 5; the shards",
    ):
        pick_from_shards(strategy_named("core_set"), 2, "pool", Serial())
    x[110, 0] = np.nan
    np.save("pool/embeddings1.npy", x[96:])
    for name in ("core_set", "maxherding"):
        for memory in (0, 1 << 20):
            with pytest.raises(InvalidInput, match="110"):
                pick_from_shards(strategy_named(name), 2, "pool", Serial(), memory=memory)
