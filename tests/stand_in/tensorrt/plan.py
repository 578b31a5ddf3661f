"""The stand-in's plan: what a real one is bound to, and the ONNX model that is computed in its place."""

import json
import struct
import zlib

MAGIC = b"stand-in plan\n"


def write_plan(facts, onnx_model):
    """`facts`: version, compute capability, flags, profile."""
    head = json.dumps(facts).encode()
    body = struct.pack("<I", len(head)) + head + onnx_model
    return MAGIC + struct.pack("<I", zlib.crc32(body)) + body


def read_plan(plan):
    """Return (facts, ONNX model); raises ValueError for a torn plan or another file."""
    if not plan.startswith(MAGIC) or len(plan) < len(MAGIC) + 8:
        raise ValueError("magicTag == rt::kMAGIC_TAG failed")
    (checksum,) = struct.unpack_from("<I", plan, len(MAGIC))
    body = plan[len(MAGIC) + 4 :]
    if zlib.crc32(body) != checksum:
        raise ValueError("serialized engine is corrupted")
    (length,) = struct.unpack_from("<I", body)
    return json.loads(body[4 : 4 + length]), body[4 + length :]
