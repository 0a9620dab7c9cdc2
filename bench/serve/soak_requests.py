"""What a soak asks: questions whose answers are known from when they were asked alone, and requests that are no good.

Every function that asks returns what was not as it should be, or "" when all was. httpx.HTTPError: the answer was lost.
"""

import asyncio
import json
import random
from dataclasses import dataclass

import httpx
from prompts import length, passage

PATH = "/v1/completions"
WAYS = ["streamed", "whole", "three samples", "left in the middle", "left at once", "too long", "invalid"]
WEIGHTS = [25, 15, 20, 15, 10, 5, 10]


@dataclass(frozen=True)
class Answer:
    text: str
    tokens: tuple[int, ...]
    finish: str

    def difference(self, other: "Answer") -> str:
        """What tells this answer from the one that was given alone."""
        if self == other:
            return ""
        same = next((i for i, (a, b) in enumerate(zip(self.tokens, other.tokens, strict=False)) if a != b), None)
        where = f"from token {same}" if same is not None else f"{len(self.tokens)} tokens of {len(other.tokens)}"
        return f"differs from its solo answer ({where}, {self.finish} for {other.finish}): {self.text!r} for {other.text!r}"


@dataclass(frozen=True)
class Question:
    body: dict
    answer: Answer


async def ask_whole(client: httpx.AsyncClient, body: dict) -> list[Answer]:
    response = await client.post(PATH, json=body)
    if response.status_code != 200:
        raise httpx.RemoteProtocolError(f"HTTP {response.status_code}: {response.text[:200]}")
    choices = sorted(response.json()["choices"], key=lambda choice: choice["index"])
    return [Answer(c["text"], tuple(c["token_ids"]), c["finish_reason"]) for c in choices]


async def ask_streamed(client: httpx.AsyncClient, body: dict, max_chunks: int = 1 << 30) -> Answer:
    """Goes away after max_chunks; what came by then is the answer, with "left" for its end."""
    text, tokens, finish, is_done, num_chunks = "", [], "left", False, 0
    async with client.stream("POST", PATH, json={**body, "stream": True}) as response:
        if response.status_code != 200:
            raise httpx.RemoteProtocolError(f"HTTP {response.status_code}: {(await response.aread())[:200]}")
        async for line in response.aiter_lines():
            if not line.startswith("data: "):
                continue
            if line == "data: [DONE]":
                is_done = True
                continue
            for choice in json.loads(line[len("data: ") :])["choices"]:
                text += choice["text"]
                tokens += choice["token_ids"]
                finish = choice["finish_reason"] or finish
            num_chunks += 1
            if num_chunks == max_chunks:
                break
    if num_chunks < max_chunks and not (is_done and finish != "left"):
        raise httpx.RemoteProtocolError(f"the stream ended after {num_chunks} chunks without its end")
    return Answer(text, tuple(tokens), finish)


def sampling(rng: random.Random) -> dict:
    """Mostly greedy; what is drawn with a seed, ended by a string or held to a grammar is the same each time as well."""
    return rng.choices(
        [
            {},
            {"temperature": 0.8, "top_p": 0.95, "seed": rng.getrandbits(31)},
            {"stop": [" the", ";"]},
            {"structured_outputs": {"regex": "( [a-z]{2,9}){3,30}\\."}},
        ],
        [6, 2, 1, 1],
    )[0]


async def make_questions(client: httpx.AsyncClient, rng: random.Random, args) -> list[Question]:
    """Asks each alone. One in three goes on from an earlier one and its answer, as a conversation does."""
    questions: list[Question] = []
    for _ in range(args.questions):
        prompt = passage(rng, length(rng, 5, args.max_prompt))
        if questions and rng.random() < 1 / 3:
            earlier = rng.choice(questions)
            longer = earlier.body["prompt"] + earlier.answer.text + " " + passage(rng, 10)
            prompt = longer if len(longer) < len(prompt) + 4 * args.max_prompt else prompt
        body = {
            "prompt": prompt,
            "max_tokens": rng.randint(args.max_tokens // 4, args.max_tokens),
            "temperature": 0,
            "ignore_eos": True,
            "return_token_ids": True,
            **sampling(rng),
        }
        questions.append(Question(body, (await ask_whole(client, body))[0]))
    return questions


async def ask_and_compare(client: httpx.AsyncClient, rng: random.Random, question: Question, way: str) -> str:
    body = {**question.body, "priority": rng.choice([0, 0, 0, -1, 1])}
    if rng.random() < 0.5:  # else few questions would share their blocks, and want little memory
        body["cache_salt"] = str(rng.getrandbits(32))
    if way == "streamed":
        return (await ask_streamed(client, body)).difference(question.answer)
    if way == "left in the middle":
        some = await ask_streamed(client, body, max_chunks=rng.randint(1, max(1, len(question.answer.tokens) - 1)))
        is_right = question.answer.text.startswith(some.text)
        return "" if is_right else some.difference(question.answer)
    if way == "left at once":
        try:
            await asyncio.wait_for(client.post(PATH, json=body), rng.uniform(0, 0.3))
        except TimeoutError:
            pass
        return ""
    num_samples = 3 if way == "three samples" else 1
    answers = await ask_whole(client, {**body, "n": num_samples})
    if len(answers) != num_samples:
        return f"expected {num_samples} samples, got {len(answers)}"
    is_greedy = body["temperature"] == 0  # then all samples are the same; of drawn ones the first is as if alone
    differences = (answer.difference(question.answer) for answer in (answers if is_greedy else answers[:1]))
    return next((difference for difference in differences if difference), "")


INVALID = [
    ('{"prompt": "x", ', None),
    ("[]", None),
    ('{"max_tokens": 8}', "prompt"),
    ('{"prompt": 5}', "prompt"),
    ('{"prompt": [1, 2, 1000000000]}', "prompt"),
    ('{"prompt": "x", "max_tokens": "many"}', "max_tokens"),
    ('{"prompt": "x", "temperatur": 0}', "temperatur"),
    ('{"prompt": "x", "top_p": 2}', "top_p"),
    ('{"prompt": "x", "n": 0}', "n"),
    ('{"prompt": "x", "logit_bias": {"a": 1}}', 'logit_bias["a"]'),
]


async def ask_in_vain(client: httpx.AsyncClient, body: str, param: str | None, code: str | None = None) -> str:
    response = await client.post(PATH, content=body, headers={"Content-Type": "application/json"})
    if response.status_code != 400:
        return f"{body[:80]}: expected HTTP 400, got {response.status_code}: {response.text[:200]}"
    error = response.json()["error"]
    is_named = (param is None or error["param"] == param) and (code is None or error["code"] == code)
    return "" if is_named else f"{body[:80]}: expected an error of {param or code}, got {error}"


async def ask_one(
    client: httpx.AsyncClient, rng: random.Random, questions: list[Question], way: str, longest: int
) -> str:
    if way == "invalid":
        return await ask_in_vain(client, *rng.choice(INVALID))
    if way == "too long":
        prompt = [rng.randrange(1000) for _ in range(longest + rng.randrange(longest))]
        return await ask_in_vain(client, json.dumps({"prompt": prompt}), None, "context_length_exceeded")
    return await ask_and_compare(client, rng, rng.choice(questions), way)
