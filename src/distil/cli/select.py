"""``distil select`` and ``distil.pick``: what to label next, from files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from distil.cli.options import (
    PathLike,
    add_command,
    add_output,
    add_progress,
    keywords,
    optional_path,
    path_of,
    print_json,
    print_notes,
)
from distil.cli.pool_options import INTERRUPTED, OnError, add_model, embedded, out_of, parameters_of, size_of
from distil.errors import InvalidInput

if TYPE_CHECKING:
    from distil.embedding.embed import Embedded
    from distil.strategies import Strategy

_DESCRIPTION = """\
Choose what to label next from files: embeddings, probabilities or both, one row an example. No training, no model:

  distil select --embeddings emb.npy --probs p.npy --labeled labeled.csv --strategy badge --n 500 --out picks.csv

Or from a folder of images, or a table of texts, which are embedded first (see `distil embed`), once:

  distil select --pool images/ --model timm:resnet18 --weights resnet18.safetensors --strategy core_set --n 500 --out picks.csv

Arrays are files such as .npy, .npz and .safetensors, or tables; FILE#NAME says which array or column. Ids are yours wherever the
files have them - the column `id`, the lines of --ids, the names of image files - and positions elsewhere. Lists of ids are .csv
(id[,label]), .txt, .jsonl or .npy (positions). The picks have the columns rank, id, score and why; the file is written whole or not
at all.
"""

# Where arrays in memory belong.
_ARRAYS = "; distil.select_from takes arrays"


def pick(
    strategy: str,
    n: int,
    *,
    embeddings: PathLike | None = None,
    probs: PathLike | None = None,
    mc_probs: PathLike | None = None,
    ids: PathLike | None = None,
    pool: PathLike | None = None,
    model: PathLike | None = None,
    weights: PathLike | None = None,
    column: str | None = None,
    on_error: OnError = "raise",
    device: str | None = None,
    batch_size: int | None = None,
    labeled: PathLike | None = None,
    candidates: PathLike | None = None,
    exclude: PathLike | None = None,
    no_duplicates: bool = False,
    near: float | None = None,
    parameters: Mapping[str, Any] | None = None,
    seed: int = 0,
    memory: str | int = "512MB",
    out: PathLike | None = None,
    dry_run: bool = False,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Choose the ``n`` examples to label next from files, as the command ``distil select`` does.

    For arrays in memory there is :func:`distil.select_from`.

    Args:
        strategy: The name of a registered strategy; ``distil strategies`` lists them.
        n: How many.
        embeddings: A file of embeddings, (N, D), such as ``.npy`` or ``.csv`` (``docs/your-data.md`` lists the formats);
            ``FILE#NAME`` says which array or column.
        probs: Of class probabilities, (N, C).
        mc_probs: Of sampled class probabilities, (N, K, C).
        ids: What the rows are called: a file of ids, or a column. Default: what the files say, else positions.
        pool: In place of ``embeddings``: a folder of images or a table of texts, which ``model`` embeds first, once.
        model: What embeds the pool; this and the next five as in :func:`distil.embed`.
        weights: Of a timm model.
        column: Of the texts or image paths.
        on_error: ``"raise"``, or ``"skip"`` to leave out items that cannot be read.
        device: Where to run the model.
        batch_size: Items in one forward pass.
        labeled: A file of ids that are labeled already, with labels for strategies that read them.
        candidates: A file of ids that may be chosen; default: all that are not labeled.
        exclude: A file of ids that may not, such as those being labeled now.
        no_duplicates: Whether to leave out near-duplicates of labeled rows and of each other; this needs embeddings.
        near: Within what share of the typical distance two rows are near-duplicates; default: 0.05.
        parameters: Hyper-parameters of the strategy by name.
        seed: The same one gives the same picks.
        memory: For what has to be copied, such as ``"2GB"`` or a number of bytes; more goes to files.
        out: Where to write the picks, ``.csv`` or ``.jsonl``.
        dry_run: Choose nothing, and return what would be read, and how much memory and time it would take.
        progress: Whether to show progress bars; default: when the output is a terminal.

    Returns:
        What ``distil select --json`` prints: ``strategy``, ``n``, ``seed``, ``may_be_chosen`` (the number of rows that the picks
        are of) and ``picks``, each with ``rank``, ``id``, ``score`` and ``why``, ``notes`` on the whole, and ``read``, sentences on
        what was read of tables. With ``dry_run`` the plan.

    Raises:
        InvalidInput: Ids that are not in the pool or there twice, arrays that do not fit together, rows that are NaN, infinite or
            no probabilities: named by their ids.
        MissingSignal: The strategy needs an array that was not given.
        UnknownName: There is no such strategy.
    """
    from distil.data.distances import NEAR
    from distil.data.ids import read_ids
    from distil.embedding.embed import Embedded
    from distil.selection.dry_run import plan
    from distil.selection.from_files import chosen, read_arrays, request, write_picks
    from distil.system.runtime import Runtime

    runtime = Runtime(memory=size_of(memory), progress=progress, device=device)
    chooser, path = _chooser(strategy, parameters), out_of(out, (".csv", ".jsonl"))
    make = partial(embedded, weights=weights, column=column, ids=ids, on_error=on_error)
    make = partial(make, device=device, batch_size=batch_size, progress=progress)
    made = _embeddings(pool, model, embeddings, make, dry_run)
    given = {
        "embeddings": made.path if isinstance(made, Embedded) else made,
        "probs": optional_path("probs", probs, _ARRAYS),
        "mc_probs": optional_path("mc_probs", mc_probs, _ARRAYS),
    }
    arrays = read_arrays(given, optional_path("ids", ids) if pool is None else None, runtime)
    paths = {"labeled": labeled, "candidates": candidates, "exclude": exclude}
    lists = {name: read_ids(place) for name, path in paths.items() if (place := optional_path(name, path)) is not None}
    notes = [made.note if isinstance(made, Embedded) else "", *(array.note for array in arrays.columns.values())]
    read = [note for note in (*notes, *(ids_.note for ids_ in lists.values())) if note]
    asked = request(
        chooser,
        n,
        arrays,
        **lists,
        seed=seed,
        near=(NEAR if near is None else near) if no_duplicates else None,
        runtime=runtime,
    )
    if dry_run:
        return {**plan(asked), "read": read}
    picks = chosen(asked)
    if path is not None:
        write_picks(picks, path)
    asked_for = {"strategy": strategy, "n": n, "seed": seed, "may_be_chosen": len(asked.pool)}
    return {**asked_for, "picks": picks.entries(), "notes": list(picks.notes), "read": read}


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


