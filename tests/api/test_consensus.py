"""Retort's own `consensus`, by the official SDK, which passes its own fields through."""

import pytest
from openai import BadRequestError

CHOICES = {"structured_outputs": {"choice": ["yes", "no", "perhaps"]}}
MESSAGES = [{"role": "user", "content": "Is it going to rain? Answer yes, no or perhaps."}]


def ask(client, **more):
    return client.chat.completions.create(model="smollm2", messages=MESSAGES, temperature=1, seed=1, **more)


def check(consensus, content, n):
    votes = [answer["votes"] for answer in consensus["answers"]]
    assert consensus["samples"] + consensus["cancelled"] == n
    assert sum(votes) + consensus["no_answer"] == consensus["samples"]
    assert votes == sorted(votes, reverse=True) and consensus["votes"] == votes[0]
    assert consensus["share"] == pytest.approx(votes[0] / consensus["samples"])
    assert content == consensus["answers"][0]["answer"]


def test_the_majority_is_the_answer(client):
    answer = ask(client, extra_body={"consensus": {"n": 7}, **CHOICES})
    assert len(answer.choices) == 1
    check(answer.model_extra["consensus"], answer.choices[0].message.content, 7)


def test_a_stream_tells_of_votes_and_ends_with_the_answer(client):
    content, votes = "", []
    for chunk in ask(client, stream=True, extra_body={"consensus": {"n": 7}, **CHOICES}):
        votes += [chunk.model_extra["consensus"]] if chunk.model_extra.get("consensus") else []
        content += "".join(choice.delta.content or "" for choice in chunk.choices)
    check(votes[-1], content, 7)
    assert [vote["samples"] for vote in votes[:-1]] == list(range(1, votes[-1]["samples"] + 1))


def test_without_answers_there_is_still_a_text(client):
    answer = client.completions.create(
        model="smollm2", prompt="Once", max_tokens=4, temperature=1, extra_body={"consensus": True}
    )
    assert answer.choices[0].text
    assert answer.model_extra["consensus"]["no_answer"] == 5
    assert answer.usage.completion_tokens == 20


def test_it_has_its_own_n(client):
    with pytest.raises(BadRequestError, match="n: cannot be used together with consensus"):
        ask(client, n=2, extra_body={"consensus": True})
