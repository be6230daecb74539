"""``distil select`` and ``distil.pick``: what to label next, from files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distil.cli.executors import ExecutorName, executor_named
from distil.cli.options import (
    PathLike,
    listed,
    optional_path,
    out_of,
    path_of,
    paths_of,
    print_note,
    print_rows,
    size_of,
)
from distil.cli.pools import OnError, Quoting, embedded
from distil.errors import InvalidInput, MissingSignal, counted
from distil.tasks import Task, as_task

if TYPE_CHECKING:
    from distil.data.ids import ListedIds
    from distil.data.items import Items
    from distil.selection.request import Arrays, Request
    from distil.selection.shown import Shown
    from distil.strategies import Strategy
    from distil.system.executor import Executor

_TOGETHER = "pool and model belong together: the model embeds it; pass both, or embeddings alone (--pool, --model, --embeddings)"
_LISTS = ("labeled", "candidates", "exclude")
# Where arrays in memory belong.
_ARRAYS = "; distil.select_from takes arrays"
_IDS = "; distil.select_from takes ids and labels in memory"


def pick(
    strategy: str = "auto",
    n: int | None = None,
    *,
    embeddings: PathLike | None = None,
    probs: PathLike | None = None,
    mc_probs: PathLike | None = None,
    shards: PathLike | None = None,
    workers: int | None = None,
    executor: ExecutorName | None = None,
    address: str | None = None,
    offsets: PathLike | None = None,
    rewards: PathLike | None = None,
    deviations: PathLike | None = None,
    costs: PathLike | None = None,
    predictions: PathLike | None = None,
    mc_predictions: PathLike | None = None,
    task: Task = "classification",
    ids: PathLike | None = None,
    pool: PathLike | None = None,
    model: PathLike | None = None,
    weights: PathLike | None = None,
    column: str | None = None,
    quoting: Quoting | None = None,
    on_error: OnError = "raise",
    device: str | None = None,
    batch_size: int | None = None,
    labeled: PathLike | Sequence[PathLike] | None = None,
    classes: str | Sequence[str] | None = None,
    candidates: PathLike | Sequence[PathLike] | None = None,
    exclude: PathLike | Sequence[PathLike] | None = None,
    validation: PathLike | Sequence[PathLike] | None = None,
    query: PathLike | Sequence[PathLike] | None = None,
    query_embeddings: PathLike | None = None,
    private: PathLike | Sequence[PathLike] | None = None,
    private_embeddings: PathLike | None = None,
    no_duplicates: bool = False,
    near: float | None = None,
    parameters: Mapping[str, Any] | None = None,
    show: str | Sequence[str] | None = None,
    explain: PathLike | None = None,
    seed: int = 0,
    memory: str | int = "512MB",
    out: PathLike | None = None,
    force: bool = False,
    dry_run: bool = False,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Choose what to label next, from files.

    The files hold embeddings, probabilities or both, one row an example; no model is needed::

        distil select --embeddings emb.npy --probs p.npy --labeled labeled.csv --strategy badge --n 500 --out picks.csv

    Where a strategy reads probabilities and there are only embeddings, a linear head is trained on the labels in --labeled, and its
    probabilities are read; a note says so.

    A pool that is too large for one process is chosen from in shards, by several::

        distil select --shards emb/ --executor processes --strategy core_set --n 500 --out picks.csv

    A folder of images or a table of texts is embedded first, once (see ``distil embed``)::

        distil select --pool images/ --model timm:resnet18 --weights resnet18.safetensors --strategy core_set --n 500

    Arrays are files such as .npy, .npz and .safetensors, or tables; FILE#NAME names an array or a column. Ids are your own where
    the files have them (the column id, the lines of --ids, the names of image files), and positions elsewhere. Lists of ids are
    .csv or .xlsx (id and optionally label), .txt, .jsonl or .npy files (positions); several of them count as one list.

    The file of picks has the columns rank, id, score and why, those of --show, and in csv an empty column label. Filled in, whole
    or in part and in a spreadsheet too, it is a list for --labeled: rows without a label do not count. It is written whole or not
    at all, and replaces no file without --force.

    Args:
        strategy: The name of a registered strategy; ``distil strategies`` lists them. Default: auto, which takes the one that fits
            the arrays and the labels, and says so in a note.
        n: The number of examples to choose; always needed.
        embeddings: A file of embeddings, (N, D), such as ``.npy`` or ``.csv``; docs/your-data.md lists the formats.
        probs: A file of class probabilities, (N, C); default: those of a linear head that is trained on the labeled embeddings.
        mc_probs: A file of sampled class probabilities, (N, K, C).
        shards: A folder of shards (see ``distil embed``), each of which is read where it is measured: the picks are those of the
            whole pool, with the same linear head. For strategies that score each row by itself or choose among the best of these
            (prefilter, fass, cluster_margin), core_set, badge, maxherding and uherding, and for auto.
        workers: Processes that share the work; default: 1, or with an executor one for each core.
        executor: Where the shards are read: one after the other in this process (serial), in processes of this machine, or in a Ray
            cluster (ray), whose machines see the folder at the same path.
        address: The head of the Ray cluster, ``HOST:PORT``; default: the cluster that was started on this machine, or else Ray is
            started for this command.
        offsets: A file of the rows of probs at which the tokens (words, pixels, boxes) of each example begin, then the number of
            rows, (N + 1,): probs then has a row for each token, for strategies such as token_uncertainty.
        rewards: A file of the mean rewards of each prompt's responses, (N, R), for strategies such as delta_ucb.
        deviations: A file of the standard deviations of these rewards, (N, R).
        costs: A file of what a label of each row costs, in any unit, numbers above 0, (N,), for strategies such as knapsack.
        predictions: A file of the predictions of a regression model, (N,) or (N, T).
        mc_predictions: A file of sampled predictions of a regression model, (N, K) or (N, K, T).
        task: What the arrays and the labels are: classification, one class an example; multilabel, where probs has a probability
            for each label, and a label in --labeled is names separated by semicolons, such as ``cat;dog``, or ``[]`` for none; or
            regression, where labels are numbers.
        ids: The ids of the rows: a file, or a column; default: the ids in the files, else positions.
        pool: A folder of images or a table of texts, which the model embeds; in place of embeddings.
        model: The model of the embeddings: ``timm:NAME`` with weights; ``pixels``, which needs no weights; a folder or package of
            sentence-transformers; or ``package.module:callable``, which takes a list of items and returns (B, D).
        weights: The file with the weights of a timm model.
        column: The column of texts or image paths, where the pool is a table; ``title,body`` joins two columns of texts.
        quoting: Whether cells of csv and tsv may be quoted (minimal) or not (none); default: none for tsv without quoted names.
        on_error: Stop at an item that cannot be read (raise), or leave it out and list it (skip).
        device: The device of the model, such as ``cuda``.
        batch_size: Items in one forward pass.
        labeled: A file of ids that are labeled already, with labels for strategies that read them, or a folder with a folder of
            images for each class; one or several.
        classes: The classes of the columns of probs, in their order, where labels are their names: a list, or text such as
            ``cat,dog``. Without probs, labels need no classes.
        candidates: A file of ids that may be chosen; default: all that are not labeled or in validation; one or several.
        exclude: A file of ids that may not be chosen, such as those being labeled now; one or several.
        validation: A file of ids with labels, held out from training and never chosen, for strategies such as glister with
            valid=true; one or several.
        query: A file of ids of examples like those to find, for strategies such as smi; one or several.
        query_embeddings: A file of embeddings of examples like those to find, which are not in the pool.
        private: A file of ids of examples like those to avoid, for strategies such as scg; one or several.
        private_embeddings: A file of embeddings of examples like those to avoid, which are not in the pool.
        no_duplicates: Leave out near-duplicates of labeled rows and of each other; this needs embeddings.
        near: The share of the typical distance within which two items are near-duplicates; default: 0.05.
        parameters: Hyper-parameters of the strategy: a dictionary; in the command NAME=VALUE, once for each.
        show: Further columns of the picks: a column of the pool's table, such as ``text``, or FILE#NAME, a column of a table with
            the same ids; a list, or text with commas. Default: for texts, and images in a table, the column ``preview``.
        explain: The file to explain the picks in: a page, ``.html``, or ``.json``: for each pick its score and reason, the nearest
            labeled example, and the examples that it represents. This needs embeddings.
        seed: The same seed gives the same picks.
        memory: Memory for the selection, such as ``2GB`` or a number of bytes: what is decoded or copied beyond it goes to files,
            or is read again whenever it is used. Names of rows and tables of text do not count.
        out: The file to write the picks to, ``.csv`` or ``.jsonl``.
        force: Replace a file of that name that has other content; without it, no file is replaced.
        dry_run: Choose nothing, and say what would be read, and how much memory and time it would take.
        progress: Show a progress bar; default: when the output is a terminal.

    Returns:
        The document that ``distil select --json`` prints: ``strategy``, ``n``, ``seed``, ``may_be_chosen`` (the number of rows that
        the picks are of) and ``picks``, each with ``rank``, ``id``, ``score`` and ``why``, ``notes`` on the whole, and ``read``,
        sentences on what was read of tables, and whether ``out`` held these picks already. With ``dry_run`` the plan. With
        ``shards`` also ``messages``: the ``rounds`` of messages between this process and the shards, and their ``bytes``.

    Raises:
        InvalidInput: A file called ``out`` with other content, ids that are not in the pool or there twice, an id with two labels,
            arrays that do not fit together, rows that are NaN, infinite or not probabilities: named by their ids.
        MissingSignal: The strategy needs an array that was not given, or labels to train the linear head on.
        UnknownName: There is no strategy of that name.

    Note:
        :func:`distil.select_from` takes arrays in memory.
    """
    from distil.data.array_files import read_column
    from distil.data.distances import NEAR
    from distil.selection.dry_run import plan
    from distil.selection.from_files import (
        explained,
        picks_of,
        read_arrays,
        refuse_other,
        request,
        selected,
        write_picks,
    )
    from distil.strategies.registry import for_task
    from distil.system.executor import Serial
    from distil.system.files import publish
    from distil.system.runtime import Runtime

    task, runtime = as_task(task), Runtime(memory=size_of(memory), progress=progress, device=device)
    inputs: dict[str, object] = {
        "embeddings": embeddings,
        "probs": probs,
        "mc_probs": mc_probs,
        "offsets": offsets,
        "rewards": rewards,
        "deviations": deviations,
        "costs": costs,
        "predictions": predictions,
        "mc_predictions": mc_predictions,
        "ids": ids,
        "pool": pool,
        "weights": weights,
    }
    paths = {"labeled": labeled, "validation": validation, "candidates": candidates, "exclude": exclude}
    paths |= {"query": query, "private": private}
    apart = {"query": query_embeddings, "private": private_embeddings}
    inputs |= {**paths, "show": listed(show)} | {f"{role}_embeddings": path for role, path in apart.items()}
    if n is None:
        raise InvalidInput("n is missing: the number of examples to choose (--n)")
    chooser, path = _chooser(strategy, parameters), out_of(out, (".csv", ".jsonl"), inputs=inputs)
    if shards is not None:
        others = {**inputs, "model": model, "column": column, "near": near}
        unread = [name for name in others if name not in _LISTS and others[name]]
        flags = {"no_duplicates": no_duplicates, "explain": explain, "dry_run": dry_run}
        _refuse_with_shards([*unread, *(name for name, value in flags.items() if value)])
        lists = {name: _listed(name, paths[name], quoting) for name in _LISTS}
        where = executor_named(executor, address, workers) or Serial()
        folder, taken = path_of("shards", shards), for_task(chooser, task)
        settings = {"classes": listed(classes) or None, "task": task, "seed": seed, "memory": runtime.memory}
        return _of_shards(strategy, taken, n, folder, where, lists, settings, path, force)
    if executor is not None or workers is not None or address is not None:
        raise InvalidInput("executor, workers and address say where shards are read; pass them too (--shards)")
    why = out_of(explain, (".html", ".json"), "explain", inputs=inputs)
    if why is not None and embeddings is None and model is None:
        raise MissingSignal("explanations compare embeddings; pass them too (--embeddings)")
    if path is not None and not force:
        refuse_other(path)
    items = _items(pool, model, embeddings, column, ids, quoting, dry_run)
    made = None
    if items is not None and model is not None:
        made = embedded(
            items, model, weights=weights, on_error=on_error, device=device, batch_size=batch_size, progress=progress
        )
    embeddings = optional_path("embeddings", embeddings, _ARRAYS)
    given = {
        "embeddings": embeddings if made is None else made.path,
        "probs": optional_path("probs", probs, _ARRAYS),
        "mc_probs": optional_path("mc_probs", mc_probs, _ARRAYS),
        "offsets": optional_path("offsets", offsets, _ARRAYS),
        "rewards": optional_path("rewards", rewards, _ARRAYS),
        "deviations": optional_path("deviations", deviations, _ARRAYS),
        "costs": optional_path("costs", costs, _ARRAYS),
        "predictions": optional_path("predictions", predictions, _ARRAYS),
        "mc_predictions": optional_path("mc_predictions", mc_predictions, _ARRAYS),
    }
    columns_of = optional_path("ids", ids) if pool is None else None
    arrays = read_arrays(given, columns_of, runtime, quoting=quoting, task=task)
    lists = {name: _listed(name, given, quoting) for name, given in paths.items()}
    columns = _shown(show, items, pool or embeddings, ids, arrays, quoting)
    notes = ["" if made is None else made.note, *(array.note for array in arrays.columns.values())]
    read = [note for note in (*notes, *(each.note for several in lists.values() for each in several)) if note]
    ids_of = {name: _one_list(several, arrays) for name, several in lists.items()}
    asked = request(
        chooser,
        n,
        arrays,
        **{name: ids_of[name] for name in _LISTS},
        given={role: ids for role, ids in ids_of.items() if role not in _LISTS and ids is not None},
        apart={
            role: read_column(path_of(f"{role}_embeddings", path, _ARRAYS), quoting=quoting, runtime=runtime)
            for role, path in apart.items()
            if path is not None
        },
        classes=listed(classes) or None,
        seed=seed,
        near=(NEAR if near is None else near) if no_duplicates else None,
        runtime=runtime,
        task=task,
    )
    if dry_run:
        return {**plan(asked), "read": [*read, *asked.notes]}
    selection = selected(asked)
    picks = picks_of(asked, selection)
    picks = replace(picks, shown={name: [cell(row) for row in picks.rows] for name, cell in columns.items()})
    if why is not None:
        known = ids_of["labeled"]
        document = explained(asked, selection, None if known is None else known.labels)
        text = _why_text(document, why.suffix.lower(), str(pool or embeddings), asked, items, columns)
        if not publish(why, text.encode(errors="backslashreplace"), force=force):  # ids may be names of files
            read.append(f"{why} holds this explanation already")
    if path is not None and not write_picks(picks, path, force=force):
        read.append(f"{path} holds these picks already")
    asked_for = {"strategy": strategy, "n": n, "seed": seed, "may_be_chosen": len(asked.pool)}
    return {**asked_for, "picks": picks.entries(), "notes": list(picks.notes), "read": read}


