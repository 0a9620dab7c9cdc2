"""Writes golden.safetensors with PyPI's safetensors: a tensor of each type that is supported, a scalar and an empty one.
Also the seeds of fuzz/safetensors.cpp: the same file, and its header alone.

pip install safetensors==0.8.0 numpy==2.4.6 && python tests/data/make_safetensors_golden.py
"""

from pathlib import Path

import numpy as np
from safetensors import TensorSpec, serialize

TENSORS = {
    "model.f32": ("float32", np.arange(1, 7, dtype=np.float32).reshape(2, 3)),
    "model.f16": ("float16", np.array([[[0.5, -0.5], [65504, 0]]], dtype=np.float16)),
    "model.bf16": ("bfloat16", np.array([0x3F80, 0xC000, 0x4040], dtype=np.uint16)),  # 1, -2, 3
    "model.scalar": ("float32", np.array(7.5, dtype=np.float32)),
    "model.empty": ("float32", np.zeros((0, 4), dtype=np.float32)),
}


def main() -> None:
    specs = {
        name: TensorSpec(dtype=dtype, shape=array.shape, data_ptr=array.ctypes.data, data_len=array.nbytes)
        for name, (dtype, array) in TENSORS.items()
    }
    content = serialize(specs, {"format": "pt"})
    out = Path(__file__).with_name("golden.safetensors")
    out.write_bytes(content)
    print(f"{out}: {len(content)} bytes")

    seeds = Path(__file__).parents[2] / "fuzz" / "corpus" / "safetensors"
    seeds.mkdir(parents=True, exist_ok=True)
    (seeds / out.name).write_bytes(content)
    (seeds / "header.json").write_bytes(content[8 : 8 + int.from_bytes(content[:8], "little")])


if __name__ == "__main__":
    main()
