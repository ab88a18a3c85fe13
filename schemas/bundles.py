"""`bundle.json`: what a model is, and what its files must be."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
# A plain name: a manifest can't point out of its own folder.
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
Variant = Literal["fp32", "fp16", "int8"]
Resize = Literal["crop", "pad", "squash"]


class Parity(BaseModel):
    """How far a variant's vectors are from the original model's, as cosines over `images` pictures."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    images: Annotated[int, Field(ge=1)]
    mean_cosine: Annotated[float, Field(ge=-1, le=1)]
    min_cosine: Annotated[float, Field(ge=-1, le=1)]
    recall_at_1: Annotated[
        float | None,
        Field(ge=0, le=1, description="share of the pictures that a cropped and darkened view of them finds first"),
    ] = None
    recall_change: Annotated[
        float | None, Field(ge=-1, le=1, description="this variant's recall_at_1 less that of fp32")
    ] = None


class TextParity(BaseModel):
    """How far the text tower's vectors are from the original model's, as cosines over `texts` texts."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    texts: Annotated[int, Field(ge=1)]
    mean_cosine: Annotated[float, Field(ge=-1, le=1)]
    min_cosine: Annotated[float, Field(ge=-1, le=1)]


class Text(BaseModel):
    """The tower that takes words into the pictures' space, and how words become the numbers that it reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: FileName
    tokenizer: Annotated[FileName, Field(description="tokenizer.json of the library tokenizers")]
    context_length: Annotated[int, Field(ge=1, le=4096, description="tokens; more are cut off")]
    pad_id: Annotated[int, Field(ge=0, description="the token that fills up what is shorter")]
    parity: TextParity | None = None


class Manifest(BaseModel):
    """A bundle's manifest.

    `space` names the vector space: variants share it once their parity is proven, collections carry it in their name,
    and a query is refused unless its bundle is of the collection's space. It is computed from `reference` and from
    everything else that moves a vector.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    revision: Annotated[str, Field(min_length=1, max_length=64)]
    space: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    reference: Annotated[Digest, Field(description="of the image tower that defines the space, here or elsewhere")]
    dimension: Annotated[int, Field(ge=1, le=65536)]
    input_size: Annotated[int, Field(ge=8, le=2048, description="height and width in pixels")]
    resize: Resize
    distance: Literal["cosine"] = "cosine"
    image: Annotated[dict[Variant, FileName], Field(min_length=1, description="variant to file name")]
    files: Annotated[dict[FileName, Digest], Field(min_length=1, description="file name to SHA-256 of its bytes")]
    parity: dict[Variant, Parity] = {}
    text: Annotated[Text | None, Field(description="absent from a model of pictures alone")] = None

    @model_validator(mode="after")
    def _variants_have_files(self) -> Self:
        for variant, name in self.image.items():
            if name not in self.files:
                raise ValueError(f"image.{variant}: {name} has no digest in files")
        for variant in self.parity:
            if variant not in self.image:
                raise ValueError(f"parity.{variant}: the bundle has no such variant")
        return self

    @model_validator(mode="after")
    def _text_has_files(self) -> Self:
        if self.text is None:
            return self
        for field, name in (("file", self.text.file), ("tokenizer", self.text.tokenizer)):
            if name not in self.files:
                raise ValueError(f"text.{field}: {name} has no digest in files")
        return self