def _refuse_with_shards(options_given: Sequence[str]) -> None:
    if options_given:
        options = " and ".join(f"--{name.replace('_', '-')}" for name in options_given)
        raise InvalidInput(f"{options}: not with --shards; pass the folder as --embeddings and --probs for all options")


def _of_shards(
    name: str,
    strategy: Strategy,
    n: int,
    folder: str,
    executor: Executor,
    lists: Mapping[str, Any],
    settings: Mapping[str, Any],
    path: Path | None,
    force: bool,
) -> dict[str, Any]:
    """Choose from shards, and write the picks."""
    from distil.distributed.select import pick_from_shards
    from distil.selection.from_files import refuse_other, write_picks

    if path is not None and not force:
        refuse_other(path)
    read = [each.note for several in lists.values() for each in several if each.note]
    found = pick_from_shards(strategy, n, folder, executor, **lists, **settings)
    if path is not None and not write_picks(found.picks, path, force=force):
        read.append(f"{path} holds these picks already")
    document = {"strategy": name, "n": n, "seed": settings["seed"], "may_be_chosen": found.available}
    messages = {"rounds": found.traffic.rounds, "bytes": found.traffic.n_bytes}
    return {
        **document,
        "picks": found.picks.entries(),
        "notes": list(found.picks.notes),
        "read": read,
        "messages": messages,
    }


