"""``distil select``: what to label next, from files."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from distil.cli.pool_options import add_model, check_out, embedded, parameters_of, size_of

_DESCRIPTION = """\
Choose what to label next from files: embeddings, probabilities or both, one row an example. No training, no model:

  distil select --embeddings emb.npy --probs p.npy --labeled labeled.csv --strategy badge --n 500 --out picks.csv

Or from a folder of images, or a table of texts, which are embedded first (see `distil embed`), once:

  distil select --pool images/ --model timm:resnet18 --weights resnet18.safetensors --strategy core_set --n 500 --out picks.csv

Arrays are .npy, .npz, .safetensors, .parquet or .csv; FILE#NAME says which array or column. Ids are yours wherever the files have
them - the column `id`, the lines of --ids, the names of image files - and positions elsewhere. Lists of ids are .csv (id[,label]),
.txt, .jsonl or .npy (positions). The picks have the columns rank, id, score and why; the file is written whole or not at all.
"""

# After Ctrl-C.
INTERRUPTED = (
    "nothing was written and nothing is lost: the same command begins again, with the embeddings that are made"
)


def add(commands: Any) -> None:  # noqa: ANN401 - what add_subparsers returns has no public name
    """Add the command to the parser."""
    parser = commands.add_parser(
        "select",
        help="choose what to label next, from arrays, images or texts",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
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
    how = parser.add_argument_group("how")
    how.add_argument("--strategy", required=True, help="one of `distil strategies`")
    how.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], help="a parameter of the strategy; may be repeated"
    )
    how.add_argument("--n", metavar="N", type=int, required=True, help="how many")
    how.add_argument("--seed", metavar="S", type=int, default=0, help="the same seed gives the same picks; default: 0")
    how.add_argument("--memory", metavar="SIZE", default="512MB", help="for what has to be copied; more goes to files")
    parser.add_argument("--out", metavar="FILE", help="where to write the picks, .csv or .jsonl; default: print them")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be read, and how much memory and time it takes"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.add_argument("--no-progress", action="store_true", help="show no progress bar")
    parser.set_defaults(run=run, interrupted=INTERRUPTED)


def run(arguments: argparse.Namespace) -> int:
    """Run it."""
    from distil.data.distances import NEAR
    from distil.selection.dry_run import plan
    from distil.selection.from_files import chosen, read_arrays, request, write_picks
    from distil.strategies.registry import strategy_named
    from distil.system.runtime import Runtime

    runtime = Runtime(
        memory=size_of(arguments.memory), progress=False if arguments.no_progress else None, device=arguments.device
    )
    strategy = strategy_named(arguments.strategy, **parameters_of(arguments.set))
    given = {"embeddings": _embeddings(arguments), "probs": arguments.probs, "mc_probs": arguments.mc_probs}
    near = arguments.near if arguments.near is not None else NEAR
    asked = request(
        strategy,
        arguments.n,
        read_arrays(given, arguments.ids if arguments.pool is None else None, runtime),
        labeled=arguments.labeled,
        candidates=arguments.candidates,
        exclude=arguments.exclude,
        seed=arguments.seed,
        near=near if arguments.no_duplicates else None,
        runtime=runtime,
    )
    if arguments.dry_run:
        _print_plan(plan(asked), arguments.json)
        return 0
    if arguments.out is not None:
        check_out(arguments.out, (".csv", ".jsonl"))
    picks = chosen(asked)
    if arguments.out is not None:
        write_picks(picks, arguments.out)
    for note in picks.notes:
        print(f"note: {note}", file=sys.stderr)
    if arguments.json:
        document = {"strategy": arguments.strategy, "n": arguments.n, "seed": arguments.seed, "picks": picks.entries()}
        print(json.dumps({**document, "notes": picks.notes}, indent=2))
    elif arguments.out is not None:
        print(
            f"{len(picks.ids)} picks of {len(asked.pool):,} in {arguments.out}; the first: {picks.ids[0]} ({picks.why[0]})"
        )
    else:
        for entry in picks.entries():
            print(
                entry["rank"],
                entry["id"],
                "" if entry["score"] is None else f"{entry['score']:.6g}",
                entry["why"],
                sep="\t",
            )
    return 0


def _embeddings(arguments: argparse.Namespace) -> Any:  # noqa: ANN401
    """The file of embeddings, made first where a pool and a model were given."""
    from distil.errors import InvalidInput

    if arguments.pool is None:
        if arguments.model is not None:
            raise InvalidInput("--model embeds a pool; say which one with --pool, or give --embeddings alone")
        return arguments.embeddings
    if arguments.embeddings is not None or arguments.model is None:
        raise InvalidInput("--pool is embedded by --model; give these two, or --embeddings")
    if arguments.dry_run:
        raise InvalidInput(
            "--dry-run tells about arrays and embeds nothing; make them with `distil embed`, then give --embeddings"
        )
    return embedded(arguments, arguments.pool).path


def _print_plan(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(found, indent=2))
        return
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
