"""``audit``: duplicates, leaks, outliers, missing classes, wrong labels and drift in a pool, before a budget is spent on it.

The function behind ``distil audit``. Exact duplicates are found by content, all other faults by embeddings, with distances as
fractions of the typical distance (see :mod:`distil.data.distances`). In a large pool only a sample of items is examined, each
against the whole pool.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distil.auditing.given import Given, content_of, given_set, names_of
from distil.auditing.label_errors import most_labels, suspected_labels
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
"""Largest number of items in a list of the report."""

_LONGEST = 200  # characters of a text in the report
_NEIGHBORS = 10
_OUTLIER = 3.5
_CLASSIFIED, _FOLDS, _DIMS = 2000, 5, 32
_DRIFT_ERRORS, _DRIFT = 3.0, 0.6


@dataclass(frozen=True, eq=False)
class Set:
    """A pool or a part of it, with embeddings if there are any.

    Attributes:
        name: Name of the set: pool, labeled or test.
        names: Ids of all rows of the pool.
        rows: Rows that belong to the set, ascending.
        x: Embeddings of all rows of the pool, (N, D), or None.
        content: Row -> hash of its content, equal for equal items only; None if the content is unknown.
        shown: Row -> its text or file; None if its id says it.
        runtime: Whether to show progress bars.
    """

    name: str
    names: Sequence[str]
    rows: Tensor
    x: Array | None
    content: Callable[[int], bytes] | None
    shown: Callable[[int], str] | None
    runtime: Runtime

    @cached_property
    def digests(self) -> dict[bytes, list[int]]:
        """Hash of a content -> the rows that have it; empty if the content is unknown."""
        rows_by_hash: dict[bytes, list[int]] = {}
        if self.content is not None:
            for row in self.runtime.bar(self.rows.tolist(), f"reading the {self.name}", len(self.rows)):
                rows_by_hash.setdefault(self.content(row), []).append(row)
        return rows_by_hash

    def part(self, name: str, rows: Tensor) -> Set:
        """The set of these rows, under another name."""
        return Set(name, self.names, rows, self.x, self.content, self.shown, self.runtime)

    def sample(self, n: int, seed: int) -> Tensor:
        """At most ``n`` random rows of the set, ascending."""
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
    labels: str | Path | ListedIds | None = None,
    near: float = NEAR,
    rows: int = 20_000,
    seed: int = 0,
    runtime: Runtime | None = None,
) -> Json:
    """Find duplicates, leaks, outliers, missing classes, wrong labels and drift in a pool.

    Args:
        pool: A pool, or an argument of :func:`distil.data.pools.open_pool`: images, texts or embeddings.
        embeddings: Embeddings of the pool, matched with it by ids; needed if the pool does not hold them. Without embeddings, only
            exact duplicates and classes are reported.
        labeled: The labeled set: a list of ids of the pool, optionally with labels, or a pool of its own. The content of a file
            decides which of the two it is (see :func:`distil.auditing.given.given_set`).
        labeled_embeddings: Embeddings of the labeled set, if it is a pool of its own.
        test: The test set, in the same forms as ``labeled``.
        test_embeddings: Embeddings of the test set, if it is a pool of its own.
        labels: A list of ids with labels, for all labeled items or as many as are known.
        near: Largest distance between near-duplicates, as a fraction of the typical distance.
        rows: Largest number of items of a set to examine; from more, a random sample is drawn.
        seed: Seed of the samples.
        runtime: Whether to show progress bars.

    Returns:
        The report, for JSON: ``findings`` (sentences), ``notes`` (sentences on what could not be examined), ``pool``,
        ``duplicates``, ``outliers``, ``classes``, ``label_errors``, ``coverage``, ``leakage`` and ``drift``, each None if it could
        not be computed; and ``items``: for each set, the text or file of every listed id, if the id does not say it.

    Cost: O(S N D) for S examined items of N.
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
    if isinstance(listed := read.get("labeled"), ListedIds):
        read["labeled"] = listed.answered()
    others = {name: _other(name, read[name], own, whole) for name, _, own in sides if name in read}
    known = _known_labels(read.get("labeled"), labels, whole, others.get("labeled"))
    free = whole.part("pool", _left(whole, others))
    by = None if whole.x is None else ruler(whole.x, whole.rows, seed)
    radius = None if by is None else near * by.typical
    report: Json = {"pool": _described(whole, by, near), "classes": _classes(others.get("labeled"), known)}
    report["label_errors"] = _label_errors(others.get("labeled", whole), known, rows, seed)
    examined = None if by is None or whole.x is None else _examined(whole, rows, by, seed, runtime)
    report["duplicates"] = _duplicates(whole, examined, radius, by)
    report["outliers"] = None if examined is None or by is None else _outliers(whole, examined, by)
    pairs = [
        (a, b)
        for a, b in (("test", "labeled"), ("test", "pool"), ("labeled", "pool"))
        if {a, b} - {"pool"} <= {*others}
    ]
    sets = {**others, "pool": free}
    report["leakage"] = [_leakage(sets[a], sets[b], near, by, rows, seed, runtime) for a, b in pairs]
    report["coverage"] = _coverage(free, others.get("labeled"), by, rows, seed, runtime)
    report["drift"] = [
        drift
        for name in ("labeled", "test")
        if name in others and (drift := _drift(others[name], free, seed)) is not None
    ]
    report["items"] = _listed_items(report, {**others, "pool": whole})
    return {"findings": _findings(report), "notes": _notes(whole, others, known, rows), **report}


