"""``distil select``: files in, picks out; every fault a line and exit code 2, before anything is written."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import distil
from distil.cli import main
from distil.cli.options import parameters_of, size_of
from distil.data.distances import NEAR
from distil.errors import InvalidInput
from distil.selection.dry_run import plan
from distil.selection.from_files import chosen, read_arrays, request
from distil.signals import Probs
from distil.strategies import GLISTER, Needs, Selection, Strategy
from distil.system.runtime import ROW_BYTES, Runtime

SOURCE = str(Path(__file__).parents[2] / "src")
N = 200
NAMES = [f"dir/{row:03}.jpg" for row in range(N)]


def pick(strategy, n, *, embeddings=None, probs=None, ids=None, no_duplicates=False, **options):
    """A selection from files or columns, by the steps of ``distil select``."""
    arrays = read_arrays({"embeddings": embeddings, "probs": probs, "mc_probs": None}, ids, Runtime())
    return chosen(request(strategy, n, arrays, near=NEAR if no_duplicates else None, **options))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Embeddings, probabilities and lists of ids in the current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    np.save("emb.npy", rng.normal(size=(N, 6)).astype(np.float32))
    np.save("p.npy", rng.dirichlet(np.ones(4), N).astype(np.float32))
    np.save("mc.npy", rng.dirichlet(np.ones(4), (N, 3)).astype(np.float32))
    Path("ids.txt").write_text("".join(f"{name}\n" for name in NAMES))
    Path("labeled.csv").write_text("id,label\n" + "".join(f"{name},{row % 4}\n" for row, name in enumerate(NAMES[:20])))
    return tmp_path


@pytest.fixture
def said(capsys):
    def call(*argv):
        capsys.readouterr()
        code = main(["select", *map(str, argv)])
        return code, *capsys.readouterr()

    return call


BADGE = ("--embeddings", "emb.npy", "--probs", "p.npy", "--ids", "ids.txt", "--strategy", "badge")


def table(path):
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


# -------------------------------------------------------------------------------------------------------------- what it does


@pytest.mark.parametrize(
    "strategy", ["badge", "core_set", "margin_sampling", "entropy_sampling", "bald_dropout", "random_sampling"]
)
@pytest.mark.parametrize("labeled", [False, True])
def test_the_picks_are_those_of_select_from(here, said, strategy, labeled):
    given = ("--embeddings", "emb.npy", "--probs", "p.npy", "--mc-probs", "mc.npy", "--ids", "ids.txt")
    more = ("--labeled", "labeled.csv") if labeled else ()
    code, out, err = said(*given, *more, "--strategy", strategy, "--n", 9, "--out", "picks.csv", "--seed", 3)
    assert (code, err) == (0, "")
    assert "9 picks of" in out
    expected = distil.select_from(
        strategy,
        9,
        probs=np.load("p.npy"),
        embeddings=np.load("emb.npy"),
        mc_probs=np.load("mc.npy"),
        labeled=list(range(20)) if labeled else None,
        names=NAMES,
        seed=3,
    )
    found = table("picks.csv")
    assert [entry["id"] for entry in found] == list(expected.names)
    assert [entry["rank"] for entry in found] == [str(rank) for rank in range(1, 10)]
    assert all(entry["why"] for entry in found)
    if expected.scores is not None:
        np.testing.assert_allclose([float(entry["score"]) for entry in found], expected.scores, rtol=1e-6)


def test_the_same_from_python_and_from_one_parquet_file(here, said):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    lists = {name: arrow.array(list(np.load(f"{name}.npy"))) for name in ("emb", "p")}
    parquet.write_table(arrow.table({"id": NAMES, **lists}), "all.parquet")
    assert said(*BADGE, "--labeled", "labeled.csv", "--n", 5, "--out", "a.csv")[0] == 0
    given = ("--embeddings", "all.parquet#emb", "--probs", "all.parquet#p")
    assert said(*given, "--labeled", "labeled.csv", "--strategy", "badge", "--n", 5, "--out", "b.csv")[0] == 0
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()
    picks = pick("badge", 5, embeddings="emb.npy", probs="p.npy", ids="ids.txt", labeled="labeled.csv")
    assert [entry["id"] for entry in table("a.csv")] == picks.ids


def test_json_and_the_table_on_the_screen(here, said):
    code, out, _ = said(*BADGE, "--n", 3, "--json")
    document = json.loads(out)
    assert (code, document["strategy"], document["seed"]) == (0, "badge", 0)
    assert [set(entry) for entry in document["picks"]] == [{"rank", "id", "score", "why"}] * 3
    code, out, _ = said(*BADGE, "--n", 3)
    assert [line.split("\t")[1] for line in out.splitlines()] == [entry["id"] for entry in document["picks"]]
    assert said(*BADGE, "--n", 3, "--out", "p.jsonl")[0] == 0
    assert [json.loads(line) for line in Path("p.jsonl").read_text().splitlines()] == document["picks"]


def test_a_table_on_a_terminal_prints_ids_as_they_are(here, said, monkeypatch):
    ids = [f"[bold]{'x' * 30}[/red] {i}" for i in range(N)]
    Path("odd.txt").write_text("\n".join(ids))
    monkeypatch.setattr("distil.cli.endings._Output.isatty", lambda self: True)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    shown = said("--embeddings", "emb.npy", "--ids", "odd.txt", "--strategy", "random_sampling", "--n", 3)[1]
    assert shown.split()[:4] == ["rank", "id", "score", "why"]
    assert shown.count("[bold]") == 3
    assert "\x1b" not in shown


def test_candidates_and_exclude(here, said):
    Path("few.txt").write_text("\n".join(NAMES[50:60]))
    assert said(*BADGE, "--n", 4, "--candidates", "few.txt", "--out", "first.csv")[0] == 0
    first = [entry["id"] for entry in table("first.csv")]
    assert set(first) < set(NAMES[50:60])
    code, _, _ = said(*BADGE, "--n", 6, "--candidates", "few.txt", "--exclude", "first.csv", "--out", "rest.csv")
    assert code == 0
    assert {entry["id"] for entry in table("rest.csv")} == set(NAMES[50:60]) - set(first)
    code, _, err = said(*BADGE, "--n", 7, "--candidates", "few.txt", "--exclude", "first.csv")
    assert (code, err) == (2, "distil: n must be between 1 and 6, the number of examples to choose from; got 7\n")


def test_why(here, said):
    x, p = np.load("emb.npy"), np.load("p.npy")
    said(*BADGE, "--labeled", "labeled.csv", "--n", 5, "--out", "a.csv")
    gradients = ((p - (p == p.max(1, keepdims=True)))[:, :, None] * x[:, None, :]).reshape(N, -1)
    rows = [NAMES.index(entry["id"]) for entry in table("a.csv")]
    lengths = np.linalg.norm(gradients[rows], axis=1)
    expected = [f"gradient of length {lengths[0]:.3g}, the longest"]
    for place in range(1, 5):
        distance = np.linalg.norm(gradients[rows[:place]] - gradients[rows[place]], axis=1).min()
        expected.append(
            f"gradient of length {lengths[place]:.3g}, distance {distance:.3g} to the nearest one chosen before"
        )
    assert [entry["why"] for entry in table("a.csv")] == expected
    said("--embeddings", "emb.npy", "--strategy", "core_set", "--n", 3, "--out", "b.csv")
    rows = [int(entry["id"]) for entry in table("b.csv")]
    distance = min(np.linalg.norm(x[rows[2]] - x[rows[i]]) for i in (0, 1))
    whys = [entry["why"] for entry in table("b.csv")]
    assert whys[0] == "the first pick, as no example is labeled"
    assert whys[2] == f"distance {distance:.3g} to the nearest example labeled or chosen before"
    picks = pick("entropy_sampling", 1, probs="p.npy")
    assert picks.why == [f"entropy {(-p * np.log(p)).sum(1).max():.3g} nats"]


def test_why_of_a_score(here, said):
    p = np.load("p.npy")
    said("--probs", "p.npy", "--ids", "ids.txt", "--strategy", "margin_sampling", "--n", 5, "--out", "a.csv")
    for entry in table("a.csv"):
        row = NAMES.index(entry["id"])
        first, second = np.argsort(-p[row])[:2]
        margin = p[row, first] - p[row, second]
        assert entry["why"] == f"margin {margin:.3g} between class {first} and class {second}"
    reasons = distil.select_from("margin_sampling", 5, probs=p).reasons
    assert [entry["why"] for entry in table("a.csv")] == list(reasons)
    said("--probs", "p.npy", "--strategy", "margin_sampling", "--n", 5, "--out", "a.jsonl")
    assert [json.loads(line)["why"] for line in Path("a.jsonl").read_text().splitlines()] == list(reasons)


def test_a_strategy_that_says_nothing_has_an_empty_column(here):
    class First(Strategy):
        needs = Needs(pool=(Probs(),))

        def select(self, sets, n, rng):
            return Selection(sets.pool.ids.sort().values[:n])

    picks = pick(First(), 2, probs="p.npy")
    assert (picks.ids, picks.why, picks.notes) == (["0", "1"], ["", ""], ())


def test_notes_go_to_standard_error(here, said):
    fass = ("--embeddings", "emb.npy", "--probs", "p.npy", "--strategy", "fass", "--n", 3)
    note = "a shortlist kept the 15 of 200 examples with the largest entropy"
    code, out, err = said(*fass, "--out", "a.csv")
    assert (code, err) == (0, f"note: {note}\n")
    assert "3 picks of 200 in a.csv" in out
    assert json.loads(said(*fass, "--json")[1])["notes"] == [note]
    assert json.loads(said(*BADGE, "--n", 3, "--json")[1])["notes"] == []


def test_without_duplicates(here, said):
    x = np.load("emb.npy")
    x[100:150] = x[50] * 9
    x[150:160] = x[0]  # labeled
    np.save("emb.npy", x)
    options = ("--embeddings", "emb.npy", "--labeled", "l.npy", "--strategy", "random_sampling", "--n", 60)
    np.save("l.npy", np.arange(20))
    said(*options, "--out", "a.csv")
    said(*options, "--out", "b.csv", "--no-duplicates")
    many, few = ([int(entry["id"]) for entry in table(name)] for name in ("a.csv", "b.csv"))
    assert sum(100 <= row < 150 for row in many) > 1
    assert sum(100 <= row < 150 for row in few) <= 1
    assert not any(150 <= row < 160 for row in few)
    code, _, err = said(*options[:-1], 150, "--no-duplicates")
    assert code == 2
    assert "without near-duplicates, too few rows are left" in err
    code, _, err = said("--probs", "p.npy", "--strategy", "margin_sampling", "--n", 3, "--no-duplicates")
    assert (code, "--embeddings" in err) == (2, True)


def test_parameters(here, said):
    assert said("--mc-probs", "mc.npy", "--strategy", "bald_dropout", "--set", "n_samples=3", "--n", 2)[0] == 0
    code, _, err = said("--mc-probs", "mc.npy", "--strategy", "bald_dropout", "--set", "samples=3", "--n", 2)
    assert (code, "has no parameter 'samples'" in err) == (2, True)
    assert parameters_of(["a=1", "b=x", "c=[1]", "d="]) == {"a": 1, "b": "x", "c": [1], "d": ""}
    for wrong in ("a", "=1"):
        with pytest.raises(InvalidInput, match="expected NAME=VALUE"):
            parameters_of([wrong])


def test_sizes():
    given = ("512MB", "2g", "7", "1.5 KiB", "1TB")
    assert [size_of(text) for text in given] == [512 << 20, 2 << 30, 7, 1536, 1 << 40]
    for wrong in ("", "MB", "-1", "1XB"):
        with pytest.raises(InvalidInput, match="is not a size"):
            size_of(wrong)


# ------------------------------------------------------------------------------------------------------------ what is wrong


def faulty(**changes):
    """Files that were changed, by name."""
    for name, change in changes.items():
        path = f"{name}.npy"
        array = np.load(path)
        np.save(path, change(array))


def put(array, row, value):
    array[row] = value
    return array


FAULTS = [
    (
        {"emb": lambda a: put(a, [7, 30], np.nan)},
        (),
        "embeddings has NaN or infinite values in 2 of 200 examples: ids 'dir/007.jpg', 'dir/030.jpg'",
    ),
    ({"p": lambda a: put(a, 9, 1)}, (), "probs['dir/009.jpg'] is not a probability distribution"),
    ({"p": lambda a: put(a, 9, np.nan)}, (), "must be finite, not negative and sum to 1; got the sum"),
    ({"p": lambda a: a[:-1]}, (), "ids.txt has 200 ids, and p.npy has 199 rows"),
    ({"p": lambda a: a[:, 0]}, (), "p.npy: probs must have two axes, (examples, columns), got shape (200,)"),
    ({}, ("--labeled", "no.csv"), "there is no file no.csv"),
    (
        {},
        ("--labeled", "odd.txt"),
        "odd.txt: 1 of 1 ids are not in the pool: 'nobody'; the pool's ids begin with 'dir/000.jpg'",
    ),
    ({}, ("--ids", "odd.txt"), "odd.txt has 1 ids, and emb.npy has 200 rows"),
    ({}, ("--strategy", "bagde"), "did you mean 'badge'"),
    ({}, ("--n", 0), "n must be between 1 and"),
    ({}, ("--memory", "lots"), "'lots' is not a size"),
    ({}, ("--out", "picks.txt"), "picks.txt: expected a name that ends in .csv or .jsonl"),
    (
        {},
        ("--candidates", "labeled.csv", "--labeled", "labeled.csv"),
        "candidates has 'dir/000.jpg', which is in labeled too; remove it from one of them",
    ),
    (
        {},
        ("--labeled", "labeled.csv", "--labeled", "second.csv"),
        f"{NAMES[2]!r} has the label '2' in labeled.csv, line 4 and '1' in second.csv, line 3; keep one of them",
    ),
    ({}, ("--labeled", "labeled.csv", "--labeled", "ids.txt"), "labeled.csv has labels and ids.txt has none"),
    ({}, ("--out", "emb.npy/picks.csv"), "emb.npy is a file; expected a folder"),
    (
        {},
        ("--pool", "emb.npy"),
        "pool and model belong together: the model embeds it; pass both, or embeddings alone (--pool",
    ),
    ({}, ("--model", "x:y"), "pool and model belong together"),
    ({}, ("--no-duplicates", "--near", "0"), "near must be a share of the typical distance, above 0"),
    ({}, ("--strategy", "bald_dropout"), "needs mc_probs; pass --mc-probs"),
]


def test_faults(here, said):
    Path("odd.txt").write_text("nobody\n")
    Path("second.csv").write_text(f"id,label\n{NAMES[3]},3\n{NAMES[2]},1\n")
    arrays = {f"{name}.npy": np.load(f"{name}.npy") for name in ("emb", "p")}
    base = {"--ids": "ids.txt", "--strategy": "badge", "--n": 5, "--out": "picks.csv"}
    for change, more, message in FAULTS:
        faulty(**change)
        asked = {name: value for name, value in base.items() if name not in more}
        options = [text for option in asked.items() for text in option]
        code, out, err = said("--embeddings", "emb.npy", "--probs", "p.npy", *options, *more)
        assert (code, out) == (2, "")
        assert err.startswith("distil: ")
        assert message in err
        assert err.count("\n") == 1
        assert not Path("picks.csv").exists()
        for name, array in arrays.items():
            np.save(name, array)


def test_a_wrong_row_that_is_excluded_does_not_matter(here, said):
    faulty(emb=lambda a: put(a, [7, 30], np.nan))
    Path("bad.txt").write_text(f"{NAMES[7]}\n{NAMES[30]}\n")
    assert said(*BADGE, "--n", 5, "--exclude", "bad.txt")[0] == 0


def test_numbers_of_rows_that_differ(here, said):
    faulty(p=lambda a: a[:-1])
    code, _, err = said("--embeddings", "emb.npy", "--probs", "p.npy", "--strategy", "badge", "--n", 2)
    assert (code, err) == (2, "distil: the arrays must have the same number of rows: emb.npy has 200, p.npy has 199\n")


def test_ids_that_differ_between_files(here, said):
    Path("emb.ids.txt").write_text("".join(f"{name}\n" for name in NAMES))
    Path("p.ids.txt").write_text("".join(f"{name}\n" for name in [NAMES[0], NAMES[2], NAMES[1], *NAMES[3:]]))
    code, _, err = said("--embeddings", "emb.npy", "--probs", "p.npy", "--strategy", "badge", "--n", 2)
    assert code == 2
    assert "row 1 is 'dir/001.jpg' in emb.npy and 'dir/002.jpg' in p.npy" in err


def test_a_selection_that_cannot_rank_says_so_on_standard_error(here, said):
    np.save("same.npy", np.full((N, 4), 0.25, np.float32))
    code, out, err = said("--probs", "same.npy", "--strategy", "margin_sampling", "--n", 3)
    assert (code, len(out.splitlines())) == (0, 3)
    assert f"all {N} scores are equal: this is a random sample" in err


# --------------------------------------------------------------------------------------------------------------- dry runs


def test_a_dry_run(here, said):
    code, out, err = said(*BADGE, "--labeled", "labeled.csv", "--n", 5, "--dry-run", "--out", "picks.csv")
    assert (code, err) == (0, "")
    assert "BADGE would choose 5 of 180 rows (20 labeled)" in out
    assert "emb.npy, 200 x 6 float32" in out
    assert not Path("picks.csv").exists()
    found = json.loads(said(*BADGE, "--n", 5, "--dry-run", "--json")[1])
    assert found["arrays"]["embeddings"]["mapped"]
    assert found["seconds"] >= 0


def holding(n_bytes):
    """The least memory of which three quarters hold so many bytes; a quarter is for the blocks that are computed."""
    return next(memory for memory in range(n_bytes, 2 * n_bytes) if memory - memory // 4 >= n_bytes)


def test_the_memory_that_is_foretold(here):
    arrays = read_arrays({"embeddings": "emb.npy", "probs": "p.npy"})
    gap = np.delete(np.arange(N), 100)
    e, p = (N - 1) * 6 * 4, (N - 1) * 4 * 4
    alone = plan(request("margin_sampling", 3, arrays, candidates=gap))[
        "memory_bytes"
    ]  # it is streamed: nothing is copied
    assert 200e6 < alone < 250e6
    besides = ROW_BYTES * (N - 1)
    for strategy, candidates, memory, expected in (
        ("badge_per_batch", None, 1 << 20, (N * (6 + 4) * 4, 0)),  # it copies the pool in another order
        ("badge_per_batch", gap, 1 << 20, (e + p, 0)),
        ("badge_per_batch", gap, holding(besides + e), (p, e)),  # probabilities are first
        ("badge_per_batch", gap, holding(besides + p) - 1, (0, e + p)),
        ("badge", gap, holding(besides + e + p), (e + p, 0)),
        ("badge", gap, holding(besides + e + p) - 1, (0, 0)),  # rows are read again whenever they are used
    ):
        asked = request(strategy, 3, arrays, candidates=candidates, runtime=distil.Runtime(memory=memory))
        found = plan(asked)
        assert (found["memory_bytes"] - alone, found["scratch_bytes"]) == expected


def test_a_dry_run_of_a_pool_with_wrong_rows_still_tells_the_rest(here, said):
    faulty(p=lambda a: put(a, 9, 1))
    code, out, _ = said(*BADGE, "--n", 5, "--dry-run")
    assert code == 0
    assert "time" not in out


# ------------------------------------------------------------------------------------------------------------------ pools


def test_what_was_read_is_said(here, said):
    x = np.load("emb.npy")
    header, rows = ",".join(map(str, range(6))), [",".join(map(str, row)) for row in x.tolist()]
    Path("x.csv").write_text("\n".join([f",{header}", *(f"{i},{row}" for i, row in enumerate(rows))]) + "\n")
    Path("l.tsv").write_text("7\tcat\n9\tdog\n")
    asked = ("--embeddings", "x.csv", "--labeled", "l.tsv", "--strategy", "core_set", "--n", 4, "--out", "picks.csv")
    code, _, err = said(*asked)
    assert (code, err.splitlines()) == (
        0,
        [
            "note: read 6 columns of numbers in x.csv (`0`, `1`, ..., `5`); `Unnamed: 0` counts rows and is left out",
            "note: read `0` of l.tsv as ids and `1` as labels",
        ],
    )
    assert [int(entry["id"]) for entry in table("picks.csv")] == list(
        distil.select_from("core_set", 4, embeddings=x, labeled=[7, 9])
    )
    assert said(*asked, "--json")[2] == ""


def test_a_pool_is_embedded_first(here, said):
    Path("encoders_of_mine.py").write_text("def encode(texts):\n    return [[len(t), t.count('a')] for t in texts]\n")
    Path("texts.csv").write_text("id,text\n" + "".join(f"t{i},{'a' * i}{'b' * (40 - i)}\n" for i in range(40)))
    options = ("--pool", "texts.csv", "--model", "encoders_of_mine:encode", "--strategy", "core_set", "--n", 2)
    code, _, err = said(*options, "--out", "picks.csv")
    assert (code, err) == (0, "")
    assert {entry["id"] for entry in table("picks.csv")} <= {f"t{i}" for i in range(40)}
    assert len(list(Path("cache/distil/embeddings").glob("*.npy"))) == 1
    code, _, err = said(*options, "--dry-run")
    assert (code, "a dry run looks at arrays and embeds nothing" in err) == (2, True)
    sys.modules.pop("encoders_of_mine", None)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit is that of Linux")
def test_memory_is_bounded(here):
    """51 MB of embeddings, not in one piece once the labeled rows are out; the process may take 40 MB more."""
    n, dims = 200_000, 64
    x = np.lib.format.open_memmap("big.npy", "w+", np.float32, (n, dims))
    x[:] = np.random.default_rng(0).standard_normal((n, dims), dtype=np.float32)
    x.flush()
    np.save("rows.npy", np.arange(0, n, 1000))
    script = """
