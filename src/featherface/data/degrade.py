"""What cameras, networks and time do to pictures: colour, blur, resampling, noise, JPEG."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter


def recolour(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Random brightness, contrast, gamma, saturation, channel gain; sometimes grey."""
    gain = rng.uniform(0.7, 1.3) * rng.uniform(0.92, 1.08, 3)
    gamma = np.exp(rng.uniform(-0.3, 0.3))
    contrast = rng.uniform(0.7, 1.3)
    levels = (np.arange(256) / 255.0) ** gamma
    levels = (levels - 0.5) * contrast + 0.5
    table = np.clip(np.outer(gain, levels) * 255.0, 0, 255).astype(np.uint8)
    image = image.point(table.reshape(-1).tolist())
    if rng.random() < 0.08:
        return image.convert("L").convert("RGB")
    if rng.random() < 0.5:
        return ImageEnhance.Color(image).enhance(rng.uniform(0.3, 1.7))
    return image


def degrade(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """One of four kinds of damage, of random strength."""
    kind = rng.integers(4)
    if kind == 0:
        return image.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.6)))
    if kind == 1:
        size = image.size
        factor = rng.uniform(0.4, 0.9)
        small = (max(round(size[0] * factor), 1), max(round(size[1] * factor), 1))
        return image.resize(small, Image.Resampling.BOX).resize(size, Image.Resampling.BILINEAR)
    if kind == 2:
        noise = rng.normal(0, rng.uniform(3, 16), (image.height, image.width, 1))
        return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=int(rng.integers(25, 75)))
    return Image.open(packed).convert("RGB")
