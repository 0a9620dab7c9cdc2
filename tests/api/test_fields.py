"""vLLM's fields, sent as its clients send them: beside the SDKs' own."""

import openai
import pytest

PROMPT = "Once upon a time, in a village by the sea,"
QUESTION = [{"role": "user", "content": "Name three colours."}]


@pytest.fixture
def complete(client, lenient_client):
    def ask(prompt=PROMPT, stream_options=None, **extra):
        options = {"model": "smollm2", "prompt": prompt, "temperature": 0, "max_tokens": 16}
        own = {name: extra.pop(name) for name in ("max_tokens", "stop", "stream", "n") if name in extra}
        if stream_options:
            own["stream_options"] = stream_options
        asked = lenient_client if own.get("stream") else client
        return asked.completions.create(**{**options, **own}, extra_body={"ignore_eos": True, **extra})

    return ask


def tokens_of(server, text: str) -> list[int]:
    return server.ask("POST", "/tokenize", {"prompt": text})[1]["tokens"]


@pytest.fixture(scope="module")
def thinker(start_server):
    server = start_server("--force-thinking", "on", "--served-model-name", "smollm2", "--max-model-len", "512")
    yield server
    assert server.stop() == 0


def think(thinker, stream=False, **extra):
    return thinker.client().chat.completions.create(
        model="smollm2",
        messages=QUESTION,
        temperature=0,
        max_tokens=24,
        stream=stream,
        extra_body={"thinking_token_budget": 8, "ignore_eos": True, **extra},
    )


def test_reasoning_comes_apart_under_both_names(thinker):
    answer = think(thinker)
    message = answer.choices[0].message
    assert message.reasoning.strip()
    assert message.reasoning_content == message.reasoning
    assert message.content.strip()
    assert "</think>" not in message.reasoning + message.content
    assert 0 < answer.usage.completion_tokens_details.reasoning_tokens < answer.usage.completion_tokens
    deltas = [chunk.choices[0].delta for chunk in think(thinker, stream=True)]
    assert "".join(getattr(delta, "reasoning", None) or "" for delta in deltas) == message.reasoning
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == message.reasoning
    assert "".join(delta.content or "" for delta in deltas) == message.content


def test_reasoning_may_be_left_out(thinker):
    with_it = think(thinker).choices[0].message
    message = think(thinker, include_reasoning=False).choices[0].message
    assert message.content == with_it.content
    assert not hasattr(message, "reasoning") and not hasattr(message, "reasoning_content")
    for chunk in think(thinker, stream=True, include_reasoning=False):
        delta = chunk.choices[0].delta
        assert not hasattr(delta, "reasoning") and not hasattr(delta, "reasoning_content")


def test_repetition_detection(complete):
    circle = {"prompt": "na na na na na na na na na na na na", "max_tokens": 64}
    free = complete(**circle, repetition_detection={"max_pattern_size": 0})
    assert free.usage.completion_tokens == 64
    ended = complete(**circle, ignore_eos=False, repetition_detection={"max_pattern_size": 8, "min_count": 4})
    choice = ended.choices[0]
    assert (choice.finish_reason, choice.stop_reason) == ("stop", "repetition")
    assert ended.usage.completion_tokens < 64
    assert free.choices[0].text.startswith(choice.text)


def test_stop_token_ids(complete, server):
    whole = complete(return_token_ids=True).choices[0]
    stop = whole.token_ids[8]
    first = whole.token_ids.index(stop)
    cut = complete(stop_token_ids=[stop], return_token_ids=True, max_tokens=64).choices[0]
    assert (cut.finish_reason, cut.stop_reason) == ("stop", stop)
    assert cut.token_ids == whole.token_ids[: first + 1]
    text = server.ask("POST", "/detokenize", {"tokens": whole.token_ids[:first]})[1]["prompt"]
    assert cut.text == text
    kept = complete(stop_token_ids=[stop], include_stop_str_in_output=True).choices[0].text
    assert kept == server.ask("POST", "/detokenize", {"tokens": whole.token_ids[: first + 1]})[1]["prompt"]


