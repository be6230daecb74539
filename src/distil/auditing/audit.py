"""What is wrong with a pool, before a budget is spent on it: duplicates, leaks, outliers, missing classes, drift.

The function behind ``distil audit``. Exact duplicates are found by content; all else by embeddings, with distances in shares of
the typical one (see :mod:`distil.data.distances`). Of large pools a sample of items is looked at, each of them against the
whole pool.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distil.auditing.given import Given, given_set, names_of
from distil.data.array_files import Column, read_column
from distil.data.arrays import Array, readable, take
from distil.data.distances import NEAR, Ruler, checked_near, nearest, ruler
from distil.data.ids import ListedIds, index_of, matched, read_ids
from distil.data.items import Items, items_of
from distil.data.pools import open_pool
from distil.errors import InvalidInput
from distil.rng import Rng
from distil.system.runtime import CHUNK_ROWS, Runtime, as_runtime, checked_count

Json = dict[str, Any]

SHOWN = 20
"""Items that a list of the report holds at most."""

_NEIGHBORS = 10
_OUTLIER = 3.5
_CLASSIFIED, _FOLDS, _DIMS = 2000, 5, 32
_DRIFT_ERRORS, _DRIFT = 3.0, 0.6


@dataclass(frozen=True, eq=False)
class Set:
    """Some items with embeddings, if there are any: all of a pool or a part of it.

    Attributes:
        name: What it is called: pool, labeled or test.
        names: ListedIds of the rows, of all rows of ``x``.
        rows: Those that belong to the set, ascending.
        x: Embeddings, or None.
        content: Row -> bytes that are equal for equal items only, or None.
        runtime: Progress bars.
    """

    name: str
    names: Sequence[str]
    rows: Tensor
    x: Array | None
    content: Callable[[int], bytes] | None
    runtime: Runtime

    @cached_property
    def digests(self) -> dict[bytes, list[int]]:
        """Rows by content; empty where that is not known."""
        found: dict[bytes, list[int]] = {}
        if self.content is not None:
            for row in self.runtime.bar(self.rows.tolist(), f"reading the {self.name}", len(self.rows)):
                found.setdefault(self.content(row), []).append(row)
        return found

    def part(self, name: str, rows: Tensor) -> Set:
        """A part of it under another name."""
        return Set(name, self.names, rows, self.x, self.content, self.runtime)

    def sample(self, n: int, seed: int) -> Tensor:
        """At most ``n`` of its rows, ascending."""
        if len(self.rows) <= n:
            return self.rows
        order = torch.randperm(len(self.rows), generator=Rng(seed).child("audit", self.name).torch())
        return self.rows[order[:n]].sort().values


def audit(
    pool: Given | Array,
    *,
    embeddings: str | Path | Column | None = None,
    labeled: Given | None = None,
    labeled_embeddings: str | Path | Column | None = None,
    test: Given | None = None,
    test_embeddings: str | Path | Column | None = None,
    labels: str | Path | None = None,
    near: float = NEAR,
    rows: int = 20_000,
    seed: int = 0,
    runtime: Runtime | None = None,
) -> Json:
    """Look a pool over.

    Args:
        pool: A pool, or what :func:`distil.data.pools.open_pool` takes: images, texts, or embeddings themselves.
        embeddings: Of the pool, where it does not hold them: matched with it by ids. Without any, only what content and labels
            tell is reported.
        labeled: What is labeled: a list of ids of the pool, optionally with labels, or a pool of its own; of a file, the content
            decides which (see :func:`distil.auditing.given.given_set`).
        labeled_embeddings: Of such a pool of its own.
        test: What tests the model, likewise.
        test_embeddings: Of such a pool of its own.
        labels: A list of ids with labels: of labeled items, or of as many as are known.
        near: Within what share of the typical distance two items are near-duplicates.
        rows: Items of a set that are looked at one by one; of more, a random sample.
        seed: Of the samples.
        runtime: Progress bars.

    Returns:
        The report, for JSON: ``findings`` (sentences), ``notes`` (what could not be looked at), ``pool``, ``duplicates``,
        ``outliers``, ``classes``, ``coverage``, ``leakage`` and ``drift``, each None where it could not be computed.

    Cost: O(S N D) for S items looked at of N.
    """
    runtime, near = as_runtime(runtime), checked_near(near)
    rows = checked_count(rows, "rows must be a whole number", 1)
    pool = items_of(open_pool(pool))
    embeddings = _column(embeddings)
    whole = _set("pool", pool, embeddings, runtime)
    sides = (("labeled", labeled, labeled_embeddings), ("test", test, test_embeddings))
    read = {
        name: given_set(name, given, pool, embeddings) if own is None else items_of(open_pool(given))
        for name, given, own in sides
        if given is not None
    }
    others = {name: _other(name, read[name], own, whole) for name, _, own in sides if name in read}
    known = _known_labels(read.get("labeled"), labels, whole)
    free = whole.part("pool", _left(whole, others))
    by = None if whole.x is None else ruler(whole.x, whole.rows, seed)
    radius = None if by is None else near * by.typical
    report: Json = {"pool": _described(whole, by, near), "classes": _classes(others.get("labeled"), known)}
    looked = None if by is None or whole.x is None else _looked_at(whole, rows, by, seed, runtime)
    report["duplicates"] = _duplicates(whole, looked, radius, by)
    report["outliers"] = None if looked is None or by is None else _outliers(whole, looked, by)
    pairs = [
        (a, b)
        for a, b in (("test", "labeled"), ("test", "pool"), ("labeled", "pool"))
        if {a, b} - {"pool"} <= {*others}
    ]
    sets = {**others, "pool": free}
    report["leakage"] = [_leakage(sets[a], sets[b], near, by, rows, seed, runtime) for a, b in pairs]
    report["coverage"] = _coverage(free, others.get("labeled"), by, rows, seed, runtime)
    report["drift"] = [
        found
        for name in ("labeled", "test")
        if name in others and (found := _drift(others[name], free, seed)) is not None
    ]
    return {"findings": _findings(report), "notes": _notes(whole, others, known, rows), **report}


# ------------------------------------------------------------------------------------------------------------------ sets


def _set(name: str, items: Items, embeddings: str | Path | Column | None, runtime: Runtime) -> Set:
    embeddings = _column(embeddings)
    names = names_of(items, embeddings)
    if embeddings is None:
        if items.array is not None and items.array.ndim != 2:
            raise InvalidInput(
                f"the {name} has rows of shape {tuple(items.array.shape[1:])}; embeddings have one axis, (N, D)"
            )
        return _checked(Set(name, names, torch.arange(len(items)), items.array, _hashed(items.content), runtime))
    if embeddings.names is None and len(embeddings) != len(items):
        raise InvalidInput(
            f"{embeddings.origin} has {len(embeddings)} rows and no ids, and the {name} has {len(items)} items"
        )
    places = ListedIds(tuple(names), None, embeddings.origin).rows(index_of(items.names), len(items))
    return _checked(
        Set(name, names, torch.arange(len(names)), embeddings.values, _hashed(items.content, places), runtime)
    )


def _column(embeddings: str | Path | Column | None) -> Column | None:
    return read_column(embeddings) if isinstance(embeddings, (str, os.PathLike)) else embeddings


def _hashed(
    content: Callable[[int], bytes] | None, places: NDArray[np.int64] | None = None
) -> Callable[[int], bytes] | None:
    """Row -> hash of its content, which is read once."""
    if content is None:
        return None
    return cache(
        lambda row: hashlib.blake2b(content(row if places is None else int(places[row])), digest_size=16).digest()
    )


def _checked(found: Set) -> Set:
    """The set, if its embeddings are finite; InvalidInput names those that are not."""
    if found.x is not None:
        x = readable(found.x)
        wrong = [
            row for part in found.rows.split(CHUNK_ROWS) for row in part[~take(x, part).isfinite().all(1)].tolist()
        ]
        if wrong:
            told = ", ".join(found.names[row] for row in wrong[:3]) + (", ..." if len(wrong) > 3 else "")
            raise InvalidInput(
                f"embeddings of {len(wrong)} of {len(found.rows)} items of the {found.name} are NaN or infinite: {told}"
            )
    return found


def _other(name: str, given: ListedIds | Items, embeddings: str | Path | Column | None, whole: Set) -> Set:
    """A set of ids of the pool, or one of its own."""
    if isinstance(given, ListedIds):
        return whole.part(name, torch.from_numpy(np.sort(given.rows(index_of(whole.names), len(whole.names)))))
    found = _set(name, given, embeddings, whole.runtime)
    if found.x is not None and whole.x is not None and found.x.shape[1] != whole.x.shape[1]:
        raise InvalidInput(
            f"embeddings of the {name} set have {found.x.shape[1]} columns, those of the pool {whole.x.shape[1]}"
        )
    return found


def _left(whole: Set, others: Mapping[str, Set]) -> Tensor:
    """Rows of the pool that are in no other set."""
    taken = [found.rows for found in others.values() if found.x is whole.x and found.names is whole.names]
    return whole.rows[~torch.isin(whole.rows, torch.cat(taken))] if taken else whole.rows


def _known_labels(labeled: ListedIds | Items | None, labels: str | Path | None, whole: Set) -> dict[str, str]:
    """Id of the pool -> label, as far as labels are known."""
    tables = [labeled] if isinstance(labeled, ListedIds) else []
    if labels is not None:
        tables.insert(0, read_ids(labels))
        if tables[0].labels is None:
            raise InvalidInput(f"{labels} has no labels; expected the columns id and label")
    known: dict[str, str] = {}
    for table in tables:
        rows = matched(table.names, index_of(whole.names) or {})
        names = [name if row < 0 else whole.names[row] for name, row in zip(table.names, rows, strict=True)]
        known.update(zip(names, table.labels or (), strict=False))
    return known


# -------------------------------------------------------------------------------------------------------------- findings


@dataclass(frozen=True, eq=False)
class _Looked:
    """Items that were looked at, their nearest others and how far these are: rows (S,), ids (S, k), dists (S, k)."""

    rows: Tensor
    ids: Tensor
    dists: Tensor


def _looked_at(whole: Set, rows: int, by: Ruler, seed: int, runtime: Runtime) -> _Looked | None:
    if whole.x is None or len(whole.rows) < 2:
        return None
    sample = whole.sample(rows, seed)
    found = nearest(
        whole.x, sample, whole.x, whole.rows, min(_NEIGHBORS, len(whole.rows) - 1), by, runtime, "comparing"
    )
    return _Looked(sample, found.rows, found.dists)


def _described(whole: Set, by: Ruler | None, near: float) -> Json:
    dims = None if whole.x is None else int(whole.x.shape[1])
    return {
        "items": len(whole.rows),
        "dims": dims,
        "typical_distance": None if by is None else by.typical,
        "near": near,
    }


def _duplicates(whole: Set, looked: _Looked | None, radius: float | None, by: Ruler | None) -> Json:
    """Exact ones of all items; near ones of those looked at."""
    groups = sorted((rows for rows in whole.digests.values() if len(rows) > 1), key=len, reverse=True)
    exact = None
    if whole.content is not None:
        exact = {
            "items": sum(len(rows) - 1 for rows in groups),
            "groups": len(groups),
            "examples": [[whole.names[row] for row in rows[:SHOWN]] for rows in groups[:SHOWN]],
        }
    if looked is None or radius is None or by is None:
        return {"exact": exact, "near": None}
    close = looked.dists[:, 0] <= radius
    examples = _close_pairs(whole, looked, radius, by)
    return {"exact": exact, "near": {"items": int(close.sum()), "looked_at": len(close), "examples": examples}}


def _close_pairs(whole: Set, looked: _Looked, radius: float, by: Ruler) -> list[Json]:
    """The closest pairs that are not equal in content, each once."""
    place, column = torch.nonzero(looked.dists <= radius, as_tuple=True)
    order = looked.dists[place, column].argsort(stable=True).tolist()
    same = {row: group[0] for group in whole.digests.values() for row in group}
    found: dict[tuple[int, int], Json] = {}
    for one in order:
        row, other = int(looked.rows[place[one]]), int(looked.ids[place[one], column[one]])
        pair = (min(row, other), max(row, other))
        if same.get(row, row) != same.get(other, other) and pair not in found:
            share = float(looked.dists[place[one], column[one]]) / by.typical
            found[pair] = {"ids": [whole.names[i] for i in pair], "distance": share}
        if len(found) == SHOWN:
            break
    return list(found.values())


def _outliers(whole: Set, looked: _Looked, by: Ruler) -> Json:
    """Items far from their neighbors: a modified z-score (Iglewicz and Hoaglin 1993) above 3.5 of the log of the mean distance."""
    means = looked.dists.mean(1)
    logs = means[means > 0].log()
    center = float(logs.median()) if len(logs) else 0.0
    spread = 1.4826 * float((logs - center).abs().median()) if len(logs) else 0.0
    threshold = math.exp(center + _OUTLIER * spread) if spread > 0 else math.inf
    far = torch.nonzero(means > threshold)[:, 0]
    far = far[means[far].argsort(descending=True, stable=True)]
    return {
        "items": len(far),
        "looked_at": len(means),
        "neighbors": looked.dists.shape[1],
        "threshold": threshold / by.typical if math.isfinite(threshold) else None,
        "examples": [
            {"id": whole.names[int(looked.rows[i])], "distance": float(means[i]) / by.typical}
            for i in far[:SHOWN].tolist()
        ],
    }


def _classes(labeled: Set | None, known: Mapping[str, str]) -> Json | None:
    """How many labeled items each known class has."""
    if not known:
        return None
    names = [labeled.names[row] for row in labeled.rows.tolist()] if labeled is not None else list(known)
    counts = Counter(known[name] for name in names if name in known)
    every = Counter(known.values())
    classes = sorted(every, key=lambda label: (-counts[label], label))
    return {
        "labeled": {label: counts[label] for label in classes},
        "known": {label: every[label] for label in classes},
        "without": [label for label in classes if not counts[label]],
        "unknown": sum(name not in known for name in names),
    }


def _coverage(free: Set, labeled: Set | None, by: Ruler | None, rows: int, seed: int, runtime: Runtime) -> Json | None:
    """How far the pool is from what is labeled."""
    if (
        by is None
        or labeled is None
        or labeled.x is None
        or free.x is None
        or not len(labeled.rows)
        or not len(free.rows)
    ):
        return None
    sample = free.sample(rows, seed)
    found = (
        nearest(free.x, sample, labeled.x, labeled.rows, 1, by, runtime, "comparing with labeled").dists[:, 0]
        / by.typical
    )
    far = found.argsort(descending=True, stable=True)[:SHOWN]
    return {
        "median": float(found.median()),
        "farthest": [{"id": free.names[int(sample[i])], "distance": float(found[i])} for i in far.tolist()],
    }


def _leakage(a: Set, b: Set, near: float, by: Ruler | None, rows: int, seed: int, runtime: Runtime) -> Json:
    """Items of one set that are in another one too."""
    shared = [(x, b.digests[content][0]) for content, found in a.digests.items() if content in b.digests for x in found]
    told: Json = {
        "between": [a.name, b.name],
        "exact": len(shared) if a.content is not None and b.content is not None else None,
        "near": None,
        "examples": [{"ids": [a.names[x], b.names[y]], "distance": 0.0} for x, y in shared[:SHOWN]],
    }
    if by is None or a.x is None or b.x is None or not len(a.rows) or not len(b.rows):
        return told
    sample = a.sample(rows, seed)
    found = nearest(a.x, sample, b.x, b.rows, 1, by, runtime, f"comparing {a.name} and {b.name}")
    dists = found.dists[:, 0] / by.typical
    equal = {x for x, _ in shared}
    order = [i for i in dists.argsort(stable=True).tolist() if dists[i] <= near and int(sample[i]) not in equal]
    told |= {"near": int((dists <= near).sum()), "looked_at": len(sample)}
    told["examples"] += [
        {"ids": [a.names[int(sample[i])], b.names[int(found.rows[i, 0])]], "distance": float(dists[i])}
        for i in order[:SHOWN]
    ]
    return told


def _drift(a: Set, b: Set, seed: int) -> Json | None:
    """Whether a classifier tells two sets apart: the area under its ROC curve on items that it was not fitted on.

    A classifier two-sample test (Lopez-Paz and Oquab 2017) rather than MMD: it needs no width of a kernel, and its scale, from 0.5
    for sets that nothing tells apart to 1, is known. Logistic regression sees up to 2,000 items of each set in 32 principal
    components. The standard error is that of the Mann-Whitney statistic of sets that do not differ.
    """
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if a.x is None or b.x is None or min(len(a.rows), len(b.rows)) < 2 * _FOLDS:
        return None
    x, y = (take(readable(s.x), s.sample(_CLASSIFIED, seed)).double().numpy() for s in (a, b) if s.x is not None)
    both, which = np.concatenate([x, y]), np.repeat([1, 0], [len(x), len(y)])
    dims = min(_DIMS, both.shape[1], len(both) * (_FOLDS - 1) // _FOLDS - 1)
    model = make_pipeline(
        StandardScaler(), PCA(dims, random_state=0), LogisticRegression(class_weight="balanced", max_iter=1000)
    )
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    scores = cross_val_predict(model, both, which, cv=folds, method="decision_function")
    auc = float(roc_auc_score(which, scores))
    error = math.sqrt((len(x) + len(y) + 1) / (12 * len(x) * len(y)))
    return {
        "between": [a.name, b.name],
        "auc": auc,
        "standard_error": error,
        "drift": auc > max(0.5 + _DRIFT_ERRORS * error, _DRIFT),
        "looked_at": [len(x), len(y)],
    }


# ------------------------------------------------------------------------------------------------------------- sentences


def _findings(report: Json) -> list[str]:
    """What the numbers say, what matters most first."""
    found = [_leak_said(entry) for entry in report["leakage"]]
    found += [_drift_said(entry) for entry in report["drift"]]
    if report["classes"] is not None:
        found.append(_classes_said(report["classes"]))
    exact, near = report["duplicates"]["exact"], report["duplicates"]["near"]
    if exact is not None:
        found.append(f"{exact['items']:,} of {report['pool']['items']:,} items repeat another one exactly")
    if near is not None:
        share = report["pool"]["near"]
        found.append(
            f"{near['items']:,} of {near['looked_at']:,} items looked at have a near-duplicate, within {share:.0%} of the typical "
            "distance; `distil select --no-duplicates` picks none twice"
        )
    if report["outliers"] is not None:
        outliers = report["outliers"]
        found.append(f"{outliers['items']:,} of {outliers['looked_at']:,} items looked at are far from everything else")
    if report["coverage"] is not None:
        found.append(
            f"half of the pool is within {report['coverage']['median']:.2g} typical distances of a labeled item"
        )
    return found


def _leak_said(entry: Json) -> str:
    a, b = entry["between"]
    parts = [
        f"{entry[kind]:,} {word}"
        for kind, word in (("exact", "exactly"), ("near", "nearly"))
        if entry[kind] is not None
    ]
    if not parts:
        return f"{a} and {b} could not be compared"
    return f"{a} items that are in the {b} set too: {', '.join(parts)}"


def _drift_said(entry: Json) -> str:
    a, b = entry["between"]
    told = "differs from" if entry["drift"] else "looks like"
    return f"the {a} set {told} the {b}: a classifier ranks them with an AUC of {entry['auc']:.2f} (0.5: they do not differ)"


def _classes_said(classes: Json) -> str:
    counts = [count for count in classes["labeled"].values() if count]
    told = f"{len(counts)} of {len(classes['labeled'])} known classes have a labeled item"
    if counts:
        told += f", from {min(counts):,} to {max(counts):,} of each"
    return told + (f"; none: {', '.join(classes['without'][:SHOWN])}" if classes["without"] else "")


def _notes(whole: Set, others: Mapping[str, Set], known: Mapping[str, str], rows: int) -> list[str]:
    """What was not looked at, and what would help."""
    notes = []
    if whole.x is None:
        notes.append("without embeddings (--embeddings, or --model) only exact duplicates and classes are found")
    elif len(whole.rows) > rows:
        notes.append(f"of {len(whole.rows):,} items, {rows:,} drawn at random were compared with all (--rows)")
    if whole.content is None:
        notes.append("the content of these items is not known, so exact duplicates are not")
    if "labeled" not in others:
        notes.append("without a labeled set (--labeled) nothing is said about drift and coverage")
    elif not known:
        notes.append("without labels (a label column, or --labels) nothing is said about classes")
    for name, found in others.items():
        if found.x is not None and len(found.rows) < 2 * _FOLDS:
            notes.append(f"the {name} set has {len(found.rows)} items, too few to look for drift")
        if found.x is None and whole.x is not None:
            notes.append(f"the {name} set has no embeddings (--model embeds it too), so only exact copies are found")
    return notes
