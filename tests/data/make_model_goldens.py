"""Writes model_goldens.json: tiny models of generated weights with the hidden states and logits of numpy_transformer.py, and
rotary frequencies of published configs. Run from anywhere with numpy installed: python tests/data/make_model_goldens.py
"""

import json
import pathlib

import numpy as np
import numpy_transformer as reference

LINEAR = {"rope_type": "linear", "factor": 2.5}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "beta_fast": 4.0, "beta_slow": 1.0}


def model(architecture, heads, kv_heads, head_dim, tied=False, hidden=None, **more):
    config = {
        "model_type": architecture,
        "architectures": [{"qwen2": "Qwen2", "qwen3": "Qwen3", "llama": "Llama"}[architecture] + "ForCausalLM"],
        "hidden_size": hidden or heads * head_dim,
        "intermediate_size": 72,
        "num_hidden_layers": 2,
        "vocab_size": 61,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "max_position_embeddings": 256,
        "rms_norm_eps": 1e-6,
        "rope_theta": 100.0,
        "tie_word_embeddings": tied,
        "hidden_act": "silu",
    }
    if hidden:
        config["head_dim"] = head_dim
    return config | more


MODELS = {
    "qwen2_ratio_1": model("qwen2", 4, 4, 16),
    "qwen2_ratio_6_tied": model("qwen2", 12, 2, 8, tied=True),
    "qwen2_ratio_7": model("qwen2", 7, 1, 16),
    "qwen2_yarn": model("qwen2", 6, 2, 16, rope_scaling=YARN),
    "qwen2_linear": model("qwen2", 4, 2, 16, rope_scaling=LINEAR, tied=True),
    "qwen3_ratio_2": model("qwen3", 4, 2, 24, hidden=40),
    "qwen3_ratio_4_tied": model("qwen3", 8, 2, 16, hidden=64, tied=True),
    "qwen3_yarn": model("qwen3", 2, 1, 32, hidden=48, rope_scaling=YARN | {"attention_factor": 1.25}),
    "llama_ratio_3_tied": model("llama", 9, 3, 8, tied=True),
    "llama_ratio_1": model("llama", 3, 3, 24),
    "llama_ratio_8": model("llama", 8, 1, 8),
    "llama_ratio_13": model("llama", 13, 1, 8),
    "llama_linear": model("llama", 4, 2, 16, rope_scaling=LINEAR),
    "llama_llama3": model("llama", 4, 1, 32, rope_scaling=LLAMA3),
    "llama_yarn": model("llama", 4, 2, 16, rope_scaling=YARN, tied=True),
    "llama_biases": model("llama", 4, 2, 16, attention_bias=True, mlp_bias=True),
}

# Rotary settings of published models: position encodings far beyond what a tiny model reaches.
ROPES = {
    "r1_distill_qwen_1_5b": model("qwen2", 12, 2, 128, rope_theta=10000.0, max_position_embeddings=131072),
    "qwen2_5_7b_yarn": model(
        "qwen2",
        28,
        4,
        128,
        rope_theta=1e6,
        max_position_embeddings=32768,
        rope_scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768},
    ),
    "llama_3_1_8b": model(
        "llama",
        32,
        8,
        128,
        rope_theta=500000.0,
        max_position_embeddings=131072,
        rope_scaling={
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    ),
    "llama_3_2_1b": model(
        "llama",
        32,
        8,
        64,
        rope_theta=500000.0,
        max_position_embeddings=131072,
        rope_scaling={
            "rope_type": "llama3",
            "factor": 32.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    ),
    "linear": model(
        "llama",
        32,
        32,
        128,
        rope_theta=10000.0,
        max_position_embeddings=8192,
        rope_scaling={"rope_type": "linear", "factor": 4.0},
    ),
}

NUM_TOKENS = 70  # three KV blocks, the last partial
ROWS = [0, 1, 30, 31, 32, 63, 64, 69]


def numbers(array):
    return [float(f"{x:.9g}") for x in np.asarray(array).ravel()]


def model_case(name, config):
    tokens = [(i * i * 7 + i * 3 + len(name)) % config["vocab_size"] for i in range(NUM_TOKENS)]
    hidden, logits = reference.forward(config, tokens)
    case = {
        "name": name,
        "config": config,
        "tokens": tokens,
        "rows": ROWS,
        "hidden": numbers(hidden[ROWS]),
        "logits": numbers(logits[ROWS]),
    }
    scaling = config.get("rope_scaling") or {}
    if scaling.get("rope_type") == "llama3":
        plain, _ = reference.rope_frequencies(config | {"rope_scaling": None})
        case["rope_freqs"] = numbers(reference.llama3_divisors(plain, scaling).astype(np.float32))
    return case


def rope_case(name, config):
    frequencies, magnitude = reference.rope_frequencies(config)
    return {"name": name, "config": config, "frequencies": [float(x) for x in frequencies], "magnitude": magnitude}


goldens = {
    "models": [model_case(*item) for item in MODELS.items()],
    "ropes": [rope_case(*item) for item in ROPES.items()],
}
path = pathlib.Path(__file__).parent / "model_goldens.json"
path.write_text(
    "{\n"
    + ",\n".join(
        f'"{key}": [\n' + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]"
        for key, cases in goldens.items()
    )
    + "\n}\n"
)
print(f"{path.name}: {path.stat().st_size} bytes")
