"""A bundle is a folder that holds a model and how to prepare its pictures; nothing of it is believed unchecked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from schemas.bundles import Manifest, Parity, Resize, Text, TextParity, Variant

MANIFEST = "bundle.json"
_TEXT_MODEL, _TOKENIZER = "text.fp32.onnx", "tokenizer.json"
SHIPPED = Path(__file__).parent / "shipped"
"""The small bundle that comes with the package."""


class BundleError(ValueError):
    """A bundle that is missing, damaged, or not what its manifest says; the message names the file or the field."""


@dataclass(frozen=True)
class Bundle:
    """A verified bundle: its folder, and the manifest that the files were found to match."""

    folder: Path
    manifest: Manifest

    def image_path(self, variant: Variant) -> Path:
        """The image tower's ONNX file.

        Raises:
            BundleError: the bundle has no such variant.
        """
        if variant not in self.manifest.image:
            raise BundleError(f"{self.folder}: no variant {variant!r}, only {', '.join(self.manifest.image)}")
        return self.folder / self.manifest.image[variant]

    @property
    def text(self) -> Text:
        """The text tower.

        Raises:
            BundleError: the bundle has none.
        """
        if self.manifest.text is None:
            raise BundleError(f"{self.folder}: {self.manifest.name} has no text tower: it can't search by words")
        return self.manifest.text


@dataclass(frozen=True)
class TextFiles:
    """A text tower to be written: its ONNX file, and its tokenizer as JSON.

    The model takes int64 tokens (n, context_length), padded with `pad_id`, to float32 (n, dimension), norm 1.
    """

    model: bytes
    tokenizer: str
    context_length: int
    pad_id: int
    parity: TextParity | None = None

    @property
    def files(self) -> dict[str, bytes]:
        """File names and what is in them."""
        return {_TEXT_MODEL: self.model, _TOKENIZER: self.tokenizer.encode()}

    @property
    def entry(self) -> Text:
        """The manifest's field `text`."""
        return Text(
            file=_TEXT_MODEL,
            tokenizer=_TOKENIZER,
            context_length=self.context_length,
            pad_id=self.pad_id,
            parity=self.parity,
        )


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle and check all of it: the manifest's fields, each file's SHA-256, and the space.

    Raises:
        BundleError: naming the file and the digest, or the field, that is missing or wrong.
    """
    manifest = read_manifest(folder)
    for name, digest in manifest.files.items():
        found = _digest(_read(folder / name))
        if found != digest:
            raise BundleError(f"{folder / name}: has {found}, but {MANIFEST} says {digest}")
    if manifest.space != (space := _space(manifest.model_dump(mode="json"))):
        raise BundleError(f"{folder / MANIFEST}: space: is {manifest.space}, but its other fields give {space}")
    return Bundle(folder, manifest)


def read_manifest(folder: Path) -> Manifest:
    """What a bundle says of itself, unchecked but for its form.

    Raises:
        BundleError: naming the file, or the field that is missing or wrong.
    """
    path = folder / MANIFEST
    try:
        return _valid(path, json.loads(_read(path)))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise BundleError(f"{path}: no JSON: {error}") from None


def write_bundle(
    folder: Path,
    *,
    name: str,
    revision: str,
    dimension: int,
    input_size: int,
    resize: Resize,
    image: Mapping[Variant, bytes],
    parity: Mapping[Variant, Parity] | None = None,
    text: TextFiles | None = None,
    reference: str | None = None,
) -> Bundle:
    """Write `image.<variant>.onnx` for each variant and the text tower, then `bundle.json` with digests and space.

    Args:
        folder: made if need be; files of the same names are replaced.
        name: of the model.
        revision: of the model.
        dimension: floats in a vector.
        input_size: height and width of the input in pixels.
        resize: how a picture is brought to them.
        image: each variant's ONNX file: uint8 (n, input_size, input_size, 3) to float32 (n, dimension), norm 1.
        parity: each variant's measured distance from the original model.
        text: the text tower in the same space, if the model has one.
        reference: the digest of the tower that defines the space, for a bundle whose variants are proven to share it;
            by default that of its own fp32 variant, or else of its first.

    Raises:
        BundleError: a field that the manifest does not allow.
    """
    names: dict[Variant, str] = {variant: f"image.{variant}.onnx" for variant in image}
    contents = {names[variant]: content for variant, content in image.items()} | (text.files if text else {})
    digests = {file: _digest(content) for file, content in contents.items()}
    own = digests.get("image.fp32.onnx") or next(iter(digests.values()), None)
    fields: dict[str, object]
    fields = {"name": name, "revision": revision, "dimension": dimension, "input_size": input_size, "resize": resize}
    fields |= {"distance": "cosine", "image": names, "files": digests, "parity": parity or {}}
    fields |= {"reference": reference or own}
    try:
        fields["text"] = text and text.entry
    except ValidationError as error:
        raise _wrong(folder / MANIFEST, error, "text.") from None
    bundle = Bundle(folder, _valid(folder / MANIFEST, {**fields, "space": _space(fields)}))
    _save(bundle, contents)
    return bundle


def _save(bundle: Bundle, contents: Mapping[str, bytes]) -> None:
    bundle.folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (bundle.folder / name).write_bytes(content)
    manifest = bundle.manifest.model_dump_json(indent=2) + "\n"
    (bundle.folder / MANIFEST).write_text(manifest, encoding="utf-8")


def _space(fields: Mapping[str, object]) -> str:
    """12 hexadecimal digits that change with anything that moves a vector."""
    kept = ("name", "revision", "reference", "dimension", "input_size", "resize", "distance")
    text = json.dumps({key: fields[key] for key in kept}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _valid(path: Path, fields: object) -> Manifest:
    try:
        return Manifest.model_validate(fields)
    except ValidationError as error:
        raise _wrong(path, error) from None


def _wrong(path: Path, error: ValidationError, inside: str = "") -> BundleError:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    problems = [f"{inside}{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in details]
    return BundleError(f"{path}: {'; '.join(problems)}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror or error}") from None


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