# ------------------------------------------------------------------------------------------------------------------ sets


def _set(name: str, items: Items, embeddings: str | Path | Column | None, runtime: Runtime) -> Set:
    embeddings = _column(embeddings)
    names = names_of(items, embeddings)
    if embeddings is None:
        if items.array is not None and items.array.ndim != 2:
            raise InvalidInput(
                f"expected embeddings (N, D) as the {name}, got an array of shape {tuple(items.array.shape)}"
            )
        rows, content = torch.arange(len(items)), _hashed(content_of(items))
        return _checked(Set(name, names, rows, items.array, content, items.shown, runtime))
    if embeddings.names is None and len(embeddings) != len(items):
        raise InvalidInput(
            f"{embeddings.origin} has {len(embeddings):,} rows and no ids, but the {name} has {len(items):,} items; "
            "add the ids, or give one row per item in the same order"
        )
    places = ListedIds(tuple(names), None, embeddings.origin).rows(index_of(items.names), len(items))
    shown = None if items.shown is None else partial(_shown_at, items.shown, places)
    rows, content = torch.arange(len(names)), _hashed(content_of(items), places)
    return _checked(Set(name, names, rows, embeddings.values, content, shown, runtime))


def _shown_at(shown: Callable[[int], str], places: NDArray[np.int64], row: int) -> str:
    return shown(int(places[row]))


def _column(embeddings: str | Path | Column | None) -> Column | None:
    return read_column(embeddings) if isinstance(embeddings, (str, os.PathLike)) else embeddings


def _hashed(
    content: Callable[[int], bytes] | None, places: NDArray[np.int64] | None = None
) -> Callable[[int], bytes] | None:
    """Row -> hash of its content; each row is read once."""
    if content is None:
        return None
    return cache(
        lambda row: hashlib.blake2b(content(row if places is None else int(places[row])), digest_size=16).digest()
    )


def _checked(items: Set) -> Set:
    """The set, if its embeddings are finite; otherwise InvalidInput with the ids of those that are not."""
    if items.x is not None:
        x = readable(items.x)
        wrong = [
            row for part in items.rows.split(CHUNK_ROWS) for row in part[~take(x, part).isfinite().all(1)].tolist()
        ]
        if wrong:
            ids = ", ".join(items.names[row] for row in wrong[:3]) + (", ..." if len(wrong) > 3 else "")
            raise InvalidInput(
                f"expected finite embeddings, but those of {len(wrong):,} of {len(items.rows):,} items of the {items.name} "
                f"are NaN or infinite: {ids}; remove these items, or embed them again"
            )
    return items


def _other(name: str, given: ListedIds | Items, embeddings: str | Path | Column | None, whole: Set) -> Set:
    """The set of these ids of the pool, or a set of its own."""
    if isinstance(given, ListedIds):
        return whole.part(name, torch.from_numpy(np.sort(given.rows(index_of(whole.names), len(whole.names)))))
    other = _set(name, given, embeddings, whole.runtime)
    if other.x is not None and whole.x is not None and other.x.shape[1] != whole.x.shape[1]:
        raise InvalidInput(
            f"embeddings of the {name} set have {other.x.shape[1]} columns, but those of the pool have {whole.x.shape[1]}; embed "
            "both with the same model"
        )
    return other


def _left(whole: Set, others: Mapping[str, Set]) -> Tensor:
    """Rows of the pool that are in no other set."""
    taken = [other.rows for other in others.values() if other.x is whole.x and other.names is whole.names]
    return whole.rows[~torch.isin(whole.rows, torch.cat(taken))] if taken else whole.rows


