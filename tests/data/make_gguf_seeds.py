"""Writes the seeds of fuzz/gguf.cpp, fuzz/corpus/gguf: a file with a tensor of every supported type, and small ones.

pip install gguf==0.19.0 numpy==2.4.6 && python tests/data/make_gguf_seeds.py
"""

from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGUFWriter
from gguf import GGMLQuantizationType as Type

TYPES = [
    Type.F32,
    Type.F16,
    Type.BF16,
    Type.Q4_0,
    Type.Q4_1,
    Type.Q5_0,
    Type.Q5_1,
    Type.Q8_0,
    Type.Q2_K,
    Type.Q3_K,
    Type.Q4_K,
    Type.Q5_K,
    Type.Q6_K,
    Type.IQ4_NL,
    Type.IQ4_XS,
]


def write(path: Path, types: list[Type]) -> None:
    rng = np.random.default_rng(1)
    writer = GGUFWriter(path, arch="qwen2")
    writer.add_uint32("qwen2.block_count", 1)
    writer.add_float32("qwen2.rope.freq_base", 10000.0)
    writer.add_bool("tokenizer.ggml.add_bos_token", False)
    writer.add_array("tokenizer.ggml.tokens", ["a", "b", "<|end|>"])
    writer.add_array("tokenizer.ggml.token_type", [1, 1, 3])
    writer.add_array("nested", [[1, 2], [3]])
    for tensor_type in types:
        _, block_bytes = GGML_QUANT_SIZES[tensor_type]
        blocks = rng.integers(0, 256, (1, block_bytes), dtype=np.uint8)
        if tensor_type == Type.F32:
            writer.add_tensor("f32", np.ones((2, 2), dtype=np.float32))
        elif tensor_type == Type.F16:
            writer.add_tensor("f16", np.ones((2, 2), dtype=np.float16))
        else:
            writer.add_tensor(f"{tensor_type.name.lower()}", blocks, raw_dtype=tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    folder = Path(__file__).parents[2] / "fuzz" / "corpus" / "gguf"
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "every_tensor_type.gguf", TYPES)
    write(folder / "f32.gguf", [Type.F32])
    write(folder / "q4_k.gguf", [Type.Q4_K, Type.Q6_K])


if __name__ == "__main__":
    main()
