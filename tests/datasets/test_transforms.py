"""Transforms of batches of images, against brute force."""

from __future__ import annotations

import numpy as np
import torch

from distil.datasets.transforms import CropFlip, Normalize
from distil.errors import InvalidInput


def test_normalize_is_the_formula():
    x = torch.randint(256, (5, 3, 4, 6), dtype=torch.uint8)
    mean, std = (0.4, 0.5, 0.6), (0.1, 0.2, 0.3)
    expected = np.stack([(x[:, c].numpy() / 255 - mean[c]) / std[c] for c in range(3)], 1)
    out = Normalize(mean, std)(x)
    assert out.dtype == torch.float32
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)


def test_normalize_fitted_gives_mean_0_and_std_1():
    x = torch.randint(40, 256, (50, 3, 4, 6), dtype=torch.uint8)
    x[:, 2] = 7  # constant: only centered
    out = Normalize.fitted(x)(x).double().transpose(0, 1).flatten(1)
    np.testing.assert_allclose(out.mean(1), 0, atol=1e-6)
    np.testing.assert_allclose(out.std(1, correction=0), [1, 1, 0], atol=1e-6)


def test_crop_flip_gives_windows_of_the_padded_image():
    x = torch.randint(1, 256, (200, 2, 5, 7), dtype=torch.uint8)
    out = CropFlip(2, True)(x, torch.Generator().manual_seed(0))
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (2, 2), (2, 2)))
    seen = set()
    for image, source in zip(out.numpy(), padded, strict=True):
        windows = {(i, j): source[:, i : i + 5, j : j + 7] for i in range(5) for j in range(5)}
        matching = [
            (*corner, step)
            for corner, w in windows.items()
            for step in (1, -1)
            if np.array_equal(image, w[..., ::step])
        ]
        assert len(matching) == 1  # rows shift together with columns, channels alike, no wrap-around
        seen.add(matching[0])
    assert {key[0] for key in seen} == {key[1] for key in seen} == set(range(5))
    assert {key[2] for key in seen} == {1, -1}


def test_crop_flip_is_a_function_of_the_generator_and_keeps_its_input():
    x = torch.randint(256, (30, 3, 8, 8), dtype=torch.uint8)
    before, state = x.clone(), torch.get_rng_state()
    first, second, other = (CropFlip(2, True)(x, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(x, before)
    assert torch.equal(torch.get_rng_state(), state)


def test_crop_flip_of_nothing_is_nothing():
    x = torch.randint(256, (3, 1, 4, 4), dtype=torch.uint8)
    assert torch.equal(CropFlip(0, False)(x, torch.Generator()), x)


def test_transforms_refuse(refuses):
    with refuses(InvalidInput, "got 1 and 2"):
        Normalize((0.5,), (0.5, 0.5))
    with refuses(InvalidInput, "positive"):
        Normalize((0.5,), (0.0,))
    with refuses(InvalidInput, "finite"):
        Normalize((float("nan"),), (1.0,))
    with refuses(InvalidInput, "0 or more; got -1"):
        CropFlip(-1, True)
    with refuses(InvalidInput, "uint8", "torch.float32 (1, 1, 2, 2)"):
        Normalize((0.5,), (0.5,))(torch.zeros(1, 1, 2, 2))
    with refuses(InvalidInput, "1 channel(s)", "have 3"):
        Normalize((0.5,), (0.5,))(torch.zeros(1, 3, 2, 2, dtype=torch.uint8))
    with refuses(InvalidInput, "CropFlip", "(2, 2)"):
        CropFlip(1, True)(torch.zeros(2, 2, dtype=torch.uint8), torch.Generator())