def _known_labels(
    labeled: ListedIds | Items | None, labels: str | Path | ListedIds | None, whole: Set, own: Set | None
) -> dict[str, str]:
    """Id of the pool, or of a labeled set of its own -> label, for the items with a known label."""
    tables = [labeled] if isinstance(labeled, ListedIds) else []
    if labels is not None:
        tables.insert(0, (labels if isinstance(labels, ListedIds) else read_ids(labels)).answered())
        if tables[0].labels is None:
            raise InvalidInput(f"{tables[0].origin} has no labels; expected the columns id and label")
        sides = [whole] if own is None else [whole, own]
        if all(set(matched(tables[0].names, index_of(side.names) or {})) == {-1} for side in sides):
            raise InvalidInput(
                f"{tables[0].origin}: no id is in the pool or in the labeled set; its ids begin with "
                f"{tables[0].names[0]!r}, and the pool's with {whole.names[0]!r}"
            )
    known: dict[str, str] = {}
    for table in tables:
        rows = matched(table.names, index_of(whole.names) or {})
        names = [name if row < 0 else whole.names[row] for name, row in zip(table.names, rows, strict=True)]
        known.update(zip(names, table.labels or (), strict=False))
    return known


# -------------------------------------------------------------------------------------------------------------- findings


@dataclass(frozen=True, eq=False)
class _Examined:
    """The examined items with their nearest neighbors: rows (S,), neighbors (S, k) as rows, and dists (S, k)."""

    rows: Tensor
    neighbors: Tensor
    dists: Tensor


def _examined(whole: Set, rows: int, by: Ruler, seed: int, runtime: Runtime) -> _Examined | None:
    if whole.x is None or len(whole.rows) < 2:
        return None
    sample = whole.sample(rows, seed)
    k = min(_NEIGHBORS, len(whole.rows) - 1)
    neighbors = nearest(whole.x, sample, whole.x, whole.rows, k, by, runtime, "comparing")
    return _Examined(sample, neighbors.rows, neighbors.dists)


def _described(whole: Set, by: Ruler | None, near: float) -> Json:
    dims = None if whole.x is None else int(whole.x.shape[1])
    return {
        "items": len(whole.rows),
        "dims": dims,
        "typical_distance": None if by is None else by.typical,
        "near": near,
    }


def _duplicates(whole: Set, examined: _Examined | None, radius: float | None, by: Ruler | None) -> Json:
    """Exact duplicates of all items, and near-duplicates of the examined items."""
    groups = sorted((rows for rows in whole.digests.values() if len(rows) > 1), key=len, reverse=True)
    exact = None
    if whole.content is not None:
        exact = {
            "items": sum(len(rows) - 1 for rows in groups),
            "groups": len(groups),
            "examples": [[whole.names[row] for row in rows[:SHOWN]] for rows in groups[:SHOWN]],
        }
    if examined is None or radius is None or by is None:
        return {"exact": exact, "near": None}
    close = examined.dists[:, 0] <= radius
    examples = _close_pairs(whole, examined, radius, by)
    return {"exact": exact, "near": {"items": int(close.sum()), "looked_at": len(close), "examples": examples}}


def _close_pairs(whole: Set, examined: _Examined, radius: float, by: Ruler) -> list[Json]:
    """The closest pairs whose contents differ, each once."""
    place, column = torch.nonzero(examined.dists <= radius, as_tuple=True)
    order = examined.dists[place, column].argsort(stable=True).tolist()
    same = {row: group[0] for group in whole.digests.values() for row in group}
    pairs: dict[tuple[int, int], Json] = {}
    for one in order:
        row, other = int(examined.rows[place[one]]), int(examined.neighbors[place[one], column[one]])
        pair = (min(row, other), max(row, other))
        if same.get(row, row) != same.get(other, other) and pair not in pairs:
            share = float(examined.dists[place[one], column[one]]) / by.typical
            pairs[pair] = {"ids": [whole.names[i] for i in pair], "distance": share}
        if len(pairs) == SHOWN:
            break
    return list(pairs.values())


def _outliers(whole: Set, examined: _Examined, by: Ruler) -> Json:
    """Items whose log mean distance to their neighbors has a modified z-score above 3.5 (Iglewicz and Hoaglin 1993)."""
    means = examined.dists.mean(1)
    logs = means[means > 0].log()
    center = float(logs.median()) if len(logs) else 0.0
    spread = 1.4826 * float((logs - center).abs().median()) if len(logs) else 0.0
    threshold = math.exp(center + _OUTLIER * spread) if spread > 0 else math.inf
    far = torch.nonzero(means > threshold)[:, 0]
    far = far[means[far].argsort(descending=True, stable=True)]
    return {
        "items": len(far),
        "looked_at": len(means),
        "neighbors": examined.dists.shape[1],
        "threshold": threshold / by.typical if math.isfinite(threshold) else None,
        "examples": [
            {"id": whole.names[int(examined.rows[i])], "distance": float(means[i]) / by.typical}
            for i in far[:SHOWN].tolist()
        ],
    }


