#!/usr/bin/env python3
"""Retort beside its peers on the same file and machine: runs take turns, so that all meet the same weather.

`make bench-peers` sets up what this needs. Figures are tokens/s, medians over rounds with the whole range; a ratio is
the median of each round's own ratio of Retort to the peer.
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
sys.path.insert(0, str(REPO / "bench"))
from arguments import existing_file, file_to_write, positive  # noqa: E402


def run(command: list[str], isa: str | None) -> dict:
    environment = {**os.environ, **({"RETORT_ISA": isa} if isa else {})}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    for line in done.stderr.splitlines():
        if line.startswith("note:"):  # that the machine is busy
            print(line, file=sys.stderr)
    return json.loads(done.stdout)


def retort(args, model: Path) -> dict:
    command = [
        str(args.retort),
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
    machine, speeds, limits = report["machine"], {}, {}
    for result in report["results"]:
        test = name[result["test"]](result)
        speeds[test] = result["tokens_per_second"]["median"]
        limits[test] = {
            "gbps": result["gbps"],
            "share_of_reads": result["gbps"] / machine["read_gbps"],
            "gops": result["gops"],
            "share_of_int8": result["gops"] / machine["int8_gops"],
        }
    load_seconds = report["model"]["load_seconds"]
    return {"machine": machine, "load_seconds": load_seconds, "tokens_per_second": speeds, "limits": limits}


def peer(script: str, args, model: Path) -> dict:
    command = [sys.executable, str(HERE / script), str(model), "--threads", str(args.threads)]
    return run([*command, "--prompt", str(args.prompt), "--generate", str(args.generate), "--batch", args.batch], None)


PEERS = {"llama.cpp": "llama_cpp_speed.py", "OpenVINO": "openvino_speed.py"}

# What Retort read and computed, and how much that is of what the machine allowed when it ran.
LIMITS = {"gbps": "GB/s", "share_of_reads": "of reads", "gops": "GOP/s", "share_of_int8": "of int8"}


def summary(values: list[float]) -> dict:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def compare(args, model: Path) -> dict:
    runs = {name: [] for name in ["Retort", *args.peers]}
    for i in range(args.rounds):
        print(f"{model.name}: round {i + 1} of {args.rounds}", file=sys.stderr)
        runs["Retort"].append(retort(args, model))
        for name in args.peers:
            runs[name].append(peer(PEERS[name], args, model))
    tests = {}
    for test in runs["Retort"][0]["tokens_per_second"]:
        values = {name: [r["tokens_per_second"][test] for r in results] for name, results in runs.items()}
        ratios = {
            name: summary([x / y for x, y in zip(values["Retort"], values[name], strict=True)]) for name in args.peers
        }
        of_limits = {key: summary([r["limits"][test][key] for r in runs["Retort"]]) for key in LIMITS}
        speeds = {name: summary(v) for name, v in values.items()}
        tests[test] = {"tokens_per_second": speeds, "ratio": ratios, "retort": of_limits}
    loads = {name: summary([r["load_seconds"] for r in results]) for name, results in runs.items()}
    return {"model": model.name, "machine": runs["Retort"][0]["machine"], "tests": tests, "load_seconds": loads}


def with_range(values: dict, digits: int) -> str:
    return f"{values['median']:.{digits}f} ({values['min']:.{digits}f}–{values['max']:.{digits}f})"


def print_table(report: dict):
    machine = report["machine"]
    print(
        f"\n{report['model']} on {machine['cpu']}, {machine['threads']} threads, {machine['isa']}; "
        f"reads {machine['read_gbps']:.1f} GB/s, int8 {machine['int8_gops']:.0f} GOP/s"
    )
    names = list(report["load_seconds"])
    head = "".join(f"{title:>10}" for title in LIMITS.values())
    print(
        f"{'':<14}"
        + "".join(f"{name:>24}" for name in names)
        + "".join(f"{'× ' + name:>20}" for name in names[1:])
        + head
    )
    for test, row in report["tests"].items():
        speeds = "".join(f"{with_range(row['tokens_per_second'][name], 1):>24}" for name in names)
        ratios = "".join(f"{with_range(row['ratio'][name], 2):>20}" for name in names[1:])
        medians = {key: figure["median"] for key, figure in row["retort"].items()}
        limits = "".join(f"{x:>10.0%}" if key.startswith("share") else f"{x:>10.1f}" for key, x in medians.items())
        print(f"{test:<14}{speeds}{ratios}{limits}")
    print(f"{'load, s':<14}" + "".join(f"{with_range(report['load_seconds'][name], 2):>24}" for name in names))


def plot(reports: list[dict], path: Path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(reports), figsize=(7 * len(reports), 5), squeeze=False)
    for axis, report in zip(axes[0], reports, strict=True):
        names, tests = list(report["load_seconds"]), list(report["tests"])
        width = 0.8 / len(names)
        for i, name in enumerate(names):
            speeds = [report["tests"][test]["tokens_per_second"][name] for test in tests]
            medians = [s["median"] for s in speeds]
            reach = [[s["median"] - s["min"] for s in speeds], [s["max"] - s["median"] for s in speeds]]
            axis.bar([x + i * width for x in range(len(tests))], medians, width, yerr=reach, label=name)
        axis.set_xticks([x + 0.4 - width / 2 for x in range(len(tests))], tests)
        axis.set_title(report["model"])
        axis.set_ylabel("tokens/s")
        axis.legend()
    figure.tight_layout()
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=existing_file)
    parser.add_argument("--retort", type=existing_file, default=str(REPO / "build/release/retort"))
    parser.add_argument("--isa", help="RETORT_ISA for Retort; the peer chooses by itself")
    parser.add_argument("--threads", type=positive(int), default=os.cpu_count())
    parser.add_argument("--prompt", type=positive(int), default=512)
    parser.add_argument("--generate", type=positive(int), default=64)
    parser.add_argument("--batch", default="1,8")
    parser.add_argument("--rounds", type=positive(int), default=5)
    parser.add_argument("--peers", default=",".join(PEERS), help="of " + ", ".join(PEERS))
    parser.add_argument("--json", type=file_to_write, help="write the figures here too")
    parser.add_argument("--plot", type=file_to_write, help="a PNG")
    args = parser.parse_args()
    args.peers = args.peers.split(",")
    if unknown := set(args.peers) - set(PEERS):
        parser.error(f"--peers: expected some of {', '.join(PEERS)}, got {', '.join(unknown)}")
    reports = []
    for model in args.models:
        reports.append(compare(args, model))
        print_table(reports[-1])
        if args.json:
            args.json.write_text(json.dumps(reports, indent=1) + "\n")
    if args.plot:
        plot(reports, args.plot)


if __name__ == "__main__":
    main()
