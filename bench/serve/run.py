#!/usr/bin/env python3
"""Puts a server under load over HTTP, and others beside it in the same run.

  run.py closed --concurrency 16 --requests 64                        clients that ask again when answered
  run.py open --rate 0.5 --requests 60                                Poisson arrivals
  run.py stall --concurrency 8 --max-prompt 3000 --max-tokens 400     the worst gap when a long prompt comes
  run.py turns --max-prompt 2000 --requests 100                       what the second turn of a conversation costs
  run.py copy --requests 4 --max-prompt 400 --max-tokens 400          an answer that repeats its prompt

--server NAME=URL, repeatable, names who is asked, one after another; all of them must serve the same model. --pid tells what CPU
time the threads of that process, a server on this machine, took for it.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path

import report
import scenarios
from server_process import cpu_by_thread

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from arguments import file_to_write, positive

SCENARIOS = {
    "closed": scenarios.closed_loop,
    "open": scenarios.open_loop,
    "stall": scenarios.long_prompt_among_streams,
    "turns": scenarios.second_turn,
    "copy": scenarios.copying,
}


def server(text: str) -> tuple[str, str]:
    name, separator, url = text.partition("=")
    if not name or not separator or not url.startswith("http"):
        raise argparse.ArgumentTypeError(f"expected NAME=URL, got '{text}'")
    return name, url


def process(text: str) -> int:
    if not text.isdecimal() or not Path(f"/proc/{text}/task").is_dir():
        raise argparse.ArgumentTypeError(f"expected the id of a process, got '{text}'")
    return int(text)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("--server", type=server, action="append", help="NAME=URL; default retort=http://127.0.0.1:8000")
    parser.add_argument("--concurrency", type=positive(int), default=8)
    parser.add_argument("--requests", type=positive(int), default=32)
    parser.add_argument("--rate", type=positive(float), default=0.5, help="arrivals a second")
    parser.add_argument("--min-prompt", type=positive(int), default=20, help="tokens, about")
    parser.add_argument("--max-prompt", type=positive(int), default=3000)
    parser.add_argument("--max-tokens", type=positive(int), default=128, help="of each answer")
    parser.add_argument(
        "--settle", type=positive(float), default=5, help="seconds the streams run before the long prompt"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pid", type=process)
    parser.add_argument("--json", type=file_to_write)
    parser.add_argument("--plot", type=file_to_write, help="a PNG")
    args = parser.parse_args()
    if args.min_prompt > args.max_prompt:
        parser.error(f"--min-prompt {args.min_prompt}: expected at most --max-prompt {args.max_prompt}")
    args.server = dict(args.server or [("retort", "http://127.0.0.1:8000")])
    return args


def main() -> int:
    args = parse_arguments()
    results, summaries = {}, {}
    report.print_header()
    for name, url in args.server.items():
        before = cpu_by_thread(args.pid) if args.pid else {}
        timings = asyncio.run(SCENARIOS[args.scenario](url, args))
        results[name] = timings if isinstance(timings, dict) else {"": timings}
        summaries[name] = {part: report.summary(part_timings) for part, part_timings in results[name].items()}
        for part, part_summary in summaries[name].items():
            report.print_row(f"{name} {part}".strip(), part_summary)
        if args.pid:
            report.print_cpu(before, cpu_by_thread(args.pid))
    if args.json:
        args.json.write_text(json.dumps({"scenario": args.scenario, "servers": summaries}, indent=1) + "\n")
    if args.plot:
        report.plot(results, str(args.plot))
    return 1 if any(s["failed"] for parts in summaries.values() for s in parts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
