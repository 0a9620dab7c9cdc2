#!/usr/bin/env python3
"""Times OpenVINO GenAI on a GGUF file as `retort bench` times Retort; prints JSON.

Prefill: `--prompt` random tokens to the first token. Decode: `--generate` tokens, greedy, for each of `--batch`
sequences, from the first token to the last. LLMPipeline as it comes, on as many threads as asked.
"""

import argparse
import json
import random
import time

import numpy
import openvino
import openvino_genai


class Model:
    def __init__(self, path: str, threads: int, vocab_size: int):
        start = time.monotonic()
        self.pipeline = openvino_genai.LLMPipeline(path, "CPU", INFERENCE_NUM_THREADS=threads)
        self.load_seconds = time.monotonic() - start
        self.random, self.vocab_size = random.Random(1), vocab_size

    def generate(self, num_prompt: int, num_new: int, batch: int):
        """What it took until the first tokens, and from there to the last."""
        ids = numpy.array([[self.random.randrange(self.vocab_size) for _ in range(num_prompt)] for _ in range(batch)])
        inputs = openvino_genai.TokenizedInputs(openvino.Tensor(ids), openvino.Tensor(numpy.ones_like(ids)))
        config = openvino_genai.GenerationConfig(
            max_new_tokens=num_new, min_new_tokens=num_new, ignore_eos=True, do_sample=False, apply_chat_template=False
        )
        start = time.monotonic()
        result = self.pipeline.generate(inputs, config)
        total = time.monotonic() - start
        first = result.perf_metrics.get_ttft().mean / 1e3
        assert all(len(tokens) == num_new for tokens in result.tokens), "fewer tokens than asked for"
        return first, total - first


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--generate", type=int, default=64)
    parser.add_argument("--batch", default="1,8")
    parser.add_argument("--vocab-size", type=int, default=50000, help="random tokens are below it")
    args = parser.parse_args()
    model = Model(args.model, args.threads, args.vocab_size)
    model.generate(args.prompt, 2, 1)  # the first run compiles
    speeds = {f"prefill {args.prompt}": args.prompt / model.generate(args.prompt, 1, 1)[0]}
    for batch in map(int, args.batch.split(",")):
        seconds = model.generate(1, args.generate + 1, batch)[1]
        speeds[f"decode ×{batch}"] = args.generate * batch / seconds
    print(json.dumps({"load_seconds": model.load_seconds, "tokens_per_second": speeds}))


if __name__ == "__main__":
    main()
