#!/usr/bin/env python3
"""Starts a server whose KV cache is too small for what it is asked, and asks it for --seconds: at random times, with clients
that go away before and in the middle of their answers, prompts that are too long and requests that are no good.
Each answer must be the one that its question got when it was asked alone. At the end nothing is lost or wrong, all blocks are
free, memory has not grown, and the server still answers and ends well: it looks over its books then.

  build/venv-bench-serve/bin/python bench/serve/soak.py --seconds 1800 MODEL.gguf -- --kv-cache-memory 32M --max-num-seqs 24

What follows -- are flags of `retort serve`. Linux only: reads /proc.
"""

import argparse
import asyncio
import random
import re
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

import httpx
from server_process import ServerProcess
from soak_requests import WAYS, WEIGHTS, Question, ask_one, ask_whole, make_questions

NUM_TOLD = 10  # of what was wrong


class Soak:
    def __init__(self, server: ServerProcess, url: str, args):
        self.server, self.args = server, args
        self.random = random.Random(args.seed)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=args.clients)
        self.client = httpx.AsyncClient(base_url=url, timeout=args.timeout, limits=limits)
        self.asked, self.lost, self.wrong = Counter(), Counter(), Counter()
        self.problems: list[str] = []
        self.resident: list[int] = []

    async def run(self):
        async with self.client:
            models = (await self.client.get("/v1/models")).json()
            self.longest = models["data"][0]["max_model_len"]
            self.questions = await make_questions(self.client, self.random, self.args)
            print(
                f"{len(self.questions)} questions, {sum(len(q.answer.tokens) for q in self.questions)} tokens, asked alone"
            )
            self.before = await self.load()
            self.end = time.monotonic() + self.args.seconds
            await asyncio.gather(self.watch_memory(), *(self.one_client() for _ in range(self.args.clients)))
            self.after = await self.wait_until_idle()
            await asyncio.gather(*(self.count("afterwards", self.ask_again(question)) for question in self.questions))
        self.check()

    async def load(self) -> dict:
        return (await self.client.get("/load")).json()

    async def one_client(self):
        rng = random.Random(self.random.getrandbits(64))
        while time.monotonic() < self.end and self.server.is_alive():
            await asyncio.sleep(rng.expovariate(1 / self.args.pause))
            way = rng.choices(WAYS, WEIGHTS)[0]
            await self.count(way, ask_one(self.client, rng, self.questions, way, self.longest))

    async def count(self, way: str, asking):
        self.asked[way] += 1
        try:
            problem = await asking
            self.wrong[way] += bool(problem)
        except (httpx.HTTPError, ValueError, KeyError) as error:
            problem = f"{type(error).__name__}: {error}"
            self.lost[way] += 1
        if problem:
            self.problems.append(f"{way}: {problem}")

    async def ask_again(self, question: Question) -> str:
        return (await ask_whole(self.client, question.body))[0].difference(question.answer)

    async def watch_memory(self):
        while time.monotonic() < self.end and self.server.is_alive():
            self.resident.append(self.server.resident_bytes())
            await asyncio.sleep(min(1, self.args.seconds / 30))

    async def wait_until_idle(self) -> dict:
        end = time.monotonic() + self.args.timeout
        while (load := await self.load())["server_load"] > 0 and time.monotonic() < end:
            await asyncio.sleep(0.05)
        return load

    def growth(self) -> float:
        """Of resident memory in MB: from the second third, by when all of the KV cache has been used, to the last."""
        third = len(self.resident) // 3
        return (statistics.median(self.resident[-third:]) - statistics.median(self.resident[third : 2 * third])) / 1e6

    def preemptions(self) -> int:
        return self.after["num_preemptions"] - self.before["num_preemptions"]

    def check(self):
        """What only shows at the end."""
        expect = self.problems.append
        if self.after["server_load"] > 0 or self.after["kv_cache_usage"] > 0:
            expect(f"idle at the end: expected no requests and no used blocks, got {self.after}")
        if self.growth() > self.args.max_growth:
            expect(f"resident memory: expected to grow by at most {self.args.max_growth} MB, got {self.growth():.1f}")
        if self.preemptions() == 0:
            expect("preemptions: expected some, got none: the KV cache is too large for this load")
        if (code := self.server.stop()) != 0:
            expect(f"exit code: expected 0, got {code}")
        for line in re.findall(r"^.* error   .*$", self.server.log(), re.MULTILINE):
            expect(f"log: {line}")

    def print_table(self):
        print(f"{'':<20} {'asked':>8} {'lost':>6} {'wrong':>6}")
        for way in [*WAYS, "afterwards"]:
            print(f"{way:<20} {self.asked[way]:>8} {self.lost[way]:>6} {self.wrong[way]:>6}")
        steps, tokens = (self.after[key] - self.before[key] for key in ("num_steps", "generated_tokens"))
        print(f"{tokens} tokens in {steps} steps, {self.preemptions()} preemptions")
        first, last = self.resident[0] / 1e6, self.resident[-1] / 1e6
        print(
            f"resident: {first:.1f} MB at first, {last:.1f} at last, grown by {self.growth():+.1f} from the second third on"
        )
        for problem in self.problems[:NUM_TOLD]:
            print(problem)
        print("NOT WELL" if self.problems else "nothing lost, nothing wrong")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--binary", default="build/release/retort")
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--clients", type=int, default=32, help="that ask at once (32)")
    parser.add_argument(
        "--pause", type=float, default=0.5, help="mean seconds between an answer and the next question (0.5)"
    )
    parser.add_argument("--questions", type=int, default=60, help="different ones (60)")
    parser.add_argument("--max-prompt", type=int, default=400, help="tokens, about (400)")
    parser.add_argument("--max-tokens", type=int, default=200, help="of an answer (200)")
    parser.add_argument("--max-growth", type=float, default=16, help="of resident memory, MB (16)")
    parser.add_argument("--timeout", type=float, default=300, help="seconds after which an answer is lost (300)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("flags", nargs="*")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    server = ServerProcess(args.binary, args.model, args.flags)
    try:
        soak = Soak(server, server.wait_until_ready(), args)
        asyncio.run(soak.run())
    finally:
        server.stop()
    soak.print_table()
    return 1 if soak.problems else 0


if __name__ == "__main__":
    sys.exit(main())
