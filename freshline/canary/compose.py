"""The canary from its settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from prometheus_client import CollectorRegistry

from encoders.session import ImageEncoder
from freshline.canary.pictures import place_of
from freshline.canary.runner import Canary, CanaryRunner, CanarySettings, Encoders, NoCanary
from freshline.parts import encoder_of, load_encoder, opened_store
from freshline.settings import Settings
from indexer.store import Store
from stream.publisher import Publisher, PublisherSettings


@contextmanager
def opened_canary(settings: Settings, registry: CollectorRegistry, *, store: Store | None = None) -> Iterator[Canary]:
    """A canary, to be run; one that only says why there is none, if it is off.

    Args:
        settings: of everything that is not given.
        registry: where `freshline_canary_*` go.
        store: the caller's, to share; by default one of its own.

    Raises:
        CanaryError, BundleError, EncoderError: with what to do about it.
    """
    place = place_of(settings)
    if not settings.canary_interval_seconds:
        yield NoCanary(settings.alias, "FRESHLINE_CANARY_INTERVAL_SECONDS is 0")
    elif place is None:
        yield NoCanary(settings.alias, "its picture has no place: set FRESHLINE_CANARY_IMAGES or FRESHLINE_IMAGE_ROOT")
    else:
        encoders = _encoders(settings)
        publisher = Publisher(PublisherSettings(settings.kafka(), settings.topics))
        with opened_store(settings, store) as opened:
            try:
                yield CanaryRunner(
                    _canary_settings(settings),
                    store=opened,
                    encoders=encoders,
                    publisher=publisher,
                    place=place,
                    registry=registry,
                )
            finally:
                publisher.close()


def _encoders(settings: Settings) -> Encoders:
    """The settings' bundle now, so that what is wrong with it is said at once; others when a view is of their space."""
    on_cpu = settings.model_copy(update={"device": "cpu"})  # a picture a minute needs no GPU
    first = load_encoder(on_cpu, threads=1)

    @cache
    def encoder(space: str) -> ImageEncoder:
        return first if space == first.space else encoder_of(on_cpu, space, threads=1)

    return encoder


def _canary_settings(settings: Settings) -> CanarySettings:
    return CanarySettings(
        settings.alias, settings.versions, settings.canary_interval_seconds, settings.canary_deadline_seconds
    )
