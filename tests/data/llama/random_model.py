"""A tiny Qwen2 model of random weights in any tensor type: the same bytes from here and from tests/model/random_model.h.

Weights are not quantised. Their blocks are random bytes, so that every value a block can hold occurs, and only the floating-point
numbers in them are set to what a model can compute with. So no quantiser stands between, and nothing but what llama.cpp makes of
the model has to be kept.

Random weights make a poor judge of top-1 agreement: logits lie close together, and every rounding is spread by the layers.
Therefore the embedding is EMBEDDING_GAIN times as large as other matrices, which lets the layers turn a token's vector without
replacing it, and the head is float32 and large (OUTPUT_NORM), which makes the most likely of the 256 tokens about as likely as a
trained model's (0.56 on average). It is another token than the last one at nearly every position.
"""

import numpy as np
from gguf import GGML_QUANT_SIZES, GGUFWriter
from gguf import GGMLQuantizationType as Type

HIDDEN, FFN, HEADS, KV_HEADS, HEAD_DIM, LAYERS, VOCAB = 256, 512, 4, 2, 64, 2, 256
MAX_POSITIONS, RMS_EPS, ROPE_THETA = 1024, 1e-6, 10000.0
EMBEDDING_GAIN = 64.0
SIGN = 0x8000


def f16(offset, value, keep=0x003F):
    """A float16 in a block: `value`, but the bits of `keep` are random. By default it grows by up to a sixteenth."""
    return offset, keep, lambda gain: int(np.float16(value * gain).view(np.uint16))


def bf16(offset, value, keep):
    """A bfloat16, or the high half of a float32."""
    return offset, keep, lambda gain: int(np.float32(value * gain).view(np.uint32) >> 16)


# Scales have either sign, but where a minimum makes the mean zero.
NUMBERS = {
    Type.F32: [bf16(2, 2**-4, SIGN | 0x7F)],
    Type.F16: [f16(0, 2**-4, SIGN | 0x3FF)],
    Type.BF16: [bf16(0, 2**-4, SIGN | 0x7F)],
    Type.Q8_0: [f16(0, 2**-10, SIGN | 0x3F)],
    Type.Q4_0: [f16(0, 2**-6, SIGN | 0x3F)],
    Type.Q4_1: [f16(0, 2**-6), f16(2, -7.5 * 2**-6)],
    Type.Q5_0: [f16(0, 2**-7, SIGN | 0x3F)],
    Type.Q5_1: [f16(0, 2**-7), f16(2, -15.5 * 2**-7)],
    Type.Q2_K: [f16(80, 2**-9), f16(82, 1.5 * 2**-9)],
    Type.Q3_K: [f16(108, 2**-9, SIGN | 0x3F)],
    Type.Q4_K: [f16(0, 2**-13), f16(2, 7.5 * 2**-13)],
    Type.Q5_K: [f16(0, 2**-14), f16(2, 15.5 * 2**-14)],
    Type.Q6_K: [f16(208, 2**-14, SIGN | 0x3F)],
    Type.IQ4_NL: [f16(0, 2**-10, SIGN | 0x3F)],
    Type.IQ4_XS: [f16(0, 2**-14, SIGN | 0x3F)],
}
# Of float32, up to twice the value.
NORM = bf16(2, 0.5, 0x7F)
OUTPUT_NORM = bf16(2, 2.0, 0x7F)
BIAS = bf16(2, 0.125, SIGN | 0x7F)


def random_bytes(name, count):
    """splitmix64 seeded with fnv1a(name), little-endian."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count // 8 + 2, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return z.astype("<u8").view(np.uint8)[:count]


def blocks(name, tensor_type, num_elements, numbers, gain=1.0):
    """[num_blocks, bytes of a block]"""
    block_elements, block_bytes = GGML_QUANT_SIZES[tensor_type]
    out = random_bytes(name, num_elements // block_elements * block_bytes).reshape(-1, block_bytes).copy()
    for offset, keep, bits in numbers:
        word = out[:, offset].astype(np.uint16) | out[:, offset + 1].astype(np.uint16) << 8
        word = (word & keep) | (bits(gain) & ~keep & 0xFFFF)
        out[:, offset], out[:, offset + 1] = word & 0xFF, word >> 8
    return out


def matrices():
    """Names of the layers' matrices, outputs, inputs."""
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        yield block + "attn_q.weight", HEADS * HEAD_DIM, HIDDEN
        yield block + "attn_k.weight", KV_HEADS * HEAD_DIM, HIDDEN
        yield block + "attn_v.weight", KV_HEADS * HEAD_DIM, HIDDEN
        yield block + "attn_output.weight", HIDDEN, HEADS * HEAD_DIM
        yield block + "ffn_gate.weight", FFN, HIDDEN
        yield block + "ffn_up.weight", FFN, HIDDEN
        yield block + "ffn_down.weight", HIDDEN, FFN


def vectors():
    yield "output_norm.weight", HIDDEN, OUTPUT_NORM
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        yield block + "attn_norm.weight", HIDDEN, NORM
        yield block + "ffn_norm.weight", HIDDEN, NORM
        yield block + "attn_q.bias", HEADS * HEAD_DIM, BIAS
        yield block + "attn_k.bias", KV_HEADS * HEAD_DIM, BIAS
        yield block + "attn_v.bias", KV_HEADS * HEAD_DIM, BIAS


def tensors(tensor_type):
    """Name, type, blocks [outputs, bytes of a row] or floats [size]."""
    numbers = NUMBERS[tensor_type]
    embedding = blocks("token_embd.weight", tensor_type, VOCAB * HIDDEN, numbers, EMBEDDING_GAIN)
    yield "token_embd.weight", tensor_type, embedding.reshape(VOCAB, -1)
    head = blocks("output.weight", Type.F32, VOCAB * HIDDEN, NUMBERS[Type.F32])
    yield "output.weight", Type.F32, head.reshape(VOCAB, -1)
    for name, rows, columns in matrices():
        yield name, tensor_type, blocks(name, tensor_type, rows * columns, numbers).reshape(rows, -1)
    for name, size, number in vectors():
        yield name, Type.F32, blocks(name, Type.F32, size, [number]).reshape(-1)


def tokens(count):
    return [int(byte) for byte in random_bytes("tokens", count)]


def metadata(writer):
    writer.add_block_count(LAYERS)
    writer.add_context_length(MAX_POSITIONS)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(RMS_EPS)
    writer.add_rope_freq_base(ROPE_THETA)
    writer.add_vocab_size(VOCAB)
    writer.add_tokenizer_model("none")


def write(path, tensor_type):
    writer = GGUFWriter(path, "qwen2")
    metadata(writer)
    for name, stored, data in tensors(tensor_type):
        if stored == Type.F32:
            writer.add_tensor(name, data.view("<f4"))
        else:
            writer.add_tensor(name, data, raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
