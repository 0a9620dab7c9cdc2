"""Tokenizers against Hugging Face's `tokenizers`, on 10,000 random strings and every character of Unicode."""

import json
import random
import shutil
from functools import cache
from pathlib import Path

import pytest
from gguf_vocabulary import sentencepiece_tokenizer_of, tokenizer_of
from oracle import HF_TOKENIZERS, SMOLLM2, VOCABULARIES, ask, needed
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers

ALL_CHARACTERS = "".join(chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000)


RANGES = [
    (0x20, 0x7E, 8),
    (0x00, 0x24F, 3),
    (0x300, 0x36F, 1),  # combining marks
    (0x370, 0x52F, 1),
    (0x590, 0x6FF, 1),
    (0x900, 0xDFF, 1),
    (0x1100, 0x11FF, 1),  # Jamo, which NFC composes
    (0x1E00, 0x206F, 1),
    (0x2000, 0x2BFF, 1),
    (0x3000, 0x30FF, 1),
    (0x4E00, 0x9FFF, 4),
    (0xAC00, 0xD7A3, 1),
    (0xF900, 0xFFFF, 1),
    (0x1F000, 0x1FAFF, 2),
    (0x10000, 0x323AF, 1),
    (0x00, 0xD7FF, 1),
    (0xE000, 0x10FFFF, 1),
]
SNIPPETS = [
    "Hello", " world", "don't", "I'LL", "we'Ve", "'ſ", " ", "  ", "    ", "\n", "\n\n", "\r\n", "\t", " \n ", "\u00a0", "\u180e",
    "\u3000", "\u2028", "123", "3.14159", "1000000", "٣", "½", "def f(x):\n    return x**2\n", "for (int i = 0; i < n; ++i) {",
    "<div class=\"a\">", "</div>", "{\"key\": [1, 2]}", "https://example.com/?q=1", "你好，世界", "人工智能", "東京タワー", "안녕하세요",
    "Привет", "שלום", "مرحبا", "नमस्ते", "สวัสดี", "🙂", "👨‍👩‍👧‍👦", "🇫🇷", "👍🏽", "e\u0301", "ﬁ", "Å", "\u212b", "…", "—", "'", "\"", "((", "!!!",
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|begin_of_text|>", "<s>", "</s>", "<unk>", "<think>", "</think>",
    "<tool_call>", "<|fim_middle|>", "<|im_", "<0x0A>", "▁", "[PAD151936]", "Ġ", "\ufffd", "\u0000", "\u200d", "ü", "<｜User｜>",
]  # fmt: skip


@cache
def corpus() -> list[str]:
    rng = random.Random(20240611)
    weights = [w for _, _, w in RANGES]

    def character() -> str:
        while True:
            first, last, _ = rng.choices(RANGES, weights)[0]
            code = rng.randint(first, last)
            if not 0xD800 <= code < 0xE000:
                return chr(code)

    def word() -> str:
        kind = rng.random()
        if kind < 0.45:
            return rng.choice(SNIPPETS)
        if kind < 0.55:
            return rng.choice(" \n\r\t") * rng.randint(1, 9)
        first, last, _ = rng.choices(RANGES, weights)[0]
        if kind < 0.8 and not first <= 0xD800 <= last:
            return (
                "".join(chr(rng.randint(first, last)) for _ in range(rng.randint(1, 8)))
                .encode("utf-8", "ignore")
                .decode()
            )
        return "".join(character() for _ in range(rng.randint(1, 8)))

    texts = ["".join(word() for _ in range(rng.randint(1, 12))) for _ in range(10_000)]
    # A control token's name that begins inside another token's, and long runs.
    texts += [
        "<<|im_end|>",
        "<|im_end|><|im_end|>",
        " <s>",
        "<s>x",
        "a" * 3000,
        " " * 3000 + "x",
        "\n" * 3000,
        "ab" * 2000,
        "'" * 2000,
    ]
    return texts


def encode(oracle: Tokenizer, texts: list[str], *, special: bool) -> list[list[int]]:
    oracle.encode_special_tokens = not special
    encoded = [e.ids for e in oracle.encode_batch(texts, add_special_tokens=special)]
    prefix = oracle.encode("").ids if special else []
    # Unlike the oracle, Retort adds no second BOS to a text that begins with one.
    return [ids[1:] if prefix and ids[:2] == prefix * 2 else ids for ids in encoded]


