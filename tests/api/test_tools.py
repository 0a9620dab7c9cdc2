"""Tools with the official SDKs. The small model calls nothing by itself, so calls are demanded: a grammar holds it to them."""

import json

import openai
import pytest
import strict
from jsonschema import Draft202012Validator
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field

QUESTION = [{"role": "user", "content": "What is the weather in Oslo?"}]
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}, "unit": {"enum": ["C", "F"]}},
    "required": ["city", "unit"],
    "additionalProperties": False,
}
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "The weather.", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "now"}},
]
GET_WEATHER = {"type": "function", "function": {"name": "get_weather"}}
ONE = {"tools": TOOLS, "parallel_tool_calls": False, "max_tokens": 120, "temperature": 0.8, "seed": 3}


def ask(client, **options):
    return client.chat.completions.create(model="smollm2", messages=QUESTION, **{**ONE, **options})


def check_call(call, name="get_weather"):
    assert call.id.startswith("call_")
    assert call.type == "function"
    assert call.function.name == name
    if name == "get_weather":
        Draft202012Validator(WEATHER).validate(json.loads(call.function.arguments))
    else:
        assert call.function.arguments == "{}"


@pytest.mark.parametrize("choice", ["required", GET_WEATHER])
def test_a_call_that_is_demanded(client, choice):
    answer = ask(client, tool_choice=choice, n=3, logprobs=True)
    assert len({choice.message.tool_calls[0].id for choice in answer.choices}) == 3
    for choice in answer.choices:
        assert choice.finish_reason == "tool_calls"
        assert choice.message.content is None
        (call,) = choice.message.tool_calls
        check_call(call, call.function.name)
        assert choice.logprobs.content


def test_a_tool_without_arguments(client):
    (call,) = ask(client, tool_choice={"type": "function", "function": {"name": "now"}}).choices[0].message.tool_calls
    check_call(call, "now")


def test_a_stream_says_the_same(client):
    whole = ask(client, tool_choice=GET_WEATHER).choices[0].message.tool_calls[0].function
    chunks = list(ask(client, tool_choice=GET_WEATHER, stream=True))
    calls = [part for chunk in chunks for part in chunk.choices[0].delta.tool_calls or []]
    assert calls[0].id
    assert calls[0].function.name == "get_weather"
    assert all(call.index == 0 for call in calls)
    assert all(call.id is None and call.function.name is None for call in calls[1:])
    assert "".join(call.function.arguments for call in calls) == whole.arguments
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def parts_of_arguments(stream):
    calls = [part for chunk in stream for part in chunk.choices[0].delta.tool_calls or []]
    assert calls[0].function.name == "get_weather"
    assert calls[0].function.arguments == ""
    return [call.function.arguments for call in calls[1:]]


@pytest.mark.parametrize("choice", ["required", GET_WEATHER])
def test_a_call_that_is_held_to_streams_while_it_is_written(client, choice):
    only = {"tools": TOOLS[:1], "tool_choice": choice}
    parts = parts_of_arguments(ask(client, stream=True, **only))
    assert len(parts) > 3
    assert "".join(parts) == ask(client, **only).choices[0].message.tool_calls[0].function.arguments
    Draft202012Validator(WEATHER).validate(json.loads("".join(parts)))


def test_a_call_that_is_cut_off(client):
    cut = {"tool_choice": GET_WEATHER, "max_tokens": 20}
    chunks = list(ask(client, stream=True, **cut))
    assert chunks[-1].choices[0].finish_reason == "length"
    assert "".join(parts_of_arguments(chunks)).startswith('{"city":')
    whole = ask(client, **cut).choices[0]
    assert whole.finish_reason == "length"
    assert whole.message.tool_calls is None


@pytest.mark.parametrize("choice", ["required", GET_WEATHER])
def test_a_call_that_is_cut_off_before_it_says_anything(client, choice):
    for length in range(1, 5):
        cut = {"tool_choice": choice, "max_tokens": length}
        whole = ask(client, **cut).choices[0]
        chunks = list(ask(client, stream=True, **cut))
        assert (whole.finish_reason, chunks[-1].choices[0].finish_reason) == ("length", "length")
        assert not whole.message.content, length
        assert whole.message.tool_calls is None
        assert not any(chunk.choices[0].delta.content or chunk.choices[0].delta.tool_calls for chunk in chunks)


def test_the_sdks_stream_helper(client):
    options = {**ONE, "tools": [openai.pydantic_function_tool(Weather)]}
    with client.chat.completions.stream(
        model="smollm2", messages=QUESTION, tool_choice="required", **options
    ) as stream:
        names = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "tool_calls.function.arguments.done" in names
    assert isinstance(final.choices[0].message.tool_calls[0].function.parsed_arguments, Weather)


class Weather(BaseModel):
    """The weather of a city."""

    city: str = Field(max_length=12)
    celsius: bool