def _classes(labeled: Set | None, known: Mapping[str, str]) -> Json | None:
    """The number of labeled items of each known class."""
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


def _label_errors(labeled: Set, known: Mapping[str, str], rows: int, seed: int) -> Json | None:
    """Labels that are probably wrong: those of the labeled set, or of the pool without one."""
    has_label = torch.tensor([labeled.names[row] in known for row in labeled.rows.tolist()], dtype=torch.bool)
    with_label = labeled.part(labeled.name, labeled.rows[has_label])
    if labeled.x is None or not len(with_label.rows):
        return None
    n_classes = len({known[labeled.names[row]] for row in with_label.rows.tolist()})
    sample = with_label.sample(min(rows, most_labels(n_classes, labeled.x.shape[1])), seed)
    names = [labeled.names[row] for row in sample.tolist()]
    found = suspected_labels(names, take(readable(labeled.x), sample), [known[name] for name in names], seed)
    return None if found is None else {"set": labeled.name, **found}


def _coverage(free: Set, labeled: Set | None, by: Ruler | None, rows: int, seed: int, runtime: Runtime) -> Json | None:
    """Distances from the pool to the nearest labeled item."""
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
    closest = nearest(free.x, sample, labeled.x, labeled.rows, 1, by, runtime, "comparing with labeled")
    dists = closest.dists[:, 0] / by.typical
    far = dists.argsort(descending=True, stable=True)[:SHOWN]
    return {
        "median": float(dists.median()),
        "farthest": [{"id": free.names[int(sample[i])], "distance": float(dists[i])} for i in far.tolist()],
    }


def _leakage(a: Set, b: Set, near: float, by: Ruler | None, rows: int, seed: int, runtime: Runtime) -> Json:
    """Items of one set that are in another set too, exactly or nearly."""
    shared = [(x, b.digests[content][0]) for content, rows in a.digests.items() if content in b.digests for x in rows]
    leakage: Json = {
        "between": [a.name, b.name],
        "exact": len(shared) if a.content is not None and b.content is not None else None,
        "near": None,
        "examples": [{"ids": [a.names[x], b.names[y]], "distance": 0.0} for x, y in shared[:SHOWN]],
    }
    if by is None or a.x is None or b.x is None or not len(a.rows) or not len(b.rows):
        return leakage
    sample = a.sample(rows, seed)
    closest = nearest(a.x, sample, b.x, b.rows, 1, by, runtime, f"comparing {a.name} and {b.name}")
    dists = closest.dists[:, 0] / by.typical
    equal = {x for x, _ in shared}
    order = [i for i in dists.argsort(stable=True).tolist() if dists[i] <= near and int(sample[i]) not in equal]
    leakage |= {"near": int((dists <= near).sum()), "looked_at": len(sample)}
    leakage["examples"] += [
        {"ids": [a.names[int(sample[i])], b.names[int(closest.rows[i, 0])]], "distance": float(dists[i])}
        for i in order[:SHOWN]
    ]
    return leakage


def _listed_items(report: Json, sets: Mapping[str, Set]) -> Json:
    """For each set, the texts or files of the items that the report lists: id -> its beginning."""
    listed: dict[str, dict[str, None]] = {name: {} for name in sets}
    exact, near = report["duplicates"]["exact"] or {}, report["duplicates"]["near"] or {}
    groups = [*exact.get("examples", []), *(entry["ids"] for entry in near.get("examples", []))]
    singles = [
        *(report["outliers"] or {}).get("examples", []),
        *(report["coverage"] or {}).get("farthest", []),
    ]
    listed["pool"] |= dict.fromkeys([*(id_ for group in groups for id_ in group), *(entry["id"] for entry in singles)])
    if errors := report["label_errors"]:
        listed[errors["set"]] |= dict.fromkeys(entry["id"] for entry in errors["suspects"][:SHOWN])
    for leak in report["leakage"]:
        for entry in leak["examples"]:
            for name, id_ in zip(leak["between"], entry["ids"], strict=True):
                listed[name][id_] = None
    return {name: _texts_of(sets[name], ids) for name, ids in listed.items() if sets[name].shown is not None}


