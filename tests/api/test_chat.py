"""POST /v1/chat/completions with the official SDK."""

import asyncio
import concurrent.futures

import openai
import pytest

QUESTION = [{"role": "user", "content": "Name three colours."}]


def text_of(stream) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


class Assistant:
    """What an application's own client class looks like: a system message, sync, streamed and simple calls."""

    def __init__(self, client: openai.OpenAI, model: str):
        self.client = client
        self.model = model

    def chat(self, messages, **options):
        return self.client.chat.completions.create(model=self.model, messages=messages, **options)

    def stream_chat(self, messages, **options):
        yield from self.client.chat.completions.create(model=self.model, messages=messages, stream=True, **options)

    def simple_chat(self, user: str, system: str | None = None, **options) -> str:
        messages = [{"role": "system", "content": system}] if system else []
        response = self.chat([*messages, {"role": "user", "content": user}], **options)
        return response.choices[0].message.content


@pytest.fixture
def assistant(client):
    return Assistant(client, "smollm2")


def test_whole(assistant):
    response = assistant.chat(QUESTION, max_tokens=16, temperature=0)
    assert response.object == "chat.completion"
    assert response.id.startswith("chatcmpl-")
    assert response.model == "smollm2"
    choice = response.choices[0]
    assert choice.message.role == "assistant"
    assert choice.message.content.strip()
    assert choice.finish_reason in ("stop", "length")
    usage = response.usage
    assert usage.completion_tokens <= 16
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.completion_tokens_details.reasoning_tokens == 0
    assert usage.prompt_tokens_details.cached_tokens >= 0


def test_stream_says_the_same(assistant):
    whole = assistant.chat(QUESTION, max_tokens=24, temperature=0).choices[0].message.content
    chunks = list(assistant.stream_chat(QUESTION, max_tokens=24, temperature=0, stream_options={"include_usage": True}))
    assert text_of(chunks) == whole
    assert chunks[0].choices[0].delta.role == "assistant"
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    finishes = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices and chunk.choices[0].finish_reason]
    assert len(finishes) == 1
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens > 0
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_stream_helper_of_the_sdk(client):
    # The helper raises when an answer ends for its length, so a stop string ends this one.
    options = {"model": "smollm2", "messages": QUESTION, "max_tokens": 64, "temperature": 0, "stop": ["r"]}
    with client.chat.completions.stream(**options) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    assert any(event.type == "content.delta" for event in events)
    assert final.choices[0].message.content == "".join(e.delta for e in events if e.type == "content.delta")


def test_simple_chat_with_a_system_message(assistant):
    plain = assistant.simple_chat("Hello!", max_tokens=8, temperature=0)
    told = assistant.simple_chat("Hello!", system="You are a pirate. Say arr.", max_tokens=8, temperature=0)
    assert plain and told


def test_a_conversation_with_history(assistant):
    history = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "My name is Ada."}]
    reply = assistant.chat(history, max_tokens=12, temperature=0).choices[0].message
    history += [reply.model_dump(), {"role": "user", "content": [{"type": "text", "text": "What is my name?"}]}]
    second = assistant.chat(history, max_tokens=12, temperature=0)
    assert second.usage.prompt_tokens > 20
    assert second.choices[0].message.content


def test_the_prefix_cache_is_seen_in_usage(assistant):
    messages = [{"role": "user", "content": "Count the sheep: " + "one sheep, " * 60}]
    first = assistant.chat(messages, max_tokens=1, temperature=0)
    second = assistant.chat(messages, max_tokens=1, temperature=0)
    assert second.usage.prompt_tokens_details.cached_tokens > first.usage.prompt_tokens_details.cached_tokens
    assert second.usage.prompt_tokens == first.usage.prompt_tokens


