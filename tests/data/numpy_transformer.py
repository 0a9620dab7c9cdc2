"""Qwen2, Qwen3 and Llama in plain numpy float32, from the definitions in Hugging Face's modeling files and the papers:
RMS norm (arXiv 1910.07467), rotary embedding (2104.09864) with linear, llama3 and YaRN (2309.00071) scaling, grouped-query
attention (2305.13245), SwiGLU (2002.05202). A config is a Hugging Face config.json as a dict. No cache, no batches, no tricks:
every position at once.
"""

import math

import numpy as np

F32 = np.float32


# Weights come from a counter-based generator that tests/model/tiny_model.h repeats bit for bit: element i of a tensor is
# splitmix64's output number i + 1 for the seed fnv1a(name), taken as 24 bits in [-1, 1), times a scale, plus an offset.
def uniform(name, count):
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(F32) * F32(2**-23) - F32(1)


def tensor(name, shape):
    values = uniform(name, math.prod(shape))
    if name.endswith("norm.weight"):
        values = values * F32(0.25) + F32(1)
    elif name.endswith(".bias"):
        values = values * F32(0.5)
    elif name != "model.embed_tokens.weight":
        values = values * F32(2.0 / math.sqrt(shape[1]))
    return values.reshape(shape)


def shapes(config):
    """Names and shapes of every tensor, Hugging Face's."""
    hidden, ffn, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    q_size = config["num_attention_heads"] * head_dim(config)
    kv_size = config["num_key_value_heads"] * head_dim(config)
    out = {"model.embed_tokens.weight": (vocab, hidden), "model.norm.weight": (hidden,)}
    if not config["tie_word_embeddings"]:
        out["lm_head.weight"] = (vocab, hidden)
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        out[layer + "input_layernorm.weight"] = (hidden,)
        out[layer + "post_attention_layernorm.weight"] = (hidden,)
        linears = {
            "self_attn.q_proj": (q_size, hidden),
            "self_attn.k_proj": (kv_size, hidden),
            "self_attn.v_proj": (kv_size, hidden),
            "self_attn.o_proj": (hidden, q_size),
            "mlp.gate_proj": (ffn, hidden),
            "mlp.up_proj": (ffn, hidden),
            "mlp.down_proj": (hidden, ffn),
        }
        for name, shape in linears.items():
            out[layer + name + ".weight"] = shape
            if has_bias(config, name):
                out[layer + name + ".bias"] = shape[:1]
        if config["model_type"] == "qwen3":
            out[layer + "self_attn.q_norm.weight"] = (head_dim(config),)
            out[layer + "self_attn.k_norm.weight"] = (head_dim(config),)
    return out


def head_dim(config):
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]


def has_bias(config, linear):
    if config["model_type"] == "qwen2":
        return linear in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
    if linear.startswith("self_attn"):
        return config.get("attention_bias", False)
    return config.get("mlp_bias", False)


def rope_frequencies(config):
    """Radians a position [head_dim / 2], and the factor on cos and sin; float64. transformers' modeling_rope_utils.py."""
    dim, base = head_dim(config), config["rope_theta"]
    frequencies = base ** (-np.arange(0, dim, 2) / dim)
    scaling = config.get("rope_scaling") or {"rope_type": "default"}
    kind = scaling["rope_type"]
    if kind == "default":
        return frequencies, 1.0
    factor = scaling["factor"]
    if kind == "linear":
        return frequencies / factor, 1.0
    original = scaling["original_max_position_embeddings"]
    if kind == "llama3":
        return frequencies / llama3_divisors(frequencies, scaling), 1.0
    assert kind == "yarn"

    def correction_dim(rotations):
        return dim * math.log(original / (rotations * 2 * math.pi)) / (2 * math.log(base))

    low = max(math.floor(correction_dim(scaling.get("beta_fast", 32))), 0)
    high = min(math.ceil(correction_dim(scaling.get("beta_slow", 1))), dim - 1)
    ramp = np.clip((np.arange(dim // 2) - low) / ((high - low) or 0.001), 0, 1)
    attention = scaling.get("attention_factor") or 0.1 * math.log(factor) + 1
    return frequencies / factor * ramp + frequencies * (1 - ramp), attention


def llama3_divisors(frequencies, scaling):
    """What llama.cpp's converter stores as rope_freqs.weight."""
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    wavelengths = 2 * math.pi / frequencies
    smooth = np.clip((scaling["original_max_position_embeddings"] / wavelengths - low) / (high - low), 0, 1)
    return 1 / ((1 - smooth) / scaling["factor"] + smooth)


def rms_norm(x, weight, eps):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + F32(eps)) * weight


def rotate(x, cos, sin):
    """x: [positions, heads, dim]; pairs are (i, i + dim / 2)."""
    a, b = np.split(x, 2, axis=-1)
    cos, sin = cos[:, None, :], sin[:, None, :]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def attention(q, k, v):
    """q: [positions, heads, dim]; k, v: [positions, kv heads, dim]; causal."""
    positions, heads, dim = q.shape
    group = heads // k.shape[1]
    k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
    scores = np.einsum("ihd,jhd->hij", q, k) / F32(math.sqrt(dim))
    scores[:, np.triu(np.ones((positions, positions), bool), 1)] = -np.inf
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return np.einsum("hij,jhd->ihd", weights, v).reshape(positions, heads * dim)


def forward(config, tokens):
    """Of a model of generated weights: the hidden states that its head reads [len(tokens), hidden_size], and logits
    [len(tokens), vocab_size]."""
    weights = {name: tensor(name, shape) for name, shape in shapes(config).items()}
    dim, eps = head_dim(config), config["rms_norm_eps"]
    frequencies, magnitude = rope_frequencies(config)
    angles = np.arange(len(tokens))[:, None] * frequencies
    cos, sin = (np.cos(angles) * magnitude).astype(F32), (np.sin(angles) * magnitude).astype(F32)

    def linear(x, name):
        out = x @ weights[name + ".weight"].T
        return out + weights[name + ".bias"] if name + ".bias" in weights else out

    hidden = weights["model.embed_tokens.weight"][tokens]
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        x = rms_norm(hidden, weights[layer + "input_layernorm.weight"], eps)
        q, k, v = (linear(x, layer + f"self_attn.{p}_proj").reshape(len(tokens), -1, dim) for p in "qkv")
        if config["model_type"] == "qwen3":
            q = rms_norm(q, weights[layer + "self_attn.q_norm.weight"], eps)
            k = rms_norm(k, weights[layer + "self_attn.k_norm.weight"], eps)
        mixed = attention(rotate(q, cos, sin), rotate(k, cos, sin), v)
        hidden = hidden + linear(mixed, layer + "self_attn.o_proj")
        x = rms_norm(hidden, weights[layer + "post_attention_layernorm.weight"], eps)
        gate = linear(x, layer + "mlp.gate_proj")
        gated = gate / (1 + np.exp(-gate)) * linear(x, layer + "mlp.up_proj")
        hidden = hidden + linear(gated, layer + "mlp.down_proj")
    hidden = rms_norm(hidden, weights["model.norm.weight"], eps)
    head = weights["model.embed_tokens.weight" if config["tie_word_embeddings"] else "lm_head.weight"]
    return hidden, hidden @ head.T
