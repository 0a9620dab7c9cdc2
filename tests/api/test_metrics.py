"""GET /metrics, read as Prometheus' own Python client reads it."""

import re

import openai
import pytest
from conftest import wait_for
from prometheus_client.parser import text_string_to_metric_families
from raw_http import request

ONE = {"prompt": "Once upon a time", "temperature": 0, "ignore_eos": True}
REQUEST_SECONDS = "0.3 0.5 0.8 1 1.5 2 2.5 5 10 15 20 30 40 50 60 120 240 480 960 1920 7680"
OUTPUT_TOKEN_SECONDS = "0.01 0.025 0.05 0.075 0.1 0.15 0.2 0.3 0.4 0.5 0.75 1 2.5 5 7.5 10 20 40 80"
TOKENS = "1 2 5 10 20 50 100 200 500"  # up to the context of 512

# vLLM 0.32's names: gauges, counters (less "_total", as the parser gives them), histograms with their classes.
GAUGES = ["num_requests_running", "num_requests_waiting", "kv_cache_usage_perc", "cache_config_info"]
COUNTERS = [
    "prefix_cache_queries",
    "prefix_cache_hits",
    "num_preemptions",
    "prompt_tokens",
    "prompt_tokens_cached",
    "generation_tokens",
    "request_success",
    "admission_rejections",
]
HISTOGRAMS = {
    "request_prompt_tokens": TOKENS,
    "request_generation_tokens": TOKENS,
    "request_max_num_generation_tokens": TOKENS,
    "request_params_max_tokens": TOKENS,
    "request_params_n": "1 2 5 10 20",
    "iteration_tokens_total": "1 8 16 32 64 128 256 512 1024 2048 4096 8192 16384",
    "time_to_first_token_seconds": "0.001 0.005 0.01 0.02 0.04 0.06 0.08 0.1 0.25 0.5 0.75 1 2.5 5 7.5 10 20 40 80 160"
    " 640 2560",
    "inter_token_latency_seconds": OUTPUT_TOKEN_SECONDS,
    "request_time_per_output_token_seconds": OUTPUT_TOKEN_SECONDS,
    "e2e_request_latency_seconds": REQUEST_SECONDS,
    "request_queue_time_seconds": REQUEST_SECONDS,
    "request_inference_time_seconds": REQUEST_SECONDS,
    "request_prefill_time_seconds": REQUEST_SECONDS,
    "request_decode_time_seconds": REQUEST_SECONDS,
    "request_num_preemptions": "0 1 2 3 5 10 20 50 100",
}
PROCESS = ["cpu_seconds", "resident_memory_bytes", "virtual_memory_bytes", "start_time_seconds", "open_fds", "max_fds"]


