"""The numbers by which the model of a project knows its items: embeddings by a pretrained model, or pixels and word counts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from distil.data.array_files import read_column
from distil.data.items import Items
from distil.data.pools import pool_of_images, pool_of_texts, stamp_of
from distil.embedding.embed import embed
from distil.embedding.encoders import PIXELS
from distil.errors import InvalidInput, counted
from distil.functional.scale import unit_rows
from distil.labeling.items import NO_ITEMS, Item
from distil.system.files import FAULTS_OF_FILES, replacing
from distil.system.runtime import Runtime, as_runtime

COMPONENTS: Final = 64
"""Principal components of pixels: more add noise to distances and time to the fits."""
TEXT_COMPONENTS: Final = 100
"""Singular vectors of word counts."""
_FEW: Final = 5_000  # items
_MOST_WORDS: Final = 50_000
_UNSPACED: Final = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]")
_WORDS: Final = "words-*.npy"  # in the cache
_RECIPE: Final = 1  # another number wherever word_features gives other rows than before
_SAMPLE: Final = 10_000  # rows from which the components of pixels are computed


@dataclass(frozen=True, eq=False)
class ItemFeatures:
    """Rows of numbers for the items of a project.

    Attributes:
        ids: The ids of the items that have a row; those of items that are gone or cannot be read are left out.
        x: The rows, (N, D) float32.
        made_from: What the rows were made from, in words.
        unread: Id of each item that could not be read -> the reason.
        lengths_count: Whether the lengths of rows say something of the items.
    """

    ids: list[str]
    x: Tensor
    made_from: str
    unread: dict[str, str]
    lengths_count: bool = True

    @cached_property
    def near(self) -> Tensor:
        """The rows by which items are compared when the next ones are chosen, (N, E) float32.

        These are ``x``, but for more than 5,000 longer rows their first 64 principal components, computed once: a choice compares
        some thousand rows with all others. On 4,000 pixel images of MNIST, 50 picks by 64 components covered 98 % of what those by
        all 784 pixels did.

        Those of word counts and pixels are brought to length 1 about their mean. Their lengths say how long a text is, or how dark
        an image, and comparing directions brought more (benchmarks/results/labeling_person.md).
        """
        rows = principal_components(self.x) if len(self.x) > _FEW else self.x
        return rows if self.lengths_count else unit_rows(rows - rows.mean(0))

    @property
    def in_words(self) -> str:
        """What the rows were made from, and how many items have none because they could not be read."""
        return (
            f"{self.made_from}, without {counted(len(self.unread), 'unreadable item')}"
            if self.unread
            else self.made_from
        )


def item_features(
    items: Sequence[Item],
    cache: Path,
    *,
    model: str | None = None,
    weights: str | Path | None = None,
    runtime: Runtime | None = None,
) -> ItemFeatures:
    """Make the rows of items, those of unchanged items only once.

    Args:
        items: The items of a project, all of one kind.
        cache: Folder for embeddings, and for what is computed of word counts.
        model: The model that embeds images or texts; see :func:`distil.embedding.embed.embed`. Default: no model, but 64 principal
            components of the pixels of images, 100 singular vectors of the weighted word counts (TF-IDF) of texts, and the numbers
            of arrays as they are.
        weights: Weights of a timm model.
        runtime: Device and progress bar of the model.

    Raises:
        InvalidInput: There is no item, the items are of several kinds, or the model does not fit them.
    """
    items = [item for item in items if not item.gone]
    kinds = sorted({item.kind for item in items})
    if not kinds:
        raise InvalidInput(NO_ITEMS)
    if len(kinds) > 1:
        raise InvalidInput(
            f"a model needs items of one kind, and the project has {' and '.join(kinds)}; make a project for each kind, or "
            "choose without a model (--strategy random_sampling)"
        )
    if kinds == ["rows"]:
        if model is not None:
            raise InvalidInput(
                f"the items of the project are rows of arrays, which {model} cannot embed; name no model"
            )
        return _of_arrays(items)
    if kinds == ["texts"] and model is None:
        texts = [item.text or "" for item in items]
        return ItemFeatures([item.id for item in items], _kept_words(texts, cache), "word counts (TF-IDF)", {}, False)
    return _embedded(items, cache, model or PIXELS, weights, as_runtime(runtime))


def word_features(texts: Sequence[str]) -> Tensor:
    """TF-IDF of words and pairs of words, reduced to at most 100 singular vectors; (N, D) float32.

    Each column is multiplied by its singular value once more, so that a direction counts by how much of the texts it explains. The
    singular values of texts fall slowly, and without this the many small ones outweigh the few that topics have: on AG News, a
    linear model of 20, 50 and 200 random labels was right 6, 5 and 2 points less often, and with all labels as often.

    Texts are cut into groups of one to three letters instead where words say little: in scripts without blanks between them
    (Chinese, Japanese, Thai, Lao), and where most texts share no word with another one, such as names, codes and emoji.

    Cost: some 30 s of CPU for 100,000 texts of 40 words.
    """
    from sklearn.utils.extmath import randomized_svd

    written = [text for text in texts if text.strip()]
    spaced = sum(len(_UNSPACED.findall(text)) for text in written) <= 0.2 * sum(map(len, written))
    counts = _counts(texts, ngram_range=(1, 2), min_df=2 if len(texts) >= 100 else 1) if spaced else None
    if counts is None or 2 * np.count_nonzero(np.diff(counts.indptr)) < len(written):
        counts = _counts(texts, analyzer="char", ngram_range=(1, 3))
    if counts is None:
        return torch.zeros(len(texts), 1)
    n = min(TEXT_COMPONENTS, counts.shape[1] - 1, len(texts) - 1)
    if n < 1:
        return torch.from_numpy(counts.toarray())
    _, sizes, axes = randomized_svd(counts, n, random_state=0)
    return torch.from_numpy(np.ascontiguousarray(counts @ (axes.T * (sizes / sizes[0])), dtype=np.float32))


def _kept_words(texts: Sequence[str], cache: Path) -> Tensor:
    """The same as :func:`word_features`, computed once and kept in a file for exactly these texts, in this order."""
    from sklearn import __version__ as sklearn

    content = hashlib.sha256(f"{_RECIPE} {sklearn}".encode())
    for text in texts:
        content.update(text.encode("utf-8", "surrogatepass") + b"\0\xff")  # which no text holds
    path = cache / _WORDS.replace("*", content.hexdigest()[:32])
    kept = _read_rows(path, len(texts))
    if kept is not None:
        return kept
    x = word_features(texts)
    cache.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, x.numpy())
    for old in set(cache.glob(_WORDS)) - {path}:
        old.unlink(missing_ok=True)
    return x


def _read_rows(path: Path, n: int) -> Tensor | None:
    """The rows in a file; None if there is none, or one that does not hold ``n`` finite rows."""
    try:
        rows = np.load(path, allow_pickle=False)
    except FAULTS_OF_FILES:
        return None
    fits = isinstance(rows, np.ndarray) and rows.dtype == np.float32 and rows.ndim == 2 and len(rows) == n
    return torch.from_numpy(rows) if fits and np.isfinite(rows).all() else None


def _counts(texts: Sequence[str], **cut: Any) -> Any:  # noqa: ANN401 - a sparse matrix, and what says how texts are cut
    """The weighted counts of what texts are cut into, (N, W) sparse; None where nothing is left."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        return TfidfVectorizer(sublinear_tf=True, max_features=_MOST_WORDS, dtype=np.float32, **cut).fit_transform(
            texts
        )
    except ValueError:  # no word at all, or none that occurs twice
        return None