def _embeddings(
    pool: PathLike | None,
    model: PathLike | None,
    embeddings: PathLike | None,
    make: Callable[[str, PathLike], Embedded],
    dry_run: bool,
) -> Embedded | str | None:
    """The file of embeddings, made first where a pool and a model were given."""
    if pool is None:
        if model is not None:
            raise InvalidInput(
                "model embeds a pool; say which one with pool, or give embeddings alone (--model, --pool, --embeddings)"
            )
        return optional_path("embeddings", embeddings, _ARRAYS)
    if embeddings is not None or model is None:
        raise InvalidInput("pool is embedded by model; give these two, or embeddings (--pool, --model, --embeddings)")
    if dry_run:
        raise InvalidInput(
            "a dry run looks at arrays and embeds nothing; make them with `distil embed`, then give embeddings (--embeddings)"
        )
    return make(path_of("pool", pool), model)


def add(commands: Any) -> None:  # noqa: ANN401 - what add_subparsers returns has no public name
    """Add the command to the parser."""
    parser = add_command(commands, "select", "choose what to label next, from arrays, images or texts", _DESCRIPTION)
    arrays = parser.add_argument_group("what to choose from")
    arrays.add_argument("--embeddings", metavar="FILE", help="embeddings, (N, D)")
    arrays.add_argument("--probs", metavar="FILE", help="class probabilities, (N, C)")
    arrays.add_argument("--mc-probs", metavar="FILE", help="sampled class probabilities, (N, K, C)")
    arrays.add_argument("--ids", metavar="FILE|COLUMN", help="what the rows are called: a file of ids, or a column")
    arrays.add_argument(
        "--pool", metavar="POOL", help="a folder of images or a table of texts, to be embedded by --model"
    )
    add_model(arrays)
    rows = parser.add_argument_group("which of it")
    rows.add_argument(
        "--labeled", metavar="FILE", help="ids labeled already, with labels for strategies that read them"
    )
    rows.add_argument("--candidates", metavar="FILE", help="ids that may be chosen; default: all that are not labeled")
    rows.add_argument("--exclude", metavar="FILE", help="ids that may not, such as those being labeled now")
    rows.add_argument(
        "--no-duplicates", action="store_true", help="no near-duplicates of labeled rows, nor of each other"
    )
    rows.add_argument(
        "--near", metavar="SHARE", type=float, help="what is near: a share of the typical distance; default: 0.05"
    )
    _add_how(parser)
    parser.add_argument("--out", metavar="FILE", help="where to write the picks, .csv or .jsonl; default: print them")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be read, and how much memory and time it takes"
    )
    add_output(parser)
    add_progress(parser)
    parser.set_defaults(run=_command, interrupted=INTERRUPTED)


