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
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "array", "items": {"enum": [1]}, "maxItems": 2}}}
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


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
def test_langchain_structured_output(langchain, method):
    answer = langchain.with_structured_output(Weather, method=method, include_raw=True).invoke("The weather of Oslo in JSON?")
    assert answer["raw"]
    if method != "json_mode":  # that one is held to JSON alone, not to the class
        assert isinstance(answer["parsed"], Weather), answer["parsing_error"]


def test_answers_are_as_the_sdks_types_say(client):
    answer = ask(client, tool_choice="required")
    for choice in answer.choices:
        strict.check(choice.message.tool_calls[0])
    for chunk in ask(client, tool_choice="required", stream=True):
        for call in chunk.choices[0].delta.tool_calls or []:
            strict.check(call)
