"""Selections from a pool in shards, whose signals stay there; the ids are those from the whole pool, except with ``GreeDi``.

Where a strategy scores each example by itself, a shard sends its best n examples; where it chooses among a shortlist of largest
scores, its part of that. For farthest-first traversal it sends candidates and a bound of the distances of all others. For k-means++
it sends the sums of its weights, block by block of 4,096 ids, and the rows that were proposed. For herding it sends how much some
candidates would add to the coverage of each block. For other strategies there is ``GreeDi``, which is no exact form: each shard is
one of its parts.

A linear head is trained by the driver, on the labeled rows and on the sums of each block that give its scale, D + 2 numbers for
4,096 rows of D embeddings. Each shard then computes the outputs of its rows once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from distil.data.arrays import precision_of
from distil.data.embedded_files import check_one_model
from distil.data.ids import ListedIds, distinct, merged, normal
from distil.data.labels import as_classes
from distil.data.shards import MANIFEST, Manifest, read_manifest
from distil.distributed.crew import Actor, Crew, Traffic
from distil.distributed.herding import RowsInShards
from distil.distributed.shards import Candidates, Opened, Part, Shard, arrays_opened, joined
from distil.errors import InvalidInput, MissingSignal, counted
from distil.functional.centers import FarthestFirst, seeded
from distil.functional.features import Features, vanish
from distil.functional.logistic_regression import scale_of
from distil.functional.scale import times_two_to
from distil.functional.weighted_rows import CANONICAL_BLOCK, Found, Shares, Weighted
from distil.measuring.source import arguments_of
from distil.rng import Rng
from distil.selection.arguments import as_count, with_class_names
from distil.selection.checked import checked_selection
from distil.selection.from_files import check_has_classes, file_labels
from distil.selection.leaders import joined as joined_tables
from distil.selection.request import Picks
from distil.selection.trained_head import OUTPUTS, HeadLabels, for_arrays, head_labels, lacks_only_outputs
from distil.signals import EMPTY, Signals
from distil.strategies import STRATEGIES
from distil.strategies.auto import Auto, Facts, rule
from distil.strategies.base import ROLES, Needs, ScoreStrategy, Selection, Sets, Strategy, Valued, best_rows, tie_keys
from distil.strategies.diversity import CoreSet, farthest_first
from distil.strategies.gradient import BADGE
from distil.strategies.herding import Herding, MaxHerding, UHerding
from distil.strategies.nested import from_rows, places_of
from distil.strategies.wrappers import GreeDi, best_of, compared
from distil.system.executor import Executor
from distil.system.runtime import Runtime
from distil.tasks import Task
from distil.training.linear_head import HeadConfig, LinearHead, fit_head

_CANDIDATES = 2048  # of a round of farthest-first picks, in all shards together
_LEAST_CANDIDATES = 64  # of one shard


Lists = ListedIds | Sequence[ListedIds]
"""One list of ids, or several that count as one."""


@dataclass(frozen=True, eq=False)
class ShardedPicks:
    """A selection from a pool in shards.

    Attributes:
        picks: The picks.
        available: Number of rows that could be chosen.
        traffic: The messages between the driver and the shards.
    """

    picks: Picks
    available: int
    traffic: Traffic


class _Pick(NamedTuple):
    """Picks by shard and row, in pick order, with what is said of them."""

    places: list[tuple[int, int]]
    reasons: tuple[str, ...]
    scores: Tensor | None = None
    notes: tuple[str, ...] = ()


def pick_from_shards(
    strategy: Strategy,
    n: int,
    folder: str | Path,
    executor: Executor,
    *,
    labeled: Lists = (),
    candidates: Lists = (),
    exclude: Lists = (),
    classes: Sequence[str] | None = None,
    task: Task = "classification",
    seed: int = 0,
    memory: int = Runtime.memory,
) -> ShardedPicks:
    """Choose examples of a pool in shards; an actor for each shard opens its files itself.

    Where only the outputs of a model are missing, a linear head is trained on the labels: the one of the whole pool.

    Args:
        strategy: A strategy that has a distributed form, see ``forms``, or ``Auto``, where that chooses one.
        n: Number of examples to choose.
        folder: The folder of the shards.
        executor: Where the actors are.
        labeled: The labeled examples, with labels if a head is to be trained; one list or several.
        candidates: The examples that may be chosen; default: all that are not labeled.
        exclude: Examples that may not be chosen.
        classes: The names of the classes, in the order of the columns of ``probs`` where there are any; default: the distinct
            labels.
        task: What the labels are.
        seed: Seed of the selection.
        memory: Bytes of memory for copies of rows, of all shards together; the rows of others are read whenever they are used.

    Raises:
        InvalidInput: The strategy has no distributed form, ids are not in the pool, ``n`` is out of range, or shards do not agree.
        MissingSignal: The shards lack an array that the strategy reads.
    """
    manifest, notes = read_manifest(Path(folder).expanduser()), tuple[str, ...]()
    named = _named_classes(classes, task)
    given = {"labeled": labeled, "candidates": candidates, "exclude": exclude}
    lists = {what: several for what, ids in given.items() if (several := [ids] if isinstance(ids, ListedIds) else ids)}
    texts = [each.labels for each in lists.get("labeled", ()) if each.labels is not None]
    if task == "classification":
        strategy, notes = for_arrays(strategy, manifest.files, [*chain(*texts)] if texts else None)
    if not isinstance(strategy, Auto):
        _checked_form(strategy, notes)
    trains = lacks_only_outputs(strategy, manifest.files, task)
    outputs = OUTPUTS[task] if trains and texts else ""
    read = arrays_opened(strategy, outputs)
    missing = [name for name in read if name not in manifest.files]
    if missing:
        head = ", or pass labels (--labeled), on which a linear head is trained that gives them" if trains else ""
        unread = "".join(f"; {each.note}" for each in lists.get("labeled", ()) if trains and each.note)
        raise MissingSignal(
            f"{type(strategy).__name__} needs {' and '.join(missing)}, and the shards in {folder} have "
            f"{' and '.join(manifest.files)}; add the files of {' and '.join(missing)} to {MANIFEST}, or choose by another "
            f"strategy{head}{unread}"
        )
    for name in read:
        check_one_model(manifest.paths(name))
    places = _parts(manifest)
    share = memory // len(places)
    columns = None if named is None or outputs else tuple(named)
    parts = [Part(manifest.folder, *rows, strategy, seed, share, outputs, task, columns) for rows in places]
    with executor.actors(_actor, parts) as actors:
        crew = Crew(actors, len(parts))
        opened, known = _opened(crew, lists, places, manifest)
        labels = None if known is None else _labels(strategy, known, named, task, trains=trains)
        available = sum(each.size for each in opened)
        n = as_count(n, available)
        if isinstance(strategy, Auto):
            chosen = rule(Facts(embeddings=True, probs=True, n_pool=available, n=n))
            strategy, notes = chosen.strategy, (chosen.note,)
            crew.change_all(Shard.follow, strategy)
        choose = _checked_form(strategy, notes)
        if labels is not None:
            crew.change_all(Shard.read_head, _head(crew, labels))
            notes, named = (labels.note, *notes), labels.classes
        found = choose(crew, opened, strategy, n, Rng(seed))
        picks = _named(crew, found.places)
        _check_distinct(crew, opened, manifest, [name for _, name in picks])
    scores = None if found.scores is None else [float(score) for score in found.scores]
    rows, ids = [row for row, _ in picks], [name for _, name in picks]
    why = list(with_class_names(Selection(torch.tensor(rows), reasons=found.reasons), named).reasons or ())
    return ShardedPicks(Picks(rows, ids, scores, why, (*notes, *found.notes)), available, crew.traffic)


def forms() -> list[str]:
    """The names of the strategies that have a distributed form with their default hyper-parameters."""
    found = []
    for name, kind in STRATEGIES.items():
        with suppress(TypeError, InvalidInput):  # a hyper-parameter without a default
            found += [name] if _form_of(kind()) is not None else []
    return sorted(found)


_Form = Callable[[Crew, list[Opened], Any, int, Rng], _Pick]


def _form_of(strategy: Strategy) -> _Form | None:
    """How a strategy chooses from shards; None if it needs the whole pool in one place."""
    if type(strategy) is CoreSet:
        return _core_set
    if type(strategy) is BADGE:
        return _badge
    if type(strategy) in (MaxHerding, UHerding):
        return _herding
    if type(strategy) is GreeDi:
        return _two_rounds if _reads_pool(strategy.needs) else None
    if strategy.needs.shortlist is not None and _reads_pool(strategy.needs):
        return _shortlisted
    read = arguments_of(strategy.needs.pool)  # none for attacks on a model; the tokens of an example are in no shard
    scores = isinstance(strategy, ScoreStrategy) and read and "offsets" not in read
    return _by_score if scores and not any(getattr(strategy.needs, role) for role in ROLES if role != "pool") else None


def _checked_form(strategy: Strategy, notes: Sequence[str]) -> _Form:
    """How a strategy chooses from shards; ``notes`` say why it is the strategy."""
    choose = _form_of(strategy)
    if choose is None:
        rounds = ", or let greedi run it in each shard (--strategy greedi --set of=NAME)"
        why = "".join(f"{note}; " for note in notes)
        raise InvalidInput(
            f"{why}{type(strategy).__name__} has no distributed form; choose from the whole pool (--embeddings, --probs), or by "
            f"one of {', '.join(forms())}{rounds if _reads_pool(strategy.needs) else ''}"
        )
    return choose


def _named_classes(classes: Sequence[str] | None, task: Task) -> list[Any] | None:
    """The names of the classes, checked; that there are as many columns is checked where the files are."""
    check_has_classes(classes, task)
    return None if classes is None else as_classes(list(map(normal, classes)))


def _labels(
    strategy: Strategy, labeled: ListedIds, classes: list[Any] | None, task: Task, *, trains: bool
) -> HeadLabels | None:
    """The labels that a linear head is trained on, in the order of their list; None if none is trained."""
    labels = file_labels(strategy, labeled, classes, task, trains=trains)
    if labels is None or not trains:
        return None
    what, places = f"{labeled.origin}: labels", torch.arange(len(labeled.names))
    return head_labels(strategy, task, labels, places, what=what, classes=classes, names=labeled.names)


def _head(crew: Crew, labels: HeadLabels) -> LinearHead:
    """The linear head of the whole pool; its sums run over canonical blocks, so they do not depend on the shards."""
    taught = crew.ask_all(Shard.taught)
    places = torch.tensor([place for each in taught for place in each.places])
    x = torch.cat([each.x for each in taught])[places.argsort()]
    origin = torch.cat([each.first for each in taught])[0].double()
    center, spread = scale_of(origin, chain.from_iterable(crew.ask_all(Shard.sums, origin)))
    head = LinearHead.at_scale(center, spread, labels.width, precision_of([x]), task=labels.task)
    fit_head(head, x, labels.y, HeadConfig())
    return head


def _reads_pool(needs: Needs) -> bool:
    """Whether there is nothing to read but arrays of the pool, of some unlabeled rows and of labeled ones."""
    others = [role for role in ROLES if role not in ("pool", "labeled")]
    return bool(needs.pool) and set(needs.labeled) <= set(needs.pool) and not any(getattr(needs, r) for r in others)


def _actor(part: Part) -> Actor:
    return Actor(partial(Shard, part))


def _parts(manifest: Manifest) -> list[tuple[int, int]]:
    """The rows of each actor: those of a shard, from the first to the last canonical block that begins in it."""
    end = manifest.starts[-1]  # a shard that begins in the last block has no block of its own
    starts = [min(-(-start // CANONICAL_BLOCK) * CANONICAL_BLOCK, end) for start in manifest.starts]
    return [(start, stop) for start, stop in pairwise(starts) if start < stop]


def _opened(
    crew: Crew, lists: Mapping[str, Sequence[ListedIds]], places: Sequence[tuple[int, int]], manifest: Manifest
) -> tuple[list[Opened], ListedIds | None]:
    """Open the shards and find the rows of the lists in them; the labeled examples as one list, None without them.

    Ids are matched here, by the rules for the whole pool, with those ids of all shards that the lists may mean.

    Raises:
        InvalidInput: Shards do not agree, an id of a list is in none of them or in several, or lists do not agree.
    """
    opened = crew.ask_all(
        Shard.opened, frozenset(normal(name) for each in chain(*lists.values()) for name in each.names)
    )
    first = opened[0]
    for each in opened:
        if each.kind != first.kind:
            raise InvalidInput(
                f"{each.origin} has {each.kind}, and {first.origin} has {first.kind}; the shards of a pool must agree"
            )
    manifest.check_ids(each.meant is not None for each in opened)
    named = [pair for each in opened if each.meant is not None for pair in each.meant.items()]
    index = None if first.meant is None else dict(named)
    if index is not None and len(index) < len(named):
        distinct([name for name, _ in named], str(manifest.folder))
    size = manifest.starts[-1]
    united = {what: merged(several, index, size) for what, several in lists.items()}
    rows = {what: torch.from_numpy(ids.rows(index, size)) for what, ids in united.items()}
    stops = torch.tensor([stop for _, stop in places])
    parts = {what: torch.searchsorted(stops, own, right=True) for what, own in rows.items()}
    asked = {}
    for number in crew.members if rows else ():
        at = {what: torch.nonzero(own == number)[:, 0] for what, own in parts.items()}
        asked[number] = (
            {what: dict(zip(own.tolist(), rows[what][own].tolist(), strict=True)) for what, own in at.items()},
        )
    sizes = crew.change(Shard.use, asked) if asked else {}
    found = [each._replace(size=sizes.get(number, each.size)) for number, each in enumerate(opened)]
    return found, united.get("labeled")


def _named(crew: Crew, places: Sequence[tuple[int, int]]) -> list[tuple[int, str]]:
    """Position and id of each pick."""
    rows = _by_shard(places)
    found = crew.ask(Shard.named, {number: (torch.tensor(own),) for number, own in rows.items()})
    each = {number: iter(names) for number, names in found.items()}
    return [next(each[number]) for number, _ in places]


def _check_distinct(crew: Crew, opened: Sequence[Opened], manifest: Manifest, names: list[str]) -> None:
    """Refuse picks whose ids other shards have too: an answer could not be given to the right row."""
    if len(opened) == 1 or opened[0].meant is None:
        return
    crew.members = list(range(crew.size))
    held = Counter(name for each in crew.ask_all(Shard.held, names) for name in each)
    twice = next((name for name in names if held[name] > 1), None)
    if twice is not None:
        raise InvalidInput(f"{manifest.folder}: the id {twice!r} occurs more than once; list each id once")


def _by_shard(places: Sequence[tuple[int, int]]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for number, row in places:
        found.setdefault(number, []).append(row)
    return found


def _known(crew: Crew) -> Signals:
    """The labeled rows of all shards in the order of their list."""
    found = crew.ask_all(Shard.known)
    return joined_tables([table for _, table in found]).rows(torch.cat([places for places, _ in found]).argsort())


# --------------------------------------------------------------------------------------------------------------- herding


def _herding(crew: Crew, opened: list[Opened], strategy: Herding, n: int, rng: Rng) -> _Pick:
    """Picks by generalized coverage."""
    labeled = _known(crew)
    crew.members = [number for number, each in enumerate(opened) if each.size]
    rows = RowsInShards(crew, sum(each.size for each in opened))
    found = strategy.picks(rows, strategy.known(labeled, rng), n)
    places = [rows.places[place] for place in found.places.tolist()]
    return _Pick(places, found.reasons, notes=(*strategy.notes(EMPTY), *found.notes))


# ---------------------------------------------------------------------------------------------------------------- scores


def _by_score(crew: Crew, opened: list[Opened], strategy: ScoreStrategy, n: int, rng: Rng) -> _Pick:
    """The n examples of largest score among the n best of each shard."""
    crew.members = [number for number, each in enumerate(opened) if each.size]
    best = _leaders(crew, strategy, n, rng, whole=False)
    chosen = strategy.explained(best.table, best.scores)
    size = sum(each.size for each in opened)
    notes = strategy.tied_notes(size) if size > 1 and best.tied else ()
    return _Pick(best.places, chosen.reasons or ("",) * n, chosen.scores, notes)


def _shortlisted(crew: Crew, opened: list[Opened], strategy: Strategy, n: int, rng: Rng) -> _Pick:
    """The picks among the examples of largest score, which are brought to one place."""
    shortlist, size = strategy.needs.shortlist, sum(each.size for each in opened)
    assert shortlist is not None
    labeled = _known(crew)
    crew.members = [number for number, each in enumerate(opened) if each.size]
    best = _leaders(crew, shortlist.by, shortlist.rows(n, size), rng, whole=True)
    order = tie_keys(best.table.ids, rng).argsort()
    pool = best.table.rows(order)
    chosen = checked_selection(strategy.select(Sets(pool=pool, labeled=labeled), n, rng), strategy, pool.ids, n)
    notes = shortlist.notes(n, size)
    if notes and best.tied:
        notes += shortlist.by.tied_notes(size, "the shortlist is a random sample")
    places = [best.places[place] for place in order[places_of(chosen.ids, pool.ids)].tolist()]
    return _Pick(places, chosen.reasons or ("",) * n, chosen.scores, (*notes, *chosen.notes))


class _Leaders(NamedTuple):
    """The rows of largest score of all shards, best first: their table, scores and places, and whether all scores are equal."""

    table: Signals
    scores: Tensor
    places: list[tuple[int, int]]
    tied: bool


def _leaders(crew: Crew, by: ScoreStrategy, n: int, rng: Rng, *, whole: bool) -> _Leaders:
    """The n rows of largest score among the n best of each member; ``whole`` as in ``Shard.leaders``."""
    found = crew.ask_all(Shard.leaders, by, n, whole)
    numbers = torch.tensor(crew.members).repeat_interleave(torch.tensor([len(scores) for _, scores, _, _ in found]))
    table = joined_tables([table for table, *_ in found])
    scores, rows = torch.cat([scores for _, scores, _, _ in found]), torch.cat([rows for _, _, rows, _ in found])
    best = best_rows(tie_keys(table.ids, rng), scores, n)
    ends = [end for *_, ends in found for end in ends]
    places = list(zip(numbers[best].tolist(), rows[best].tolist(), strict=True))
    return _Leaders(table.rows(best), scores[best], places, min(ends) == max(ends))


# ------------------------------------------------------------------------------------------------------------ two rounds


def _two_rounds(crew: Crew, opened: list[Opened], strategy: GreeDi, n: int, rng: Rng) -> _Pick:
    """The picks among those of each shard."""
    labeled = _known(crew)
    crew.members = [number for number, each in enumerate(opened) if each.size]
    found = crew.ask_all(Shard.chosen, n, labeled)
    numbers = torch.tensor(crew.members).repeat_interleave(torch.tensor([len(rows) for _, rows, _ in found]))
    table = joined_tables([table for table, *_ in found])
    order = tie_keys(table.ids, rng).argsort()
    pool, again = table.rows(order), rng.child("candidates")
    sets = Sets(pool=pool, labeled=labeled)
    of = strategy.of.fixed(sets, n, again) if isinstance(strategy.of, Valued) else strategy.of
    last = checked_selection(from_rows(of, sets, torch.arange(len(pool)), n, again), of, pool.ids, n)
    at, reasons = order[places_of(last.ids, pool.ids)], last.reasons or ("",) * n
    note = f"picked among the {len(pool):,} examples that were chosen in {counted(len(found), 'shard')} of the pool"
    if isinstance(of, Valued):
        picks = [table.rows(at), *(table for table, *_ in found)]
        values = torch.stack(crew.ask_all(Shard.values, of, labeled, picks)).sum(0)
        first = torch.arange(len(table)).split([len(rows) for _, rows, _ in found])
        at, reasons = best_of(values, at, reasons, first, dict(enumerate(why for *_, each in found for why in each)))
    places = list(zip(numbers[at].tolist(), torch.cat([rows for _, rows, _ in found])[at].tolist(), strict=True))
    return _Pick(places, reasons, last.scores, (*last.notes, note, *compared(of)))


# ------------------------------------------------------------------------------------------------- features, at one scale


def _at_one_scale(crew: Crew, opened: list[Opened], others: list[Features]) -> tuple[list[Features], int, float]:
    """Bring the rows of all shards and of ``others`` to one scale; these, its exponent, and the largest squared norm.

    See ``distil.functional.features.at_one_scale``.
    """
    crew.members = [number for number, each in enumerate(opened) if each.size]
    others = [each.with_norms() for each in others]
    found = [*crew.ask_all(Shard.exponents), *(each.exponents() for each in others)]
    exponents = tuple(max(each) for each in zip(*found, strict=True))
    if any(exponents):
        others = [each.scaled(exponents).with_norms() for each in others]
    scaled = crew.change_all(Shard.scaled, exponents)
    tops = [top for _, top in scaled]
    if any(vanished for vanished, _ in scaled) or any(map(vanish, others)):
        others = [each.double().with_norms() for each in others]
        tops = crew.change_all(Shard.doubled)
    tops += [float(each.sq_norms().max()) for each in others]
    return others, sum(exponents), max(tops)


# --------------------------------------------------------------------------------------------------------------- k-center


def _core_set(crew: Crew, opened: list[Opened], strategy: CoreSet, n: int, rng: Rng) -> _Pick:  # noqa: ARG001
    """Farthest-first picks."""
    labeled = [each for each in crew.ask_all(Shard.labeled) if each is not None]
    centers, e, scale = _at_one_scale(crew, opened, [joined(labeled)] if labeled else [])
    search = _Farthest(crew, scale, centers)
    search.pick(n)
    gains = times_two_to(torch.tensor(search.sq_dists, dtype=torch.float64), 2 * e)
    return _Pick(search.picks, farthest_first(gains))


class _Farthest:
    """Farthest-first picks from shards; the rules are those of ``FarthestFirst``, whose rounds are made here.

    Args:
        crew: The shards.
        scale: The largest squared norm.
        centers: The first centers.

    Attributes:
        picks: The picks, by shard and row.
        sq_dists: The squared distance of each when it was picked.
    """

    def __init__(self, crew: Crew, scale: float, centers: Sequence[Features]) -> None:
        self.picks: list[tuple[int, int]] = []
        self.sq_dists: list[float] = []
        self._crew = crew
        self._scale = scale
        self._centers = list(centers)
        self._sharpened = 0
        self._limit = max(_LEAST_CANDIDATES, _CANDIDATES // len(crew.members))

    def pick(self, n: int) -> None:
        """Make n picks."""
        self._crew.change_all(Shard.begin_centers, self._scale)
        if self._centers:
            self._crew.change_all(Shard.add_centers, self._centers[0], [], n)
        else:
            self._pick_farthest(torch.inf, 1, begin=n)
        while len(self.picks) < n:
            self._round(n - len(self.picks))

    def _round(self, n: int) -> None:
        """As ``FarthestFirst._round``, with the candidates of all shards."""
        found = self._crew.ask_all(Shard.candidates, self._limit)
        merged = _Merged(self._crew.members, found)
        search = self._search(merged)
        if len(merged.rows) and float(merged.sq_dists.max()) < search.least:
            self._sharpen()
            return
        rows = search.picks_among(torch.arange(len(merged.rows)), merged.outside, n) if len(merged.rows) else []
        if not rows and all(each.everything for each in found):
            if search.exact:
                top = max(self._crew.ask_all(Shard.top))
                self._pick_farthest(top, n if top == 0 else 1)
            else:
                self._sharpen()
            return
        self.sq_dists += search.sq_dists
        self._add(merged, rows)

    def _search(self, merged: _Merged) -> FarthestFirst:
        """A search among the candidates, by distances of the present precision."""
        search = FarthestFirst(merged.x, scale=self._scale)
        for _ in range(self._sharpened):
            search.sharpen()
        search.bounds = merged.sq_dists.clone()
        search.centers.first = list(self._centers)
        return search

    def _sharpen(self) -> None:
        self._sharpened += 1
        self._crew.change_all(Shard.sharpen)

    def _pick_farthest(self, top: float, n: int, begin: int | None = None) -> None:
        """Pick the first n of the rows at the largest distance, which is ``top``, by their keys."""
        merged = _Merged(self._crew.members, self._crew.ask_all(Shard.farthest, top, n))
        rows = list(range(min(n, len(merged.rows))))
        self.sq_dists += [top] * len(rows)
        self._add(merged, rows, begin)

    def _add(self, merged: _Merged, rows: list[int], begin: int | None = None) -> None:
        """Make candidates centers, in all shards."""
        places = [merged.places[row] for row in rows]
        self.picks += places
        centers = merged.x[torch.tensor(rows)] if rows else None
        self._centers += [] if centers is None else [centers]
        own = _by_shard(places)
        self._crew.change(
            Shard.add_centers, {number: (centers, own.get(number, []), begin) for number in self._crew.members}
        )


class _Merged:
    """The candidates of several shards in the order of their keys, so that ties go to the smaller row.

    Attributes:
        rows: Their rows in their shards, (B,).
        places: Shard and row of each.
        x: Their features.
        sq_dists: Their squared distances, (B,).
        outside: A bound of the distances of all other rows.
    """

    def __init__(self, numbers: Sequence[int], found: Sequence[Candidates]) -> None:
        self.outside = max(each.outside for each in found)
        order = torch.cat([each.keys for each in found]).argsort()
        sq_dists = torch.cat([each.sq_dists for each in found])
        order = order[sq_dists[order] > self.outside]
        shards = torch.tensor(numbers).repeat_interleave(torch.tensor([len(each.rows) for each in found]))[order]
        self.rows = torch.cat([each.rows for each in found])[order]
        self.places = list(zip(shards.tolist(), self.rows.tolist(), strict=True))
        self.x = joined([each.x for each in found])[order]
        self.sq_dists = sq_dists[order]


# ------------------------------------------------------------------------------------------------------------- k-means++


def _badge(crew: Crew, opened: list[Opened], strategy: BADGE, n: int, rng: Rng) -> _Pick:
    """k-means++ that starts with the gradient of largest norm."""
    _, e, top = _at_one_scale(crew, opened, [])
    pool = _ShardedRows(crew, [opened[number].size for number in crew.members])
    exact = max(crew.ask_all(Shard.largest_norm, top))
    found = crew.ask_all(Shard.longest, top, exact)
    _, first = min((each[0], pool.starts[at] + each[1]) for at, each in enumerate(found) if each is not None)
    seeds = seeded(pool, n, first, strategy.draws(rng))
    norms = times_two_to(pool.rows(seeds.rows).exact_sq_norms().sqrt(), e)
    return _Pick(pool.places(seeds.rows), strategy.reasons(norms, times_two_to(seeds.gains, 2 * e)))


class _ShardedRows(Weighted):
    """The rows of all shards, numbered in the order of the shards.

    Args:
        crew: The shards.
        sizes: Number of rows of each member.

    Attributes:
        starts: The number of the first row of each member, and the number of all rows.
    """

    def __init__(self, crew: Crew, sizes: Sequence[int]) -> None:
        self._crew = crew
        self._ends = torch.tensor(sizes).cumsum(0)
        self.starts = [0, *self._ends.tolist()]

    def __len__(self) -> int:
        return int(self.starts[-1])

    def places(self, rows: Tensor) -> list[tuple[int, int]]:
        """Shard and row of each row."""
        at = torch.searchsorted(self._ends, rows, right=True).tolist()
        return [(self._crew.members[k], row - self.starts[k]) for k, row in zip(at, rows.tolist(), strict=True)]

    def rows(self, rows: Tensor) -> Features:
        """See ``Weighted.rows``."""
        places = self.places(rows)
        own, order = _by_shard(places), _by_shard([(number, i) for i, (number, _) in enumerate(places)])
        found = self._crew.ask(Shard.features, {number: (torch.tensor(each),) for number, each in own.items()})
        return joined(list(found.values()))[torch.tensor([i for each in order.values() for i in each]).argsort()]

    def take(self, rows: Tensor) -> None:
        """See ``Weighted.take``."""
        own = _by_shard(self.places(rows))
        self._crew.change(Shard.take, {number: (torch.tensor(each),) for number, each in own.items()})

    def update(self, picks: Sequence[Features]) -> Tensor:
        """See ``Weighted.update``."""
        sums = self._crew.change_all(Shard.update, list(picks))
        self._first_blocks = torch.tensor([0, *(len(each) for each in sums)]).cumsum(0)
        return torch.cat(sums)

    def find(self, shares: Shares) -> Found:
        """See ``Weighted.find``."""
        at = torch.searchsorted(self._first_blocks[1:], shares.blocks, right=True)
        members = at.unique().tolist()
        asked = {
            self._crew.members[k]: (shares.of(torch.nonzero(at == k)[:, 0], int(self._first_blocks[k])),)
            for k in members
        }
        found = dict(zip(members, self._crew.ask(Shard.find, asked).values(), strict=True))
        rows = torch.empty_like(shares.blocks)
        weights = next(iter(found.values())).weights.new_empty(len(rows))
        for k, each in found.items():
            rows[at == k] = each.rows + self.starts[k]
            weights[at == k] = each.weights
        return Found(rows, weights, joined([each.distinct for each in found.values()]))