def principal_components(x: Tensor, n: int = COMPONENTS) -> Tensor:
    """Rows (N, D) on their first ``n`` principal components, (N, n) float32, computed from at most 10,000 evenly spaced rows."""
    if x.shape[1] <= n or len(x) <= n:
        return x.float()
    from sklearn.decomposition import PCA

    found = PCA(n, svd_solver="randomized", random_state=0).fit(x[:: -(-len(x) // _SAMPLE)].numpy())
    return torch.cat([torch.from_numpy(found.transform(block.numpy())) for block in x.float().split(_SAMPLE)])


def _of_arrays(items: Sequence[Item]) -> ItemFeatures:
    """The rows of arrays, where they are in their files."""
    parts: dict[str, Tensor] = {}
    for source in dict.fromkeys(item.source for item in items):
        places = [item.place for item in items if item.source == source]
        with np.errstate(over="ignore"):  # becomes infinite, and the row is left out
            rows = np.array(read_column(source).values[places], np.float32)
        parts[source] = torch.from_numpy(rows.reshape(len(rows), -1))
    widths = {source: part.shape[1] for source, part in parts.items()}
    if len(set(widths.values())) > 1:
        listed = ", ".join(f"{source}: {width}" for source, width in widths.items())
        raise InvalidInput(f"a model needs rows of one width, and the arrays of the project have several ({listed})")
    ids = [item.id for source in parts for item in items if item.source == source]
    x = torch.cat(list(parts.values()))
    finite = x.isfinite().all(dim=1)
    if not finite.any():
        raise InvalidInput("no row of the arrays can be read: all have NaN, infinite or too large values")
    unread = {
        ids[row]: "its row has NaN, infinite or too large values" for row in torch.nonzero(~finite)[:, 0].tolist()
    }
    return ItemFeatures([name for name in ids if name not in unread], x[finite], "rows of arrays", unread)


def _embedded(
    items: Sequence[Item], cache: Path, model: str, weights: str | Path | None, runtime: Runtime
) -> ItemFeatures:
    """Embeddings by a model, or pixels, from a file in the cache, to which new and changed items are added."""
    cache.mkdir(parents=True, exist_ok=True)
    out = cache / f"{hashlib.sha256(f'{model} {weights}'.encode()).hexdigest()[:16]}.npy"
    pool = _pool(items)
    made = embed(pool, model, weights=weights, out=out, on_error="skip", runtime=runtime)
    x = torch.from_numpy(np.load(made.path))
    unread = {
        item.id: made.skipped[name] for item, name in zip(items, _names(items), strict=True) if name in made.skipped
    }
    ids = [item.id for item in items if item.id not in unread]
    if model == PIXELS:
        return ItemFeatures(ids, principal_components(x), f"pixels ({COMPONENTS} principal components)", unread, False)
    return ItemFeatures(ids, x, f"embeddings by {model}", unread)


def _names(items: Sequence[Item]) -> list[str]:
    """The ids as single lines, which files of embeddings need."""
    return [item.id if item.id.isprintable() else repr(item.id) for item in items]


def _pool(items: Sequence[Item]) -> Items:
    """The items as a pool."""
    names = _names(items)
    if items[0].kind == "texts":
        return pool_of_texts([item.text or "" for item in items], names, "")
    paths = [Path(item.path or "") for item in items]
    return pool_of_images(names, paths, Path(), stamp_of(paths))
