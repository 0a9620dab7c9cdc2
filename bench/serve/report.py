"""Figures of timings, as a table, JSON and a plot."""

import math

from client import Timing


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least this share (> 0) of all do not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1] if values else float("nan")


def spread(values: list[float]) -> dict:
    return {
        "p50": percentile(values, 0.5),
        "p95": percentile(values, 0.95),
        "p99": percentile(values, 0.99),
        "max": max(values, default=float("nan")),
    }


def summary(timings: list[Timing]) -> dict:
    good = [t for t in timings if not t.error]
    seconds = max((t.end for t in timings), default=0) - min((t.start for t in timings), default=0)
    tokens = sum(t.completion_tokens for t in good)
    return {
        "requests": len(timings),
        "failed": len(timings) - len(good),
        "errors": sorted({t.error for t in timings if t.error})[:5],
        "seconds": seconds,
        "prompt_tokens": sum(t.prompt_tokens for t in good),
        "cached_tokens": sum(t.cached_tokens for t in good),
        "completion_tokens": tokens,
        "tokens_per_second": tokens / seconds if seconds else 0,
        "ttft_seconds": spread([t.first_token for t in good]),
        "gap_seconds": spread([gap for t in good for gap in t.gaps]),
        "e2e_seconds": spread([t.end - t.start for t in good]),
    }


def print_row(name: str, s: dict):
    ttft, gap = s["ttft_seconds"], s["gap_seconds"]
    print(
        f"{name:<44} {s['requests']:>5} {s['failed']:>6} {s['prompt_tokens']:>8} {s['tokens_per_second']:>8.1f}"
        f" {ttft['p50']:>8.2f} {ttft['p95']:>8.2f} {gap['p50']:>8.3f} {gap['p99']:>8.3f} {gap['max']:>8.3f}"
    )
    for error in s["errors"]:
        print(f"    {error}")


def print_header():
    print(
        f"{'':<44} {'asked':>5} {'failed':>6} {'prompt':>8} {'tok/s':>8} {'first token s':>17} {'gap between tokens s':>26}"
    )
    print(f"{'':<44} {'':>5} {'':>6} {'tokens':>8} {'':>8} {'p50':>8} {'p95':>8} {'p50':>8} {'p99':>8} {'max':>8}")


def print_cpu(before: dict[str, float], after: dict[str, float]):
    used = {name: seconds - before.get(name, 0) for name, seconds in after.items()}
    whole = sum(used.values())
    for name, seconds in sorted(used.items(), key=lambda item: -item[1]):
        print(f"    {name:<16} {seconds:>8.2f} s of CPU time, {100 * seconds / whole:>6.2f} %")


def plot(results: dict[str, dict[str, list[Timing]]], path: str):
    """Shares of requests by time to first token, and of gaps by length; one line a server and part."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(12, 5))
    pick = [("seconds to the first token", lambda t: [t.first_token]), ("seconds between tokens", lambda t: t.gaps)]
    for axis, (title, values_of) in zip(axes, pick, strict=True):
        for server, parts in results.items():
            for part, timings in parts.items():
                values = sorted(v for t in timings if not t.error for v in values_of(t))
                if values:
                    axis.step(
                        values, [(i + 1) / len(values) for i in range(len(values))], label=f"{server} {part}".strip()
                    )
        axis.set(xscale="log", xlabel=title, ylabel="share", ylim=(0, 1))
        axis.legend(fontsize="small")
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
