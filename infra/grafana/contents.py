"""What each dashboard shows."""

from __future__ import annotations

from infra.grafana.panels import Dashboard, Panel, Query

PROMISE = 3600.0
GOAL = 10.0


def _quantiles(metric: str, labels: str, by: str = "le") -> list[Query]:
    return [
        Query(f"histogram_quantile({quantile}, sum by ({by}) (rate({metric}_bucket{{{labels}}}[5m])))", name)
        for quantile, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    ]


def _worst(metric: str, labels: str, label: str, quantile: float = 0.95) -> list[Query]:
    by = f"le, {label}"
    expr = f"histogram_quantile({quantile}, sum by ({by}) (rate({metric}_bucket{{{labels}}}[5m])))"
    return [Query(expr, f"{{{{{label}}}}}")]


FRESHNESS = Dashboard(
    "freshline-freshness",
    "Freshline: freshness",
    [
        Panel(
            "Oldest pending event",
            "s",
            [Query('max(view_lane:freshline_oldest_pending_seconds:max{view=~"$view"})')],
            kind="stat",
            limit=PROMISE,
            description="In the serving view, seen from outside: it grows although every worker is dead.",
        ),
        Panel(
            "Budget of the promise used, 30 days",
            "percentunit",
            [
                Query(
                    'max(avg_over_time(freshline:bad{slo="promise", view=~"$view"}[30d])'
                    ' / avg_over_time(freshline:all{slo="promise", view=~"$view"}[30d])) / 0.001'
                )
            ],
            kind="stat",
            limit=1,
        ),
        Panel(
            "Canary's last success",
            "s",
            [Query('time() - min(freshline_canary_last_success_timestamp_seconds{view=~"$view"})')],
            kind="stat",
            limit=300,
            description="Seconds ago.",
        ),
        Panel(
            "Monitor's last success",
            "s",
            [Query("time() - max(freshline_monitor_last_success_timestamp_seconds)")],
            kind="stat",
            limit=120,
            description="Seconds ago. If this is red, believe nothing that comes from the monitor.",
        ),
        Panel(
            "Freshness of live events",
            "s",
            _quantiles("freshline_freshness_seconds", 'lane="live", view=~"$view"'),
            limit=GOAL,
            description="From occurred_at to readable, as workers count it.",
        ),
        Panel(
            "Oldest pending event by lane",
            "s",
            [Query('max by (view, lane) (freshline_oldest_pending_seconds{view=~"$view"})', "{{view}} {{lane}}")],
        ),
        Panel(
            "Burn of the promise",
            "short",
            [
                Query(f'slo_view:freshline_burn:{window}{{slo="promise", view=~"$view"}}', f"{{{{view}}}} {window}")
                for window in ("5m", "1h", "6h", "3d")
            ],
            limit=14.4,
            description="1 uses the month's budget in a month; docs/slo.md.",
        ),
        Panel(
            "Burn of the goal",
            "short",
            [
                Query(f'slo_view:freshline_burn:{window}{{slo="goal", view=~"$view"}}', f"{{{{view}}}} {window}")
                for window in ("5m", "1h", "6h", "3d")
            ],
            limit=14.4,
        ),
        Panel(
            "Where the time goes",
            "s",
            [
                Query(
                    'sum by (part) (rate(freshline_freshness_part_seconds_sum{lane="live"}[5m]))'
                    " / ignoring (part) group_left ()"
                    ' sum(rate(freshline_freshness_seconds_count{lane="live"}[5m]))',
                    "{{part}}",
                )
            ],
            stacked=True,
            description="Mean seconds of an event in each part; together its freshness.",
        ),
        Panel(
            "Events that missed the hour",
            "reqps",
            [
                Query(
                    'sum by (view, why) (rate(freshline_freshness_missed_total{view=~"$view"}[5m]))', "{{view}} {{why}}"
                )
            ],
            stacked=True,
        ),
        Panel("Canary, p95 of each step", "s", _worst("freshline_canary_seconds", 'view=~"$view"', "step")),
        Panel(
            "Canary's failures",
            "short",
            [
                Query(
                    'sum by (view, step) (increase(freshline_canary_failures_total{view=~"$view"}[10m]))',
                    "{{view}} {{step}}",
                )
            ],
        ),
    ],
)

