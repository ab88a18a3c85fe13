"""The JSON Schemas of what travels, written beside this file: `python -m schemas.export`."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel

from schemas.bundles import Manifest
from schemas.dead_letters import DeadLetter
from schemas.events import Event
from schemas.payloads import Payload

FOLDER = Path(__file__).parent
MODELS: dict[str, type[BaseModel]] = {
    "bundle_manifest": Manifest,
    "dead_letter": DeadLetter,
    "event": Event,
    "payload": Payload,
}


def schema_files() -> dict[Path, str]:
    """The text that each `*.schema.json` must have."""
    return {FOLDER / f"{name}.schema.json": _schema(model) for name, model in MODELS.items()}


def _schema(model: type[BaseModel]) -> str:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def main() -> None:
    """Write them all."""
    for path, text in schema_files().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
