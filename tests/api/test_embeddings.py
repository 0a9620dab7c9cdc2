"""POST /v1/embeddings with the official SDK, LangChain and Ollama's package."""

import base64
import math
import struct

import openai
import pytest
import strict
from langchain_openai import OpenAIEmbeddings
from strict import check

TEXTS = ["A cat sat on the mat.", "Kittens like to sleep.", "The stock market fell sharply."]


def dot(a, b) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


@pytest.fixture
def client(lenient_client):
    """The SDK asks for base64, decodes it and has what check() then holds to its types."""
    return lenient_client


def test_embeddings(client):
    answer = client.embeddings.create(model="smollm2", input=TEXTS)
    check(answer)
    assert [item.index for item in answer.data] == [0, 1, 2]
    for item in answer.data:
        assert len(item.embedding) == 576
        assert math.isclose(dot(item.embedding, item.embedding), 1, abs_tol=1e-5)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 10


def test_float_and_base64_are_the_same_numbers(client):
    floats = client.embeddings.create(model="smollm2", input=TEXTS[0], encoding_format="float").data[0].embedding
    text = client.embeddings.create(model="smollm2", input=TEXTS[0], encoding_format="base64").data[0].embedding
    decoded = struct.unpack(f"<{len(floats)}f", base64.b64decode(text))
    assert list(decoded) == [struct.unpack("<f", struct.pack("<f", value))[0] for value in floats]


def test_alone_as_among_others(client):
    together = client.embeddings.create(model="smollm2", input=TEXTS).data[1].embedding
    assert client.embeddings.create(model="smollm2", input=TEXTS[1]).data[0].embedding == together


def test_the_mean_tells_what_is_alike(client):
    answer = client.embeddings.create(model="smollm2", input=TEXTS, extra_body={"pooling": "mean"})
    cat, kitten, market = (item.embedding for item in answer.data)
    assert dot(cat, kitten) > dot(cat, market)


def test_dimensions(client):
    whole = client.embeddings.create(model="smollm2", input=TEXTS[0], dimensions=576)
    assert len(whole.data[0].embedding) == 576
    with pytest.raises(openai.BadRequestError, match="dimensions: expected 576"):
        client.embeddings.create(model="smollm2", input=TEXTS[0], dimensions=100)


def test_langchain(server, client):
    # LangChain would count tokens with OpenAI's own vocabulary and send those.
    embeddings = OpenAIEmbeddings(
        model="smollm2", base_url=server.url + "/v1", api_key="none", check_embedding_ctx_length=False
    )
    by_langchain = embeddings.embed_documents(TEXTS)
    by_sdk = [item.embedding for item in client.embeddings.create(model="smollm2", input=TEXTS).data]
    assert by_langchain == by_sdk
    assert embeddings.embed_query(TEXTS[0]) == by_sdk[0]


def test_ollama(server, client):
    by_sdk = [item.embedding for item in client.embeddings.create(model="smollm2", input=TEXTS).data]
    package = strict.ollama_client(server.url)
    answer = package.embed(model="smollm2", input=TEXTS)
    for mine, theirs in zip(answer.embeddings, by_sdk, strict=True):
        assert all(math.isclose(a, b, abs_tol=1e-6) for a, b in zip(mine, theirs, strict=True))
    old = package.embeddings(model="smollm2", prompt=TEXTS[0]).embedding
    assert all(math.isclose(a, b, abs_tol=1e-6) for a, b in zip(old, by_sdk[0], strict=True))
