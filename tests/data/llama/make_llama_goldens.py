"""Asks llama.cpp for what its numbers are, so that tests can hold Retort's against them without it.

    python3 -m venv /tmp/llama
    CMAKE_ARGS=-DGGML_NATIVE=ON /tmp/llama/bin/pip install llama-cpp-python==0.3.36 gguf==0.19.0 numpy==2.4.6
    /tmp/llama/bin/python tests/data/llama/make_llama_goldens.py random
    /tmp/llama/bin/python tests/data/llama/make_llama_goldens.py smollm2-135m "$(scripts/fetch_model.py smollm2-135m)"
    /tmp/llama/bin/python tests/data/llama/make_llama_goldens.py qwen2.5-coder-1.5b "$(scripts/fetch_model.py qwen2.5-coder-1.5b)"

Writes NAME.gguf beside this file: no model, but a GGUF file of metadata, which tests/model/llama_goldens.h reads.

The text is corpus.txt as one sequence; for `random` (random_model.py, every tensor type) it is random tokens in windows. After
each token llama.cpp has a distribution over the vocabulary. Kept of it are the most likely tokens and their probabilities in
1/65535. KL divergence is then exact over those; of the tail it is
- for `random`, what one bucket of all other tokens gives: a lower bound, a tenth below the whole (both are printed here);
- for models, the mean over 8 tokens drawn from the tail by their probability: an estimate without bias. The lower bound would be
  less than half of the whole there.

"exact" is llama.cpp over a copy of the same weights dequantised to float32, with float32 keys and values: it rounds no
activations to 8 bits, as both engines do with quantised weights, so it tells which of two that differ is nearer to the truth.

Answers are greedy, to prompts in ChatML, with the difference of log-probability between the two most likely tokens at each step,
and with the number of tokens for which exact arithmetic gives the same.

llama.cpp runs as it comes, but without flash attention: keys and values in F16, 1 thread, batches of 256.
"""

import argparse
import ctypes
import importlib.metadata
import os
import tempfile
from pathlib import Path

import llama_cpp
import numpy as np
import random_model
from gguf import GGUFValueType, GGUFWriter
from llama import Llama, one_line_about_the_cpu

HERE = Path(__file__).parent
WINDOW, NUM_RANDOM_TOKENS = 512, 2048
ANSWER_TOKENS = 64
PROMPTS = [
    "What is the capital of France, and what is it known for? Answer in several sentences.",
    "中国的首都是哪里?请详细介绍这座城市的历史。",
    "Write a Python function that returns the n-th Fibonacci number.",
    "Explain in detail why the sky is blue.",
    'Translate into French and explain the grammar of your translation: "The cat is sleeping on the kitchen table."',
    "Write a short story about a robot who learns to paint.",
    "What does the SQL statement SELECT COUNT(*) FROM users WHERE age > 30; do?",
    "请写一篇关于春天的短文。",
    "A box holds 3 red and 5 blue balls. Two are drawn without putting them back. How likely is it that both are red?",
    "List ten things one should take along on a hike in the mountains, and say why.",
]


class Distributions:
    """Of every position: the top_k most likely tokens, their probabilities in 1/65535, and num_samples tokens of the tail."""

    def __init__(self, top_k, num_samples):
        self.top_k, self.num_samples = top_k, num_samples
        self.ids, self.probs, self.tail_ids, self.tail_logprobs = [], [], [], []
        self.random = np.random.default_rng(0)

    def add(self, logprobs):
        for row in logprobs:
            ids = np.argpartition(-row, self.top_k)[: self.top_k]
            ids = ids[np.argsort(-row[ids], kind="stable")]
            probs = np.exp(row)
            parts = np.rint(probs[ids] * 65535).astype(np.int64)
            rest = np.rint((1 - probs[ids].sum()) * 65535).astype(np.int64)
            parts[0] = 65535 - rest - parts[1:].sum()  # the largest bears the rounding of all
            self.ids.append(ids)
            self.probs.append(parts)
            probs[ids] = 0
            sums = probs.cumsum()
            drawn = np.searchsorted(sums, self.random.random(self.num_samples) * sums[-1], side="right")
            self.tail_ids.append(drawn)
            self.tail_logprobs.append(row[drawn])

    def write(self, golden, prefix, id_type):
        golden.numbers(prefix + ".ids", self.ids, id_type)
        golden.numbers(prefix + ".probs", self.probs, GGUFValueType.UINT16)
        if self.num_samples:
            golden.numbers(prefix + ".tail_ids", self.tail_ids, id_type)
            golden.numbers(prefix + ".tail_logprobs", self.tail_logprobs, GGUFValueType.FLOAT32)


class Difference:
    """Of one run from another, both given as log-probabilities [positions, vocabulary]."""

    def __init__(self, top_k):
        self.top_k, self.kl, self.kl_of_buckets, self.same = top_k, [], [], []

    def add(self, of, other):
        for p_log, q_log in zip(of, other, strict=True):
            p, q = np.exp(p_log), np.exp(q_log)
            self.kl.append((p * (p_log - q_log)).sum())
            ids = np.argpartition(-p_log, self.top_k)[: self.top_k]
            p_rest, q_rest = (max(1 - x[ids].sum(), 1e-12) for x in (p, q))
            self.kl_of_buckets.append((p[ids] * (p_log - q_log)[ids]).sum() + p_rest * np.log(p_rest / q_rest))
            self.same.append(p_log.argmax() == q_log.argmax())

    def write(self, golden, prefix, of_buckets, first):
        """Means over the positions from `first` on."""
        whole, buckets, top1 = (float(np.mean(x[first:])) for x in (self.kl, self.kl_of_buckets, self.same))
        figures = f"KL {whole:.2e} ({buckets:.2e} of buckets), top-1 {top1:.2%}; the first {self.kl[0]:.2e}"
        print(f"{prefix}: {figures}", flush=True)
        golden.writer.add_float32(f"{prefix}.kl", buckets if of_buckets else whole)
        golden.writer.add_float32(f"{prefix}.top1", top1)
        golden.writer.add_float32(f"{prefix}.first_kl", self.kl[0])


