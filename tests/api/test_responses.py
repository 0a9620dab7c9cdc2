"""POST /v1/responses with the official SDK."""

import openai
import pytest
from strict import check

OPTIONS = {"model": "smollm2", "input": "Name three colours.", "temperature": 0, "max_output_tokens": 64}


def test_response(client):
    response = client.responses.create(**OPTIONS)
    check(response)
    assert response.status in ("completed", "incomplete")
    assert response.output_text.strip()
    chat = client.chat.completions.create(
        model="smollm2", messages=[{"role": "user", "content": OPTIONS["input"]}], temperature=0, max_tokens=64
    )
    assert response.output_text == chat.choices[0].message.content
    assert response.usage.output_tokens == chat.usage.completion_tokens


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"instructions": "Be brief."},
        {
            "input": [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hello!"},
                {"role": "user", "content": "Bye"},
            ]
        },
        {"tools": [{"type": "function", "name": "now", "parameters": {"type": "object"}, "strict": False}]},
        {"text": {"format": {"type": "json_object"}}, "reasoning": {"effort": "low"}},
    ],
)
def test_input_tokens_are_counted_as_they_are_used(client, more):
    asked = {"model": "smollm2", "input": OPTIONS["input"], **more}
    counted = client.responses.input_tokens.count(**asked)
    check(counted)
    assert counted.object == "response.input_tokens"
    response = client.responses.create(**asked, max_output_tokens=1)
    assert counted.input_tokens == response.usage.input_tokens
    later = {"model": "smollm2", "input": "And then?", "previous_response_id": response.id}
    then = client.responses.create(**later, max_output_tokens=1)
    assert client.responses.input_tokens.count(**later).input_tokens == then.usage.input_tokens


def test_input_tokens_are_checked_as_a_response_is(client):
    with pytest.raises(openai.BadRequestError) as refusal:
        client.responses.input_tokens.count(model="smollm2", input="Hi", truncation="auto")
    assert refusal.value.param == "truncation"
    with pytest.raises(openai.NotFoundError, match="there is no response"):
        client.responses.input_tokens.count(model="smollm2", input="Hi", previous_response_id="resp_none")


def test_events(client):
    events = list(client.responses.create(**OPTIONS, stream=True))
    for event in events:
        check(event)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    assert events[-1].type in ("response.completed", "response.incomplete")
    deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert deltas == events[-1].response.output_text == client.responses.create(**OPTIONS).output_text


def test_stream_helper_of_the_sdk(client):
    options = {**OPTIONS, "input": "Say hello.", "max_output_tokens": 400}
    with client.responses.stream(**options) as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()
    assert final.status == "completed"
    assert final.output_text == text


def test_a_conversation_by_ids(client):
    first = client.responses.create(**{**OPTIONS, "input": "My name is Ada.", "instructions": "Be brief."})
    second = client.responses.create(**{**OPTIONS, "input": "What is my name?"}, previous_response_id=first.id)
    check(second)
    assert second.previous_response_id == first.id
    by_hand = client.responses.create(
        **{
            **OPTIONS,
            "input": [
                {"role": "user", "content": "My name is Ada."},
                *[item.model_dump(exclude_none=True) for item in first.output],
                {"role": "user", "content": "What is my name?"},
            ],
        }
    )
    assert second.output_text == by_hand.output_text
    assert second.usage.input_tokens == by_hand.usage.input_tokens


def test_stored_responses(client):
    response = client.responses.create(**OPTIONS, metadata={"topic": "colours"})
    fetched = client.responses.retrieve(response.id)
    check(fetched)
    assert fetched == response
    assert client.responses.cancel(response.id).status == response.status, "it has ended already"
    client.responses.delete(response.id)
    with pytest.raises(openai.NotFoundError, match="there is no response"):
        client.responses.retrieve(response.id)
    with pytest.raises(openai.NotFoundError, match="there is no response"):
        client.responses.create(**OPTIONS, previous_response_id=response.id)


def test_logprobs(client):
    response = client.responses.create(**OPTIONS, include=["message.output_text.logprobs"], top_logprobs=2)
    check(response)
    entries = response.output[0].content[0].logprobs
    assert "".join(entry.token for entry in entries) == response.output_text
    assert all(len(entry.top_logprobs) == 2 for entry in entries)


def test_numbers_come_back_as_they_were_sent(client):
    response = client.responses.create(**{**OPTIONS, "temperature": 0.7, "max_output_tokens": 4}, top_p=0.85)
    assert (response.temperature, response.top_p, response.max_output_tokens) == (0.7, 0.85, 4)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "auto"},
        {"type": "input_file", "file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"},
    ],
)
def test_only_text_is_taken(client, part):
    question = [{"role": "user", "content": [{"type": "input_text", "text": "What is this?"}, part]}]
    with pytest.raises(
        openai.BadRequestError, match=f"content of type '{part['type']}' is not supported, only text is"
    ):
        client.responses.create(**{**OPTIONS, "input": question})


def test_input_items_are_not_kept(client):
    response = client.responses.create(**{**OPTIONS, "max_output_tokens": 4})
    with pytest.raises(openai.NotFoundError, match="input items are not kept"):
        client.responses.input_items.list(response.id, limit=5)


def test_refusals(client):
    with pytest.raises(openai.BadRequestError, match="background: not supported"):
        client.responses.create(**OPTIONS, background=True)
    with pytest.raises(openai.BadRequestError, match="maximum context length"):
        client.responses.create(**{**OPTIONS, "input": "word " * 4000}, stream=True)
