"""Strategies that read tokens, from arrays and from files, against loops over the examples."""

import itertools
import json

import numpy as np
import pytest
import torch

import distil
from distil.cli import main
from distil.errors import InvalidInput, MissingSignal
from distil.functional.noise import gumbel
from distil.rng import Rng
from distil.selection.select import select, select_from
from distil.strategies import MNLP, ClassStratifiedEntropy, TokenUncertainty

RNG = np.random.default_rng(0)
LENGTHS = RNG.integers(0, 9, 60)
OFFSETS = np.concatenate([[0], np.cumsum(LENGTHS)])
PROBS = RNG.dirichlet(np.full(4, 0.6), OFFSETS[-1])
ROWS = [PROBS[a:b] for a, b in itertools.pairwise(OFFSETS)]
ENTROPIES = [-(p * np.log(np.maximum(p, 1e-300))).sum(1) for p in ROWS]


def largest(scores, n):
    return np.argsort(-np.asarray(scores), kind="stable")[:n].tolist()


def test_each_reduction_ranks_the_examples():
    margins = [1 - np.diff(np.sort(p, 1)[:, -2:])[:, 0] for p in ROWS]
    for strategy, scores in (
        (TokenUncertainty(), [h.mean() if len(h) else 0 for h in ENTROPIES]),
        (TokenUncertainty(reduction="sum"), [h.sum() for h in ENTROPIES]),
        (TokenUncertainty("least_confidence", "max"), [1 - p.max(1).min() if len(p) else 0 for p in ROWS]),
        (TokenUncertainty("margin", "top_mean", 2), [np.sort(m)[-2:].mean() if len(m) else 0 for m in margins]),
        (MNLP(), [-np.log(p.max(1)).mean() if len(p) else 0 for p in ROWS]),
    ):
        found = select_from(strategy, 20, probs=PROBS, offsets=OFFSETS)
        assert found.tolist() == largest(scores, 20), strategy
        np.testing.assert_allclose(found.scores.numpy(), np.sort(scores)[::-1][:20], rtol=1e-9)
    last = select_from(MNLP(), 60, probs=PROBS, offsets=OFFSETS).tolist()[-(LENGTHS == 0).sum() :]
    assert all(LENGTHS[row] == 0 for row in last)


def test_reasons_name_the_measure():
    found = select_from(TokenUncertainty("log_confidence", "top_mean", 3), 1, probs=PROBS, offsets=OFFSETS)
    assert found.reasons[0].startswith("log confidence of tokens ")
    assert found.reasons[0].endswith(" (mean of the top 3)")
    mnlp = select_from("mnlp", 1, probs=PROBS, offsets=OFFSETS)
    assert mnlp.reasons == (f"normalized log-probability {-float(mnlp.scores[0]):.3g}",)


