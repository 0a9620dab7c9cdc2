"""Answers that keep a form: JSON schemas, expressions, choices, grammars."""

import concurrent.futures
import json
import math
import re

import openai
import pytest
from json_schemas import REFUSED, SCHEMAS
from jsonschema import Draft202012Validator

QUESTION = [{"role": "user", "content": "Give me some JSON."}]
AT_ONCE = 12


def answer(client, **options):
    return client.chat.completions.create(
        model="smollm2", messages=QUESTION, **{"max_tokens": 200, "temperature": 1, "seed": 11, **options}
    )


def schema_format(schema, **more) -> dict:
    return {"type": "json_schema", "json_schema": {"name": "form", "schema": schema, **more}}


@pytest.fixture(scope="module")
def answers(client, request):
    """By its schema's name, of each schema that is to be tried: the future answer. Side by side they take a third."""
    chosen = [item.callspec.params for item in request.session.items if item.originalname == "test_schema"]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            params["name"]: pool.submit(answer, client, n=2, response_format=schema_format(params["schema"]))
            for params in chosen
        }
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize(("name", "schema"), SCHEMAS, ids=[name for name, _ in SCHEMAS])
def test_schema(answers, name, schema):
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    choices = answers[name].result().choices
    for choice in choices:
        if choice.finish_reason == "stop":
            validator.validate(json.loads(choice.message.content))
    assert any(choice.finish_reason == "stop" for choice in choices), "not one answer was completed"


def test_there_are_enough_schemas():
    assert len({name for name, _ in SCHEMAS}) == len(SCHEMAS) >= 200


@pytest.mark.parametrize(("schema", "named"), REFUSED, ids=[named for _, named in REFUSED])
def test_what_cannot_be_enforced_is_named(client, schema, named):
    with pytest.raises(openai.BadRequestError) as refusal:
        answer(client, response_format=schema_format(schema, strict=True))
    assert refusal.value.param == "response_format"
    assert named in refusal.value.message


@pytest.mark.parametrize("stream", [False, True])
def test_a_form_too_complex_to_follow_is_told_so(client, stream):
    with pytest.raises(openai.APIError) as refusal:
        answered = answer(client, extra_body={"guided_regex": r"(.{0,100}a.{0,100}b){1,50}x"}, stream=stream)
        list(answered)
    assert refusal.value.code == "form_too_complex"
    assert "[grammar] it takes too much work to tell what may come next" in refusal.value.message


def test_json_object(client):
    choice = answer(client, n=4, max_tokens=300, response_format={"type": "json_object"}).choices
    whole = [c for c in choice if c.finish_reason == "stop"]
    assert all(isinstance(json.loads(c.message.content), dict) for c in whole)


def test_numbers_are_finite(client):
    """An answer to so high a temperature is mostly digits, and often an exponent."""
    choices = answer(client, n=32, temperature=2, response_format=schema_format({"type": "number"})).choices
    whole = [c.message.content for c in choices if c.finish_reason == "stop"]
    assert any("e" in number.lower() for number in whole)
    assert all(math.isfinite(json.loads(number)) for number in whole)


@pytest.mark.parametrize("strict", [True, False])
def test_a_key_given_twice_in_a_schema_is_named(server, strict):
    body = {"messages": QUESTION, "response_format": schema_format({"properties": {"a": {"const": 1}}}, strict=strict)}
    text = json.dumps(body).replace('"a": {"const": 1}', '"a": {"const": 1, "const": 2}')
    status, answer, _ = server.ask("POST", "/v1/chat/completions", text.encode())
    assert status == 400
    assert answer["error"]["param"] == "response_format.json_schema.schema.properties.a.const"


