"""The text tower at work: words to vectors in the pictures' space."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from encoders.bundle import Bundle, BundleError
from encoders.runtime import EncoderError, Vectors, available_cores, check_vectors, onnxruntime_errors, open_session

_AT_ONCE = 64


class TextEncoder:
    """Words to vectors, in the space of one bundle. Safe to call from many threads. Runs on the CPU: a query is short.

    Args:
        bundle: a verified bundle with a text tower.
        threads: of the CPU, by default as many as this process may use.

    Raises:
        BundleError: the bundle has no text tower, or its tokenizer can't be read.
        EncoderError: warming up gave vectors that are not those of the manifest.
    """

    def __init__(self, bundle: Bundle, *, threads: int | None = None) -> None:
        self.bundle = bundle
        self._path = bundle.folder / bundle.text.file
        self._tokenizer = Words(bundle)
        self._session = open_session(self._path, "cpu", threads or available_cores())
        self._input = self._session.get_inputs()[0].name
        try:
            check_vectors(self.encode(["red shoe"]), (1, self.dimension), self._path)
        except onnxruntime_errors() as error:
            raise EncoderError(f"{self._path}: {error}") from error

    @property
    def dimension(self) -> int:
        """Floats in a vector."""
        return self.bundle.manifest.dimension

    @property
    def space(self) -> str:
        """The vector space, that of the bundle's pictures."""
        return self.bundle.manifest.space

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Encode any number of texts.

        Returns:
            float32 (n, dimension), each row of norm 1.
        """
        parts = [self._run(texts[start : start + _AT_ONCE]) for start in range(0, len(texts), _AT_ONCE)]
        return np.concatenate(parts) if parts else np.empty((0, self.dimension), np.float32)

    def _run(self, texts: Sequence[str]) -> Vectors:
        vectors: Vectors = self._session.run(None, {self._input: self._tokenizer.tokens(texts)})[0]
        return vectors


class Words:
    """A bundle's tokenizer, padding and cutting to the length that its text tower takes.

    Raises:
        BundleError: it can't be read.
    """

    def __init__(self, bundle: Bundle) -> None:
        text = bundle.text
        path = bundle.folder / text.tokenizer
        try:
            self._tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except Exception as error:  # the library raises nothing finer
            raise BundleError(f"{path}: no tokenizer: {error}") from None
        self._tokenizer.enable_truncation(text.context_length)
        self._tokenizer.enable_padding(length=text.context_length, pad_id=text.pad_id)

    def tokens(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """Texts as int64 (n, context_length)."""
        found = self._tokenizer.encode_batch(list(texts))
        return np.array([encoding.ids for encoding in found], np.int64)
