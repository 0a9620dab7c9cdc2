#!/usr/bin/env python3
"""Writes tests/data/tokenizers.json: small tokenizers of the kinds known models have, with what Hugging Face's `tokenizers`
makes of some texts. Each vocabulary is trained on the text below, so nothing is anyone else's.

Needs PyPI `tokenizers` 0.23.3:  python3 tests/data/make_tokenizer_goldens.py > tests/data/tokenizers.json
"""

import json

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")

TRAINING = [
    "The server reads a request, turns its text into tokens and the tokens into an answer.",
    "A tokenizer that is not identical to the one a model was trained with makes the model a little more stupid.",
    "Don't count your tokens before they're merged; I'll say it again, we've said it before: 12 345 678.",
    "def merge(pairs):\n    for left, right in pairs:\n        yield left + right\n",
    "Grüße aus München, à bientôt, до свидания, 你好，世界。模型 服务 推理，你好！ 🙂🙂",
] * 4

TEXTS = [
    "",
    " ",
    "The tokens are merged.",
    "  two  spaces and a tab\there \n\n and  \n lines\r\n",
    "don't I'LL we'Ve",
    "12345 1 22 333 4444",
    "Grüße, e\u0301 and \u0041\u030a and \u1100\u1161\u11a8",
    "你好，模型！",
    "🙂 👩‍👩‍👦 \U0001f1eb\U0001f1f7",
    "<s>The</s>",
    "a <think> inside </think> b",
    "<|end|>",
    "<｜User｜>hi",
    "x<|end|>  y  <|end|>z",
    "\u2581marked \u2581\u2581text",
    "\u180e\u00a0\u3000\u2028\u0085",
    "def f(x):\n        return x  # done\n",
    "\x00\x01\x7f\ufffd",
    "ümlaut ü",
]


def train(tokenizer: Tokenizer, size: int, **options) -> Tokenizer:
    trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False, **options)
    tokenizer.train_from_iterator(TRAINING, trainer)
    return tokenizer


BYTES = pre_tokenizers.ByteLevel.alphabet()


def qwen_like() -> Tokenizer:
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(add_prefix_space=False)
    train(t, 500, initial_alphabet=BYTES)
    # A token no merge leads to, which is never used.
    t = Tokenizer.from_str(json.dumps(with_token(json.loads(t.to_str()), "Ġtokens")))
    t.add_special_tokens([AddedToken("<|end|>", special=True, normalized=False)])
    t.add_tokens([AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False)])
    return t


def llama3_like() -> Tokenizer:
    t = Tokenizer(models.BPE(ignore_merges=True))
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    t.decoder = decoders.ByteLevel()
    train(t, 500, initial_alphabet=BYTES)
    # A token no merge leads to, which is used all the same.
    t = Tokenizer.from_str(json.dumps(with_token(json.loads(t.to_str()), "Ġtokens")))
    t.add_special_tokens(
        [AddedToken("<s>", special=True, normalized=False), AddedToken("</s>", special=True, normalized=False)]
    )
    t.post_processor = processors.Sequence(
        [
            processors.ByteLevel(),
            processors.TemplateProcessing(
                single="<s> $A </s>", special_tokens=[("<s>", t.token_to_id("<s>")), ("</s>", t.token_to_id("</s>"))]
            ),
        ]
    )
    return t


def with_token(definition: dict, token: str) -> dict:
    model = definition["model"]
    model["merges"] = [m for m in model["merges"] if "".join(m) != token and token not in m]
    model["vocab"].setdefault(token, len(model["vocab"]))
    return definition


def smollm_like() -> Tokenizer:
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    t.decoder = decoders.ByteLevel()
    train(t, 450, initial_alphabet=BYTES)
    t.add_special_tokens([AddedToken("<|end|>", special=True, normalized=False, lstrip=True, rstrip=True)])
    return t


def deepseek_like() -> Tokenizer:
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.Sequence([])
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex("[\r\n]"), "isolated"),
            pre_tokenizers.Split(Regex(r"\s?\p{L}+"), "isolated"),
            pre_tokenizers.Split(Regex(r"\s?\p{P}+"), "isolated"),
            pre_tokenizers.Split(Regex(r"\s+$"), "isolated"),
            pre_tokenizers.Split(Regex("[一-龥ࠀ-一가-\ud7ff]+"), "isolated"),
            pre_tokenizers.Digits(individual_digits=False),
            pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False),
        ]
    )
    t.decoder = decoders.ByteLevel()
    train(t, 450, initial_alphabet=BYTES)
    t.add_special_tokens(
        [AddedToken("<s>", special=True, normalized=False), AddedToken("<｜User｜>", special=True, normalized=False)]
    )
    t.add_tokens([AddedToken("ü", normalized=True)])
    return t


def llama2_like() -> Tokenizer:
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(content=" ", left=1)]
    )
    specials = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256))]
    t.pre_tokenizer = pre_tokenizers.Metaspace()  # only while training, so that merges stay within words
    train(t, 600, special_tokens=specials, limit_alphabet=60)
    definition = json.loads(t.to_str())
    definition["pre_tokenizer"] = None
    definition["added_tokens"] = definition["added_tokens"][:3]
    t = Tokenizer.from_str(json.dumps(definition))
    t.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return t


def metaspace_without_bytes() -> Tokenizer:
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    t.decoder = decoders.Metaspace(prepend_scheme="first")
    train(t, 300, special_tokens=["<unk>", "<s>"], limit_alphabet=50)
    t.add_tokens([AddedToken("<think>", normalized=False)])
    return t


def golden(name: str, tokenizer: Tokenizer, config: dict) -> dict:
    definition = json.loads(tokenizer.to_str())
    cases = []
    for text in TEXTS:
        tokenizer.encode_special_tokens = True
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        tokenizer.encode_special_tokens = False
        special = tokenizer.encode(text, add_special_tokens=True).ids
        decoded = tokenizer.decode(special, skip_special_tokens=True)
        # The oracle's byte-level decoder takes an added token "ü" for the byte 0xFC.
        broken = "\ufffd" in decoded and "\ufffd" not in text
        cases.append({"text": text, "plain": plain, "special": special, "decoded": None if broken else decoded})
    return {"name": name, "tokenizer": definition, "config": config, "cases": cases}


def main() -> None:
    goldens = [
        golden("qwen_like", qwen_like(), {"eos_token": "<|end|>", "bos_token": None}),
        golden("llama3_like", llama3_like(), {"eos_token": {"content": "</s>"}, "bos_token": {"content": "<s>"}}),
        golden("smollm_like", smollm_like(), {"eos_token": "<|end|>"}),
        golden("deepseek_like", deepseek_like(), {"bos_token": "<s>"}),
        golden("llama2_like", llama2_like(), {"eos_token": "</s>", "bos_token": "<s>"}),
        golden("metaspace_without_bytes", metaspace_without_bytes(), {}),
    ]
    # A tokenizer a line.
    print("[\n" + ",\n".join(json.dumps(g, ensure_ascii=False, separators=(",", ":")) for g in goldens) + "\n]")


main()
