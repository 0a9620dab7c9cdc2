#!/usr/bin/env python3
"""Times llama.cpp (through llama-cpp-python) as `retort bench` times Retort; prints JSON.

Prefill: `--prompt` tokens through llama_decode in batches of 512, logits of the last only. Decode: `--generate` steps of
one token for each of `--batch` sequences. The KV cache is f16, llama.cpp's default; flash attention as `auto` chooses.
"""

import argparse
import ctypes
import json
import random
import statistics
import time

import llama_cpp

WARM_UP_TOKENS = 32


class Model:
    def __init__(self, path: str, threads: int, max_tokens: int, max_sequences: int):
        llama_cpp.llama_backend_init()
        self.quiet = llama_cpp.llama_log_callback(lambda level, text, data: None)
        llama_cpp.llama_log_set(self.quiet, ctypes.c_void_p(0))
        start = time.monotonic()
        self.model = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
        assert self.model, f"llama.cpp cannot load {path}"
        params = llama_cpp.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = max_tokens * max_sequences, 2048, 512
        params.n_seq_max, params.n_threads, params.n_threads_batch = max_sequences, threads, threads
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        assert self.context, "llama.cpp cannot make a context"
        self.load_seconds = time.monotonic() - start
        self.vocab_size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))
        self.batch = llama_cpp.llama_batch_init(2048, 0, 1)
        self.random = random.Random(1)

    def clear(self):
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)

    def decode(self, entries: list[tuple[int, int, bool]]):
        """One llama_decode of random tokens: (sequence, position, whether its logits are wanted)."""
        batch = self.batch
        batch.n_tokens = len(entries)
        for i, (sequence, position, logits) in enumerate(entries):
            batch.token[i] = self.random.randrange(self.vocab_size)
            batch.pos[i], batch.n_seq_id[i], batch.logits[i] = position, 1, logits
            batch.seq_id[i][0] = sequence
        assert llama_cpp.llama_decode(self.context, batch) == 0, "llama_decode failed"
        llama_cpp.llama_synchronize(self.context)

    def prefill_seconds(self, num_tokens: int) -> float:
        self.clear()
        start = time.monotonic()
        for first in range(0, num_tokens, 512):
            last = min(first + 512, num_tokens)
            self.decode([(0, i, i == num_tokens - 1) for i in range(first, last)])
        return time.monotonic() - start

    def decode_seconds(self, num_steps: int, batch: int) -> float:
        self.clear()
        self.decode([(s, 0, True) for s in range(batch)])
        start = time.monotonic()
        for position in range(1, num_steps + 1):
            self.decode([(s, position, True) for s in range(batch)])
        return time.monotonic() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--generate", type=int, default=64)
    parser.add_argument("--batch", default="1")
    parser.add_argument("--repetitions", type=int, default=1)
    args = parser.parse_args()
    batches = [int(b) for b in args.batch.split(",")]
    model = Model(args.model, args.threads, max(args.prompt, args.generate, WARM_UP_TOKENS) + 1, max(batches))

    def median(measure, tokens: int) -> float:
        return statistics.median(tokens / measure() for _ in range(args.repetitions))

    model.prefill_seconds(WARM_UP_TOKENS)
    results = {}
    if args.prompt:
        results[f"prefill {args.prompt}"] = median(lambda: model.prefill_seconds(args.prompt), args.prompt)
    for batch in batches:
        results[f"decode ×{batch}"] = median(
            lambda b=batch: model.decode_seconds(args.generate, b), args.generate * batch
        )
    print(json.dumps({"load_seconds": model.load_seconds, "tokens_per_second": results}))


if __name__ == "__main__":
    main()