def _why_text(
    document: dict[str, Any], ending: str, title: str, asked: Request, items: Items | None, columns: Shown
) -> str:
    """An explanation as JSON, or as a page with pictures of ``items`` and the cells of ``columns``."""
    import json

    from distil.data.thumbnails import thumbnails
    from distil.selection.explanation_page import explanation_page

    if ending == ".json":
        return json.dumps(document, indent=2) + "\n"
    arrays = asked.arrays

    def words(id_: str) -> str:
        row = int(id_) if arrays.names is None else arrays.reader.index[id_]
        return " · ".join(filter(None, (cell(row) for cell in columns.values())))

    return explanation_page(document, title, words, None if items is None else thumbnails(items))


def _listed(name: str, given: PathLike | Sequence[PathLike] | None, quoting: Quoting | None) -> list[ListedIds]:
    """The lists of one argument; labels count only where they are those of examples that strategies read."""
    from distil.data.ids import read_ids

    lists = [read_ids(path, quoting) for path in paths_of(name, given, _IDS)]
    if name in ("labeled", "validation"):
        return [each.answered() for each in lists]
    return [replace(each, labels=None) for each in lists] if name in ("candidates", "exclude") else lists


def _one_list(lists: Sequence[ListedIds], arrays: Arrays) -> ListedIds | None:
    """The lists of one argument as one."""
    from distil.data.ids import merged

    return merged(lists, None if arrays.names is None else arrays.reader.index, len(arrays)) if lists else None