class Scrape:
    """The samples of one answer by name and labels."""

    def __init__(self, server, **headers: str):
        with server.connect() as connection:
            lines = [f"{name}: {value}" for name, value in headers.items()]
            answer = connection.send(request("GET", "/metrics", b"", *lines)).read_answer()
        assert answer.status == 200, answer
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        self.families = {family.name: family for family in text_string_to_metric_families(answer.body.decode())}
        self.samples = [sample for family in self.families.values() for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        """The sum over the series with these labels."""
        found = [s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items()]
        assert found, f"no {name} with {labels}"
        return sum(found)

    def find(self, name: str, **labels: str) -> float:
        """The same; 0 when there is no such series yet."""
        return sum(s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items())


@pytest.fixture(scope="module")
def measured(start_server):
    server = start_server("--max-model-len", "512", "--served-model-name", 'a "model"', "--max-num-seqs", "4")
    yield server
    assert server.stop() == 0


def growth(server, action):
    """What action() adds to a series, once the engine has said all of it."""

    def scrape():
        server.wait_for_load(lambda load: load["server_load"] == 0)
        return Scrape(server)

    before = scrape()
    action()
    after = scrape()
    return lambda name, **labels: after.find(name, **labels) - before.find(name, **labels)


def test_every_name_label_and_class_is_vllms(measured):
    measured.ask("POST", "/v1/completions", {**ONE, "max_tokens": 2})
    scrape = Scrape(measured)
    labels = {"model_name": 'a "model"', "engine": "0"}
    for name in GAUGES:
        assert scrape.families["vllm:" + name].type == "gauge", name
    for name in COUNTERS:
        assert scrape.families["vllm:" + name].type == "counter", name
    for name in [*GAUGES[:-1], *(counter + "_total" for counter in COUNTERS)]:
        assert scrape.value("vllm:" + name, **labels) >= 0
    for name, classes in HISTOGRAMS.items():
        family = scrape.families["vllm:" + name]
        assert family.type == "histogram", name
        bounds = [s.labels["le"] for s in family.samples if s.name.endswith("_bucket")]
        assert bounds == [*classes.split(), "+Inf"], name
        assert all(labels.items() <= s.labels.items() for s in family.samples)
    reasons = {s.labels["finished_reason"] for s in scrape.families["vllm:request_success"].samples}
    assert {"stop", "length", "abort", "error"} <= reasons
    config = scrape.families["vllm:cache_config_info"].samples[0]
    assert config.value == 1
    assert config.labels.items() >= {"block_size": "32", "enable_prefix_caching": "True"}.items()
    assert int(config.labels["num_gpu_blocks"]) > 0


def test_the_process_and_its_memory(measured):
    scrape = Scrape(measured)
    for name in PROCESS:
        assert scrape.families["process_" + name].type == ("counter" if name == "cpu_seconds" else "gauge")
    assert scrape.value("process_resident_memory_bytes") > 50e6, "the weights at least"
    assert scrape.value("process_open_fds") >= measured.num_sockets()
    assert 0 < scrape.value("deepseek_gpu_memory_percent") < 100
    assert abs(scrape.value("process_start_time_seconds") - measured.started) < 5


def test_counts_after_known_requests(measured):
    prompts = [ONE["prompt"], "A"]
    num_prompt_tokens = [len(measured.ask("POST", "/tokenize", {"prompt": text})[1]["tokens"]) for text in prompts]

    def ask():
        assert measured.ask("POST", "/v1/completions", {**ONE, "max_tokens": 5})[0] == 200
        assert measured.ask("POST", "/v1/completions", {**ONE, "max_tokens": 7, "n": 3, "prompt": "A"})[0] == 200
        assert measured.ask("POST", "/v1/completions", {**ONE, "max_tokens": -1})[0] == 400

    grown = growth(measured, ask)
    assert grown("vllm:prompt_tokens_total") == sum(num_prompt_tokens)
    assert grown("vllm:generation_tokens_total") == 5 + 3 * 7
    assert grown("vllm:request_success_total", finished_reason="length") == 1 + 3
    assert grown("vllm:request_success_total") == 1 + 3
    assert grown("vllm:request_generation_tokens_sum") == 5 + 3 * 7
    assert grown("vllm:request_generation_tokens_bucket", le="5") == 1
    assert grown("vllm:request_params_max_tokens_sum") == 5 + 3 * 7
    assert grown("vllm:request_params_n_sum") == 1 + 3
    assert grown("vllm:request_params_n_count") == 2
    assert grown("vllm:request_max_num_generation_tokens_sum") == 5 + 7
    assert grown("vllm:time_to_first_token_seconds_count") == 4
    assert grown("vllm:inter_token_latency_seconds_count") == 4 + 3 * 6
    assert grown("vllm:e2e_request_latency_seconds_count") == 4
    assert grown("vllm:iteration_tokens_total_sum") >= sum(num_prompt_tokens) + 4 + 3 * 6 - 20
    assert grown("retort_step_seconds_count") >= 5 + 2
    assert grown("retort_step_seconds_count") == grown("vllm:iteration_tokens_total_count")
    assert grown("deepseek_requests_total") == 2
    assert grown("deepseek_request_latency_seconds_count") == 2
    path = "/v1/completions"
    assert grown("http_requests_total", handler=path, method="POST", status="200") == 2
    assert grown("http_requests_total", handler=path, method="POST", status="400") == 1
    assert grown("http_requests_total", handler="/metrics", method="GET", status="200") == 1
    times = [grown(f"vllm:request_{name}_time_seconds_sum") for name in ("queue", "prefill", "decode", "inference")]
    assert min(times) > 0
    assert times[1] + times[2] == pytest.approx(times[3])
    assert times[0] + times[3] <= grown("vllm:e2e_request_latency_seconds_sum")


def test_a_client_that_leaves(measured):
    """Counts as an abort; by status as what it had got: the head of a stream, or nothing of a whole answer."""
    for stream, status in ((True, "200"), (False, "499")):

        def leave(stream=stream):
            num_left = measured.num_logged("client left")
            connection = measured.connect()
            connection.send(request("POST", "/v1/completions", {**ONE, "max_tokens": 400, "stream": stream}))
            if stream:
                connection.read_head()
                connection.read_chunk()
            else:
                measured.wait_for_load(lambda load: load["num_running"] == 1)
            connection.close()
            wait_for(lambda: measured.num_logged("client left"), lambda number: number > num_left)

        grown = growth(measured, leave)
        assert grown("vllm:request_success_total", finished_reason="abort") == 1
        assert grown("vllm:request_success_total") == 1
        assert grown("http_requests_total", handler="/v1/completions", status=status) == 1
        assert grown("http_requests_total", handler="/v1/completions") == 1


def test_ways_to_end(measured):
    chat = {"messages": [{"role": "user", "content": "Say yes."}]}
    text = measured.ask("POST", "/v1/completions", {**ONE, "max_tokens": 20})[1]["choices"][0]["text"]
    stop = re.findall(r"\w+", text)[2]
    grown = growth(measured, lambda: measured.ask("POST", "/v1/completions", {**ONE, "max_tokens": 20, "stop": stop}))
    assert grown("vllm:request_success_total", finished_reason="stop") == 1
    assert 0 < grown("vllm:generation_tokens_total") < 20

    usage = []
    grown = growth(measured, lambda: usage.append(measured.ask("POST", "/v1/chat/completions", chat)[1]["usage"]))
    assert grown("vllm:generation_tokens_total") == usage[0]["completion_tokens"]


def test_the_prefix_cache_and_preemptions(measured):
    long = {**ONE, "prompt": " one two three" * 40, "max_tokens": 1}
    measured.ask("POST", "/v1/completions", long)
    answers = []
    grown = growth(measured, lambda: answers.append(measured.ask("POST", "/v1/completions", long)[1]))
    cached = answers[0]["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert cached >= 32
    assert grown("vllm:prefix_cache_hits_total") == grown("vllm:prompt_tokens_cached_total") == cached
    assert grown("vllm:prefix_cache_queries_total") == answers[0]["usage"]["prompt_tokens"]


def test_a_full_queue_is_a_rejection(start_server):
    server = start_server("--max-num-seqs", "1", "--max-waiting", "1", "--max-model-len", "2048")
    body = {**ONE, "max_tokens": 1500}
    running = server.connect().send(request("POST", "/v1/completions", body))
    server.wait_for_load(lambda load: load["num_running"] == 1)
    waiting = server.connect().send(request("POST", "/v1/completions", body))
    server.wait_for_load(lambda load: load["num_waiting"] == 1)
    with pytest.raises(openai.RateLimitError):
        server.client().completions.create(model="", prompt="x")
    scrape = Scrape(server)
    assert scrape.value("vllm:admission_rejections_total", reason="max_num_queued_reqs") == 1
    assert scrape.value("vllm:num_requests_running") == 1
    assert scrape.value("vllm:num_requests_waiting") == 1
    assert scrape.value("vllm:kv_cache_usage_perc") > 0
    assert scrape.value("http_requests_total", status="429") == 1
    running.close()
    waiting.close()
    assert server.stop() == 0


def test_a_key_is_asked_for(start_server):
    server = start_server("--api-key", "secret", "--max-model-len", "512", "--max-requests-per-key", "1")
    assert server.ask("GET", "/metrics")[0] == 401
    scrape = Scrape(server, Authorization="Bearer secret")
    counts = {(s.labels["handler"], s.labels["status"]): s.value for s in scrape.families["http_requests"].samples}
    assert counts == {("/metrics", "401"): 1}, "under the route that was asked for"
    running = server.connect().send(
        request("POST", "/v1/completions", {**ONE, "max_tokens": 400}, "Authorization: Bearer secret")
    )
    wait_for(
        lambda: Scrape(server, Authorization="Bearer secret").value("vllm:num_requests_running"), lambda num: num == 1
    )
    assert server.ask("POST", "/v1/completions", ONE, {"Authorization": "Bearer secret"})[0] == 429
    scrape = Scrape(server, Authorization="Bearer secret")
    assert scrape.value("vllm:admission_rejections_total", reason="max_requests_per_key") == 1
    assert scrape.value("http_requests_total", handler="/v1/completions", status="429") == 1
    running.close()
    assert server.stop() == 0