def compare(model: Path, oracle: Tokenizer, *, bos: list[int] | None = None, is_comparable=lambda text: True) -> None:
    """`bos`: what Retort puts before a text and the oracle does not know of."""
    texts = corpus()
    questions, expected = [], []
    for special in (False, True):
        some = texts[-2000:] if special else texts
        questions += [{"text": t, "special": special} for t in some]
        encoded = encode(oracle, some, special=special)
        if special and bos:
            encoded = [ids if ids[:1] == bos else bos + ids for ids in encoded]
        expected += encoded
    decodable = [
        (ids, text) for ids, text in zip(expected, oracle.decode_batch(expected), strict=True) if is_comparable(text)
    ]
    questions += [{"ids": ids} for ids, _ in decodable]
    expected += [text for _, text in decodable]
    found = ask(["tokenize", str(model)], questions)
    wrong = [(q, f, e) for q, f, e in zip(questions, found, expected, strict=True) if f != e]
    assert not wrong, f"{len(wrong)} of {len(questions)} differ, the first: {wrong[0]!r}"


@pytest.mark.parametrize("name", ["qwen2", "llama-bpe", "gpt-2", "deepseek-coder"])
def test_gguf(name: str) -> None:
    path = needed(VOCABULARIES / f"ggml-vocab-{name}.gguf")
    oracle = tokenizer_of(path)
    bos = {"llama-bpe": "<|begin_of_text|>", "deepseek-coder": "<｜begin▁of▁sentence｜>"}.get(name)
    # The oracle decodes an added token "ü" as the byte 0xFC.
    compare(
        path,
        oracle,
        bos=[oracle.token_to_id(bos)] if bos else None,
        is_comparable=lambda text: name != "deepseek-coder" or "\ufffd" not in text,
    )


def test_gguf_smollm2() -> None:
    compare(needed(SMOLLM2), tokenizer_of(SMOLLM2))


def test_gguf_sentencepiece() -> None:
    path = needed(VOCABULARIES / "ggml-vocab-llama-spm.gguf")
    compare(path, sentencepiece_tokenizer_of(path), bos=[1])


@pytest.mark.parametrize("name", ["qwen3", "llama3_2", "llama2"])
def test_hf_folder(name: str, tmp_path: Path) -> None:
    definition = json.loads((needed(HF_TOKENIZERS / name) / "tokenizer.json").read_text())
    shutil.copy(HF_TOKENIZERS / name / "tokenizer.json", tmp_path)
    shutil.copy(HF_TOKENIZERS / name / "tokenizer_config.json", tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")  # no tensors
    for token in definition["added_tokens"]:
        # To Retort these are control tokens though the file does not say so: no user's text may contain them.
        token["special"] |= token["content"].startswith("<|") and token["content"].endswith("|>")
    compare(tmp_path, Tokenizer.from_str(json.dumps(definition)))


PROPERTIES = [rf"\p{{{name}}}" for name in ("L", "Lu", "Ll", "Lt", "Lm", "Lo", "N", "Nd", "M", "P", "S")]
SPACES = [r"\s", r"\S", r"[\s]", r"[^\s]", r"[^\S\n]"]


@pytest.mark.parametrize("pattern", [*PROPERTIES, r"[^\s\p{L}\p{N}]", r"[^\r\n\p{L}\p{P}\p{S}]", *SPACES])
def test_class_of_every_character(pattern: str) -> None:
    expected, at = [], 0
    for _, (begin, end) in pre_tokenizers.Split(Regex(pattern + "+"), "removed").pre_tokenize_str(ALL_CHARACTERS):
        expected.append(ALL_CHARACTERS[at:begin])
        at = end
    expected.append(ALL_CHARACTERS[at:])
    assert [m for m in expected if m] == ask(["split", pattern + "+"], [ALL_CHARACTERS])[0]


def test_nfc_of_every_character_and_of_random_text() -> None:
    oracle = normalizers.NFC()
    # Each character alone, between marks of a low and the highest combining class, and behind a Hangul syllable; a line
    # break keeps them apart.
    texts = [
        "\n".join(f"{c}\na\u0345{c}\u0316\n\uac00{c}" for c in ALL_CHARACTERS[i : i + 4096])
        for i in range(0, len(ALL_CHARACTERS), 4096)
    ]
    texts += corpus()
    assert ask(["nfc"], texts) == [oracle.normalize_str(t) for t in texts]
