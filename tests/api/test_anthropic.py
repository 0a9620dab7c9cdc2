"""POST /v1/messages with Anthropic's official package."""

import time
from typing import Literal

import anthropic
import pytest
from strict import check

QUESTION = [{"role": "user", "content": "Name three colours."}]
GREEDY = {"extra_body": {"temperature": 0}}


@pytest.fixture(scope="module")
def client(server):
    return server.anthropic()


def text_of(message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_message(client, server):
    message = client.messages.create(model="smollm2", max_tokens=16, messages=QUESTION, **GREEDY)
    check(message)
    assert message.id.startswith("msg_")
    assert message.stop_reason in ("end_turn", "max_tokens")
    assert 0 < message.usage.output_tokens <= 16
    same = server.client().chat.completions.create(model="smollm2", messages=QUESTION, temperature=0, max_tokens=16)
    assert text_of(message) == same.choices[0].message.content
    total = message.usage.input_tokens + message.usage.cache_read_input_tokens
    assert total == same.usage.prompt_tokens


def test_streamed_message_says_the_same(client):
    options = {"model": "smollm2", "max_tokens": 24, "messages": QUESTION, **GREEDY}
    whole = client.messages.create(**options)
    with client.messages.stream(**options) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert "".join(pieces) == text_of(final) == text_of(whole)
    assert len(pieces) > 3
    assert final.stop_reason == whole.stop_reason
    assert final.usage.output_tokens == whole.usage.output_tokens


def test_raw_events(client):
    events = list(client.messages.create(model="smollm2", max_tokens=8, messages=QUESTION, stream=True, **GREEDY))
    for event in events:
        check(event)
    assert events[0].type == "message_start"
    assert events[0].message.content == []
    assert [event.type for event in events[-2:]] == ["message_delta", "message_stop"]


def test_system_and_blocks(client):
    system = [{"type": "text", "text": "You are a pirate.", "cache_control": {"type": "ephemeral"}}]
    blocks = [{"role": "user", "content": [{"type": "text", "text": "Hello!"}]}]
    told = client.messages.create(model="smollm2", max_tokens=4, system=system, messages=blocks)
    plain = client.messages.create(model="smollm2", max_tokens=4, system="", messages=blocks)
    assert told.usage.input_tokens + told.usage.cache_read_input_tokens != plain.usage.input_tokens


def test_stop_sequence(client):
    whole = text_of(client.messages.create(model="smollm2", max_tokens=24, messages=QUESTION, **GREEDY))
    stop = whole[len(whole) // 2 : len(whole) // 2 + 3]
    cut = client.messages.create(model="smollm2", max_tokens=24, messages=QUESTION, stop_sequences=[stop], **GREEDY)
    assert text_of(cut) == whole[: whole.index(stop)]
    assert cut.stop_reason == "stop_sequence"
    assert cut.stop_sequence == stop


def test_an_open_turn_is_gone_on_with(client):
    whole = text_of(client.messages.create(model="smollm2", max_tokens=24, messages=QUESTION, **GREEDY))
    opened = [*QUESTION, {"role": "assistant", "content": whole[:20]}]
    rest = client.messages.create(model="smollm2", max_tokens=8, messages=opened, **GREEDY)
    assert not text_of(rest).startswith(whole[:20])


def test_a_conversation_goes_on_with_its_own_answers(client):
    first = client.messages.create(model="smollm2", max_tokens=8, messages=QUESTION)
    history = [*QUESTION, {"role": "assistant", "content": first.content}, {"role": "user", "content": "And more?"}]
    second = client.messages.create(model="smollm2", max_tokens=8, messages=history)
    assert second.content


def test_the_tool_runner_goes_on_without_a_thread(client):
    asked = []

    @anthropic.beta_tool
    def weather(city: Literal["Oslo", "Bergen"]) -> str:
        """Tells the weather.

        Args:
            city: of Norway
        """
        asked.append(city)
        return "sunny"

    for stream in (False, True):
        asked.clear()
        runner = client.beta.messages.tool_runner(
            model="smollm2",
            max_tokens=80,
            tools=[weather],
            tool_choice={"type": "tool", "name": "weather"},
            messages=[{"role": "user", "content": "Weather in Oslo?"}],
            max_iterations=2,
            stream=stream,
        )
        turns = [turn.get_final_message() if stream else turn for turn in runner]
        assert [turn.stop_reason for turn in turns] == ["tool_use", "tool_use"]
        assert len(asked) >= 1


def test_count_tokens(client):
    counted = client.messages.count_tokens(model="smollm2", messages=QUESTION, system="Be brief.")
    check(counted)
    asked = client.messages.create(model="smollm2", max_tokens=1, messages=QUESTION, system="Be brief.")
    assert counted.input_tokens == asked.usage.input_tokens + asked.usage.cache_read_input_tokens


def test_models(client):
    page = client.models.list()
    assert [model.id for model in page] == ["smollm2"], "and there is no second page"
    (model,) = page.data
    assert (model.type, model.display_name, model.lifecycle) == ("model", "smollm2", "active")
    assert abs(model.created_at.timestamp() - time.time()) < 24 * 3600
    assert (page.has_more, page.first_id, page.last_id) == (False, "smollm2", "smollm2")
    assert client.models.list(limit=5).data == page.data
    assert client.models.retrieve("smollm2") == model
    with pytest.raises(anthropic.NotFoundError, match="the model 'claude' does not exist"):
        client.models.retrieve("claude")
    assert client.beta.models.list().data[0].id == "smollm2"


def test_thinking_has_a_budget_below_max_tokens(client):
    for thinking, complaint in (
        ({"type": "enabled"}, "thinking.budget_tokens: required where type is enabled"),
        ({"type": "enabled", "budget_tokens": 16}, r"thinking.budget_tokens: expected less than max_tokens \(16\)"),
    ):
        with pytest.raises(anthropic.BadRequestError, match=complaint):
            client.messages.create(model="smollm2", max_tokens=16, messages=QUESTION, thinking=thinking)
    thinking = {"type": "enabled", "budget_tokens": 15}
    assert client.messages.create(model="smollm2", max_tokens=16, messages=QUESTION, thinking=thinking).content


@pytest.mark.parametrize("kind", ["image", "document"])
def test_only_text_is_taken(client, kind):
    source = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    content = [{"type": "text", "text": "What is this?"}, {"type": kind, "source": source}]
    with pytest.raises(anthropic.BadRequestError, match=f"a block of type '{kind}' is not supported here, only text"):
        client.messages.create(model="smollm2", max_tokens=4, messages=[{"role": "user", "content": content}])


def test_refusals(client):
    with pytest.raises(anthropic.BadRequestError, match="max_tokens: expected an integer from 1") as refused:
        client.messages.create(model="smollm2", max_tokens=0, messages=QUESTION)
    assert refused.value.body["type"] == "error"
    assert refused.value.body["error"]["type"] == "invalid_request_error"
    assert refused.value.request_id or refused.value.response.headers["x-request-id"]
    with pytest.raises(anthropic.NotFoundError, match="does not exist"):
        client.messages.create(model="claude", max_tokens=1, messages=QUESTION)
    with pytest.raises(anthropic.BadRequestError, match="maximum context length"):
        long = [{"role": "user", "content": "word " * 4000}]
        client.messages.create(model="smollm2", max_tokens=1, messages=long, stream=True)


def test_the_key_is_read_where_the_package_sends_it(start_server):
    guarded = start_server("--api-key", "secret")
    model = guarded.client(api_key="secret").models.list().data[0].id
    answer = guarded.anthropic(api_key="secret").messages.count_tokens(model=model, messages=QUESTION)
    assert answer.input_tokens > 0
    with pytest.raises(anthropic.AuthenticationError):
        guarded.anthropic(api_key="wrong").messages.count_tokens(model=model, messages=QUESTION)