def test_classes_have_even_parts_of_the_selection():
    by_class = np.stack(
        [(h[:, None] * p).mean(0) if len(h) else np.zeros(4) for h, p in zip(ENTROPIES, ROWS, strict=True)]
    )
    plain = [h.mean() if len(h) else 0 for h in ENTROPIES]
    for background, classes in (("none", [0, 1, 2, 3]), ("first", [1, 2, 3]), ("last", [0, 1, 2])):
        found = select_from(ClassStratifiedEntropy(0.6, background), 20, probs=PROBS, offsets=OFFSETS, seed=4)
        turns = [int(reason.rsplit(" ", 1)[1]) for reason in found.reasons[:12]]
        assert sorted(turns) == sorted(classes * (12 // len(classes)))
        left = set(range(60))
        for row, c in zip(found, turns + [None] * 8, strict=True):
            score = plain if c is None else by_class[:, c]
            assert score[row] == max(score[i] for i in left)
            left.remove(row)
        assert all(reason.startswith("mean entropy") for reason in found.reasons[12:])


def test_power_noise_is_that_of_the_formula():
    found = select_from(
        ClassStratifiedEntropy(0.01, beta=2.0), 15, probs=PROBS, offsets=OFFSETS, seed=3
    )  # no class has a turn
    noise = gumbel(Rng(3).child("noise", 4).keys(torch.arange(60))).numpy()
    with np.errstate(divide="ignore"):
        scores = np.log([h.mean() if len(h) else 0 for h in ENTROPIES]) + noise / 2
    assert found.tolist() == largest(scores, 15)
    late = select_from(
        ClassStratifiedEntropy(0.01, beta=0.5, last_beta=8), 15, probs=PROBS, offsets=OFFSETS, seed=3, elapsed=0.5
    )
    assert late.tolist() == found.tolist()  # halfway from 0.5 to 8 is 2
    with pytest.raises(InvalidInput, match="ClassStratifiedEntropy: last_beta asks for a schedule"):
        select_from(ClassStratifiedEntropy(beta=1, last_beta=100), 15, probs=PROBS, offsets=OFFSETS)
    with pytest.raises(InvalidInput, match="last_beta needs beta"):
        ClassStratifiedEntropy(last_beta=100)
    plain = select_from(ClassStratifiedEntropy(), 15, probs=PROBS, offsets=OFFSETS, seed=3).tolist()
    assert select_from(ClassStratifiedEntropy(beta=1e9), 15, probs=PROBS, offsets=OFFSETS, seed=3).tolist() == plain


def test_blocks_candidates_and_kinds_of_arrays_make_no_difference(monkeypatch, tmp_path):
    np.save(tmp_path / "p.npy", PROBS)
    mapped = np.load(tmp_path / "p.npy", mmap_mode="r")
    for strategy in ("token_uncertainty", "mnlp", "class_stratified_entropy"):
        expected = select_from(strategy, 9, probs=PROBS, offsets=OFFSETS).tolist()
        assert select_from(strategy, 9, probs=torch.from_numpy(PROBS), offsets=OFFSETS.tolist()).tolist() == expected
        among = select_from(strategy, 9, probs=PROBS, offsets=OFFSETS, candidates=range(59, -1, -2)).tolist()
        assert set(among) <= set(range(1, 60, 2))
        with monkeypatch.context() as patch:
            patch.setattr("distil.data.tokens._BLOCK_BYTES", 200)  # six tokens
            assert select_from(strategy, 9, probs=mapped, offsets=OFFSETS).tolist() == expected
            odd = select_from(strategy, 9, probs=mapped, offsets=OFFSETS, candidates=range(1, 60, 2)).tolist()
            assert odd == among


def test_what_does_not_fit_is_refused():
    with pytest.raises(MissingSignal, match=r"MNLP needs `offsets` \(N \+ 1,\)"):
        select_from("mnlp", 3, probs=PROBS)
    with pytest.raises(InvalidInput, match=r"offsets was passed without probs.*pass probs="):
        select_from("mnlp", 3, embeddings=PROBS, offsets=OFFSETS)
    for offsets, fault in (
        (OFFSETS[:-1], f"end with {len(PROBS)}"),
        (OFFSETS + 1, "it begins with 1"),
        ([0, 5, 3, len(PROBS)], "entry 1 is 5 and entry 2 is 3"),
        ([0, 2.5, len(PROBS)], "whole numbers"),
        (np.array([[0, len(PROBS)]]), r"offsets must be a flat list, got shape \(1, 2\)"),
        ([0, np.nan, len(PROBS)], "whole numbers"),
    ):
        with pytest.raises(InvalidInput, match=fault):
            select_from("mnlp", 1, probs=PROBS, offsets=offsets)
    for strategy in ("margin_sampling", "auto", "badge"):
        with pytest.raises(InvalidInput, match=r"probs has a row for each token, and .* reads a row for each example"):
            select_from(strategy, 3, probs=PROBS, embeddings=np.eye(60), offsets=OFFSETS)
    with pytest.raises(
        InvalidInput, match=r"the arrays must have the same number of rows: offsets has 60, embeddings has 61"
    ):
        select_from("core_set", 3, probs=PROBS, embeddings=np.eye(61), offsets=OFFSETS)
    wrong = PROBS.copy()
    wrong[OFFSETS[7]] *= 2
    names = [f"sentence {i}" for i in range(60)]
    owner = int(np.searchsorted(OFFSETS, OFFSETS[7], "right")) - 1
    with pytest.raises(InvalidInput, match=rf"probs\['sentence {owner}'\] is not a probability distribution"):
        select_from("mnlp", 3, probs=wrong, offsets=OFFSETS, names=names)
    with pytest.raises(
        MissingSignal, match=r"MNLP reads the probabilities of tokens, which no model measures; .*select_from"
    ):
        select("mnlp", torch.nn.Linear(3, 2), np.zeros((9, 3)), 2)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("p.npy", PROBS)
    np.save("offsets.npy", OFFSETS)
    (tmp_path / "ids.txt").write_text("".join(f"doc{i}\n" for i in range(60)))
    (tmp_path / "offsets.csv").write_text("offset\n" + "".join(f"{row}\n" for row in OFFSETS))
    (tmp_path / "labeled.csv").write_text("id\ndoc3\ndoc4\n")
    return tmp_path


def test_the_command_takes_offsets(here, capsys):
    given = ["--probs", "p.npy", "--ids", "ids.txt", "--labeled", "labeled.csv", "--n", "5", "--json"]
    for strategy in ("mnlp", "class_stratified_entropy"):
        for offsets in ("offsets.npy", "offsets.csv"):
            assert main(["select", "--strategy", strategy, *given, "--offsets", offsets]) == 0
            picks = json.loads(capsys.readouterr().out)["picks"]
            expected = select_from(strategy, 5, probs=PROBS, offsets=OFFSETS, labeled=[3, 4])
            assert [entry["id"] for entry in picks] == [f"doc{row}" for row in expected]
    assert main(["select", "--strategy", "mnlp", *given, "--offsets", "offsets.npy", "--dry-run"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert {name: array["read"] for name, array in plan["arrays"].items()} == {"offsets": True, "tokens": True}


def test_what_does_not_fit_in_files_is_named(here, capsys):
    for given, fault in (
        (["--probs", "p.npy"], "MNLP needs offsets; pass --offsets"),
        (["--offsets", "offsets.npy"], "offsets divide the rows of probs among the examples; pass probs too"),
        (["--probs", "p.npy", "--offsets", "p.npy"], "p.npy: offsets must be a flat list, got shape"),
    ):
        assert main(["select", "--strategy", "mnlp", "--n", "5", *given]) == 2
        assert fault in capsys.readouterr().err
    (here / "short.txt").write_text("a\nb\n")
    with pytest.raises(InvalidInput, match=r"short.txt has 2 ids, and offsets.npy has offsets of 60 examples"):
        distil.pick("mnlp", 5, probs="p.npy", offsets="offsets.npy", ids="short.txt")