def test_stream_and_logprobs(client):
    schema = {"type": "array", "items": {"enum": ["copper", "tin"]}, "minItems": 2, "maxItems": 2}
    stream = answer(client, response_format=schema_format(schema), stream=True)
    assert len(json.loads("".join(chunk.choices[0].delta.content or "" for chunk in stream))) == 2
    choice = answer(client, response_format=schema_format(schema), logprobs=True).choices[0]
    assert "".join(entry.token for entry in choice.logprobs.content) == choice.message.content


@pytest.mark.parametrize(
    ("form", "expression"),
    [
        ({"structured_outputs": {"regex": "[a-c]{3}-[0-9]{2}"}}, "[a-c]{3}-[0-9]{2}"),
        ({"guided_regex": "(ja|nein)!"}, "(ja|nein)!"),
        ({"structured_outputs": {"choice": ["a.b", "c|d", "é(f"]}}, r"a\.b|c\|d|é\(f"),
        ({"guided_choice": ["copper"]}, "copper"),
        ({"structured_outputs": {"grammar": 'start: "x" NUMBER NUMBER? "."\nNUMBER: /[0-9]/'}}, r"x[0-9]{1,2}\."),
        ({"guided_grammar": 'root ::= "a" item{2} ("b" | "c")\nitem ::= [0-9/]'}, "a[0-9/]{2}[bc]"),
        ({"guided_json": '{"enum": [7, 8]}'}, "[78]"),
        ({"guided_json_object": True}, r"(?s)\{.*"),
    ],
)
def test_forms(client, form, expression):
    for choice in answer(client, n=3, extra_body=form).choices:
        assert re.fullmatch(expression, choice.message.content), choice.message.content
    text = client.completions.create(model="smollm2", prompt="Say: ", max_tokens=100, seed=2, extra_body=form)
    assert re.fullmatch(expression, text.choices[0].text)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"response_format": {"type": "yaml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": 5}}}, "response_format"),
        ({"response_format": {"type": "json_object", "schema": {}}}, "response_format.schema"),
        ({"structured_outputs": {"whitespace_pattern": "x"}}, "structured_outputs.whitespace_pattern"),
        ({"guided_regex": "(a"}, "guided_regex"),
        ({"guided_choice": []}, "guided_choice"),
        ({"guided_grammar": "start: nowhere"}, "guided_grammar"),
        ({"guided_regex": "a", "guided_choice": ["b"]}, "guided_"),
        ({"guided_regex": "a", "bad_words": ["b"]}, "bad_words"),
        ({"guided_regex": "a" * 300_000}, "guided_regex"),
        ({"guided_regex": "[a&&b]"}, "guided_regex"),
        ({"guided_json": '{"enum": [1], "enum": [2]}'}, "guided_json"),
        ({"guided_json": '{"enum":' + "[" * 1_000_000 + "]" * 1_000_000 + "}"}, "guided_json"),
        ({"structured_outputs": {}}, "structured_outputs"),
        ({"structured_outputs": {"json": False}}, "structured_outputs.json"),
        ({"guided_json": "false"}, "guided_json"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": False}}}, "response_format"),
        ({"structured_outputs": {"json": None, "json_object": False}}, "structured_outputs"),
        ({"allowed_token_ids": []}, "allowed_token_ids"),
        ({"bad_words": ["a", ""]}, "bad_words[1]"),
    ],
)
def test_bad_forms(server, body, named):
    status, answer, _ = server.ask("POST", "/v1/chat/completions", {"messages": QUESTION, **body})
    assert status == 400
    assert answer["error"]["param"].startswith(named)


def test_forms_side_by_side(server):
    """Bound and free answers in one batch, with too many samples for one step."""
    client = server.client()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        bound = [pool.submit(answer, client, n=4, seed=i, extra_body={"guided_regex": "[ab]{9}"}) for i in range(6)]
        free = [pool.submit(answer, client, max_tokens=30, temperature=0) for _ in range(2)]
        assert all(re.fullmatch("[ab]{9}", c.message.content) for job in bound for c in job.result().choices)
        assert free[0].result().choices[0].message.content == free[1].result().choices[0].message.content