PIPELINE = Dashboard(
    "freshline-pipeline",
    "Freshline: pipeline",
    [
        Panel(
            "Events to go",
            "short",
            [Query('sum by (view, lane) (freshline_consumer_lag_events{view=~"$view"})', "{{view}} {{lane}}")],
            description="Offsets: on a compacted topic fewer records may be behind them.",
        ),
        Panel(
            "Time until caught up",
            "s",
            [Query('max by (view, lane) (freshline_catch_up_seconds{view=~"$view"})', "{{view}} {{lane}}")],
        ),
        Panel(
            "Events come and are committed",
            "reqps",
            [
                Query('sum by (view, lane) (rate(freshline_arrival_events_total{view=~"$view"}[5m]))', "{{lane}} come"),
                Query(
                    'sum by (view, lane) (rate(freshline_committed_events_total{view=~"$view"}[5m]))',
                    "{{lane}} committed",
                ),
            ],
        ),
        Panel(
            "Events by what became of them",
            "reqps",
            [Query("sum by (lane, outcome) (rate(freshline_events_total[5m]))", "{{lane}} {{outcome}}")],
            stacked=True,
        ),
        Panel("Stages, p95", "s", _worst("freshline_stage_seconds", "", "stage")),
        Panel(
            "Encoder batches: how full",
            "percentunit",
            [
                Query(
                    "rate(freshline_batch_fill_ratio_sum[5m]) / rate(freshline_batch_fill_ratio_count[5m])",
                    "{{instance}}",
                )
            ],
        ),
        Panel("Events in flight", "short", [Query("freshline_in_flight_events", "{{instance}}")]),
        Panel(
            "Waiting for a part that is away",
            "short",
            [Query("max by (part) (freshline_holding)", "{{part}}"), Query("max(freshline_stuck)", "stuck")],
        ),
        Panel(
            "Workers",
            "short",
            [Query('max by (view, lane) (freshline_group_members{view=~"$view"})', "{{view}} {{lane}}")],
        ),
        Panel(
            "Restarts in 30 minutes",
            "short",
            [Query('changes(process_start_time_seconds{job=~"freshline.*"}[30m])', "{{job}} {{instance}}")],
        ),
        Panel(
            "Records given up on",
            "reqps",
            [Query("sum by (reason) (rate(freshline_dead_letters_total[5m]))", "{{reason}}")],
            stacked=True,
        ),
        Panel(
            "Dead letters that wait",
            "short",
            [Query("max by (reason) (freshline_dead_letters_waiting)", "{{reason}}")],
            stacked=True,
        ),
        Panel(
            "Until retention reaches what is pending",
            "s",
            [
                Query(
                    'min by (view, lane) (freshline_retention_margin_seconds{view=~"$view"}) < +Inf',
                    "{{view}} {{lane}}",
                )
            ],
        ),
        Panel(
            "Memory",
            "bytes",
            [Query('process_resident_memory_bytes{job=~"freshline.*"}', "{{job}} {{instance}}")],
        ),
    ],
)

SEARCH = Dashboard(
    "freshline-search",
    "Freshline: search",
    [
        Panel("Searches", "reqps", [Query('sum(rate(freshline_search_seconds_count{stage="total"}[5m]))', "searches")]),
        Panel("Time of a search", "s", _quantiles("freshline_search_seconds", 'stage="total"'), limit=0.5),
        Panel("Stages, p95", "s", _worst("freshline_search_seconds", 'stage!="total"', "stage")),
        Panel(
            "Encoder batches: how full",
            "percentunit",
            [
                Query(
                    "rate(freshline_search_batch_fill_ratio_sum[5m])"
                    " / rate(freshline_search_batch_fill_ratio_count[5m])",
                    "{{instance}}",
                )
            ],
        ),
        Panel(
            "Points in the view", "short", [Query('max by (view) (freshline_view_points{view=~"$view"})', "{{view}}")]
        ),
        Panel("Serving", "short", [Query('max by (view) (freshline_view_serving{view=~"$view"})', "{{view}}")]),
    ],
)

DASHBOARDS = (FRESHNESS, PIPELINE, SEARCH)
