"""One streamed chat completion, timed. Speaks to any server with OpenAI's API."""

import json
import time
from dataclasses import dataclass, field

import httpx


@dataclass
class Timing:
    """Times are time.monotonic() seconds; `arrivals` are those of pieces of text, one a token with most servers."""

    start: float
    arrivals: list[float] = field(default_factory=list)
    end: float = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    text: str = ""
    error: str = ""

    @property
    def first_token(self) -> float:
        return self.arrivals[0] - self.start

    @property
    def gaps(self) -> list[float]:
        return [b - a for a, b in zip(self.arrivals, self.arrivals[1:], strict=False)]


def take_usage(timing: Timing, usage: dict):
    timing.prompt_tokens = usage["prompt_tokens"]
    timing.completion_tokens = usage["completion_tokens"]
    timing.cached_tokens = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0


def take_chunk(timing: Timing, chunk: dict):
    if chunk.get("usage"):
        take_usage(timing, chunk["usage"])
    for choice in chunk.get("choices", []):
        piece = choice["delta"].get("content") or choice["delta"].get("reasoning_content")
        if piece:
            timing.arrivals.append(time.monotonic())
            timing.text += piece


async def chat(
    client: httpx.AsyncClient, url: str, messages: list[dict], max_tokens: int, *, ignore_eos=True
) -> Timing:
    body = {
        "messages": messages,
        "max_tokens": max_tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
        "ignore_eos": ignore_eos,  # every answer has its full length, so that servers do the same work
    }
    timing = Timing(start=time.monotonic())
    try:
        async with client.stream("POST", f"{url}/v1/chat/completions", json=body) as response:
            if response.status_code != 200:
                timing.error = f"HTTP {response.status_code}: {(await response.aread()).decode(errors='replace')[:200]}"
                return timing
            async for line in response.aiter_lines():
                if line.startswith("data: ") and line != "data: [DONE]":
                    take_chunk(timing, json.loads(line[6:]))
    except (httpx.HTTPError, json.JSONDecodeError, KeyError) as error:
        timing.error = f"{type(error).__name__}: {error}"
    timing.end = time.monotonic()
    if not timing.error and not timing.arrivals:
        timing.error = "no text came"
    return timing


def client_for(num_connections: int) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=num_connections, max_keepalive_connections=num_connections)
    return httpx.AsyncClient(timeout=httpx.Timeout(1800), limits=limits)