import resource
import torch
from distil.selection.from_files import chosen, read_arrays, request
from distil.system.runtime import Runtime
torch.set_num_threads(1)
chosen(request("core_set", 2, read_arrays({"embeddings": "emb.npy"}, None, Runtime()), labeled=[3, 50]))
used = int(next(line for line in open("/proc/self/status") if line.startswith("VmData")).split()[1]) << 10
resource.setrlimit(resource.RLIMIT_DATA, (used + (MOST << 20), resource.RLIM_INFINITY))
runtime = Runtime(memory=MEMORY << 20, scratch=".")
arrays = read_arrays({"embeddings": "big.npy"}, None, runtime)
print(*chosen(request("core_set", 3, arrays, labeled="rows.npy", runtime=runtime)).ids)
"""
    for limit, memory, works in ((40, 1, True), (40, 400, False)):
        code = script.replace("MOST", str(limit)).replace("MEMORY", str(memory))
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": SOURCE},
        )
        assert (done.returncode == 0) == works, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit is that of Linux")
def test_decoded_files_and_copies_share_the_memory(here):
    """The system refuses the process more than 104 MB, and 38 MB are decoded, of which a copy in float32 would take 77 MB.

    Within the budget it needs 84 MB at most, and beyond it more than 120.
    """
    n, rng = 300_000, np.random.default_rng(0)
    x, p = rng.standard_normal((n, 64), dtype=np.float32), rng.dirichlet(np.ones(10), n)
    np.savez_compressed("x.npz", x=x.astype(np.float16))
    np.savez_compressed("few.npz", x=x[:5000])
    np.savez_compressed("p.npz", p=p.astype(np.float16))
    np.savez_compressed("few_p.npz", p=p[:5000])
    script = """
