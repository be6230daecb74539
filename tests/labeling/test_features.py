"""What the model of a project reads of its items."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer

from distil.data import pools as module
from distil.errors import InvalidInput
from distil.labeling import features
from distil.labeling.features import ItemFeatures, item_features, principal_components, word_features
from distil.labeling.project import Project


def painted(folder, count, first=0):
    """Images whose gray value is their number."""
    folder.mkdir(exist_ok=True)
    for i in range(first, first + count):
        Image.new("L", (20 + i, 30), i).save(folder / f"{i:03}.png")
    return folder


def test_pixels_are_made_once_and_new_images_are_added(tmp_path, monkeypatch):
    painted(tmp_path / "images", 12)
    with Project.create(tmp_path / "p") as project:
        project.add(tmp_path / "images")
        first = item_features(project.items(), tmp_path / "p" / "model")
        assert first.ids == [f"{i:03}.png" for i in range(12)]
        assert first.x.shape == (12, 32 * 32 * 3), "no more rows than components: the pixels as they are"
        assert torch.allclose(first.x, torch.arange(12)[:, None].expand(12, 3072) / 255)
        read: list[str] = []
        real = module.open_image
        monkeypatch.setattr(module, "open_image", lambda path, name, said: read.append(name) or real(path, name, said))
        assert torch.equal(item_features(project.items(), tmp_path / "p" / "model").x, first.x)
        assert read == []
        painted(tmp_path / "images", 2, first=12)
        (tmp_path / "images" / "000.png").unlink()
        project.add(tmp_path / "images")
        second = item_features(project.items(), tmp_path / "p" / "model")
        assert read == ["012.png", "013.png"]
        assert second.ids == [f"{i:03}.png" for i in range(1, 14)], "what is gone has no row"
        assert torch.equal(second.x[:11], first.x[1:])


def test_images_that_cannot_be_read_are_named(tmp_path):
    painted(tmp_path / "images", 3)
    with Project.create(tmp_path / "p") as project:
        project.add(tmp_path / "images")
        (tmp_path / "images" / "001.png").write_bytes(b"nothing")
        found = item_features(project.items(), tmp_path / "p" / "model")
    assert found.ids == ["000.png", "002.png"]
    assert list(found.unread) == ["001.png"]
    assert "not an image" in found.unread["001.png"]


def test_word_counts_are_computed_once_for_the_same_texts(tmp_path, monkeypatch):
    """A file that is damaged or of other texts is not used, and none of other texts is kept."""
    cache = tmp_path / "p" / "model"
    texts = tmp_path / "texts.txt"
    texts.write_text("".join(f"word{n % 7} word{n % 5} word{n % 3}\n" for n in range(40)))
    calls = []
    monkeypatch.setattr(features, "word_features", lambda texts: calls.append(len(texts)) or word_features(texts))
    with Project.create(tmp_path / "p") as project:

        def found():
            return item_features(project.items(), cache).x

        project.add(texts)
        expected = word_features(texts.read_text().splitlines())
        assert torch.equal(found(), expected)
        assert torch.equal(found(), expected)
        assert calls == [40]
        (kept,) = cache.glob("words-*.npy")
        whole = kept.read_bytes()
        for damaged in (b"", whole[:-1], whole[:-400], whole[:-4] + b"\0\0\xc0\x7f"):
            kept.write_bytes(damaged)
            assert torch.equal(found(), expected)
            assert kept.read_bytes() == whole
        texts.write_text(texts.read_text().replace("word6", "word1") + "one more\n")
        project.add(texts)
        assert torch.equal(found(), word_features(texts.read_text().splitlines()))
        assert calls == [40] * 5 + [41]
        assert len([*cache.glob("words-*")]) == 1


def test_components_are_those_of_the_covariance():
    x = torch.randn(300, 90, generator=torch.Generator().manual_seed(0)) * torch.linspace(5, 0.01, 90)
    found = principal_components(x, 6)
    centered = (x - x.mean(0)).double()
    values, axes = np.linalg.eigh(centered.T.numpy() @ centered.numpy())
    expected = centered.numpy() @ axes[:, ::-1][:, :6]
    assert np.abs(np.abs(found.numpy()) - np.abs(expected)).max() < 0.05 * np.abs(expected).max()
    assert found.square().sum(0).tolist() == pytest.approx(values[::-1][:6].tolist(), rel=0.01)


def test_texts_about_one_thing_are_near_each_other():
    words = {"sports": "match goal team season coach", "money": "bank market stock price trade"}
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(words[kind].split(), 6)) for kind in ["sports", "money"] * 60]
    x = torch.nn.functional.normalize(word_features(texts)).numpy()
    same = (x @ x.T)[::2, ::2].mean() + (x @ x.T)[1::2, 1::2].mean()
    assert same / 2 > (x @ x.T)[::2, 1::2].mean() + 0.3
    assert np.array_equal(word_features(texts), word_features(texts))


def test_directions_of_words_count_by_what_they_explain():
    """Against the singular values of the counts in full: each column twice."""
    rng = np.random.default_rng(1)
    texts = [" ".join(f"word{n}" for n in rng.zipf(1.5, 12) % 40) for _ in range(150)]
    counts = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True).fit_transform(texts).toarray()
    left, sizes, _ = np.linalg.svd(counts, full_matrices=False)
    x = word_features(texts).numpy()[:, :5]
    assert np.abs(x) == pytest.approx(np.abs(left * sizes**2 / sizes[0])[:, :5], abs=2e-3)


def test_texts_of_every_kind_have_finite_rows():
    chinese = ["今天天气很好我们去公园", "股票市场今天下跌很多", "天气不好不去公园了", "市场上涨股票价格高"]
    for texts in (["one"], ["", ""], ["a", "b"], ["same words here"] * 5, ["?!", "..."], chinese, ["\ud800 x", "y z"]):
        x = word_features(texts)
        assert x.dtype == torch.float32
        assert x.shape[0] == len(texts)
        assert bool(x.isfinite().all())
    x = torch.nn.functional.normalize(word_features(chinese))
    assert float(x[0] @ x[2]) > float(x[0] @ x[1])


def test_texts_that_share_no_words_are_cut_into_letters():
    ends = ["ski", "son"] * 100
    names = [f"{chr(97 + n % 23)}{chr(97 + n // 23)}{end}" for n, end in enumerate(ends)]
    for texts in (names, [*names, *["  "] * 300], ["\U0001f600!", "\U0001f621?"] * 100, ["x", "y"] * 100):
        x = word_features(texts)
        apart = (x[:200:2].mean(0) - x[1:200:2].mean(0)).norm()
        assert apart > 0.5 * x[:200].norm(dim=1).mean()


def test_rows_of_arrays_that_cannot_be_read_are_named(tmp_path):
    x = np.ones((5, 2))
    x[1, 0], x[2, 1], x[4, 1] = np.nan, np.inf, 1e200
    for name, rows, ids in (("x", x, ["0", "3"]), ("one", x[:, 0], ["0", "2", "3", "4"])):
        np.save(tmp_path / f"{name}.npy", rows)
        with Project.create(tmp_path / name) as project:
            project.add(tmp_path / f"{name}.npy")
            found = item_features(project.items(), tmp_path / name / "model")
        assert found.ids == ids
        assert sorted({*found.ids, *found.unread}) == ["0", "1", "2", "3", "4"]
        assert found.x.isfinite().all()
        assert found.in_words == f"rows of arrays, without {len(found.unread)} unreadable item{'s' * (name == 'x')}"
    np.save(tmp_path / "none.npy", x[1:3])
    with Project.create(tmp_path / "none") as project:
        project.add(tmp_path / "none.npy")
        with pytest.raises(InvalidInput, match="no row of the arrays can be read"):
            item_features(project.items(), tmp_path / "none" / "model")


def test_rows_of_arrays_keep_their_ids(tmp_path):
    rows = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    np.save(tmp_path / "wide.npy", np.zeros((2, 5), np.float32))
    with Project.create(tmp_path / "p") as project:
        project.add(tmp_path / "rows.npy")
        found = item_features(project.items(), tmp_path)
        assert (found.ids, found.x.tolist()) == ([str(i) for i in range(7)], rows.tolist())
        with pytest.raises(InvalidInput, match="rows of arrays, which timm:resnet18 cannot embed"):
            item_features(project.items(), tmp_path, model="timm:resnet18")


def test_items_without_a_common_model_are_refused(tmp_path):
    painted(tmp_path / "images", 2)
    (tmp_path / "texts.csv").write_text("id,text\na,fine\nb,bad\n")
    with Project.create(tmp_path / "p") as project:
        with pytest.raises(InvalidInput, match="no items yet; add some with `distil project add`"):
            item_features(project.items(), tmp_path)
        project.add(tmp_path / "images")
        project.add(tmp_path / "texts.csv")
        with pytest.raises(InvalidInput, match="items of one kind, and the project has images and texts"):
            item_features(project.items(), tmp_path)


def test_texts_are_embedded_by_the_users_own_model(tmp_path, monkeypatch):
    (tmp_path / "own_lengths.py").write_text("def embed(texts):\n    return [[len(text), 1.0] for text in texts]\n")
    (tmp_path / "texts.csv").write_text('id,text\na,fine\n"b\nb",worse\n')
    monkeypatch.syspath_prepend(tmp_path)
    with Project.create(tmp_path / "p") as project:
        project.add(tmp_path / "texts.csv")
        found = item_features(project.items(), tmp_path / "model", model="own_lengths:embed")
    assert (found.ids, found.x.tolist()) == (["a", "b\nb"], [[4, 1], [5, 1]])
    assert found.made_from == "embeddings by own_lengths:embed"


def test_rows_of_words_and_pixels_are_compared_by_their_direction(tmp_path):
    texts = [*(["the cat sat on the mat"] * 3), *(["a dog ran to the park today"] * 3), "rain", "snow and rain fell"]
    x = word_features(texts)
    found = ItemFeatures([str(row) for row in range(len(texts))], x, "words", {}, lengths_count=False)
    away = x.double() - x.double().mean(0)
    expected = away / away.norm(dim=1, keepdim=True)
    torch.testing.assert_close(found.near.double(), expected, atol=1e-5, rtol=1e-5)
    assert found.x is x  # the model sees the rows as they are
    (tmp_path / "texts.csv").write_text("text\n" + "".join(f"{text}\n" for text in texts))
    with Project.create(tmp_path / "p", classes=["a", "b"]) as project:
        project.add(tmp_path / "texts.csv")
        items = project.items()
    torch.testing.assert_close(item_features(items, tmp_path / "model").near, found.near)
    assert ItemFeatures(found.ids, x, "rows", {}).near is x


def test_many_long_rows_are_compared_by_their_components(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 3, generator=generator) @ torch.randn(3, 200, generator=generator)
    found = ItemFeatures(list(map(str, range(300))), x, "rows", {})
    assert found.near is x
    monkeypatch.setattr("distil.labeling.features._FEW", 299)
    near = ItemFeatures(found.ids, x, "rows", {}).near
    assert near.shape == (300, 64)
    near, x = near.double(), x.double()
    torch.testing.assert_close(torch.cdist(near, near), torch.cdist(x, x), atol=1e-3, rtol=1e-3)  # the rows have rank 3