def _chooser(strategy: object, parameters: object) -> Strategy:
    """The strategy of that name."""
    from distil.strategies import strategy_named

    if not isinstance(strategy, str):
        raise InvalidInput(
            f"strategy must be the name of a registered strategy, got {type(strategy).__name__}; hyper-parameters go into "
            "parameters, and distil.select_from takes strategies as objects"
        )
    if parameters is not None and not isinstance(parameters, Mapping):
        raise InvalidInput(f"parameters must be a dictionary of hyper-parameters by name, got {parameters!r}")
    return strategy_named(strategy, **(parameters or {}))


def _items(
    pool: PathLike | None,
    model: PathLike | None,
    embeddings: PathLike | None,
    column: str | None,
    ids: PathLike | None,
    quoting: Quoting | None,
    dry_run: bool,
) -> Items | None:
    """The pool that the model embeds; None without one."""
    from distil.data.items import items_of
    from distil.data.pools import open_pool

    if (pool is None) != (model is None) or (pool is not None and embeddings is not None):
        raise InvalidInput(_TOGETHER)
    if pool is None:
        return None
    if dry_run:
        raise InvalidInput(
            "a dry run looks at arrays and embeds nothing; make them with `distil embed`, then give embeddings (--embeddings)"
        )
    return items_of(open_pool(path_of("pool", pool), column=column, ids=optional_path("ids", ids), quoting=quoting))


