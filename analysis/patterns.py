"""Attention patterns as they are stored: bytes (255 is 1.0), one zstd frame a head. No torch."""

from __future__ import annotations

import numpy as np
import zstandard

LEVEL = 9


def compress_patterns(patterns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [head, dest, src] as frames end to end, uint8 [bytes], and where each ends, int64 [head]."""
    compressor = zstandard.ZstdCompressor(level=LEVEL)
    frames = [compressor.compress(pattern.tobytes()) for pattern in patterns]
    return np.frombuffer(b"".join(frames), dtype=np.uint8), np.cumsum([len(frame) for frame in frames])


def decompress_pattern(frame: np.ndarray, *, n_tokens: int) -> np.ndarray:
    """One head's pattern, uint8 [dest, src], from its frame."""
    size = n_tokens * n_tokens
    pattern = zstandard.ZstdDecompressor().decompress(frame.tobytes(), max_output_size=size)
    return np.frombuffer(pattern, dtype=np.uint8).reshape(n_tokens, n_tokens)


def decompress_patterns(frames: np.ndarray, ends: np.ndarray, *, n_tokens: int) -> list[np.ndarray]:
    """Every head's pattern, uint8 [dest, src], from frames end to end, uint8 [bytes], that end at `ends`."""
    decompressor, data, size = zstandard.ZstdDecompressor(), frames.tobytes(), n_tokens * n_tokens
    return [
        np.frombuffer(decompressor.decompress(data[start:end], max_output_size=size), np.uint8).reshape(-1, n_tokens)
        for start, end in zip([0, *ends[:-1]], ends, strict=True)
    ]