def _add_how(parser: argparse.ArgumentParser) -> None:
    """Add what says how to choose."""
    how = parser.add_argument_group("how")
    how.add_argument("--strategy", required=True, help="one of `distil strategies`")
    how.add_argument(
        "--set",
        metavar="NAME=VALUE",
        dest="parameters",
        action="append",
        help="a parameter of the strategy; may be repeated",
    )
    how.add_argument("--n", metavar="N", type=int, required=True, help="how many")
    how.add_argument("--seed", metavar="S", type=int, help="the same seed gives the same picks; default: 0")
    how.add_argument("--memory", metavar="SIZE", help="for what has to be copied; more goes to files; default: 512MB")


def _command(arguments: argparse.Namespace) -> int:
    options = keywords(pick, arguments)
    found = pick(**{**options, "parameters": parameters_of(options.get("parameters", []))})
    print_notes(found, arguments)
    for note in found.get("notes", []):  # a plan has none
        sys.stderr.write(f"note: {note}\n")
    if arguments.json:
        print_json(found)
    elif "dry_run" in arguments:
        _print_plan(found)
    elif "out" in arguments:
        first = found["picks"][0]
        print(
            f"{found['n']} picks of {found['may_be_chosen']:,} in {arguments.out}; the first: {first['id']} ({first['why']})"
        )
    else:
        for entry in found["picks"]:
            score = "" if entry["score"] is None else f"{entry['score']:.6g}"
            print(entry["rank"], entry["id"], score, entry["why"], sep="\t")
    return 0


def _print_plan(found: dict[str, Any]) -> None:
    print(
        f"{found['strategy']} would choose {found['n']:,} of {found['may_be_chosen']:,} rows ({found['labeled']:,} labeled)"
    )
    for name, array in found["arrays"].items():
        shape = " x ".join(f"{side:,}" for side in array["shape"])
        how = "not read" if not array["read"] else "mapped" if array["mapped"] else "in memory"
        print(f"  {name}: {array['file']}, {shape} {array['type']}, {_told(array['bytes'])}, {how}")
    print(f"  ids are {found['ids']}")
    print(
        f"  memory of the process beside mapped files: about {_told(found['memory_bytes'])}; files: {_told(found['scratch_bytes'])}"
    )
    if found["seconds"] is not None:
        print(f"  time: about {max(1, round(found['seconds'])):,} s, scaled up from a part of the rows")


def _told(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
