"""Chat templates against jinja2, set up as transformers' _compile_jinja_template and apply_chat_template do."""

import copy
import json

import pytest
from conversations import CONVERSATIONS
from gguf_vocabulary import read_metadata
from oracle import HF_TOKENIZERS, SMOLLM2, TEMPLATES, ask, needed
from transformers_jinja import compiled

BOS, EOS = "<BOS>", "<EOS>"

# The families this server is for; of the others a template may use what minijinja lacks.
FAMILIES = [
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B",
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
    "Qwen-Qwen2.5-7B-Instruct",
    "Qwen-Qwen3-0.6B",
    "Qwen-QwQ-32B",
    "Qwen3-Coder",
    "meta-llama-Llama-3.1-8B-Instruct",
    "meta-llama-Llama-3.2-3B-Instruct",
    "meta-llama-Llama-3.3-70B-Instruct",
    "HuggingFaceTB-SmolLM3-3B",
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use",
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use",
]


# The format of Meta's model card for Llama 3, without what later versions add to the system message.
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>{{ '\\n\\n' }}{% endif %}"
)


def prepared(source: str, messages: list[dict], parse_arguments: bool) -> list[dict]:
    """What the API carries as what templates expect: text parts joined, arguments as objects, null content as "" where
    the template does not ask for it."""
    messages = copy.deepcopy(messages)
    for message in messages:
        if message["content"] is None and "is none" not in source and "is not none" not in source:
            message["content"] = ""
        if isinstance(message["content"], list):
            message["content"] = "\n".join(part["text"] for part in message["content"])
        for call in message.get("tool_calls", []) if parse_arguments else []:
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return messages


def rendered(source: str, conversation: dict, parse_arguments: bool, **more) -> str:
    messages = prepared(source, conversation["messages"], parse_arguments)
    text = compiled(source).render(
        messages=messages,
        add_generation_prompt=conversation.get("add_generation_prompt", True),
        bos_token=BOS,
        eos_token=EOS,
        **conversation.get("kwargs", {}),
        **more,
    )
    if not conversation.get("continue_final_message"):
        return text
    final = messages[-1]["content"]
    if final.strip() not in text:
        raise ValueError("the final message is not in the rendered text")
    at = text.rindex(final.strip())
    if text[at : at + len(final.lstrip())] == final:
        return text[: at + len(final.lstrip())]
    return text[: at + len(final.strip())]


def expected(source: str, conversation: dict) -> dict:
    # transformers passes None where there are no tools or documents; a template that fails of that gets none instead.
    absent = {} if "tools" in conversation else {"tools": None}
    given = {"tools": conversation["tools"]} if "tools" in conversation else {}
    failure = None
    # Templates that join arguments to text fail of objects, and are given their text.
    for parse_arguments in (True, False):
        for more in ({**given, **absent, "documents": None}, given):
            try:
                return {"text": rendered(source, conversation, parse_arguments, **more)}
            except Exception as error:  # whatever the template or Python makes of it, it is refused
                failure = failure or {"error": f"{type(error).__name__}: {error}"}
    return failure


def difference(wanted: dict, found: dict) -> str | None:
    if "text" not in wanted or "text" not in found:
        return None if wanted.keys() == found.keys() else f"wanted {str(wanted)[:300]}\n  found {str(found)[:300]}"
    a, b = wanted["text"], found["text"]
    if a == b:
        return None
    at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return f"at {at} wanted {a[max(0, at - 60) : at + 60]!r}\n  found {b[max(0, at - 60) : at + 60]!r}"


def mismatches(source: str, builtin: str | None = None, names: list[str] | None = None) -> list[str]:
    """What differs in the conversations of these names; `builtin` is rendered instead of the source when given."""
    conversations = {k: v for k, v in CONVERSATIONS.items() if names is None or k in names}
    chosen = {"builtin": builtin} if builtin else {"source": source}
    questions = [{**chosen, "bos": BOS, "eos": EOS, **c} for c in conversations.values()]
    wrong = []
    for (name, conversation), found in zip(conversations.items(), ask(["template"], questions), strict=True):
        if text := difference(expected(source, conversation), found):
            wrong.append(f"{name}: {text}")
    return wrong


@pytest.mark.parametrize("name", FAMILIES)
def test_family(name: str) -> None:
    wrong = mismatches((needed(TEMPLATES) / f"{name}.jinja").read_text())
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", ["qwen3", "llama3_2"])
def test_template_of_hf_folder(name: str) -> None:
    config = json.loads((needed(HF_TOKENIZERS) / name / "tokenizer_config.json").read_text())
    wrong = mismatches(config["chat_template"])
    assert not wrong, "\n".join(wrong)


def test_template_of_smollm2() -> None:
    wrong = mismatches(read_metadata(needed(SMOLLM2))["tokenizer.chat_template"])
    assert not wrong, "\n".join(wrong)


def test_builtin_templates() -> None:
    def source(name: str) -> str:
        return (needed(TEMPLATES) / f"{name}.jinja").read_text()

    plain = ["plain", "no_generation_prompt", "system", "multi_turn", "parts", "two_users", "reasoning"]
    # Qwen puts in a system message of its own where there is none.
    wrong = mismatches(source("Qwen-Qwen2.5-7B-Instruct"), "chatml", ["system", "multi_turn"])
    wrong += mismatches(LLAMA3, "llama3", plain)
    wrong += mismatches(source("deepseek-ai-DeepSeek-R1-Distill-Llama-8B"), "deepseek-r1", plain)
    assert not wrong, "\n".join(wrong)


# Adds what `|safe` marks to plain text, which in Python escapes the plain text as HTML.
MARKUP = ["meetkai-functionary-medium-v3.1"]


@pytest.mark.parametrize(
    "name", sorted(p.stem for p in TEMPLATES.glob("*.jinja") if p.stem not in [*FAMILIES, *MARKUP])
)
def test_other_template(name: str) -> None:
    # Where Python fails, as for iterating over None, minijinja may go on.
    wrong = [w for w in mismatches((TEMPLATES / f"{name}.jinja").read_text()) if "wanted {'error'" not in w]
    assert not wrong, "\n".join(wrong)
