"""Writes codec_goldens.bin: blocks of every tensor type and the floats that PyPI's gguf makes of them.

    pip install gguf==0.19.0 numpy==2.4.6 && python tests/data/make_codec_goldens.py

The blocks are random bytes, their f16 scales replaced: sane ones, and the extremes a half float can hold. No scale is
infinite or NaN, so that every expected float is one number on every machine.

File: per type { u32 gguf type, u32 number of blocks, the blocks, the floats as float32 }, then
{ u32 0xffffffff, u32 count, count float32, count uint16: their float16, count uint16: their bfloat16 }.
All little-endian.
"""

import struct
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, quants
from gguf import GGMLQuantizationType as Type

EXTREMES = np.array(
    [0.0, -0.0, 5.960464477539063e-08, -6.097555160522461e-05, 6.103515625e-05, 65504.0, -65504.0, 1.0],
    dtype=np.float16,
)

# Where in a block f16 numbers stand, and how many blocks to write.
TYPES = {
    Type.Q4_0: ([0], 32),
    Type.Q4_1: ([0, 2], 32),
    Type.Q5_0: ([0], 32),
    Type.Q5_1: ([0, 2], 32),
    Type.Q8_0: ([0], 32),
    Type.Q2_K: ([80, 82], 32),
    Type.Q3_K: ([108], 32),
    Type.Q4_K: ([0, 2], 32),
    Type.Q5_K: ([0, 2], 32),
    Type.Q6_K: ([208], 32),
    Type.IQ4_NL: ([0], 32),
    Type.IQ4_XS: ([0], 32),
}


def blocks_of(rng: np.random.Generator, tensor_type: Type) -> np.ndarray:
    offsets, count = TYPES[tensor_type]
    _, block_bytes = GGML_QUANT_SIZES[tensor_type]
    blocks = rng.integers(0, 256, (count, block_bytes), dtype=np.uint8)
    for offset in offsets:
        scales = (rng.standard_normal(count) * 0.01).astype(np.float16)
        scales[: count // 2] = rng.choice(EXTREMES, count // 2)
        blocks[:, offset : offset + 2] = scales.view(np.uint8).reshape(count, 2)
    return blocks


def unquantized(rng: np.random.Generator, tensor_type: Type) -> np.ndarray:
    """Every exponent with both signs and some mantissas; infinities, but no NaN."""
    if tensor_type == Type.F32:
        numbers = rng.integers(0, 1 << 32, 256, dtype=np.uint32)
        numbers = numbers[np.isfinite(numbers.view(np.float32))]
    else:
        numbers = np.concatenate([np.arange(0, 1 << 16, 61), [0, 1, 0x3FF, 0x400, 0x7C00, 0xFC00, 0x8000, 0x8001]])
        numbers = numbers.astype(np.uint16)
        floats = quants.dequantize(numbers.view(np.uint8), tensor_type)
        numbers = numbers[~np.isnan(floats)]
    return numbers.view(np.uint8).reshape(len(numbers), -1)


def roundings(rng: np.random.Generator) -> np.ndarray:
    """Floats near and at the ties of both 16-bit formats."""
    bits = rng.integers(0, 1 << 32, 1000, dtype=np.uint32)
    halves = (rng.integers(0, 0x7C00, 1000, dtype=np.uint16)).view(np.float16).astype(np.float32).view(np.uint32)
    ties = np.concatenate([halves | 0x1000, halves | 0x0FFF, halves | 0x1001, (bits & 0xFFFF0000) | 0x8000])
    edges = np.array(
        [
            65504,
            65519.996,
            65520,
            65536,
            1e38,
            np.inf,
            -np.inf,
            5.96e-8,
            2.98e-8,
            2.981e-8,
            1e-10,
            0,
            -0.0,
            6.1e-5,
            6.1035156e-5,
            6.104e-5,
            3.4028235e38,
        ],
        dtype=np.float32,
    ).view(np.uint32)
    every = np.concatenate([bits, ties, edges]).view(np.float32)
    return every[~np.isnan(every)]


def main() -> None:
    rng = np.random.default_rng(20240229)
    out = Path(__file__).with_name("codec_goldens.bin")
    with out.open("wb") as file:
        for tensor_type in [Type.F32, Type.F16, Type.BF16, *TYPES]:
            blocks = blocks_of(rng, tensor_type) if tensor_type in TYPES else unquantized(rng, tensor_type)
            floats = quants.dequantize(blocks, tensor_type).astype("<f4")
            assert not np.isnan(floats).any(), tensor_type
            file.write(struct.pack("<II", tensor_type, len(blocks)) + blocks.tobytes() + floats.tobytes())
        floats = roundings(rng)
        with np.errstate(over="ignore"):
            halves = floats.astype("<f2")
        brains = quants.quantize(floats.reshape(1, -1), Type.BF16)
        file.write(struct.pack("<II", 0xFFFFFFFF, len(floats)) + floats.tobytes() + halves.tobytes() + brains.tobytes())
    print(f"{out}: {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
