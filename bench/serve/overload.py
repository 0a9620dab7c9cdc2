#!/usr/bin/env python3
"""Asks far more of a server than it can do: first as many streams at once as it takes (--capacity, its --max-num-seqs),
then arrivals at ten times the rate at which those were answered, for --seconds. Who is refused must be told so with 429
or 503 and Retry-After, and at once; who is let in must be answered whole, not much later than before.

  retort serve smollm2-135m --max-num-seqs 8 --max-waiting 0
  build/venv-bench-serve/bin/python bench/serve/overload.py --capacity 8
"""

import argparse
import asyncio
import random
import statistics
import sys
import time
from dataclasses import dataclass

import httpx


@dataclass
class Outcome:
    status: int
    seconds: float
    is_whole: bool  # a stream that ended as it should, or a refusal that says when to come again


async def ask(client: httpx.AsyncClient, args) -> Outcome:
    body = {
        "prompt": f"Story {random.random()}: once",
        "max_tokens": args.max_tokens,
        "ignore_eos": True,
        "stream": True,
    }
    start = time.monotonic()
    try:
        async with client.stream("POST", f"{args.url}/v1/completions", json=body) as response:
            text = (await response.aread()).decode()
    except httpx.HTTPError as error:
        print(f"failed: {type(error).__name__}: {error}")
        return Outcome(0, time.monotonic() - start, False)
    is_whole = text.endswith("data: [DONE]\n\n") if response.status_code == 200 else "retry-after" in response.headers
    return Outcome(response.status_code, time.monotonic() - start, is_whole)


async def full_batch(client: httpx.AsyncClient, args) -> list[Outcome]:
    return await asyncio.gather(*(ask(client, args) for _ in range(args.capacity)))


async def flood(client: httpx.AsyncClient, args, rate: float) -> list[Outcome]:
    tasks, end = [], time.monotonic() + args.seconds
    while time.monotonic() < end:
        tasks.append(asyncio.create_task(ask(client, args)))
        await asyncio.sleep(random.expovariate(rate))
    return await asyncio.gather(*tasks)


def p95(outcomes: list[Outcome]) -> float:
    return statistics.quantiles([o.seconds for o in outcomes], n=20, method="inclusive")[-1]


async def run(args) -> bool:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
    async with httpx.AsyncClient(timeout=600, limits=limits) as client:
        await full_batch(client, args)  # to warm up
        unloaded = await full_batch(client, args)
        rate = 10 * args.capacity / max(o.seconds for o in unloaded)
        outcomes = await flood(client, args, rate)
    accepted = [o for o in outcomes if o.status == 200]
    refused = [o for o in outcomes if o.status in (429, 503)]
    slowest = max((o.seconds for o in refused), default=0)
    print(f"{rate:.1f} arrivals a second: {len(accepted)} accepted, {len(refused)} refused, {len(outcomes)} in all")
    print(
        f"accepted: p95 {p95(accepted):.2f} s, unloaded {p95(unloaded):.2f} s, {p95(accepted) / p95(unloaded):.2f} times"
    )
    print(f"refused: p50 {1e3 * statistics.median(o.seconds for o in refused):.1f} ms, slowest {1e3 * slowest:.1f} ms")
    return len(accepted) + len(refused) == len(outcomes) and all(o.is_whole for o in outcomes)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--capacity", type=int, required=True, help="the server's --max-num-seqs")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    is_well = asyncio.run(run(parser.parse_args()))
    print("every refusal says when to come again, every accepted answer is whole" if is_well else "NOT WELL")
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