def _shown(
    show: str | Sequence[str] | None,
    items: Items | None,
    table: PathLike | None,
    ids: PathLike | None,
    arrays: Arrays,
    quoting: Quoting | None,
) -> Shown:
    """The further columns of the picks."""
    from distil.data.ids import names_column
    from distil.selection.shown import preview, shown_columns

    if show is None:
        return {} if items is None else preview(items, arrays)
    table = optional_path("pool", table)
    if items is None and table is not None and not Path(table).exists():
        table = table.rpartition("#")[0]
    return shown_columns(listed(show), table, names_column(optional_path("ids", ids)), arrays, quoting)


def act(given: dict[str, Any]) -> int:
    """Choose, and print the picks."""
    found = pick(**given)
    for note in (*found["read"], *found.get("notes", [])):  # a plan has no notes
        print_note(note)
    if given["dry_run"]:
        _print_plan(found)
    elif given["out"] is not None:
        first, size = found["picks"][0], f"{counted(len(found['picks']), 'pick')} of {found['may_be_chosen']:,}"
        print(f"{size} in {given['out']}; the first: {first['id']} ({first['why']})")
    else:
        print_rows(("rank", "id", "score", "why"), map(_row, found["picks"]))
    return 0


def _row(entry: dict[str, Any]) -> tuple[str, str, str, str]:
    score = "" if entry["score"] is None else f"{entry['score']:.6g}"
    return str(entry["rank"]), str(entry["id"]), score, entry["why"]


def _print_plan(found: dict[str, Any]) -> None:
    print(
        f"{found['strategy']} would choose {found['n']:,} of {found['may_be_chosen']:,} rows ({found['labeled']:,} labeled)"
    )
    for name, array in found["arrays"].items():
        shape = " x ".join(f"{side:,}" for side in array["shape"])
        how = "not read" if not array["read"] else "mapped" if array["mapped"] else "in memory"
        print(f"  {name}: {array['file']}, {shape} {array['type']}, {_size(array['bytes'])}, {how}")
    print(f"  ids are {found['ids']}")
    memory, files = _size(found["memory_bytes"]), _size(found["scratch_bytes"])
    print(f"  memory of the process without mapped files: about {memory}; files: {files}")
    if found["seconds"] is not None:
        print(f"  time: about {max(1, round(found['seconds'])):,} s, scaled up from a part of the rows")


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
