"""Holds an answer against the types of the SDK that read it. The SDKs take whatever comes; these checks do not."""

import json

import ollama
import pydantic


def check(value) -> None:
    """Raises unless everything in `value` is as its class declares it and nothing is there that no class knows."""
    type(value).model_validate(value.to_dict(mode="json"), strict=False)
    _refuse_extras(value, type(value).__name__)


def _refuse_extras(value, path: str) -> None:
    if isinstance(value, pydantic.BaseModel):
        assert not value.model_extra, f"{path} has fields its class does not know: {value.model_extra}"
        for name in type(value).model_fields:
            _refuse_extras(getattr(value, name, None), f"{path}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_extras(item, f"{path}[{index}]")


OLLAMA = {
    "/api/chat": ollama.ChatResponse,
    "/api/generate": ollama.GenerateResponse,
    "/api/embed": ollama.EmbedResponse,
    "/api/embeddings": ollama.EmbeddingsResponse,
    "/api/tags": ollama.ListResponse,
    "/api/ps": ollama.ProcessResponse,
    "/api/show": ollama.ShowResponse,
}
DROPPED = {"name", "bytes"}  # of models and of tokens: Ollama sends them, and its package does not read them


def ollama_client(url: str) -> ollama.Client:
    """One that checks every answer, and every line of a stream, before its package reads it."""
    return ollama.Client(host=url, event_hooks={"response": [_check_ollama]})


def _check_ollama(response) -> None:
    text = response.read().decode()
    if response.status_code != 200:
        return
    kind = OLLAMA[response.url.path]
    for line in text.splitlines():
        data = json.loads(line)
        known = kind.model_validate(data).model_dump(mode="json", by_alias=True, exclude_unset=True)
        _refuse_unknown(data, known, kind.__name__)


def _refuse_unknown(data, known, path: str) -> None:
    """`known`: what the class kept of `data`."""
    if isinstance(data, dict):
        extra = data.keys() - known.keys() - DROPPED
        assert not extra, f"{path} has fields its class does not know: {extra}"
        for name in data.keys() & known.keys():
            _refuse_unknown(data[name], known[name], f"{path}.{name}")
    elif isinstance(data, list):
        for index, (value, kept) in enumerate(zip(data, known, strict=True)):
            _refuse_unknown(value, kept, f"{path}[{index}]")
