"""What a client is told when it asks for something wrong."""

import gzip
import http.client
import json
import re

import openai
import pytest
import raw_http

CHAT = {"model": "smollm2", "messages": [{"role": "user", "content": "hi"}]}


def refusal(server, path, body, status=400):
    code, answer, headers = server.ask("POST", path, body)
    assert code == status, answer
    assert set(answer["error"]) == {"message", "type", "param", "code"}
    assert headers["x-request-id"]
    return answer["error"]


def test_unknown_and_wrong_fields_are_named(server):
    assert refusal(server, "/v1/chat/completions", {**CHAT, "temprature": 1}) == {
        "message": "unknown field 'temprature' (did you mean 'temperature'?)",
        "type": "invalid_request_error",
        "param": "temprature",
        "code": "unknown_parameter",
    }
    assert refusal(server, "/v1/chat/completions", {**CHAT, "temperature": "hot"})["message"] == (
        'temperature: expected a number from 0 to 2, got "hot"'
    )
    assert refusal(server, "/v1/completions", {"prompt": "x", "top_p": 0})["param"] == "top_p"


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions", "/v1/messages", "/api/chat"])
def test_a_field_given_twice_is_refused_by_name(server, path):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST", path, b'{"max_tokens": 4, "max_tokens": 5}', {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert response.status == 400
    assert b"max_tokens: given twice in the body" in response.read()
    connection.close()


# Their links may be decorated.
SHOWN = {"/", "/docs", "/openapi.json", "/health", "/ping", "/ready", "/load", "/version", "/metrics"}
ADMIN = {"/server_info", "/reset_prefix_cache"}  # only with --enable-admin


def test_a_query_is_refused_wherever_nobody_reads_it(server):
    paths = server.ask("GET", "/openapi.json")[1]["paths"]
    methods = [(method.upper(), path) for path, item in paths.items() for method in item if method != "parameters"]
    assert len(methods) > 30
    for path in SHOWN:
        assert server.ask("GET", path + "?utm_source=x&t=%ff")[0] == 200, path
    assert server.ask("POST", "/v1/chat/completions?api-version=2024-10-21", {**CHAT, "max_tokens": 1})[0] == 200
    assert server.ask("GET", "/v1/models?api-version=2024-10-21")[0] == 200
    for method, path in methods:
        if path in SHOWN | ADMIN:
            continue
        status, answer, _ = server.ask(method, path.replace("{id}", "resp_x") + "?colour=red", {})
        assert status == 400, (method, path, answer)
        assert re.search("unknown (query parameter|field) 'colour'", str(answer)), (method, path, answer)


def test_ignored_queries_are_those_that_the_document_names(server):
    paths = server.ask("GET", "/openapi.json")[1]["paths"]
    named = set()
    for path, item in paths.items():
        if path in SHOWN | ADMIN:
            continue
        for method in item.keys() - {"parameters"}:
            parameters = item[method].get("parameters", [])
            for name in ("api-version", "beta", "limit"):
                answer = server.ask(method.upper(), path.replace("{id}", "resp_x") + f"?{name}=1", {})[1]
                is_refused = re.search(f"unknown (query parameter|field) '{name}'", str(answer)) is not None
                is_named = any((p["name"], p["in"]) == (name, "query") for p in parameters)
                assert is_named != is_refused, (method, path, name, answer)
                named |= {name} if is_named else set()
    assert named == {"api-version", "beta", "limit"}


def test_a_coded_body_is_refused_as_such(server):
    body = gzip.compress(json.dumps(CHAT).encode())
    with server.connect() as connection:
        connection.send(raw_http.request("POST", "/v1/chat/completions", body, "Content-Encoding: gzip"))
        answer = connection.read_answer()
    assert (answer.status, answer.headers["accept-encoding"]) == (415, "identity")
    assert "Content-Encoding: expected none, got 'gzip'" in answer.json()["error"]["message"]


def test_an_empty_salt_is_none(server):
    assert refusal(server, "/v1/completions", {"prompt": "x", "cache_salt": ""})["param"] == "cache_salt"
    assert refusal(server, "/v1/embeddings", {"input": "x", "cache_salt": ""})["param"] == "cache_salt"