def _texts_of(items: Set, ids: Iterable[str]) -> dict[str, str]:
    index = index_of(items.names) or {}
    shown = {id_: items.shown(index[id_]) for id_ in ids} if items.shown is not None else {}
    return {
        id_: text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..." for id_, text in shown.items() if text != id_
    }


def _drift(a: Set, b: Set, seed: int) -> Json | None:
    """Whether a classifier distinguishes two sets: the area under its ROC curve on items that it was not fitted on.

    A classifier two-sample test (Lopez-Paz and Oquab 2017) is used rather than MMD because it needs no kernel width, and its
    scale is known: 0.5 if the sets cannot be distinguished, at most 1. Logistic regression is fitted on up to 2,000 items of each
    set in 32 principal components. The standard error is that of the Mann-Whitney statistic for sets that do not differ.
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
    """The findings as sentences, the most important first."""
    sentences = [_leak_sentence(entry) for entry in report["leakage"]]
    sentences += [_drift_sentence(entry) for entry in report["drift"]]
    if report["classes"] is not None:
        sentences.append(_classes_sentence(report["classes"]))
    if report["label_errors"] is not None:
        sentences.append(_label_sentence(report["label_errors"]))
    exact, near = report["duplicates"]["exact"], report["duplicates"]["near"]
    if exact is not None:
        sentences.append(f"{exact['items']:,} of {report['pool']['items']:,} items are exact copies of another item")
    if near is not None:
        share = report["pool"]["near"]
        sentences.append(
            f"{near['items']:,} of {near['looked_at']:,} examined items have a near-duplicate, within {share:.0%} of the typical "
            "distance; `distil select --no-duplicates` selects only one of them"
        )
    if report["outliers"] is not None:
        outliers = report["outliers"]
        sentences.append(
            f"{outliers['items']:,} of {outliers['looked_at']:,} examined items are far from all other items"
        )
    if report["coverage"] is not None:
        sentences.append(
            f"half of the pool is within {report['coverage']['median']:.2g} typical distances of a labeled item"
        )
    return sentences


def _leak_sentence(entry: Json) -> str:
    a, b = entry["between"]
    parts = [
        f"{entry[kind]:,} {word}"
        for kind, word in (("exact", "exactly"), ("near", "nearly"))
        if entry[kind] is not None
    ]
    if not parts:
        return f"{a} and {b} could not be compared"
    return f"{a} items that are in the {b} set too: {', '.join(parts)}"


def _drift_sentence(entry: Json) -> str:
    a, b = entry["between"]
    verb = "differs from" if entry["drift"] else "looks like"
    return f"the {a} set {verb} the {b}: a classifier separates them with an AUC of {entry['auc']:.2f} (0.5: they do not differ)"


def _classes_sentence(classes: Json) -> str:
    counts = [count for count in classes["labeled"].values() if count]
    sentence = f"{len(counts)} of {len(classes['labeled'])} known classes have a labeled item"
    if counts:
        sentence += f", from {min(counts):,} to {max(counts):,} items each"
    without = f"; classes without one: {', '.join(classes['without'][:SHOWN])}" if classes["without"] else ""
    return sentence + without


def _label_sentence(errors: Json) -> str:
    n, of = len(errors["suspects"]), errors["looked_at"]
    return (
        f"{n:,} of {of:,} examined labels are suspect: a model that has not seen them is confident of another class; it agrees "
        f"with {errors['agreement']:.0%} of the labels, and about {errors['errors']:,} are estimated to be wrong"
    )


def _notes(whole: Set, others: Mapping[str, Set], known: Mapping[str, str], rows: int) -> list[str]:
    """Sentences on what was not examined, and what would help."""
    notes = []
    if whole.x is None:
        notes.append("without embeddings (--embeddings, or --model) only exact duplicates and classes are found")
    elif len(whole.rows) > rows:
        notes.append(f"{rows:,} of {len(whole.rows):,} items, drawn at random, were compared with all (--rows)")
    if whole.content is None:
        notes.append("exact duplicates are not found, because the content of these items is unknown")
    if "labeled" not in others:
        notes.append("without a labeled set (--labeled) there are no findings on drift and coverage")
    elif not known:
        notes.append("without labels (of ids, or --labels) there are no findings on classes")
    for name, other in others.items():
        if other.x is not None and len(other.rows) < 2 * _FOLDS:
            notes.append(f"the {name} set has {len(other.rows):,} items, too few to test for drift")
        if other.x is None and whole.x is not None:
            notes.append(f"the {name} set has no embeddings (--model embeds it too), so only exact copies are found")
    return notes