class Golden:
    def __init__(self, name):
        self.path = HERE / f"{name}.gguf"
        self.writer = GGUFWriter(self.path, "golden")
        version = importlib.metadata.version("llama-cpp-python")
        self.writer.add_string("made_with", f"llama-cpp-python {version}, {one_line_about_the_cpu()}")

    def numbers(self, key, values, value_type):
        self.writer.add_key_value(key, [x.item() for x in np.ravel(values)], GGUFValueType.ARRAY, value_type)

    def close(self):
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.close()
        print(f"{self.path.name}: {self.path.stat().st_size} bytes")


def write_float32_copy(path, copy):
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.allow_requantize = llama_cpp.LLAMA_FTYPE_ALL_F32, True
    assert llama_cpp.llama_model_quantize(str(path).encode(), str(copy).encode(), ctypes.byref(params)) == 0


def compare(path, copy, sequences, top_k, num_samples):
    """Distributions of llama.cpp and of exact arithmetic after every token, and their difference."""
    positions = max(map(len, sequences))
    llama, exact = Llama(path, positions), Llama(copy, positions, llama_cpp.GGML_TYPE_F32)
    ours, theirs = Distributions(top_k, num_samples), Distributions(top_k, num_samples)
    difference = Difference(top_k)
    for sequence in sequences:
        llama.forget()
        exact.forget()
        for a, b in zip(llama.feed(sequence), exact.feed(sequence), strict=True):
            ours.add(a)
            theirs.add(b)
            difference.add(b, a)
    llama.close()
    exact.close()
    return ours, theirs, difference


def make_random(folder):
    golden = Golden("random")
    tokens = random_model.tokens(NUM_RANDOM_TOKENS)
    golden.numbers("tokens", np.array(tokens), GGUFValueType.UINT8)
    golden.writer.add_uint32("window", WINDOW)
    sequences = [tokens[i : i + WINDOW] for i in range(0, len(tokens), WINDOW)]
    for tensor_type in random_model.NUMBERS:
        path, copy = folder / "random.gguf", folder / "float32.gguf"
        random_model.write(path, tensor_type)
        write_float32_copy(path, copy)
        llama, _, difference = compare(path, copy, sequences, 8, 0)
        llama.write(golden, f"{tensor_type.name}.llama", GGUFValueType.UINT8)
        difference.write(golden, f"{tensor_type.name}.llama_from_exact", True, 0)
    golden.close()


def answer(llama, prompt):
    """Greedy tokens up to the end or ANSWER_TOKENS, and by how much each won."""
    llama.forget()
    tokens, margins, new = [], [], prompt
    while len(tokens) < ANSWER_TOKENS:
        *_, logprobs = llama.feed(new)
        second, first = np.sort(logprobs[-1])[-2:]
        tokens.append(int(logprobs[-1].argmax()))
        margins.append(first - second)
        if llama.ends(tokens[-1]):
            break
        new = tokens[-1:]
    return tokens, margins


def tokens_in_common(llama, prompt, answered):
    """How many tokens of an answer are the most likely ones here too, up to the first that is not."""
    llama.forget()
    best = np.concatenate([logprobs.argmax(axis=1) for logprobs in llama.feed(prompt + answered)])[len(prompt) - 1 : -1]
    differing = np.flatnonzero(best != np.array(answered))
    return int(differing[0]) if len(differing) else len(answered)


def make_model(name, path, folder):
    golden = Golden(name)
    golden.writer.add_string("model_file", path.name)
    llama = Llama(path, 512)
    tokens = llama.tokenize((HERE / "corpus.txt").read_text())
    id_type = GGUFValueType.UINT16 if llama.vocab_size <= 1 << 16 else GGUFValueType.UINT32
    copy = folder / "float32.gguf"
    write_float32_copy(path, copy)
    exact = Llama(copy, 512, llama_cpp.GGML_TYPE_F32)
    for i, prompt in enumerate(PROMPTS):
        ids = llama.tokenize(f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n")
        answered, margins = answer(llama, ids)
        same = tokens_in_common(exact, ids, answered)
        print(f"{prompt} -> {len(answered)} tokens, {same} also exactly, least margin {min(margins):.3f}", flush=True)
        golden.numbers(f"prompt.{i}", np.array(ids), id_type)
        golden.numbers(f"answer.{i}", np.array(answered), id_type)
        golden.numbers(f"margin.{i}", np.array(margins), GGUFValueType.FLOAT32)
        golden.writer.add_uint32(f"same_in_exact.{i}", same)
    llama.close()
    exact.close()
    golden.numbers("tokens", np.array(tokens), id_type)
    ours, theirs, difference = compare(path, copy, [tokens], 16, 8)
    ours.write(golden, "llama", id_type)
    theirs.write(golden, "exact", id_type)
    # What follows the first token is a case of its own: docs/quality.md.
    difference.write(golden, "llama_from_exact", False, 1)
    golden.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="random, or what the golden of a model is to be called")
    parser.add_argument("model", nargs="?", type=Path, help="a GGUF file")
    parser.add_argument("--tmp", default=os.environ.get("TMPDIR", "/var/tmp"), help="has room for the model in float32")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.tmp) as folder:
        if arguments.name == "random":
            make_random(Path(folder))
        else:
            make_model(arguments.name, arguments.model, Path(folder))


if __name__ == "__main__":
    main()
