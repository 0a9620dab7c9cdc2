#!/usr/bin/env python3
"""Retort beside llama.cpp on the same file and machine: runs take turns, so that both meet the same weather.

`make bench-peers` sets up what this needs. Figures are tokens/s, medians over rounds with the whole range; the ratio is
the median of each round's own ratio.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]


def run(command: list[str], isa: str | None) -> dict:
    environment = {**os.environ, **({"RETORT_ISA": isa} if isa else {})}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def retort(args, model: Path) -> dict:
    command = [
        args.retort,
        "bench",
        str(model),
        "--json",
        "--prompt",
        str(args.prompt),
        "--generate",
        str(args.generate),
    ]
    report = run([*command, "--batch", args.batch, "--repetitions", "1", "--threads", str(args.threads)], args.isa)
    name = {"prefill": lambda r: f"prefill {r['tokens']}", "decode": lambda r: f"decode ×{r['batch']}"}
    speeds = {name[r["test"]](r): r["tokens_per_second"]["median"] for r in report["results"]}
    return {"machine": report["machine"], "load_seconds": report["model"]["load_seconds"], "tokens_per_second": speeds}


def llama_cpp(args, model: Path) -> dict:
    command = [sys.executable, str(HERE / "llama_cpp_speed.py"), str(model), "--threads", str(args.threads)]
    return run([*command, "--prompt", str(args.prompt), "--generate", str(args.generate), "--batch", args.batch], None)


def summary(values: list[float]) -> dict:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def compare(args, model: Path) -> dict:
    ours, theirs = [], []
    for i in range(args.rounds):
        print(f"{model.name}: round {i + 1} of {args.rounds}", file=sys.stderr)
        ours.append(retort(args, model))
        theirs.append(llama_cpp(args, model))
    rows = {}
    for test in ours[0]["tokens_per_second"]:
        a = [r["tokens_per_second"][test] for r in ours]
        b = [r["tokens_per_second"][test] for r in theirs]
        rows[test] = {
            "retort": summary(a),
            "llama.cpp": summary(b),
            "ratio": summary([x / y for x, y in zip(a, b, strict=True)]),
        }
    loads = {
        "retort": summary([r["load_seconds"] for r in ours]),
        "llama.cpp": summary([r["load_seconds"] for r in theirs]),
    }
    return {"model": model.name, "machine": ours[0]["machine"], "tests": rows, "load_seconds": loads}


def print_table(report: dict):
    machine = report["machine"]
    print(
        f"\n{report['model']} on {machine['cpu']}, {machine['threads']} threads, {machine['isa']}; "
        f"reads {machine['read_gbps']:.1f} GB/s, int8 {machine['int8_gops']:.0f} GOP/s"
    )
    print(f"{'':<14} {'Retort':>24} {'llama.cpp':>24} {'ratio':>20}")
    for test, row in report["tests"].items():
        cells = [f"{s['median']:8.1f} ({s['min']:.1f}–{s['max']:.1f})" for s in (row["retort"], row["llama.cpp"])]
        ratio = row["ratio"]
        print(
            f"{test:<14} {cells[0]:>24} {cells[1]:>24} {ratio['median']:8.2f} ({ratio['min']:.2f}–{ratio['max']:.2f})"
        )
    loads = report["load_seconds"]
    print(f"load           {loads['retort']['median']:22.2f} s {loads['llama.cpp']['median']:22.2f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--retort", default=str(REPO / "build/release/retort"))
    parser.add_argument("--isa", help="RETORT_ISA for Retort; the peer chooses by itself")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--generate", type=int, default=64)
    parser.add_argument("--batch", default="1,8")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args()
    reports = [compare(args, model) for model in args.models]
    for report in reports:
        print_table(report)
    if args.json:
        args.json.write_text(json.dumps(reports, indent=1) + "\n")


if __name__ == "__main__":
    main()
