"""A dashboard in a few words, and the JSON that Grafana wants for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

SCHEMA_VERSION = 41
"""Of Grafana 12's dashboards."""

_COLUMNS = 24
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True)
class Query:
    """PromQL, and what its lines are called; `{{label}}` stands for a label's value."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One picture; `unit` is one of Grafana's (s, reqps, percentunit, short, bytes)."""

    title: str
    unit: str
    queries: Sequence[Query]
    kind: Literal["timeseries", "stat"] = "timeseries"
    description: str = ""
    stacked: bool = False
    limit: float | None = None
    """From here on it is red."""

    @property
    def size(self) -> tuple[int, int]:
        """Width, of 24 columns, and height."""
        return (6, 4) if self.kind == "stat" else (12, 8)


@dataclass(frozen=True)
class Dashboard:
    """One page; `uid` is its address and its file's name."""

    uid: str
    title: str
    panels: Sequence[Panel]

    def json(self) -> dict[str, Any]:
        """As Grafana imports it."""
        return {
            "uid": self.uid,
            "title": self.title,
            "tags": ["freshline"],
            "schemaVersion": SCHEMA_VERSION,
            "editable": True,
            "refresh": "15s",
            "time": {"from": "now-3h", "to": "now"},
            "timezone": "browser",
            "templating": {"list": [_datasource(), _view()]},
            "annotations": {"list": []},
            "panels": list(_laid_out(self.panels)),
        }


def _laid_out(panels: Sequence[Panel]) -> Iterator[dict[str, Any]]:
    """From left to right, then downwards."""
    left = top = 0
    below = 0
    for number, panel in enumerate(panels, 1):
        width, height = panel.size
        if left + width > _COLUMNS or (left and height != below - top):
            left, top = 0, below
        yield _panel(panel, number, {"x": left, "y": top, "w": width, "h": height})
        left, below = left + width, top + height


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": place,
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": _SOURCE, "expr": query.expr, "legendFormat": query.legend}
            for index, query in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _OPTIONS[panel.kind],
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.limit is not None:
        steps.append({"color": "red", "value": panel.limit})
    custom = {
        "fillOpacity": 20 if panel.stacked else 0,
        "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "off" if panel.limit is None else "line"},
    }
    return {
        "unit": panel.unit,
        "min": 0,
        "thresholds": {"mode": "absolute", "steps": steps},
        "custom": custom if panel.kind == "timeseries" else {},
    }


_OPTIONS: dict[str, dict[str, Any]] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "colorMode": "value",
        "graphMode": "area",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    },
}


def _datasource() -> dict[str, Any]:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _view() -> dict[str, Any]:
    return {
        "name": "view",
        "label": "View",
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": "label_values(freshline_view_serving, view)", "refId": "view"},
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }
