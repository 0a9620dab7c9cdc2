#!/usr/bin/env python3
"""Writes a GGUF file again with its matrices in one quantisation type, by PyPI's gguf.

For speed only: weights that were quantised before lose a little more.
"""

import argparse
import sys
from pathlib import Path

from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, quants

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from arguments import existing_file, file_to_write

TYPES = ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]  # those that gguf can make


def copy_metadata(reader: GGUFReader, writer: GGUFWriter):
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        kind = field.types[0]
        writer.add_key_value(key, field.contents(), kind, field.types[-1] if kind == GGUFValueType.ARRAY else None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=existing_file, metavar="IN.gguf")
    parser.add_argument("type", choices=TYPES)
    parser.add_argument("target", type=file_to_write, metavar="OUT.gguf")
    args = parser.parse_args()
    if args.target.exists() and args.target.samefile(args.source):
        parser.error(f"OUT.gguf: expected another file than IN.gguf, got {args.target}")
    if args.source.open("rb").read(4) != b"GGUF":
        parser.error(f"IN.gguf: {args.source} is no GGUF file")
    kind = GGMLQuantizationType[args.type]
    reader = GGUFReader(args.source)
    writer = GGUFWriter(args.target, reader.fields["general.architecture"].contents())
    copy_metadata(reader, writer)
    for tensor in reader.tensors:
        if len(tensor.shape) < 2:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
        else:
            values = quants.dequantize(tensor.data, tensor.tensor_type)
            writer.add_tensor(tensor.name, quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