def test_a_stop_string_may_stay(complete):
    whole = complete().choices[0].text
    stop = whole[len(whole) // 2 :][:4]
    for stream in (False, True):

        def text(**options):
            answer = complete(stop=[stop], stream=stream, **options)  # noqa: B023
            return "".join(chunk.choices[0].text for chunk in (answer if stream else [answer]))  # noqa: B023

        assert text() == whole[: whole.index(stop)]
        assert text(include_stop_str_in_output=True) == whole[: whole.index(stop) + len(stop)]


def test_stream_interval(complete):
    def texts(interval):
        return [chunk.choices[0].text for chunk in complete(stream=True, max_tokens=24, stream_interval=interval)]

    each, rare = texts(1), texts(8)
    assert "".join(rare) == "".join(each)
    assert len(rare) <= 5 < len(each), "the first, then one in eight tokens"


def test_truncate_prompt_tokens(complete, server):
    tokens = tokens_of(server, PROMPT)
    last = complete(tokens[-4:])
    truncated = complete(tokens, truncate_prompt_tokens=4)
    assert truncated.usage.prompt_tokens == 4
    assert truncated.choices[0].text == last.choices[0].text
    with pytest.raises(openai.BadRequestError, match="maximum context length"):
        complete(tokens * 300)
    assert complete(tokens * 300, truncate_prompt_tokens=-1, max_tokens=1).usage.prompt_tokens < 2048


def test_continuous_usage_stats(complete):
    chunks = list(complete(stream=True, stream_options={"include_usage": True, "continuous_usage_stats": True}))
    counts = [chunk.usage.completion_tokens for chunk in chunks]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1] == 16
    assert len({chunk.usage.prompt_tokens for chunk in chunks}) == 1


def test_request_id(client, complete):
    assert complete(request_id="mine-1").id == "cmpl-mine-1"
    assert {chunk.id for chunk in complete(request_id="mine-2", stream=True)} == {"cmpl-mine-2"}
    chat = client.chat.completions.create(
        model="smollm2", messages=QUESTION, max_tokens=1, extra_body={"request_id": "mine-3"}
    )
    assert chat.id == "chatcmpl-mine-3"
    with pytest.raises(openai.BadRequestError, match="request_id: expected printable ASCII characters"):
        complete(request_id="with space")


def test_cache_salt(complete):
    def num_cached(salt):
        return complete(
            "A prompt to be shared: " + "sheep, " * 60, cache_salt=salt
        ).usage.prompt_tokens_details.cached_tokens

    assert num_cached("one") == 0
    assert num_cached("one") > 32
    assert num_cached("two") == 0


def test_the_responses_api_takes_them(client, server):
    def respond(**extra):
        return client.responses.create(
            model="smollm2", input=QUESTION[0]["content"], temperature=0, max_output_tokens=24, extra_body=extra
        )

    plain = respond()
    stop = plain.output_text[len(plain.output_text) // 2 :][:4]
    cut = respond(stop=stop, include_stop_str_in_output=True)
    assert plain.output_text.startswith(cut.output_text) and cut.output_text.endswith(stop)
    drawn = [respond(temperature=1.5, seed=5, top_k=40, min_p=0.02).output_text for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert respond(structured_outputs={"choice": ["copper"]}).output_text == "copper"
    assert respond(min_tokens=24, ignore_eos=True).usage.output_tokens == 24
    assert respond(request_id="mine-4").id == "resp_mine-4"
    with pytest.raises(openai.BadRequestError, match="request_id: there is a response 'resp_mine-4' already"):
        respond(request_id="mine-4")


def test_the_messages_api_takes_them(server):
    claude = server.anthropic()

    def ask(**extra):
        return claude.messages.create(
            model="smollm2", messages=QUESTION, max_tokens=24, extra_body={"temperature": 0, **extra}
        )

    plain = ask().content[0].text
    other = ask(logit_bias={str(tokens_of(server, plain)[0]): -100}).content[0].text
    assert other != plain
    drawn = [ask(temperature=1.5, seed=5, min_p=0.02, repetition_penalty=1.1).content[0].text for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert ask(guided_choice=["copper"]).content[0].text == "copper"
    assert ask(min_tokens=24, ignore_eos=True).usage.output_tokens == 24
    assert ask(request_id="mine-5").id == "msg_mine-5"
    assert ask(chat_template_kwargs={"enable_thinking": False}).content[0].text == plain


def test_a_running_response_is_cancelled(client, server):
    stream = client.responses.create(
        model="smollm2", input="Tell me a story.", max_output_tokens=1500, stream=True, extra_body={"ignore_eos": True}
    )
    first = next(iter(stream))
    assert client.responses.cancel(first.response.id).status == "cancelled"
    last = list(stream)[-1]
    assert (last.type, last.response.status) == ("response.incomplete", "cancelled")
    assert last.response.usage.output_tokens < 1500
    assert client.responses.retrieve(first.response.id).status == "cancelled"
    assert server.wait_for_load(lambda load: load["server_load"] == 0)
