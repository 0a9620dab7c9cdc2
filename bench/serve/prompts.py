"""Prompts of wanted lengths from real text: this project's documents and sources."""

import math
import random
from functools import cache
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
CHARACTERS_PER_TOKEN = 3.6  # of such text, roughly; the server's count is what the report tells


@cache
def corpus() -> str:
    files = [*sorted(REPO.glob("docs/*.md")), *sorted(REPO.glob("src/**/*.h")), *sorted(REPO.glob("src/**/*.cpp"))]
    return "\n".join(file.read_text() for file in files)


def prompt(rng: random.Random, num_tokens: int) -> str:
    """A passage and a question about it, about num_tokens long; no two begin alike."""
    question = "\n\nIn a few sentences, what is this about, and what would you ask its author?"
    of_passage = num_tokens - len(question) / CHARACTERS_PER_TOKEN
    return f"[{rng.getrandbits(32):08x}] {passage(rng, of_passage)}{question}"


def passage(rng: random.Random, num_tokens: float) -> str:
    text, length = corpus(), max(1, int(num_tokens * CHARACTERS_PER_TOKEN))
    start = rng.randrange(len(text) - length)
    return text[start : start + length]


def length(rng: random.Random, shortest: int, longest: int) -> int:
    """Most prompts are short: the logarithm is uniform."""
    return round(math.exp(rng.uniform(math.log(shortest), math.log(longest))))


def user(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]
