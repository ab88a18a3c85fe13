"""What is on this machine: the bundle, the device, the folder of pictures."""

from __future__ import annotations

import os

from encoders.bundle import BundleError
from encoders.session import EncoderError, ImageEncoder
from freshline.doctor.findings import Finding, failed, ok, skipped
from freshline.doctor.site import Site


def bundle(site: Site) -> Finding:
    """Every file of the bundle has the digest that its manifest gives."""
    try:
        manifest = site.bundle.manifest
    except BundleError as error:
        return failed(str(error), "copy or export the bundle again, or let FRESHLINE_BUNDLE name another")
    return ok(f"{manifest.name} {manifest.revision}, space {manifest.space}, {manifest.dimension} floats")


def device(site: Site) -> Finding:
    """The model runs where it was asked to; ONNX Runtime by itself falls back to the CPU without a word."""
    wanted = site.settings.device
    try:
        encoder = ImageEncoder(site.bundle, device=wanted)
    except (EncoderError, BundleError) as error:
        return failed(str(error), "mend the driver or the packages that this names, or set FRESHLINE_DEVICE=cpu")
    return ok(f"{wanted}, variant {encoder.variant}")


def image_root(site: Site) -> Finding:
    """The folder of file:/// pictures can be read."""
    root = site.settings.image_root
    if root is None:
        return skipped("FRESHLINE_IMAGE_ROOT is not set: file:/// pictures are refused")
    if not root.is_dir():
        return failed(f"{root} is no folder", "mount it, or set FRESHLINE_IMAGE_ROOT to one that is there")
    if not os.access(root, os.R_OK | os.X_OK):
        return failed(f"{root} can't be read", "let this user read and enter it")
    return ok(str(root))
