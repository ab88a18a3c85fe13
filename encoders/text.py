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
        self._tokenizer = read_tokenizer(bundle)
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
        vectors: Vectors = self._session.run(None, {self._input: tokens_of(self._tokenizer, texts)})[0]
        return vectors


def fit(tokenizer: Tokenizer, context_length: int, pad_id: int) -> Tokenizer:
    """The tokenizer, padding and cutting every text to `context_length` tokens."""
    tokenizer.enable_truncation(context_length)
    tokenizer.enable_padding(length=context_length, pad_id=pad_id, pad_token=tokenizer.id_to_token(pad_id) or "[PAD]")
    return tokenizer


def tokens_of(tokenizer: Tokenizer, texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Texts as int64 (n, context_length), by a tokenizer that was fitted."""
    return np.array([encoding.ids for encoding in tokenizer.encode_batch(list(texts))], np.int64)


def read_tokenizer(bundle: Bundle) -> Tokenizer:
    """A bundle's tokenizer, fitted to its text tower.

    Raises:
        BundleError: it can't be read.
    """
    path = bundle.folder / bundle.text.tokenizer
    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # the library raises nothing finer
        raise BundleError(f"{path}: no tokenizer: {error}") from None
    return fit(tokenizer, bundle.text.context_length, bundle.text.pad_id)
