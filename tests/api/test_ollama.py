"""Ollama's API with its official package."""

import asyncio

import ollama
import pytest
import strict

QUESTION = [{"role": "user", "content": "Name three colours."}]
OPTIONS = {"temperature": 0, "num_predict": 16}


@pytest.fixture(scope="module")
def client(server):
    return strict.ollama_client(server.url)


def test_chat(client, server):
    answer = client.chat(model="smollm2", messages=QUESTION, options=OPTIONS)
    assert answer.message.role == "assistant"
    assert answer.message.content.strip()
    assert answer.done
    assert answer.done_reason in ("stop", "length")
    assert 0 < answer.eval_count <= 16
    assert answer.total_duration >= answer.prompt_eval_duration > 0
    same = server.client().chat.completions.create(model="smollm2", messages=QUESTION, temperature=0, max_tokens=16)
    assert answer.message.content == same.choices[0].message.content


def test_streamed_chat_says_the_same(client):
    whole = client.chat(model="smollm2", messages=QUESTION, options=OPTIONS).message.content
    parts = list(client.chat(model="smollm2", messages=QUESTION, options=OPTIONS, stream=True))
    assert "".join(part.message.content for part in parts) == whole
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[-1].eval_count > 0


def test_a_conversation_goes_on_with_its_own_answers(client):
    first = client.chat(model="smollm2", messages=QUESTION, options=OPTIONS)
    history = [*QUESTION, first.message, {"role": "user", "content": "And three more."}]
    second = client.chat(model="smollm2:latest", messages=history, options=OPTIONS, keep_alive="5m")
    assert second.prompt_eval_count > first.prompt_eval_count


def test_generate(client):
    answer = client.generate(model="smollm2", prompt="Name three colours.", system="Be brief.", options=OPTIONS)
    assert answer.response.strip()
    parts = list(client.generate(model="smollm2", prompt="Once upon", raw=True, options=OPTIONS, stream=True))
    assert "".join(part.response for part in parts).strip()
    assert parts[-1].done_reason in ("stop", "length")


def test_logprobs(client):
    answer = client.chat(model="smollm2", messages=QUESTION, options=OPTIONS, logprobs=True, top_logprobs=2)
    assert "".join(entry.token for entry in answer.logprobs) == answer.message.content
    assert all(len(entry.top_logprobs) == 2 and entry.logprob <= 0 for entry in answer.logprobs)


def test_async(server):
    async def ask():
        parts = await ollama.AsyncClient(host=server.url).chat("smollm2", QUESTION, options=OPTIONS, stream=True)
        return [part async for part in parts]

    assert asyncio.run(ask())[-1].done


def test_the_model_is_listed_and_shown(client):
    (listed,) = client.list().models
    assert listed.model == "smollm2"
    assert listed.size > 50_000_000
    assert listed.modified_at.year >= 2024
    (running,) = client.ps().models
    assert running.context_length == 2048
    shown = client.show("smollm2")
    assert shown.capabilities == ["completion", "tools"]
    assert shown.modelinfo["llama.block_count"] == 30
    assert "im_start" in shown.template


def test_refusals(client):
    with pytest.raises(ollama.ResponseError, match="does not exist") as refused:
        client.chat(model="llama9", messages=QUESTION)
    assert refused.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match=r"options: unknown field 'nonsense'"):
        client.chat(model="smollm2", messages=QUESTION, options={"nonsense": 1})
    with pytest.raises(ollama.ResponseError, match="maximum context length") as refused:
        list(client.generate(model="smollm2", prompt="word " * 4000, stream=True))
    assert refused.value.status_code == 400
