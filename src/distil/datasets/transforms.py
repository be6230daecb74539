"""Transforms of batches of uint8 images: normalization and random augmentation, on any device."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from distil.errors import InvalidInput


@dataclass(frozen=True)
class Normalize:
    """Normalize uint8 images to float32, channel by channel: ``(x / 255 - mean) / std``.

    >>> Normalize((0.5,), (0.5,))(torch.tensor([[[[0, 255]]]], dtype=torch.uint8))
    tensor([[[[-1.,  1.]]]])

    Attributes:
        mean: Mean of each channel, on the scale 0 to 1.
        std: Standard deviation of each channel, on the same scale.

    Raises:
        InvalidInput: ``mean`` and ``std`` differ in length, a number is not finite, or a ``std`` is not positive.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.mean or len(self.mean) != len(self.std):
            raise InvalidInput(f"mean and std need one number per channel; got {len(self.mean)} and {len(self.std)}")
        if not all(map(math.isfinite, self.mean + self.std)) or min(self.std) <= 0:
            raise InvalidInput(f"mean must be finite and std finite and positive; got mean {self.mean}, std {self.std}")

    @classmethod
    def fitted(cls, images: Tensor) -> Normalize:
        """The transform that gives these images mean 0 and standard deviation 1 in every channel.

        A channel with a single value gets ``std`` 1. The result is exact: it is computed from the counts of the 256 values.

        Args:
            images: (N, C, H, W) uint8, N at least 1.
        """
        _check_images(images, "images")
        levels = torch.arange(256, dtype=torch.float64) / 255
        means, stds = [], []
        for channel in images.unbind(1):
            counts = torch.bincount(channel.flatten(), minlength=256).tolist()
            weights = torch.tensor(counts, dtype=torch.float64) / sum(counts)  # (256,)
            means.append(float(weights @ levels))
            stds.append(math.sqrt(float(weights @ (levels - means[-1]) ** 2)))
        return cls(tuple(means), tuple(std if std > 1e-9 else 1.0 for std in stds))

    def __call__(self, x: Tensor) -> Tensor:
        """Normalize a batch of images.

        Args:
            x: (B, C, H, W) uint8.

        Returns:
            (B, C, H, W) float32, on the device of ``x``.

        Raises:
            InvalidInput: The shape, type or number of channels is wrong; for example, the images are normalized already.
        """
        _check_images(x, "Normalize's input")
        if x.shape[1] != len(self.mean):
            raise InvalidInput(f"Normalize expects {len(self.mean)} channel(s); the images have {x.shape[1]}")
        mean, std = (torch.tensor(v, device=x.device).view(1, -1, 1, 1) for v in (self.mean, self.std))
        return x.float().div_(255).sub_(mean).div_(std)


@dataclass(frozen=True)
class CropFlip:
    """Shift each image at random by up to ``padding`` pixels, filling with zeros, and mirror half of the images.

    This is the usual augmentation of CIFAR-10. It comes before :class:`Normalize`, so zeros are black. Random numbers are drawn
    on the device of the generator: equal states of one generator give equal images on every device.

    Attributes:
        padding: Number of zeros added on each side before the image is cropped to its size.
        flip: Whether to mirror images left to right with probability 1/2; not for digits or letters, which it would change.

    Raises:
        InvalidInput: ``padding`` is negative.
    """

    padding: int
    flip: bool

    def __post_init__(self) -> None:
        if self.padding < 0:
            raise InvalidInput(f"padding must be 0 or more; got {self.padding}")

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Augment a batch of images.

        Args:
            x: (B, C, H, W) uint8.
            generator: The only source of randomness.

        Returns:
            (B, C, H, W) uint8, on the device of ``x``.

        Raises:
            InvalidInput: The shape or type is wrong.
        """
        _check_images(x, "CropFlip's input")
        (b, c, h, w), p = x.shape, self.padding
        corner = self._draw(2 * p + 1, (2, b, 1), generator).to(x.device)
        rows = corner[0] + torch.arange(h, device=x.device)  # (B, H)
        columns = corner[1] + torch.arange(w, device=x.device)  # (B, W)
        if self.flip:
            mirrored = self._draw(2, (b, 1), generator).to(x.device).bool()
            columns = torch.where(mirrored, columns.flip(1), columns)
        images = torch.arange(b, device=x.device)[:, None, None, None]
        channels = torch.arange(c, device=x.device)[:, None, None]
        padded = functional.pad(x, (p, p, p, p))  # (B, C, H + 2p, W + 2p)
        return padded[images, channels, rows[:, None, :, None], columns[:, None, None, :]]

    def _draw(self, high: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.randint(high, shape, generator=generator, device=generator.device)


def _check_images(x: Tensor, what: str) -> None:
    if x.dtype != torch.uint8 or x.ndim != 4:
        raise InvalidInput(f"{what} must be uint8 of shape (N, C, H, W); got {x.dtype} {tuple(x.shape)}")