def test_a_conversation_goes_on_with_the_result(client):
    message = ask(client, tool_choice=GET_WEATHER).choices[0].message
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "Sunny, 21 C"}
    messages = [*QUESTION, message, result]
    answer = client.chat.completions.create(
        model="smollm2", messages=messages, tools=TOOLS, max_tokens=16, temperature=0
    )
    assert answer.usage.prompt_tokens > 100
    assert answer.choices[0].message.role == "assistant"


def test_tools_are_part_of_the_prompt(server):
    def count(**more):
        return server.ask("POST", "/tokenize", {"messages": QUESTION, **more})[1]["count"]

    assert count(tools=TOOLS) > count() + 50


def test_the_model_is_free_with_auto(client):
    for choice in ("auto", "none"):
        answer = ask(client, tool_choice=choice, temperature=0, max_tokens=24).choices[0]
        assert answer.message.content or answer.message.tool_calls


def test_json_or_a_call(client):
    form = {
        "type": "json_schema",
        "json_schema": {"name": "n", "schema": {"type": "array", "items": {"enum": [1]}, "maxItems": 2}},
    }
    for choice in ask(client, n=4, response_format=form, temperature=1.5).choices:
        if choice.finish_reason == "stop":
            assert set(json.loads(choice.message.content)) <= {1}
        elif choice.finish_reason == "tool_calls":
            check_call(choice.message.tool_calls[0], choice.message.tool_calls[0].function.name)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0]"),
        ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools[0].function.name"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "fly"}}}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": "perhaps"}, "tool_choice"),
        ({"tools": TOOLS, "parallel_tool_calls": "yes"}, "parallel_tool_calls"),
        ({"tools": TOOLS * 2}, "tools[2]"),
    ],
)
def test_refusals_name_the_field(server, body, named):
    status, answer, _ = server.ask("POST", "/v1/chat/completions", {"messages": QUESTION, **body})
    assert status == 400
    assert answer["error"]["param"].startswith(named)


# langchain-openai


@tool
def get_weather(city: str, celsius: bool) -> str:
    """The weather of a city."""
    return f"Sunny in {city}"


@pytest.fixture(scope="module")
def langchain(server):
    return ChatOpenAI(
        base_url=server.url + "/v1", api_key="none", model="smollm2", temperature=0, max_tokens=200, max_retries=0
    )


def test_langchain_binds_tools(langchain):
    bound = langchain.bind_tools([get_weather], tool_choice="get_weather", parallel_tool_calls=False)
    message = bound.invoke("How is Oslo?")
    assert isinstance(message, AIMessage)
    (call,) = message.tool_calls
    assert call["name"] == "get_weather"
    assert set(call["args"]) == {"city", "celsius"}
    assert not message.invalid_tool_calls
    answer = langchain.bind_tools([get_weather], tool_choice="none").invoke(
        [HumanMessage("How is Oslo?"), message, ToolMessage("Sunny", tool_call_id=call["id"])]
    )
    assert isinstance(answer.content, str)


def test_langchain_streams_tools(langchain):
    bound = langchain.bind_tools([get_weather], tool_choice="required", parallel_tool_calls=False)
    message = None
    for chunk in bound.stream("How is Oslo?"):
        message = chunk if message is None else message + chunk
    assert message.tool_calls[0]["name"] == "get_weather"
    assert len(message.tool_calls) == 1


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_langchain_structured_output(langchain, method):
    answer = langchain.with_structured_output(Weather, method=method, include_raw=True).invoke(
        "The weather of Oslo in JSON?"
    )
    assert isinstance(answer["parsed"], Weather), answer["parsing_error"]


def test_answers_are_as_the_sdks_types_say(client):
    answer = ask(client, tool_choice="required")
    for choice in answer.choices:
        strict.check(choice.message.tool_calls[0])
    for chunk in ask(client, tool_choice="required", stream=True):
        for call in chunk.choices[0].delta.tool_calls or []:
            strict.check(call)


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"enum": [1, 2]}}},
        {"enum": ["Oslo", {"a": 1}]},
        {"oneOf": [{"type": "string"}, WEATHER]},
    ],
)
def test_arguments_are_an_object_whatever_the_schema_leaves_open(client, schema):
    open_tool = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    (call,) = ask(client, tools=open_tool, tool_choice="required").choices[0].message.tool_calls
    assert isinstance(json.loads(call.function.arguments), dict)


@pytest.mark.parametrize("demand", [{}, {"tool_choice": "required"}])
@pytest.mark.parametrize("schema", [{"type": "array"}, {"type": "string"}, {"type": ["array", "null"]}, True])
def test_a_schema_of_something_else_is_refused(client, schema, demand):
    wrong = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    with pytest.raises(openai.BadRequestError) as refusal:
        ask(client, tools=wrong, **demand)
    assert refusal.value.param == "tools[0].function.parameters"


