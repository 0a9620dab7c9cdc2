"""POST /generate and /generate-batch."""

import urllib.parse

PROMPT = "Name three colours."


def test_generate(server):
    status, answer, _ = server.ask("POST", "/generate", {"prompt": PROMPT, "max_tokens": 16, "temperature": 0})
    assert status == 200
    assert set(answer) == {"response", "finish_reason", "latency_ms"}
    assert answer["response"].strip()
    assert PROMPT not in answer["response"]
    assert answer["latency_ms"] > 0


def test_query_parameters_ask_the_same(server):
    fields = {"prompt": PROMPT, "max_tokens": 16, "temperature": 0}
    by_body = server.ask("POST", "/generate", fields)[1]
    status, by_query, _ = server.ask("POST", "/generate?" + urllib.parse.urlencode(fields))
    assert status == 200
    assert by_query["response"] == by_body["response"]


def test_batch_keeps_the_order(server):
    prompts = [f"Count to {number}." for number in (9, 3, 5, 2)]
    items = [{"prompt": prompt, "id": prompt, "max_tokens": 12, "temperature": 0} for prompt in prompts]
    status, answer, _ = server.ask("POST", "/generate-batch", items)
    assert status == 200
    assert [result["request_id"] for result in answer["results"]] == prompts
    fields = {name: value for name, value in items[0].items() if name != "id"}
    alone = server.ask("POST", "/generate", fields)[1]
    assert answer["results"][0]["response"] == alone["response"], "as if asked alone"


def test_what_is_not_known_is_refused(server):
    status, answer, _ = server.ask("POST", "/generate", {"prompt": PROMPT, "max_token": 5})
    assert status == 400
    assert answer["error"]["message"] == "unknown field 'max_token' (did you mean 'max_tokens'?)"
