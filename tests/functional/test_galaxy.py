"""GALAXY against plain loops over lists, and the binary search that it is on a line."""

import math
from collections import Counter

import pytest
import torch

from distil.errors import InvalidInput
from distil.functional.galaxy import class_boundaries

N = 60


def problem(seed, n_classes=4, share=0.2):
    g = torch.Generator().manual_seed(seed)
    probs = (2 * torch.randn(N, n_classes, generator=g, dtype=torch.float64)).softmax(1)
    known = torch.randint(n_classes, (N,), generator=g)
    known[torch.rand(N, generator=g) > share] = -1
    return probs, known, torch.Generator().manual_seed(seed)


def picks_by_lists(probs, known, classes):
    """One row for each class, by looking at all pairs of rows; None stands for any row, where the class has no boundary."""
    p, state = probs.tolist(), known.tolist()
    found = []
    for c in classes:
        order = sorted(range(N), key=lambda row: (max(p[row]) - p[row][c], -p[row][c]))
        labels = [state[row] for row in order]
        pairs = [
            (b - a - 1, (a + b) // 2)
            for a in range(N)
            for b in range(a + 1, N)
            if -1 not in (labels[a], labels[b])
            and (labels[a] == c) != (labels[b] == c)
            and all(label == -1 for label in labels[a + 1 : b])
        ]
        open_pairs = [pair for pair in pairs if pair[0] > 0]
        if open_pairs:
            place = min(open_pairs, key=lambda pair: pair[0])[1]
        elif pairs:
            free = [i for i in range(N) if labels[i] == -1]
            # The path from a free row to the far end of a boundary, the shortest of all.
            place = min(free, key=lambda i: min(max(i - at, at + 1 - i) for _, at in pairs))
        else:
            found.append(None)
            continue
        row = order[place]
        state[row] = p[row].index(max(p[row]))
        found.append(row)
    return found


def test_picks_are_those_of_plain_loops():
    how = Counter()
    for seed in range(12):
        probs, known, g = problem(seed, share=0.15 + 0.06 * seed)
        n = min(15, int((known < 0).sum()))
        found = class_boundaries(probs, known, n, g)
        expected = picks_by_lists(probs, known, found.classes.tolist())
        how.update(found.how)
        until = found.how.index("random") if "random" in found.how else n
        assert found.rows.tolist()[:until] == expected[:until]
        assert len(set(found.rows.tolist())) == n
        assert bool((known[found.rows] < 0).all())
    assert how["bisected"] > 50
    assert how["nearest"] > 5


def test_one_step_at_a_time_is_a_binary_search_for_the_boundary():
    """On a line, with labels before the next pick: log2 of the distance to the boundary, then its neighbors on both sides."""
    p = torch.linspace(0.99, 0.01, 1026, dtype=torch.float64)
    probs, truth = torch.stack([p, 1 - p], 1), (torch.arange(1026) >= 37).long()
    known = torch.full((1026,), -1)
    known[[0, 1025]] = truth[[0, 1025]]
    steps = 0
    while known[36] < 0 or known[37] < 0:
        row = class_boundaries(probs, known, 1, torch.Generator().manual_seed(steps)).rows[0]
        known[row] = truth[row]
        steps += 1
    assert steps <= math.ceil(math.log2(1024)) + 1
    for _ in range(40):
        found = class_boundaries(probs, known, 1, torch.Generator())
        assert found.how == ("nearest",)
        known[found.rows] = truth[found.rows]
    assert set(range(20, 54)) <= set(torch.nonzero(known >= 0)[:, 0].tolist())


def test_classes_are_drawn_uniformly_and_rows_at_random_where_a_class_has_no_boundary():
    probs, _, _ = problem(0)
    none = torch.full((N,), -1)
    rows, classes = Counter(), Counter()
    for seed in range(1500):
        found = class_boundaries(probs, none, 1, torch.Generator().manual_seed(seed))
        assert found.how == ("random",)
        rows.update(found.rows.tolist())
        classes.update(found.classes.tolist())
    assert len(rows) == N
    assert max(rows.values()) < 60
    assert all(300 < times < 450 for times in classes.values())


def test_edges():
    probs, known, g = problem(3)
    assert len(class_boundaries(probs, known, 0, g).rows) == 0
    whole = class_boundaries(probs, known, int((known < 0).sum()), g)
    assert sorted(whole.rows.tolist()) == torch.nonzero(known < 0)[:, 0].tolist()
    with pytest.raises(InvalidInput, match="n must be between 0 and"):
        class_boundaries(probs, known, N, g)
