"""The last hours, thinned out: of each short while the worst moment."""

from __future__ import annotations

from collections import deque

from stream.monitor.state import Sample

SPAN_SECONDS = 6 * 3600
MOST = 500


class History:
    """At most `most` samples over `span_seconds`, in bounded memory."""

    def __init__(self, span_seconds: float = SPAN_SECONDS, most: int = MOST) -> None:
        self._slot_ms = round(span_seconds * 1000 / most)
        self._samples: deque[Sample] = deque(maxlen=most)

    def add(self, sample: Sample) -> None:
        """Keep it, unless its while has seen worse."""
        last = self._samples[-1] if self._samples else None
        if last is None or last.at_ms // self._slot_ms != sample.at_ms // self._slot_ms:
            self._samples.append(sample)
        elif sample.oldest_pending_seconds >= last.oldest_pending_seconds:
            self._samples[-1] = sample

    def samples(self, now_ms: int) -> list[Sample]:
        """Oldest first; none that is older than the span."""
        oldest = now_ms - self._slot_ms * (self._samples.maxlen or 0)
        return [sample for sample in list(self._samples) if sample.at_ms >= oldest]