# anthropic

ANTHROPIC_TOOLS = [
    {"name": "get_weather", "description": "The weather.", "input_schema": WEATHER},
    {"name": "now", "input_schema": {"type": "object", "properties": {}}},
]
ANTHROPIC = {
    "model": "smollm2",
    "max_tokens": 120,
    "messages": QUESTION,
    "tools": ANTHROPIC_TOOLS,
    "tool_choice": {"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True},
    "extra_body": {"temperature": 0},
}


@pytest.fixture(scope="module")
def claude(server):
    return server.anthropic()


def test_anthropic(claude):
    message = claude.messages.create(**ANTHROPIC)
    strict.check(message)
    assert message.stop_reason == "tool_use"
    (block,) = message.content
    assert block.name == "get_weather"
    Draft202012Validator(WEATHER).validate(block.input)
    with claude.messages.stream(**ANTHROPIC) as stream:
        pieces = [event.partial_json for event in stream if event.type == "input_json"]
        final = stream.get_final_message()
    assert len(pieces) > 3
    assert json.loads("".join(pieces)) == block.input
    assert final.content[0].input == block.input
    result = {"type": "tool_result", "tool_use_id": block.id, "content": [{"type": "text", "text": "Sunny"}]}
    history = [*QUESTION, {"role": "assistant", "content": message.content}, {"role": "user", "content": [result]}]
    after = claude.messages.create(
        **{**ANTHROPIC, "messages": history, "tool_choice": {"type": "none"}, "max_tokens": 8}
    )
    assert after.content[0].type == "text"


def test_anthropic_counts_tools(claude):
    without = claude.messages.count_tokens(model="smollm2", messages=QUESTION).input_tokens
    assert (
        claude.messages.count_tokens(model="smollm2", messages=QUESTION, tools=ANTHROPIC_TOOLS).input_tokens
        > without + 50
    )


def test_anthropic_form_and_effort(claude):
    config = {"effort": "low", "format": {"type": "json_schema", "schema": {"enum": [7, 8]}}}
    message = claude.messages.create(model="smollm2", max_tokens=20, messages=QUESTION, output_config=config)
    assert json.loads(message.content[0].text) in (7, 8)


# ollama


def test_ollama(server):
    client = strict.ollama_client(server.url)
    options = {"temperature": 0, "num_predict": 40}
    answer = client.chat("smollm2", QUESTION, tools=TOOLS, options=options)
    assert answer.message.content or answer.message.tool_calls
    call = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "now", "arguments": {}}}]}
    result = {"role": "tool", "tool_name": "now", "content": "noon"}
    after = client.chat("smollm2", [*QUESTION, call, result], tools=TOOLS, options=options)
    assert after.prompt_eval_count > answer.prompt_eval_count
    formed = client.chat("smollm2", QUESTION, format={"enum": [7, 8]}, options=options)
    assert json.loads(formed.message.content) in (7, 8)
    shown = json.loads(
        client.generate(
            "smollm2", "Hi", format={"type": "array", "maxItems": 1, "items": {"enum": [1]}}, options=options
        ).response
    )
    assert shown in ([], [1])


# responses

FUNCTIONS = [
    {"type": "function", "name": "get_weather", "description": "The weather.", "parameters": WEATHER, "strict": True}
]
RESPONSE = {
    "model": "smollm2",
    "input": "The weather of Oslo?",
    "tools": FUNCTIONS,
    "tool_choice": {"type": "function", "name": "get_weather"},
    "parallel_tool_calls": False,
    "temperature": 0,
    "max_output_tokens": 120,
}


def test_responses(client):
    response = client.responses.create(**RESPONSE)
    strict.check(response)
    (call,) = response.output
    assert call.type == "function_call"
    Draft202012Validator(WEATHER).validate(json.loads(call.arguments))
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "Sunny"}
    after = client.responses.create(
        model="smollm2", previous_response_id=response.id, input=[output], max_output_tokens=8
    )
    assert after.output[0].type == "message"


def test_responses_events(client):
    events = list(client.responses.create(**RESPONSE, stream=True))
    for event in events:
        strict.check(event)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    pieces = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    assert len(pieces) > 3
    deltas = "".join(pieces)
    assert deltas == events[-1].response.output[0].arguments
    with client.responses.stream(**RESPONSE) as stream:
        for _ in stream:
            pass
        assert stream.get_final_response().output[0].arguments == deltas


def test_responses_text_format(client):
    form = {"type": "json_schema", "name": "n", "schema": {"enum": [7, 8]}}
    response = client.responses.create(
        model="smollm2", input="A number?", text={"format": form}, reasoning={"effort": "low"}
    )
    strict.check(response)
    assert json.loads(response.output_text) in (7, 8)
