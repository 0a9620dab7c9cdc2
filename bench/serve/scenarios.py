"""What is asked of a server. Each scenario returns the timings of its requests."""

import asyncio
import random

from client import Timing, chat, client_for
from prompts import length, passage, prompt, user


def requests(seed: int, count: int, shortest: int, longest: int) -> list[list[dict]]:
    rng = random.Random(seed)
    return [user(prompt(rng, length(rng, shortest, longest))) for _ in range(count)]


async def closed_loop(url: str, args) -> list[Timing]:
    """args.concurrency clients, each asking again as soon as it is answered."""
    waiting = requests(args.seed, args.requests, args.min_prompt, args.max_prompt)
    timings: list[Timing] = []

    async def one_client(client):
        while waiting:
            timings.append(await chat(client, url, waiting.pop(), args.max_tokens))

    async with client_for(args.concurrency) as client:
        await asyncio.gather(*(one_client(client) for _ in range(args.concurrency)))
    return timings


async def open_loop(url: str, args) -> list[Timing]:
    """Arrivals at args.rate a second, Poisson, whether or not earlier ones have been answered."""
    rng = random.Random(args.seed + 1)
    async with client_for(args.requests) as client:
        tasks = []
        for messages in requests(args.seed, args.requests, args.min_prompt, args.max_prompt):
            tasks.append(asyncio.create_task(chat(client, url, messages, args.max_tokens)))
            await asyncio.sleep(rng.expovariate(args.rate))
        return await asyncio.gather(*tasks)


async def long_prompt_among_streams(url: str, args) -> dict[str, list[Timing]]:
    """args.concurrency streams run; then a prompt of args.max_prompt tokens comes."""
    rng = random.Random(args.seed)
    async with client_for(args.concurrency + 1) as client:
        streams = [
            asyncio.create_task(chat(client, url, user(prompt(rng, 50)), args.max_tokens))
            for _ in range(args.concurrency)
        ]
        await asyncio.sleep(args.settle)
        long = await chat(client, url, user(prompt(rng, args.max_prompt)), 8)
        return {"streams": await asyncio.gather(*streams), "long prompt": [long]}


async def second_turn(url: str, args) -> dict[str, list[Timing]]:
    """A conversation of args.max_prompt tokens goes on, at once and after args.requests others have come between."""
    rng = random.Random(args.seed)
    messages = user(prompt(rng, args.max_prompt))

    async def turn(client, text: str | None) -> Timing:
        if text:
            messages.append({"role": "user", "content": text})
        timing = await chat(client, url, messages, 32, ignore_eos=False)
        messages.append({"role": "assistant", "content": timing.text})
        return timing

    async with client_for(4) as client:
        first = await turn(client, None)
        second = await turn(client, "Say it in one sentence.")
        for others in requests(args.seed + 7, args.requests, 50, 100):
            await chat(client, url, others, 8)
        third = await turn(client, "And in three words?")
    return {"first turn": [first], "second turn": [second], f"third turn, {args.requests} requests later": [third]}


async def copying(url: str, args) -> list[Timing]:
    """One client has passages of args.max_prompt tokens repeated, one after another."""
    rng = random.Random(args.seed)
    asked = [f"Repeat this word for word:\n\n{passage(rng, args.max_prompt)}" for _ in range(args.requests)]
    async with client_for(1) as client:
        return [await chat(client, url, user(text), args.max_tokens) for text in asked]
