"""The dashboards' JSON, written to `dashboards/` beside this file: `python -m infra.grafana.export`."""

from __future__ import annotations

import json
from pathlib import Path

from infra.grafana.contents import DASHBOARDS

FOLDER = Path(__file__).parent / "dashboards"


def dashboard_files() -> dict[Path, str]:
    """The text that each file must have."""
    return {FOLDER / f"{page.uid}.json": json.dumps(page.json(), indent=2) + "\n" for page in DASHBOARDS}


def main() -> None:
    """Write them all."""
    for path, text in dashboard_files().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
