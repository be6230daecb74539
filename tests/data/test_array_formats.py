"""Damaged array files give one clear error before memory is allocated; compressed arrays stay within ``Runtime.memory``."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
import zipfile
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
import torch

from distil.data.array_files import read_column
from distil.data.array_formats import NpzFile
from distil.data.ids import read_ids
from distil.errors import InvalidInput
from distil.system.runtime import Runtime

X = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)


def npy_bytes(header, data=b"", version=(1, 0)):
    text = header.encode() + b"\n"
    return np.lib.format.magic(*version) + struct.pack("<H" if version == (1, 0) else "<I", len(text)) + text + data


def header_of(shape, descr="'<f4'"):
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}"


def test_headers_of_npy(case, tmp_path):
    for content, message in [
        (npy_bytes(header_of((10**6, 10**6)), X.tobytes()), r"4,000,000,000,000 bytes, and 1,200 follow"),
        (npy_bytes(header_of((10**20, 10**20))), "its header gives an array of shape"),
        (npy_bytes(header_of((-1, 6)), X.tobytes()), "its header gives an array of shape"),
        (npy_bytes(header_of((50, 6))), "1,200 bytes, and 0 follow"),
        (npy_bytes("{'descr': '<f4', (((("), "cannot be read as an array"),
        (npy_bytes("{'descr': '<f4', 'shape': (3,"), "cannot be read as an array"),
        (npy_bytes(header_of((3,), "'<x9'")), "cannot be read as an array"),
        (npy_bytes(header_of((3,), "'<U0'")), "its header gives an array"),
        (npy_bytes(header_of((2**63, 0))), "cannot be read|its header|has no rows"),
        (np.lib.format.magic(2, 0) + struct.pack("<I", 2**31) + b"{", "its header would have 2,147,483,648 bytes"),
        (b"\x93NUMPY", "cannot be read as an array"),
        (b"", "cannot be read as an array"),
    ]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(content, message):
            (root / "x.npy").write_bytes(content)
            tracemalloc.start()
            with pytest.raises(InvalidInput, match=rf"x\.npy.*({message})"):
                read_column(root / "x.npy")
            assert tracemalloc.get_traced_memory()[1] < 4 << 20
            tracemalloc.stop()


def save_npz(path, content, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("x.npy", content)
    return path


def test_an_npz_header_that_claims_terabytes(tmp_path):
    for compression in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        path = save_npz(tmp_path / "x.npz", npy_bytes(header_of((10**6, 6 * 10**6)), X.tobytes()), compression)
        with pytest.raises(InvalidInput, match=r"x\.npz.*24,000,000,000,000 bytes"):
            read_column(path)


def test_a_flipped_byte_in_a_compressed_npz(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", x=X)
    raw = bytearray((tmp_path / "x.npz").read_bytes())
    for place in range(150, 1000, 50):
        changed = bytearray(raw)
        changed[place] ^= 0x55
        (tmp_path / "y.npz").write_bytes(changed)
        with pytest.raises(InvalidInput, match=r"y\.npz cannot be read as an npz file"):
            read_column(tmp_path / "y.npz")


def test_an_encrypted_npz(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", x=X)
    raw = bytearray((tmp_path / "x.npz").read_bytes())
    raw[6] |= 1  # the flag in the header of the member and in the directory
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "x.npz").write_bytes(raw)
    with pytest.raises(InvalidInput, match=r"x\.npz: x is encrypted; store it without a password"):
        read_column(tmp_path / "x.npz")


def test_a_compressed_npz_takes_no_more_memory_than_it_may(case, tmp_path):
    for order, dtype in [("C", "f2"), ("F", "f4"), ("C", "f8"), ("F", "u1"), ("C", "i8"), ("F", ">f4")]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(order, dtype):
            x = np.asarray(np.arange(3 << 20).reshape(1 << 20, 3) % 250, dtype=dtype, order=order)
            np.savez_compressed(root / "x.npz", x=x)
            tracemalloc.start()
            found = read_column(root / "x.npz", runtime=Runtime(memory=1 << 20, scratch=root)).values
            assert tracemalloc.get_traced_memory()[1] < 4 << 20  # blocks of a megabyte; the rest is in a file
            tracemalloc.stop()
            np.testing.assert_array_equal(found, x)
            assert found.dtype == x.dtype
            assert [path.name for path in root.iterdir()] == ["x.npz"]


def test_arrays_of_an_npz_share_the_memory(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", a=X, b=X + 1)
    file = NpzFile(tmp_path / "x.npz", Runtime(memory=11_000, scratch=tmp_path / "none"))
    first = file.array("a")
    np.testing.assert_array_equal(first, X)
    with pytest.raises(InvalidInput, match="do not fit"):
        file.array("b")
    del first
    np.testing.assert_array_equal(file.array("b"), X + 1)


def safetensors_bytes(entry):
    header = json.dumps({"x": entry}).encode() if isinstance(entry, dict) else entry
    return struct.pack("<Q", len(header)) + header + X.tobytes()


SOUND = {"dtype": "F32", "shape": [50, 6], "data_offsets": [0, 1200]}


def test_headers_of_safetensors(case, tmp_path):
    for content in [
        safetensors_bytes({**SOUND, "shape": [10**9, 10**9]}),
        safetensors_bytes({**SOUND, "shape": [10**9, 10**9], "data_offsets": [0, 4 * 10**18]}),
        safetensors_bytes({**SOUND, "shape": [-50, -6]}),
        safetensors_bytes({**SOUND, "shape": [50, 6.0]}),
        safetensors_bytes({**SOUND, "data_offsets": [-8, 1192]}),
        safetensors_bytes({**SOUND, "data_offsets": "ab"}),
        safetensors_bytes({**SOUND, "dtype": ["F32"]}),
        safetensors_bytes({**SOUND, "dtype": "F7"}),
        safetensors_bytes({**SOUND, "dtype": "BF16", "shape": [600], "data_offsets": [8, 1208]}),
        safetensors_bytes({"x": 1}),
        safetensors_bytes(b"[" * 100_000),
        safetensors_bytes(b'{"x": ' + b"9" * 5_000 + b"}"),
        safetensors_bytes(b"\xff\xfe"),
        struct.pack("<Q", 2**63) + b"{}",
        b"\x00",
    ]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(content):
            (root / "x.safetensors").write_bytes(content)
            with pytest.raises(InvalidInput, match=r"x\.safetensors"):
                read_column(root / "x.safetensors")


def test_types_of_safetensors(case, tmp_path):
    for dtype in [torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2, torch.bool, torch.uint16, torch.float64]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(dtype):
            from safetensors.torch import save_file

            x = (torch.arange(12).reshape(6, 2) % 3).to(dtype)
            save_file({"other": torch.zeros(3), "x": x}, root / "x.safetensors")
            np.testing.assert_array_equal(read_column(root / "x.safetensors", column="x").values, x.double().numpy())


def test_json_lines_that_python_refuses(tmp_path):
    for content in ('{"id": ' + "9" * 5_000 + "}", "[" * 100_000, '{"id": 1}\n\n{"id": nothing}'):
        (tmp_path / "x.jsonl").write_text(content)
        with pytest.raises(InvalidInput, match=rf"x\.jsonl, line {3 if 'nothing' in content else 1} is not JSON"):
            read_ids(tmp_path / "x.jsonl")


def test_text_in_parquet_that_is_not_utf_8(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    text = arrow.array([b"a\xff", b"b"], arrow.binary()).view(arrow.string())
    parquet.write_table(arrow.table({"id": text, "e": [1.0, 2.0]}), tmp_path / "x.parquet")
    for read in (read_column, read_ids):
        with pytest.raises(InvalidInput, match=r"x\.parquet cannot be read as Parquet"):
            read(tmp_path / "x.parquet")


def test_compressed_tables(case, tmp_path):
    for suffix in [".gz", ".bz2", ".xz"]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(suffix):
            import bz2
            import gzip
            import lzma

            pack = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}[suffix]
            content = io.StringIO()
            np.savetxt(content, X, delimiter=",")
            (root / f"x.csv{suffix}").write_bytes(pack(content.getvalue().encode()))
            np.testing.assert_allclose(read_column(root / f"x.csv{suffix}").values, X)
            whole = (root / f"x.csv{suffix}").read_bytes()
            for part in (whole[: len(whole) // 2], b"1,2\n"):
                (root / f"y.csv{suffix}").write_bytes(part)
                with pytest.raises(
                    InvalidInput, match=r"y\.csv\.\w+ cannot be read: .*; if it is damaged, fetch it again"
                ):
                    read_column(root / f"y.csv{suffix}")


def test_a_folder_without_a_manifest_is_no_array(tmp_path):
    (tmp_path / "x.npz").mkdir()
    with pytest.raises(FileNotFoundError, match=r"is a folder without a manifest\.json"):
        read_column(tmp_path / "x.npz")