import resource
import torch
import distil
torch.set_num_threads(1)
def picks(x, p, memory):
    return distil.pick("STRATEGY", 20, embeddings=x, probs=p, labeled="labeled.txt", memory=memory)["picks"]
picks("few.npz", "few_p.npz", "1GB")
used = int(next(line for line in open("/proc/self/status") if line.startswith("VmData")).split()[1]) << 10
resource.setrlimit(resource.RLIMIT_DATA, (used + 104_000_000, resource.RLIM_INFINITY))
picks("x.npz", "p.npz", "MEMORY")
"""
    Path("labeled.txt").write_text("".join(f"{row}\n" for row in range(0, 5000, 100)))
    for strategy in ("margin_sampling", "core_set", "badge"):
        for memory, works in (("80MB", True), ("1GB", strategy == "margin_sampling")):
            code = script.replace("STRATEGY", strategy).replace("MEMORY", memory)
            done = subprocess.run(
                [sys.executable, "-c", code],
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "PYTHONPATH": SOURCE},
            )
            assert (done.returncode == 0) == works, (strategy, memory, done.stderr)


def test_labels_may_be_the_names_of_the_columns(here, said, case):
    """GLISTER reads labels."""
    options = ("--embeddings", "emb.npy", "--probs", "p.npy", "--ids", "ids.txt", "--strategy", "glister", "--n", 5)
    code, expected, _ = said(*options, "--labeled", "labeled.csv")
    assert code == 0
    for classes in (["dog", "cat", "emu", "fox"], ["3", "1", "2.0", "0"], ["False", "True", "no", "yes"]):
        with case(classes):
            lines = (f"{name},{classes[row % 4]}\n" for row, name in enumerate(NAMES[:20]))
            Path("named.csv").write_text("id,label\n" + "".join(lines))
            asked = (*options, "--labeled", "named.csv", "--classes", ",".join(classes))
            assert said(*asked)[:2] == (0, expected)
            found = distil.pick(
                "glister", 5, embeddings="emb.npy", probs="p.npy", ids="ids.txt", labeled="named.csv", classes=classes
            )
            assert [entry["id"] for entry in found["picks"]] == [line.split("\t")[1] for line in expected.splitlines()]
    Path("named.csv").write_text(f"id,label\n{NAMES[0]},dgo\n")
    for more, message in [
        (
            (),
            "the label of 'dir/000.jpg' is 'dgo'; for names, pass the classes in the order of these columns (--classes)",
        ),
        (
            ("--classes", "dog,cat,emu,fox"),
            "named.csv: labels: 'dgo' is not one of the 4 classes, 'dog', 'cat', 'emu', 'fox'; did",
        ),
        (("--classes", "dog,cat"), "classes must have 4 names, one for each column; got 2"),
    ]:
        with case(more):
            code, out, err = said(*options, "--labeled", "named.csv", *more)
            assert (code, out) == (2, "")
            assert message in err
    unread = ("--probs", "p.npy", "--ids", "ids.txt", "--strategy", "margin_sampling", "--n", 5)
    code, _, err = said(*unread, "--labeled", "named.csv", "--classes", "dog,cat,emu,fox")
    assert (code, "named.csv: labels: 'dgo' is not one of the 4 classes" in err) == (2, True)
    Path("named.csv").write_text(f"id,category\n{NAMES[0]},dog\n")
    code, out, err = said(*options, "--labeled", "named.csv")
    assert (code, out) == (2, "")
    assert (
        "GLISTER reads labels, and named.csv has none: `category` of named.csv is not read; a column of labels is called label, "
        "labels, class or target"
    ) in err
    Path("ids_only.txt").write_text(f"{NAMES[0]}\n")
    code, out, err = said(*options, "--labeled", "ids_only.txt")
    assert (code, out) == (2, "")
    assert "GLISTER reads labels, and ids_only.txt has none; add a column label" in err


def test_embeddings_and_labels_are_enough_for_strategies_that_read_probabilities(here, said):
    words = ("dog", "cat", "emu", "fox")
    lines = [f"{name},{words[row % 4]}\n" for row, name in enumerate(NAMES[:20])]
    Path("named.csv").write_text("id,label\n" + "".join([*lines, f"{NAMES[20]},\n"]))
    options = (
        "--embeddings",
        "emb.npy",
        "--ids",
        "ids.txt",
        "--strategy",
        "glister",
        "--n",
        5,
        "--labeled",
        "named.csv",
    )
    code, out, err = said(*options)
    note = "a linear head was trained on the embeddings of 20 labeled examples of 4 classes, and its probabilities were read"
    assert code == 0
    assert note in err
    embeddings = np.load("emb.npy")
    labeled = {row: words[row % 4] for row in range(20)}
    expected = distil.select_from("glister", 5, embeddings=embeddings, labeled=labeled, seed=0)
    assert [line.split("\t")[1] for line in out.splitlines()] == [NAMES[row] for row in expected]
    assert said(*options, "--classes", "fox,emu,dog,cat")[1] == out
    plan = distil.pick(
        "glister",
        5,
        embeddings="emb.npy",
        ids="ids.txt",
        labeled="named.csv",
        classes="ox,fox,emu,dog,cat",
        dry_run=True,
    )
    assert plan["arrays"]["probs"]["shape"] == [N, 5]
    assert plan["arrays"]["probs"]["file"] == "a linear head on emb.npy"
    assert any("20 labeled examples of 4 classes" in sentence for sentence in plan["read"])


def test_a_validation_set_with_further_classes_and_apart_from_the_labeled_set(here, said):
    for name, rows, words in (("few", range(12), ("dog", "cat")), ("held", range(12, 40), ("dog", "cat", "emu"))):
        lines = [f"{NAMES[row]},{words[row % len(words)]}\n" for row in rows]
        Path(f"{name}.csv").write_text("id,label\n" + "".join(lines))
    options = ("--embeddings", "emb.npy", "--ids", "ids.txt", "--strategy", "glister", "--set", "valid=true", "--n", 5)
    code, out, err = said(*options, "--labeled", "few.csv", "--validation", "held.csv")
    assert code == 0
    assert "12 labeled examples of 2 classes" in err
    assert out == said(*options, "--labeled", "few.csv", "--validation", "held.csv", "--classes", "cat,dog,emu")[1]
    code, _, err = said(*options, "--labeled", "few.csv", "--validation", "few.csv")
    assert code == 2
    assert f"validation has {NAMES[0]!r}, which is in labeled too" in err


def test_what_is_missing_where_probabilities_are_read(here, said, case):
    Path("ids.csv").write_text(f"id\n{NAMES[0]}\n")
    Path("category.csv").write_text(f"id,category\n{NAMES[0]},cat\n{NAMES[1]},dog\n")
    Path("one.csv").write_text(f"id,label\n{NAMES[0]},cat\n{NAMES[1]},cat\n")
    asked = ("--embeddings", "emb.npy", "--ids", "ids.txt", "--strategy", "badge", "--n", 5)
    for more, message in (
        (
            (),
            "BADGE needs probs; pass --probs, or labels (--labeled), on which a linear head is trained that gives them",
        ),
        (("--labeled", "ids.csv"), "pass --probs, or labels (--labeled)"),
        (
            ("--labeled", "category.csv"),
            "that gives them; `category` of category.csv is not read; a column of labels is",
        ),
        (("--labeled", "one.csv"), "all 2 labels are 'cat': label examples of another class"),
        (("--labeled", "one.csv", "--classes", "dog,cow"), "one.csv: labels: 'cat' is not one of the 2 classes"),
    ):
        with case(more):
            code, out, err = said(*asked, *more)
            assert (code, out) == (2, "")
            assert message in err


def test_a_query_by_ids_or_by_embeddings(here, said):
    np.save("q.npy", np.load("emb.npy")[[3, 7]])
    Path("q.txt").write_text(f"{NAMES[3]}\n{NAMES[7]}\n")
    base = ("--embeddings", "emb.npy", "--ids", "ids.txt", "--strategy", "smi", "--n", 4, "--json")
    by_ids, apart = said(*base, "--query", "q.txt"), said(*base, "--query-embeddings", "q.npy")
    assert json.loads(by_ids[1])["picks"] == json.loads(apart[1])["picks"]
    assert {pick["id"] for pick in json.loads(by_ids[1])["picks"]} >= {NAMES[3], NAMES[7]}
    code, _, err = said(*base)
    assert (code, err.count("pass query=, or --query on the command line")) == (2, 1)
    code, _, err = said(*base, "--query", "q.txt", "--query-embeddings", "q.npy")
    assert (code, err) == (2, "distil: give query (ids of the pool) or query_embeddings (other examples), not both\n")
    np.save("q.npy", np.ones((2, 5)))
    code, _, err = said(*base, "--query-embeddings", "q.npy")
    assert (code, "q.npy has 5 columns and emb.npy has 6" in err) == (2, True)


def test_a_validation_set(here, said):
    """It reaches the strategy, is never chosen, and needs labels, with the meaning that ``select_from`` gives it."""
    held = range(20, 60)
    lines = [f"{NAMES[row]},{row * row % 4}\n" for row in held]
    Path("held.csv").write_text("id,label\n" + "".join(lines[:30]))
    Path("more.csv").write_text("id,label\n" + "".join(lines[30:]) + f"{NAMES[60]},\n")
    labeled = ("--labeled", "labeled.csv", "--n", 5, "--seed", 3, "--json")
    valid = (*BADGE[:-1], "glister", "--set", "valid=true", *labeled)
    code, out, err = said(*valid, "--validation", "held.csv", "--validation", "more.csv")
    document = json.loads(out)
    assert (code, err, document["may_be_chosen"]) == (0, "", len(NAMES) - 20 - 40)
    assert "10 of 11 rows labeled in more.csv" in document["read"]
    arrays = {"embeddings": np.load("emb.npy"), "probs": np.load("p.npy"), "names": NAMES, "seed": 3}
    arrays["labeled"] = {row: row % 4 for row in range(20)}
    for labels, equal in (({row: row * row % 4 for row in held}, True), (dict.fromkeys(held, 0), False)):
        chosen = distil.select_from(GLISTER(valid=True), 5, validation=labels, **arrays)
        assert ([pick["id"] for pick in document["picks"]] == list(chosen.names)) is equal
    code, out, _ = said(*BADGE, *labeled, "--validation", "held.csv")  # a strategy that does not read it
    assert json.loads(out)["may_be_chosen"] == len(NAMES) - 20 - 30
    Path("held.txt").write_text(NAMES[30])
    for more, message in (
        ((), "GLISTER(valid=True) needs a validation set; pass validation={id: label}"),
        (("--validation", "held.txt"), "a validation set has labels, and held.txt has none"),
        (("--validation", "held.csv", "--candidates", "held.txt"), "which is in validation too"),
    ):
        code, _, err = said(*valid, *more)
        assert (code, message in err) == (2, True), err


def test_explanations_as_json_and_as_a_page(here, said):
    labeled = ("--labeled", "labeled.csv", "--n", 5)
    code, out, err = said(*BADGE, *labeled, "--explain", "why.json", "--json")
    assert (code, err) == (0, "")
    picks, found = json.loads(out)["picks"], json.loads(Path("why.json").read_text())
    names = ("rank", "id", "score", "why")
    assert [[each[name] for name in names] for each in found["picks"]] == [
        [each[name] for name in names] for each in picks
    ]
    chosen = distil.select_from("badge", 5, embeddings=np.load("emb.npy"), probs=np.load("p.npy"), labeled=range(20))
    labels = {name: str(row % 4) for row, name in enumerate(NAMES[:20])}
    assert found == json.loads(json.dumps(distil.explain(chosen, np.load("emb.npy"), labeled=labels, names=NAMES)))
    code, out, _ = said(*BADGE, *labeled, "--explain", "why.html", "--out", "picks.csv")
    assert (code, [entry["id"] for entry in table("picks.csv")]) == (0, [each["id"] for each in picks])
    page = Path("why.html").read_text()
    assert all(f"<b>{each['id']}</b>" in page for each in picks)
    code, _, err = said(*BADGE, *labeled, "--explain", "why.html")
    assert (code, err) == (0, "note: why.html holds this explanation already\n")


def test_an_explanation_says_why_in_the_names_of_classes(here, said):
    Path("named.csv").write_text(
        "id,label\n" + "".join(f"{name},{['cat', 'dog'][row % 2]}\n" for row, name in enumerate(NAMES[:20]))
    )
    asked = ("--embeddings", "emb.npy", "--ids", "ids.txt", "--labeled", "named.csv", "--strategy", "margin_sampling")
    code, out, _ = said(*asked, "--n", 3, "--explain", "why.json", "--json")
    picks, found = json.loads(out)["picks"], json.loads(Path("why.json").read_text())["picks"]
    assert code == 0
    assert [each["why"] for each in found] == [each["why"] for each in picks]
    assert all("class 'cat'" in each["why"] for each in found)


def test_an_explanation_shows_texts_and_pictures(here, said):
    images = here / "images"
    images.mkdir()
    for row in range(12):
        Image.new("RGB", (9, 9), (20 * row, 0, 0)).save(images / f"{row:02}.png")
    asked = ("--strategy", "core_set", "--n", 2, "--explain", "why.html", "--force")
    code, _, err = said("--pool", "images", "--model", "pixels", *asked)
    assert (code, err) == (0, "")
    page = Path("why.html").read_text()
    assert "2 picks of images" in page
    assert page.count("data:image/jpeg;base64,") == 12  # two picks, and at most six examples of each
    Path("texts.csv").write_text("id,text\n" + "".join(f"{name},words <{row}>\n" for row, name in enumerate(NAMES)))
    code, _, err = said("--embeddings", "emb.npy", "--ids", "ids.txt", "--show", "texts.csv#text", *asked)
    page = Path("why.html").read_text()
    assert (code, page.count("words &lt;")) == (0, 2 + 12)


def test_explanations_that_cannot_be_made(here, said, case):
    probs = ("--probs", "p.npy", "--strategy", "margin_sampling", "--n", 3, "--out", "picks.csv")
    for options, fault in [
        ((*probs, "--explain", "why.json"), "explanations compare embeddings; pass them too (--embeddings)"),
        ((*probs, "--explain", "why.txt"), "expected a name that ends in .html or .json"),
    ]:
        with case(options):
            code, _, err = said(*options)
            assert (code, fault in err, Path("picks.csv").exists()) == (2, True, False)
    Path("why.html").write_text("other")
    code, _, err = said(*BADGE, "--n", 3, "--explain", "why.html", "--out", "picks.csv")
    assert (code, "why.html" in err, Path("picks.csv").exists()) == (2, True, False)
    assert Path("why.html").read_text() == "other"
