"""The tokenizer of a GGUF file as an object of PyPI's `tokenizers`, put together as the model's own tokenizer.json does."""

import struct
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

CONTROL, USER_DEFINED = 3, 4

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")

PATTERNS = {
    "qwen2": [QWEN2],
    "llama-bpe": [LLAMA3],
    "gpt-2": [GPT2],
    "smollm": [r"\p{N}", GPT2],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥\u0800-\u4e00가-\ud7ff]+", r"\p{N}"],
}


def read_metadata(path: Path) -> dict:
    data = path.read_bytes()
    at = 0

    def take(form: str):
        nonlocal at
        value = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return value[0]

    def string() -> str:
        nonlocal at
        size = take("Q")
        at += size
        return data[at - size : at].decode()

    forms = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}

    def value(kind: int):
        if kind == 8:
            return string()
        if kind == 9:
            inner = take("I")
            count = take("Q")
            return [value(inner) for _ in range(count)]
        return take(forms[kind])

    assert take("I") == 0x46554747 and take("I") >= 2
    take("Q")
    metadata = {}
    for _ in range(take("Q")):
        key = string()
        metadata[key] = value(take("I"))
    return metadata


def tokenizer_metadata(path: Path) -> dict:
    return {k.removeprefix("tokenizer.ggml."): v for k, v in read_metadata(path).items()}


def tokenizer_of(path: Path) -> Tokenizer:
    meta = tokenizer_metadata(path)
    vocab = {token: i for i, token in enumerate(meta["tokens"])}
    merges = [tuple(line.split(" ", 1)) for line in meta["merges"]]
    pre = meta["pre"]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=pre == "llama-bpe"))
    steps = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in PATTERNS[pre]]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [*steps, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    if pre == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    added = [(token, kind) for token, kind in zip(meta["tokens"], meta["token_type"], strict=True) if kind in (3, 4)]
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t, k in added if k == CONTROL])
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t, k in added if k == USER_DEFINED])
    return tokenizer


def sentencepiece_tokenizer_of(path: Path) -> Tokenizer:
    """As transformers converts a SentencePiece model: every cut of a token into two is a merge, by falling score."""
    meta = tokenizer_metadata(path)
    vocab = {token: i for i, token in enumerate(meta["tokens"])}
    merges = []
    for token, i in vocab.items():
        if meta["token_type"][i] == 1:
            cuts = [(token[:at], token[at:]) for at in range(1, len(token))]
            cuts = [(a, b) for a, b in cuts if a in vocab and b in vocab]
            merges += [(meta["scores"][i], pair) for pair in sorted(cuts, key=lambda p: (vocab[p[0]], vocab[p[1]]))]
    merges = [pair for _, pair in sorted(merges, key=lambda m: -m[0])]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(content=" ", left=1)]
    )
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in ("<unk>", "<s>", "</s>")])
    return tokenizer
