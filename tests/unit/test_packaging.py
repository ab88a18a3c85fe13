"""What `pip install freshline` brings: a light core, and every file that the code opens."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
HEAVY = {"numpy", "torch", "onnxruntime", "qdrant_client", "faust", "aiohttp", "fastapi", "PIL", "prometheus_client"}


def _modules_after(code: str) -> set[str]:
    printed = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in printed.stdout.split()}


def test_the_public_api_and_the_command_line_load_nothing_of_the_extras() -> None:
    assert not HEAVY & _modules_after("import freshline")
    assert not HEAVY & _modules_after("import freshline.cli")


def test_the_wheel_holds_the_shipped_bundle_and_the_schemas(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, REPOSITORY],
        check=True,
        capture_output=True,
    )
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())

    shipped = ("bundle.json", "image.fp32.onnx", "text.fp32.onnx", "tokenizer.json", "MODEL_CARD.md")
    assert {f"encoders/shipped/{name}" for name in shipped} <= names
    assert {"schemas/event.schema.json", "freshline/py.typed"} <= names
    assert {
        "infra/prometheus/alerts.yml",
        "infra/prometheus/recording.yml",
        "infra/alertmanager/alertmanager.yml",
    } <= names
    assert not [name for name in names if name.startswith("tests/")]
