"""Writes every_type.gguf with PyPI's gguf: a key of every metadata type and two tensors.

    pip install gguf==0.19.0 numpy==2.4.6 && python tests/data/make_gguf_golden.py

Our reader must read it, and our writer, given the same keys and tensors, must write the same bytes.
"""

from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFValueType, GGUFWriter

SCALARS = [
    ("a.u8", 200, GGUFValueType.UINT8),
    ("a.i8", -100, GGUFValueType.INT8),
    ("a.u16", 60000, GGUFValueType.UINT16),
    ("a.i16", -30000, GGUFValueType.INT16),
    ("a.u32", 4000000000, GGUFValueType.UINT32),
    ("a.i32", -2000000000, GGUFValueType.INT32),
    ("a.f32", 1.5, GGUFValueType.FLOAT32),
    ("a.bool", True, GGUFValueType.BOOL),
    ("a.string", b"Gr\xc3\xbc\xc3\x9fe\x00!", GGUFValueType.STRING),
    ("a.u64", 2**64 - 1, GGUFValueType.UINT64),
    ("a.i64", -(2**63), GGUFValueType.INT64),
    ("a.f64", -2.25, GGUFValueType.FLOAT64),
]
ARRAYS = [
    ("b.u8", [1, 2, 255], GGUFValueType.UINT8),
    ("b.i8", [-1, 2], GGUFValueType.INT8),
    ("b.u16", [1, 65535], GGUFValueType.UINT16),
    ("b.i16", [-1, 32767], GGUFValueType.INT16),
    ("b.u32", [1, 4000000000], GGUFValueType.UINT32),
    ("b.i32", [-5, 7], GGUFValueType.INT32),
    ("b.f32", [0.5, -0.25], GGUFValueType.FLOAT32),
    ("b.bool", [True, False, True], GGUFValueType.BOOL),
    ("b.string", ["", "one", "two"], GGUFValueType.STRING),
    ("b.u64", [1, 2], GGUFValueType.UINT64),
    ("b.i64", [-1, 2], GGUFValueType.INT64),
    ("b.f64", [0.125], GGUFValueType.FLOAT64),
    ("b.nested", [["x", "y"], ["x", "y"]], GGUFValueType.ARRAY),
]


def main() -> None:
    out = Path(__file__).with_name("every_type.gguf")
    writer = GGUFWriter(out, arch="none")
    writer.add_custom_alignment(64)
    for key, value, value_type in SCALARS:
        writer.add_key_value(key, value, value_type)
    for key, value, item_type in ARRAYS:
        writer.add_key_value(key, value, GGUFValueType.ARRAY, sub_type=item_type)
    writer.add_tensor("matrix", np.arange(1, 7, dtype=np.float32).reshape(2, 3))
    writer.add_tensor("blocks", np.full((2, 34), 7, dtype=np.uint8), raw_dtype=GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{out}: {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