def test_a_budget_for_thinking_needs_a_model_that_thinks(server):
    error = refusal(server, "/v1/chat/completions", {**CHAT, "thinking_token_budget": 5})
    assert error["message"] == "thinking_token_budget: the model 'smollm2' does not think"


def test_the_result_of_a_call_that_never_was(server):
    result = {"role": "tool", "tool_call_id": "call_9", "content": "4"}
    error = refusal(server, "/v1/chat/completions", {**CHAT, "messages": [*CHAT["messages"], result]})
    assert error["param"] == "messages[1].tool_call_id"
    assert error["message"].endswith('the id of a call that an earlier message has, got "call_9"')
    output = {"type": "function_call_output", "call_id": "call_9", "output": "4"}
    assert refusal(server, "/v1/responses", {"input": [output]})["param"] == "input[0].call_id"
    block = {"type": "tool_result", "tool_use_id": "toolu_9", "content": "4"}
    messages = {"model": "smollm2", "max_tokens": 4, "messages": [{"role": "user", "content": [block]}]}
    status, answer, _ = server.ask("POST", "/v1/messages", messages)
    assert status == 400 and "content[0].tool_use_id: expected the id of a call" in answer["error"]["message"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("best_of", 3),
    ],
)
def test_what_is_not_honoured_is_refused_by_name(server, field, value):
    error = refusal(server, "/v1/chat/completions", {**CHAT, field: value})
    assert error["message"].startswith(field + ": ")
    assert error["param"] == field


def test_the_sdk_raises_its_own_exceptions(client):
    with pytest.raises(openai.BadRequestError, match="expected a list of at least one message") as caught:
        client.chat.completions.create(model="smollm2", messages=[])
    assert caught.value.param == "messages"
    assert caught.value.request_id
    with pytest.raises(openai.NotFoundError, match="the model 'gpt-5' does not exist"):
        client.chat.completions.create(model="gpt-5", messages=CHAT["messages"])
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("owner/name")
    with pytest.raises(openai.NotFoundError):
        client.moderations.create(input="x")
    with pytest.raises(openai.BadRequestError, match=r"messages\[0\].content\[0\]: content of type 'image_url'"):
        part = {"type": "image_url", "image_url": {"url": "data:,"}}
        client.chat.completions.create(model="smollm2", messages=[{"role": "user", "content": [part]}])


@pytest.mark.parametrize("streamed", [False, True])
def test_a_prompt_too_long_says_by_how_much(client, server, streamed):
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model="smollm2", prompt=" word" * 3000, stream=streamed)
    found = re.fullmatch(
        r"This model's maximum context length is 2048 tokens; the prompt has (\d+)", caught.value.body["message"]
    )
    assert int(found.group(1)) >= 3000
    assert caught.value.code == "context_length_exceeded"


def test_models(client):
    models = client.models.list().data
    assert [model.id for model in models] == ["smollm2"]
    assert client.models.retrieve("smollm2").max_model_len == 2048


def test_methods_and_paths(server):
    assert server.ask("GET", "/v1/nothing")[0] == 404
    status, answer, headers = server.ask("GET", "/v1/chat/completions")
    assert (status, headers["allow"]) == (405, "POST")
    assert "error" in answer
    assert server.ask("POST", "/v1/chat/completions", CHAT, {"Content-Type": "text/plain"})[0] == 415
    assert server.ask("GET", "/health", headers={"Host": "evil.example"})[0] == 403


def test_keys(start_server):
    server = start_server("--api-key", "first", "--api-key", "second")
    with pytest.raises(openai.AuthenticationError):
        server.client(api_key="third").models.list()
    assert server.client(api_key="first").models.list().data
    assert server.client(api_key="second").models.list().data
    for path in ("/health", "/ready", "/ping", "/"):
        assert server.ask("GET", path)[0] == 200
    for path in ("/load", "/version", "/openapi.json", "/nowhere"):
        assert server.ask("GET", path)[0] == 401
    assert server.stop() == 0


def test_the_openapi_document_is_one(server):
    from openapi_spec_validator import validate

    status, document, _ = server.ask("GET", "/openapi.json")
    assert status == 200
    validate(document)
    temperature = document["components"]["schemas"]["ChatRequest"]["properties"]["temperature"]
    assert (temperature["minimum"], temperature["maximum"]) == (0, 2)
