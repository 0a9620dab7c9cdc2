#!/usr/bin/env python3
"""Perplexity of a fixed text, by Retort's server and by llama.cpp over the same token ids: each token but the first, given
all before it. Prints a table: both perplexities, and how much larger Retort's is with twice the standard error of that
(of the paired differences of log-probabilities).

  bench/peers/set_up.sh native
  build/venv-peers-native/bin/python bench/peers/perplexity.py MODEL.gguf … [-- --kv-cache-dtype int8]

What follows -- are flags of `retort serve`. llama.cpp runs as it comes: keys and values in float16.
"""

import argparse
import ctypes
import json
import math
import statistics
import sys
import urllib.error
import urllib.request
from pathlib import Path

import llama_cpp
import numpy

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
sys.path[:0] = [str(REPO / "bench"), str(REPO / "bench/serve")]
from arguments import existing_file, positive  # noqa: E402
from server_process import ServerProcess  # noqa: E402

ROWS = 256  # of logits at once: each is a whole vocabulary of floats


def post(url: str, body: dict) -> dict:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        return json.load(urllib.request.urlopen(request, timeout=1800))
    except urllib.error.HTTPError as error:
        sys.exit(f"{url}: {error.code} {error.read().decode()}")


def retort(args, model: Path) -> tuple[list[int], list[float]]:
    """The text's token ids, and the log-probability of each but the first."""
    server = ServerProcess(str(args.retort), model, args.flags)
    try:
        url = server.wait_until_ready()
        text = args.text.read_text(encoding="utf-8")
        ids = post(url + "/tokenize", {"prompt": text, "add_special_tokens": False})["tokens"]
        if len(ids) < 3:
            sys.exit(f"{args.text}: expected 3 tokens or more, got {len(ids)}")
        body = {"prompt": ids, "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}
        told = post(url + "/v1/completions", body)["choices"][0]["prompt_logprobs"]
    finally:
        server.stop()
    return ids, [entry[str(token)]["logprob"] for token, entry in zip(ids[1:], told[1:], strict=True)]


def llama(model: Path, ids: list[int], threads: int) -> list[float]:
    llama_cpp.llama_backend_init()
    quiet = llama_cpp.llama_log_callback(lambda level, text, data: None)
    llama_cpp.llama_log_set(quiet, ctypes.c_void_p(0))
    loaded = llama_cpp.llama_model_load_from_file(str(model).encode(), llama_cpp.llama_model_default_params())
    assert loaded, f"llama.cpp cannot load {model}"
    params = llama_cpp.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch = len(ids) + 1, ROWS, ROWS
    params.n_threads = params.n_threads_batch = threads
    context = llama_cpp.llama_init_from_model(loaded, params)
    assert context, "llama.cpp cannot make a context"
    vocab_size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(loaded))
    batch = llama_cpp.llama_batch_init(ROWS, 0, 1)
    logprobs = []
    for first in range(0, len(ids) - 1, ROWS):
        rows = ids[first : min(first + ROWS, len(ids) - 1)]
        batch.n_tokens = len(rows)
        for i, token in enumerate(rows):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, first + i, 1, True
            batch.seq_id[i][0] = 0
        assert llama_cpp.llama_decode(context, batch) == 0, "llama_decode failed"
        for i in range(len(rows)):
            row = numpy.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, i), (vocab_size,)).astype(float)
            logprobs.append(float(row[ids[first + i + 1]] - numpy.logaddexp.reduce(row)))
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(loaded)
    return logprobs


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=existing_file)
    parser.add_argument("--text", type=existing_file, default=REPO / "tests/data/llama/corpus.txt")
    parser.add_argument("--retort", type=existing_file, default=str(REPO / "build/release/retort"))
    parser.add_argument("--threads", type=positive(int), default=2, help="of llama.cpp (2)")
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    args = parser.parse_args(sys.argv[1:split])
    args.flags = sys.argv[split + 1 :]
    print(f"{'model':<40}{'tokens':>8}{'llama.cpp':>12}{'Retort':>10}{'larger by':>12}")
    for model in args.models:
        ids, ours = retort(args, model)
        theirs = llama(model, ids, args.threads)
        differences = [b - a for a, b in zip(ours, theirs, strict=True)]
        more = 100 * math.expm1(statistics.fmean(differences))
        error = 100 * 2 * statistics.stdev(differences) / math.sqrt(len(differences))
        perplexity = [math.exp(-statistics.fmean(x)) for x in (theirs, ours)]
        print(f"{model.name:<40}{len(ids):>8}{perplexity[0]:>12.4f}{perplexity[1]:>10.4f}{more:>+8.2f} ± {error:.2f} %")


if __name__ == "__main__":
    main()
