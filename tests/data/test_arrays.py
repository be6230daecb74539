"""Arrays as data, and arrays of measured quantities as a source of signals."""

import gc
import re
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
import scipy.sparse
import torch

from distil.data.arrays import (
    check_rows,
    checked_array,
    checked_probs,
    from_numpy,
    is_array,
    precision_of,
    take,
)
from distil.data.examples import Batched, LabeledSet
from distil.errors import InvalidInput, MissingSignal
from distil.measuring.source import ArraySource, check_finite
from distil.rng import Rng
from distil.signals import Embedding, Gradient, Logits, MCMean, MCProbs, Probs, Signals
from distil.system.runtime import CHUNK_ROWS, Runtime

RUN = Runtime(), Rng(0)
IDS = [[], [0], [3, 4, 5], [5, 4, 3], [0, 2, 4], [9, 0, 9], list(range(10)), [1, 2, 2, 4], [2, 4, 3, 5]]


def rows(n=10, width=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


def probs_of(n, *shape, seed=0):
    weights = np.random.default_rng(seed).uniform(0.1, 1, size=(n, *shape))
    return (weights / weights.sum(-1, keepdims=True)).astype(np.float32)


# --- rows of arrays -------------------------------------------------------------------------------------------------


def check_take_is_indexing(ids, kind):
    x = rows()
    array = {
        "tensor": lambda: torch.from_numpy(x),
        "numpy": lambda: x,
        "read-only": lambda: np.frombuffer(x.tobytes(), np.float32).reshape(x.shape),
        "fortran": lambda: np.asfortranarray(x),
        "reversed": lambda: x[::-1].copy()[::-1],
        "big-endian": lambda: x.astype(">f4"),
    }[kind]()
    taken = take(array, torch.tensor(ids, dtype=torch.long))
    assert isinstance(taken, torch.Tensor)
    assert taken.dtype == torch.float32
    np.testing.assert_array_equal(taken, x[ids])


def test_take_is_indexing(case):
    for ids in IDS:
        for kind in ["tensor", "numpy", "read-only", "fortran", "reversed", "big-endian"]:
            with case(ids, kind):
                check_take_is_indexing(ids, kind)


def test_consecutive_rows_are_a_view():
    x = torch.from_numpy(rows())
    assert take(x, torch.arange(2, 6)).data_ptr() == x[2:].data_ptr()
    assert take(x.numpy(), torch.arange(2, 6)).data_ptr() == x[2:].data_ptr()
    assert take(x, torch.tensor([2, 4])).data_ptr() != x[2:].data_ptr()


def test_memory_mapped_files(case, tmp_path):
    for mode in ["r", "r+", "c"]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(mode):
            x = rows()
            np.save(root / "x.npy", x)
            mapped = np.load(root / "x.npy", mmap_mode=mode)
            for ids in IDS:
                np.testing.assert_array_equal(take(mapped, torch.tensor(ids, dtype=torch.long)), x[ids])
            take(mapped, torch.arange(10)) + 1
            np.testing.assert_array_equal(np.load(root / "x.npy"), x)


def test_from_numpy_keeps_values(case):
    for dtype in [">f4", "<f8", "float16", "uint8", "int64", ">i2", "bool"]:
        with case(dtype):
            array = np.arange(6).reshape(2, 3).astype(dtype)
            array.flags.writeable = False
            np.testing.assert_array_equal(from_numpy(array), array)
            np.testing.assert_array_equal(from_numpy(array[:, ::-1]), array[:, ::-1])


def test_from_numpy_does_not_write_through_to_read_only_memory():
    array = rows()
    array.flags.writeable = False
    before = array.copy()
    from_numpy(array).zero_()
    np.testing.assert_array_equal(array, before)


def test_is_array(case):
    for data, answer in [(torch.ones(1), True), (np.ones(1), True), ([1.0], False), ("x", False)]:
        with case(data, answer):
            assert is_array(data) is answer


def test_a_labeled_set_is_a_data_set_of_pairs(case):
    for kind in [torch.from_numpy, np.asarray]:
        with case(kind):
            x = rows()
            labeled = LabeledSet(kind(x), torch.tensor([7, 0, 3]), torch.tensor([2, 1, 0]))
            assert len(labeled) == 3
            for i in range(3):
                found, y = labeled[i]
                np.testing.assert_array_equal(found, x[[7, 0, 3][i]])
                assert y == [2, 1, 0][i]
                assert type(y) is int
            np.testing.assert_array_equal(labeled.x, x[[7, 0, 3]])


def test_a_labeled_set_of_a_data_set_knows_its_own_labels_only():
    pairs = [(torch.tensor([float(i)]), 99) for i in range(5)]
    for data in (pairs, [x for x, _ in pairs], [list(p) for p in pairs]):
        labeled = LabeledSet(data, torch.tensor([4, 1]), torch.tensor([0, 1]))
        assert [(float(x), y) for x, y in labeled] == [(4.0, 0), (1.0, 1)]
        assert labeled.x is None


def test_batched_data_have_a_method_for_many_rows():
    class Fast:
        def __len__(self):
            return 3

        def batch(self, rows):
            return rows

    assert isinstance(Fast(), Batched)
    assert not isinstance(rows(), Batched)
    assert not isinstance([1, 2], Batched)


# --- refusals -------------------------------------------------------------------------------------------------------


def read(name, array, ids=None):
    """The chunks and the table that a source of that array yields for Probs or MCProbs."""
    checked = checked_probs(array, name, 2 if name == "probs" else 3)
    signal = Probs() if name == "probs" else MCProbs(2)
    found = ArraySource(torch.arange(len(checked)) if ids is None else torch.as_tensor(ids), {name: checked})
    return (
        lambda: torch.cat([chunk[signal] for chunk in found.chunks((signal,), *RUN)]),
        lambda: found.table((signal,), *RUN)[signal],
    )


def test_good_probabilities_come_back(case):
    for kind in [np.asarray, torch.from_numpy, np.ndarray.tolist]:
        with case(kind):
            for name, probs in (("probs", probs_of(5, 3)), ("mc_probs", probs_of(5, 2, 3))):
                for way in read(name, kind(probs)):
                    np.testing.assert_array_equal(way(), probs)


def test_rows_that_are_no_distributions_are_named(case):
    for kind, spoil in zip(
        ["above 1", "below 1", "negative", "nan", "infinite", "both infinities", "logs"],
        [
            lambda p: p * 1.01,
            lambda p: p * 0.9,
            lambda p: p * np.float32([2, -1, 0]) / (2 * p[..., :1] - p[..., 1:2]),
            lambda p: p * np.nan,
            lambda p: p * np.float32([np.inf, 1, 1]),
            lambda p: p + np.float32([np.inf, -np.inf, 0]),
            lambda p: np.log(p),
        ],
        strict=True,
    ):
        for row in [0, 3, CHUNK_ROWS + 2]:
            with case(kind, row):
                for name, shape in (("probs", (3,)), ("mc_probs", (2, 3))):
                    array = probs_of(CHUNK_ROWS + 5, *shape)
                    array[row] = spoil(array[row])
                    for way in read(name, array):
                        with pytest.raises(
                            InvalidInput, match=re.escape(f"{name}[{row}] is not a probability distribution")
                        ):
                            way()


def test_the_first_wrong_row_is_named():
    array = probs_of(10, 4, 3)
    array[[8, 6], 2] *= 2
    with pytest.raises(InvalidInput, match=r"mc_probs\[6\] .* got the sum 2 and .*pass their softmax"):
        read("mc_probs", array)[0]()
    with pytest.raises(InvalidInput, match=r"mc_probs\[8\] is not"):
        read("mc_probs", array, [9, 8, 7, 6])[1]()


def test_rows_that_are_not_asked_for_are_not_looked_at():
    array = probs_of(10, 3)
    array[4] = np.nan
    for way in read("probs", array, [0, 1, 2, 3, 5]):
        np.testing.assert_array_equal(way(), array[[0, 1, 2, 3, 5]])


def test_rounding_is_no_error(case):
    for dtype in [np.float16, np.float32, np.float64]:
        with case(dtype):
            for n_classes in (2, 10, 1000):
                probs = probs_of(50, n_classes).astype(dtype)
                assert checked_probs(probs, "probs", 2) is probs
                for way in (*read("probs", probs), *read("probs", torch.from_numpy(probs))):
                    np.testing.assert_array_equal(way(), probs)


def test_coarse_types_may_be_off_by_more(case):
    for dtype, error, right in [("float16", 5e-3, True), ("float32", 5e-3, False)]:
        with case(dtype, error, right):
            probs = np.full((3, 4), 0.25 * (1 + error)).astype(dtype)
            way = read("probs", probs)[0]
            if right:
                np.testing.assert_array_equal(way(), probs)
            else:
                with pytest.raises(InvalidInput):
                    way()


def test_one_class_is_too_few():
    with pytest.raises(InvalidInput, match=r"at least two classes, got shape \(4, 1\)"):
        checked_probs(np.ones((4, 1)), "probs", 2)


def test_wrong_arrays(case):
    for array, n_dims, message in [
        (np.ones(3), 2, r"emb must have two axes, \(examples, columns\), got shape \(3,\)"),
        (np.ones((3, 2, 2)), 2, r"two axes.*got shape \(3, 2, 2\)"),
        (np.ones((3, 2)), 3, r"three axes, \(examples, samples, columns\), got shape \(3, 2\)"),
        (np.ones((3, 0)), 2, r"got shape \(3, 0\)"),
        (np.ones((3, 0, 2)), 3, r"got shape \(3, 0, 2\)"),
        (5.0, 2, r"got shape \(\)"),
        (np.array([["a", "b"]]), 2, "emb must hold numbers, got an array of <U1"),
        (np.array([[None, 1]]), 2, "must hold numbers, got an array of object"),
        (np.array([[1j]]), 2, "must hold numbers, got an array of complex128"),
    ]:
        with case(array, n_dims, message), pytest.raises(InvalidInput, match=message):
            checked_array(array, "emb", n_dims)


def test_ragged_lists_are_refused():
    with pytest.raises(InvalidInput):
        checked_array([[1.0, 2.0], [3.0]], "emb", 2)


def test_tensors_that_want_gradients_are_detached():
    x = torch.ones(3, 2, requires_grad=True)
    assert not checked_array(x, "emb", 2).requires_grad


def test_ids_of_rows_that_are_not_finite_are_named(case):
    for value in [np.nan, np.inf, -np.inf]:
        for dtype in [torch.float16, torch.float32, torch.float64, torch.bfloat16]:
            with case(value, dtype):
                ids = torch.tensor([7, 30, 2, 11])
                good = torch.ones(4, 2, 3, dtype=dtype)
                check_rows(ids, good, "data")
                bad = good.clone()
                bad[1, 1, 2] = bad[3, 0, 0] = value
                with pytest.raises(
                    InvalidInput, match=r"^data has NaN or infinite values in 2 of 4 examples: ids 30, 11$"
                ):
                    check_rows(ids, bad, "data")


def test_many_ids_are_cut_short():
    with pytest.raises(InvalidInput, match=r"in 9 of 9 examples: ids 0, 1, 2, 3, 4, \.\.\.$"):
        check_rows(torch.arange(9), torch.full((9, 1), torch.nan), "data")


def test_whole_numbers_and_no_rows_are_finite():
    check_rows(torch.arange(3), torch.ones(3, 2, dtype=torch.long), "data")
    check_rows(torch.arange(0), torch.ones(0, 2), "data")


def test_tables_name_the_column():
    table = Signals(torch.tensor([5, 6]), {Logits(): torch.ones(2, 2), Embedding(): torch.tensor([[1.0], [torch.nan]])})
    with pytest.raises(InvalidInput, match=r"^embeddings has NaN or infinite values in 1 of 2 examples: ids 6$"):
        check_finite(table)
    good = Signals(table.ids, {Logits(): torch.ones(2, 2)})
    assert check_finite(good) is good


# --- as a source ----------------------------------------------------------------------------------------------------


def source(ids, **arrays):
    return ArraySource(torch.as_tensor(ids), arrays, caller="Someone")


def test_columns_are_rows_of_the_arrays():
    arrays = {"probs": probs_of(9, 3), "embeddings": rows(9, 4), "mc_probs": probs_of(9, 2, 3)}
    for ids in ([0, 1, 2], [8, 0, 5], []):
        found = source(torch.tensor(ids, dtype=torch.long), **arrays)
        stored = found.measured((Gradient(), MCMean(77)))
        assert stored == (Probs(), Embedding(), MCProbs(77))
        table = found.table(stored, *RUN)
        assert table.ids.tolist() == ids
        np.testing.assert_array_equal(table[Probs()], arrays["probs"][ids])
        np.testing.assert_array_equal(table[Embedding()], arrays["embeddings"][ids])
        np.testing.assert_array_equal(table[MCProbs(77)], arrays["mc_probs"][ids])
        np.testing.assert_allclose(table[MCMean(77)], arrays["mc_probs"][ids].mean(1), rtol=1e-6)


def test_some_rows_of_a_source():
    found = source(torch.tensor([8, 0, 5, 2]), probs=probs_of(9, 3))
    some = found.of(torch.tensor([3, 0]))
    assert some.ids.tolist() == [2, 8]
    np.testing.assert_array_equal(some.table((Probs(),), *RUN)[Probs()], probs_of(9, 3)[[2, 8]])
    assert not found.can_score_in_bfloat16((Logits(),))


def test_chunks_are_the_table_cut_up():
    n = 2 * CHUNK_ROWS + 3
    found = source(torch.arange(n).flip(0), probs=probs_of(n, 2))
    chunks = list(found.chunks((Probs(),), *RUN))
    assert [len(c) for c in chunks] == [CHUNK_ROWS, CHUNK_ROWS, 3]
    table = found.table((Probs(),), *RUN)
    assert torch.equal(torch.cat([c.ids for c in chunks]), table.ids)
    assert torch.equal(torch.cat([c[Probs()] for c in chunks]), table[Probs()])


def test_float32_arrays_are_not_copied():
    probs = probs_of(9, 3)
    column = source(range(9), probs=probs).table((Probs(),), *RUN)[Probs()]
    assert column.data_ptr() == torch.from_numpy(probs).data_ptr()


def addresses(array):
    return array.__array_interface__["data"][0] if isinstance(array, np.ndarray) else array.data_ptr()


def test_memory_mapped_files_are_not_copied(tmp_path):
    """Read-only memory, mapped or not; a column made from it outlives the array."""
    x = rows(9, 4)
    np.save(tmp_path / "x.npy", x)
    frozen = x.copy()
    frozen.flags.writeable = False
    for given in (np.load(tmp_path / "x.npy", mmap_mode="r"), frozen):
        for array, ids in ((given, range(9)), (given[2:], range(7)), (given, range(3, 8))):
            column = source(ids, embeddings=array).table((Embedding(),), *RUN)[Embedding()]
            assert column.data_ptr() == addresses(array) + ids[0] * 4 * 4
            np.testing.assert_array_equal(column, array[list(ids)])
        del given, array
        gc.collect()
        np.testing.assert_array_equal(column, x[3:8])


def test_arrays_that_must_be_copied(case):
    for kind, change in zip(
        ["big-endian", "fortran", "reversed", "strided", "half"],
        [
            lambda x: x.astype(">f4"),
            np.asfortranarray,
            lambda x: x[::-1],
            lambda x: x[:, ::2],
            lambda x: x.astype("f2"),
        ],
        strict=True,
    ):
        for memory in [0, 1 << 20]:
            with case(kind, memory):
                array = change(rows(2 * CHUNK_ROWS + 3, 4))
                array.flags.writeable = False
                column = source(range(len(array)), embeddings=array).table(
                    (Embedding(),), Runtime(memory=memory), Rng(0)
                )
                np.testing.assert_array_equal(column[Embedding()], array.astype(np.float32))
                assert column[Embedding()].is_contiguous()


def test_gathered_rows_and_log_probabilities_in_memory_and_in_files(case):
    for memory in [0, 1 << 20]:
        with case(memory):
            n = CHUNK_ROWS + 50
            ids = np.random.default_rng(0).permutation(n)
            arrays = {"probs": probs_of(n, 3), "embeddings": rows(n, 4)}
            found = source(ids, **arrays).table((Logits(), Embedding()), Runtime(memory=memory), Rng(0))
            np.testing.assert_array_equal(found[Embedding()], arrays["embeddings"][ids])
            np.testing.assert_allclose(found[Probs()], arrays["probs"][ids], rtol=1e-5)


def test_bad_rows_of_a_large_table_are_named():
    array = rows(3 * CHUNK_ROWS, 2)
    array[CHUNK_ROWS + 1, 1] = np.inf
    for ids in (range(len(array)), range(0, len(array), 2), range(1, len(array), 2)):
        found = source(ids, embeddings=array)
        if CHUNK_ROWS + 1 in ids:
            with pytest.raises(InvalidInput, match=rf"embeddings has NaN or infinite values .*: ids {CHUNK_ROWS + 1}$"):
                found.table((Embedding(),), *RUN)
        else:
            assert len(found.table((Embedding(),), *RUN)) == len(ids)


def test_other_types_become_float32(case):
    for dtype in ["float16", "uint8", "int64", "bool"]:
        with case(dtype):
            array = np.arange(12).reshape(4, 3).astype(dtype)
            column = source(range(4), embeddings=array).table((Embedding(),), *RUN)[Embedding()]
            assert column.dtype == torch.float32
            np.testing.assert_array_equal(column, array)


def test_columns_of_one_selection_have_one_precision():
    """float64 wins; float32 rows are converted exactly."""
    probs, x = probs_of(9, 3), rows(9, 4)
    for kind in (np.asarray, torch.from_numpy, np.asfortranarray):
        found = ArraySource(torch.arange(9), {"probs": kind(probs), "embeddings": kind(x)}, precision=torch.float64)
        table = found.table((Probs(), Embedding(), Logits()), *RUN)
        assert {column.dtype for column in table.values.values()} == {torch.float64}
        np.testing.assert_array_equal(table[Embedding()], x.astype(np.float64))
        np.testing.assert_array_equal(table[Probs()], probs.astype(np.float64))
    assert precision_of([probs, torch.from_numpy(x)]) == torch.float32
    for wide in (x.astype(float), x.astype(">f8"), torch.from_numpy(x).double()):
        assert precision_of([probs, wide]) == torch.float64
    for other in (x.astype("f2"), x.astype(int), torch.from_numpy(x).bfloat16(), x > 0):
        assert precision_of([other]) == torch.float32


def test_sparse_nested_and_masked_arrays(case):
    for array, message in [
        (torch.ones(3, 2).to_sparse(), r"emb is a sparse tensor; pass emb\.to_dense\(\)"),
        (scipy.sparse.csr_matrix(np.eye(3)), r"emb is a sparse matrix; pass emb\.toarray\(\)"),
        (np.ma.array([[1.0, 2.0]], mask=[[True, False]]), "emb has masked entries"),
        (torch.ones(3, 2, dtype=torch.complex64), "emb must hold numbers, got an array of torch.complex64"),
        (iter([[1.0, 2.0]]), "emb can be read only once; pass an array"),
        ({"a": 1}, "emb must hold numbers, got an array of object"),
    ]:
        with case(array, message), pytest.raises(InvalidInput, match=message):
            checked_array(array, "emb", 2)


def test_wider_types_than_float64_become_float64():
    array = np.ones((3, 2), dtype=np.longdouble)
    assert checked_array(array, "emb", 2).dtype == np.float64


def test_float64_arrays_stay_float64():
    array = rows(4).astype(np.float64)
    assert source(range(4), embeddings=array).table((Embedding(),), *RUN)[Embedding()].dtype == torch.float64


def test_missing_arrays_are_reported_before_any_work(case):
    for needs, given, message in [
        (
            (Gradient(),),
            ("embeddings",),
            r"Someone needs `probs` \(N, C\), got only `embeddings`; pass probs=\.\.\.",
        ),
        (
            (Gradient(),),
            ("probs",),
            r"Someone needs `embeddings` \(N, D\), got only `probs`; pass embeddings=\.\.\.",
        ),
        ((Probs(),), ("embeddings", "mc_probs"), r"`probs` \(N, C\), got only `embeddings` and `mc_probs`"),
        ((MCMean(5),), ("probs",), r"needs `mc_probs` \(N, K, C\), got only `probs`; pass mc_probs=\.\.\."),
        ((Logits(),), (), r"needs `probs` \(N, C\), got nothing"),
    ]:
        with case(needs, given, message):
            arrays = {"probs": probs_of(4, 3), "embeddings": rows(4), "mc_probs": probs_of(4, 2, 3)}
            with pytest.raises(MissingSignal, match=message):
                source(range(4), **{name: arrays[name] for name in given}).measured(needs)


def test_the_role_is_part_of_the_name():
    labeled = ArraySource(torch.arange(4), {"probs": probs_of(4, 3)}, "labeled_", "CoreSet")
    with pytest.raises(MissingSignal, match=r"CoreSet needs `labeled_embeddings` .* got only `labeled_probs`"):
        labeled.measured((Embedding(),))