def test_stop_strings(assistant):
    whole = assistant.chat(QUESTION, max_tokens=24, temperature=0).choices[0].message.content
    stop = whole[len(whole) // 2 : len(whole) // 2 + 3]
    cut = assistant.chat(QUESTION, max_tokens=24, temperature=0, stop=[stop, "never said"]).choices[0]
    assert cut.message.content == whole[: whole.index(stop)]
    assert cut.finish_reason == "stop"
    assert cut.stop_reason == stop


def test_n_and_seed(assistant):
    options = {"max_tokens": 12, "temperature": 1, "n": 3, "seed": 7}
    first = [choice.message.content for choice in assistant.chat(QUESTION, **options).choices]
    second = [choice.message.content for choice in assistant.chat(QUESTION, **options).choices]
    assert first == second, "the same seed gives the same text"
    assert len(set(first)) > 1, "and each answer its own"
    other = [choice.message.content for choice in assistant.chat(QUESTION, **{**options, "seed": 8}).choices]
    assert other != first


def test_logprobs(assistant):
    choice = assistant.chat(QUESTION, max_tokens=5, temperature=0, logprobs=True, top_logprobs=3).choices[0]
    entries = choice.logprobs.content
    assert "".join(entry.token for entry in entries) == choice.message.content
    for entry in entries:
        assert bytes(entry.bytes).decode() == entry.token
        assert len(entry.top_logprobs) == 3
        assert entry.logprob == entry.top_logprobs[0].logprob <= 0
        assert entry.top_logprobs[0].logprob >= entry.top_logprobs[1].logprob >= entry.top_logprobs[2].logprob
    streamed = assistant.stream_chat(QUESTION, max_tokens=5, temperature=0, logprobs=True)
    tokens = [
        entry.token
        for chunk in streamed
        if chunk.choices and chunk.choices[0].logprobs
        for entry in chunk.choices[0].logprobs.content
    ]
    assert tokens == [entry.token for entry in entries]


def test_limits(assistant):
    response = assistant.chat(QUESTION, max_completion_tokens=3, max_tokens=10, temperature=0)
    assert response.usage.completion_tokens == 3
    assert response.choices[0].finish_reason == "length"
    longer = assistant.chat(QUESTION, max_tokens=40, temperature=0, extra_body={"min_tokens": 40})
    assert longer.usage.completion_tokens == 40


def test_sampling_fields_are_honoured(assistant):
    banned = assistant.chat(QUESTION, max_tokens=1, temperature=0, logprobs=True).choices[0].logprobs.content[0].token
    ids = assistant.client.post("/../tokenize", body={"prompt": banned, "add_special_tokens": False}, cast_to=object)[
        "tokens"
    ]
    other = assistant.chat(QUESTION, max_tokens=1, temperature=0, logit_bias={str(ids[0]): -100})
    assert other.choices[0].message.content != banned
    only = assistant.chat(QUESTION, max_tokens=3, temperature=1, extra_body={"allowed_token_ids": ids[:1]})
    assert only.choices[0].message.content == banned * 3


def test_ignored_fields_of_the_sdk(assistant):
    options = {"user": "u", "metadata": {"a": "b"}, "store": False, "service_tier": "auto", "parallel_tool_calls": True}
    assert assistant.chat(QUESTION, max_tokens=2, **options, response_format={"type": "text"}).choices


@pytest.mark.parametrize("streamed", [False, True])
def test_several_clients_at_once_get_what_they_get_alone(server, streamed):
    prompts = [f"Write a line about the number {number}." for number in range(8)]

    def ask(prompt: str) -> str:
        options = {
            "model": "smollm2",
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": 16,
            "temperature": 0,
        }
        completions = server.client().chat.completions
        if streamed:
            return text_of(completions.create(**options, stream=True))
        return completions.create(**options).choices[0].message.content

    alone = [ask(prompt) for prompt in prompts]
    with concurrent.futures.ThreadPoolExecutor(len(prompts)) as pool:
        together = list(pool.map(ask, prompts))
    assert together == alone


async def gather_async(server):
    options = {"base_url": server.url + "/v1", "api_key": "none", "_strict_response_validation": True}
    async with openai.AsyncOpenAI(**options) as client:
        stream = await client.chat.completions.create(
            model="smollm2", messages=QUESTION, max_tokens=8, temperature=0, stream=True
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


def test_the_async_client(server, assistant):
    assert asyncio.run(gather_async(server)) == assistant.simple_chat(
        QUESTION[0]["content"], max_tokens=8, temperature=0
    )
