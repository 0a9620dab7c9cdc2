#!/usr/bin/env python3
"""Writes retort.json, the dashboard, from the list of its panels: make_dashboard.py > retort.json"""

import json

MODEL = 'model_name=~"$model",instance=~"$instance"'
INSTANCE = 'instance=~"$instance"'


def quantile(q: float, name: str, labels: str = MODEL) -> tuple[str, str]:
    return (
        f"p{round(q * 100)}",
        f"histogram_quantile({q}, sum by (le) (rate({name}_bucket{{{labels}}}[$__rate_interval])))",
    )


def quantiles(name: str, labels: str = MODEL) -> list[tuple[str, str]]:
    return [quantile(q, name, labels) for q in (0.5, 0.95, 0.99)]


def rate(name: str, labels: str = MODEL, by: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} (rate({name}{{{labels}}}[$__rate_interval]))"


ROWS = {
    "Now": [
        (
            "Running and waiting",
            "short",
            [
                ("running", f"sum(vllm:num_requests_running{{{MODEL}}})"),
                ("waiting", f"sum(vllm:num_requests_waiting{{{MODEL}}})"),
            ],
        ),
        ("KV cache in use", "percentunit", [("in use", f"max(vllm:kv_cache_usage_perc{{{MODEL}}})")]),
        ("Memory of the limit in use", "percent", [("in use", f"max(deepseek_gpu_memory_percent{{{INSTANCE}}})")]),
        ("Degraded", "bool_yes_no", [("{{cause}}", f"max by (cause) (retort_degraded{{{INSTANCE}}})")]),
    ],
    "Speed": [
        (
            "Tokens a second",
            "short",
            [
                ("generated", rate("vllm:generation_tokens_total")),
                ("prompt", rate("vllm:prompt_tokens_total")),
                ("prompt, from the cache", rate("vllm:prompt_tokens_cached_total")),
            ],
        ),
        ("Time to the first token", "s", quantiles("vllm:time_to_first_token_seconds")),
        ("Time between tokens", "s", quantiles("vllm:inter_token_latency_seconds")),
        ("Whole request", "s", quantiles("vllm:e2e_request_latency_seconds")),
        (
            "Where a request's time goes (mean)",
            "s",
            [
                (
                    part,
                    f"{rate(f'vllm:request_{part}_time_seconds_sum')} / {rate(f'vllm:request_{part}_time_seconds_count')}",
                )
                for part in ("queue", "prefill", "decode")
            ],
        ),
        ("Time in the queue", "s", quantiles("vllm:request_queue_time_seconds")),
    ],
    "Requests": [
        (
            "Requests a second by end",
            "reqps",
            [
                ("{{finished_reason}}", rate("vllm:request_success_total", by="finished_reason")),
            ],
        ),
        ("Answers a second by status", "reqps", [("{{status}}", rate("http_requests_total", INSTANCE, "status"))]),
        ("Sent away a second", "reqps", [("{{reason}}", rate("vllm:admission_rejections_total", by="reason"))]),
        ("API calls for text", "reqps", [("calls", rate("deepseek_requests_total", INSTANCE))]),
        ("Prompt tokens", "short", quantiles("vllm:request_prompt_tokens")),
        ("Generated tokens", "short", quantiles("vllm:request_generation_tokens")),
    ],
    "Engine": [
        ("Time of a step", "s", quantiles("retort_step_seconds", INSTANCE)),
        (
            "Tokens in a step (mean)",
            "short",
            [
                ("tokens", f"{rate('vllm:iteration_tokens_total_sum')} / {rate('vllm:iteration_tokens_total_count')}"),
            ],
        ),
        (
            "Prefix cache: share found",
            "percentunit",
            [
                ("found", f"{rate('vllm:prefix_cache_hits_total')} / {rate('vllm:prefix_cache_queries_total')}"),
            ],
        ),
        (
            "Guessed tokens: share right",
            "percentunit",
            [
                (
                    "right",
                    rate("vllm:spec_decode_num_accepted_tokens_total")
                    + " / "
                    + rate("vllm:spec_decode_num_draft_tokens_total"),
                ),
            ],
        ),
        ("Preemptions a second", "short", [("preemptions", rate("vllm:num_preemptions_total"))]),
    ],
    "Process": [
        ("CPU cores in use", "short", [("cores", rate("process_cpu_seconds_total", INSTANCE))]),
        ("Memory", "bytes", [("resident", f"sum(process_resident_memory_bytes{{{INSTANCE}}})")]),
        ("Open files", "short", [("open", f"sum(process_open_fds{{{INSTANCE}}})")]),
    ],
}


def panel(panel_id: int, title: str, unit: str, queries: list[tuple[str, str]], x: int, y: int) -> dict:
    return {
        "id": panel_id,
        "type": "timeseries",
        "title": title,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "gridPos": {"x": x, "y": y, "w": 8, "h": 7},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + i), "expr": expression, "legendFormat": legend}
            for i, (legend, expression) in enumerate(queries)
        ],
    }


def panels() -> list[dict]:
    result, y = [], 0
    for row, contents in ROWS.items():
        result.append(
            {
                "id": len(result) + 1,
                "type": "row",
                "title": row,
                "collapsed": False,
                "panels": [],
                "gridPos": {"x": 0, "y": y, "w": 24, "h": 1},
            }
        )
        y += 1
        for i, (title, unit, queries) in enumerate(contents):
            result.append(panel(len(result) + 1, title, unit, queries, 8 * (i % 3), y + 7 * (i // 3)))
        y += 7 * ((len(contents) + 2) // 3)
    return result


def variable(name: str, label: str) -> dict:
    return {
        "name": name,
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "query": f"label_values(vllm:num_requests_running, {label})",
        "definition": f"label_values(vllm:num_requests_running, {label})",
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


DASHBOARD = {
    "uid": "retort",
    "title": "Retort",
    "tags": ["retort", "llm"],
    "schemaVersion": 39,
    "editable": True,
    "refresh": "10s",
    "time": {"from": "now-1h", "to": "now"},
    "templating": {
        "list": [
            {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"},
            variable("instance", "instance"),
            variable("model", "model_name"),
        ]
    },
    "panels": panels(),
}

print(json.dumps(DASHBOARD, indent=1))
