"""Token rows of any lengths, as two flat arrays."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from typing import Self

import numpy as np


@dataclasses.dataclass(frozen=True)
class Rows:
    """Token rows laid end to end, with where each comes from."""

    tokens: np.ndarray  # int32 [all tokens]
    starts: np.ndarray  # int64 [rows + 1]; row i is tokens[starts[i]:starts[i + 1]]
    titles: tuple[str, ...]  # of each document
    documents: np.ndarray  # int32 [rows], into titles
    offsets: np.ndarray  # int32 [rows], of the row's first token in its document, BOS apart

    @classmethod
    def of(
        cls, rows: Sequence[Sequence[int]], *, titles: Sequence[str], documents: Sequence[int], offsets: Sequence[int]
    ) -> Self:
        return cls(
            tokens=np.fromiter((token for row in rows for token in row), dtype=np.int32),
            starts=np.cumsum([0, *map(len, rows)], dtype=np.int64),
            titles=tuple(titles),
            documents=np.asarray(documents, dtype=np.int32),
            offsets=np.asarray(offsets, dtype=np.int32),
        )

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        return self.tokens[self.starts[index] : self.starts[index + 1]]

    def title(self, index: int) -> str:
        """What a person calls the row: its document, and which tokens of it if it is a part."""
        title = self.titles[self.documents[index]]
        parts = int((self.documents == self.documents[index]).sum())
        if parts == 1:
            return title
        first = int(self.offsets[index])
        return f"{title}, tokens {first}–{first + len(self[index]) - 2}"

    @property
    def hash(self) -> str:
        """sha256 (hex) of the tokens and of where rows begin."""
        digest = hashlib.sha256(self.starts.astype("<i8").tobytes())
        digest.update(self.tokens.astype("<i4").tobytes())
        return digest.hexdigest()

    def batches(self, indices: range, *, size: int) -> Iterator[range]:
        """`indices` cut into runs of at most `size` rows of one length, in order: no row is ever padded."""
        start = indices.start
        while start < indices.stop:
            stop = start + 1
            while stop < indices.stop and stop - start < size and len(self[stop]) == len(self[start]):
                stop += 1
            yield range(start, stop)
            start = stop
