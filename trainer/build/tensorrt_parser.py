"""Passes an ONNX model to TensorRT's parser, and reports a refusal by operator, node and reason."""

import re
from pathlib import Path
from typing import Final

import tensorrt as trt

from inspector.backends.tensorrt_messages import TensorRtLog

_ENDS: Final = {"frames", "kind", "score"}

_FRAME: Final = "frame"
"""The output that only networks with frame scores have."""

_SPOKEN: Final = re.compile(r'&& "(?P<quoted>[^"]+)"|^Assertion failed: .*?\): (?P<asserted>.+)', re.DOTALL)
"""Finds the message in an assertion of the parser: `creator && "Plugin not found"`, `(n == 1): Too many`."""


def parse_onnx(path: Path, network: trt.INetworkDefinition, log: TensorRtLog) -> str | None:
    """Fill `network`; returns why the parser refuses the model, None if it accepts it."""
    parser = trt.OnnxParser(network, log)
    if not parser.parse(path.read_bytes()):
        if not parser.num_errors:
            return log.first_error or "TensorRT gave no reason"
        more = f" (and {parser.num_errors - 1} more)" if parser.num_errors > 1 else ""
        return f"{_refusal(parser.get_error(0))}{more}"
    # The parser takes an empty file, or bytes that are not a protobuf message, for a network without tensors.
    inputs = [network.get_input(index).name for index in range(network.num_inputs)]
    outputs = [network.get_output(index).name for index in range(network.num_outputs)]
    found = {*inputs, *outputs}
    if found - {_FRAME} != _ENDS:
        return f"its inputs and outputs are {', '.join(sorted(found)) or 'none'}, not {', '.join(sorted(_ENDS))}"
    return None


def _refusal(error: "trt.ParserError") -> str:
    """ "node 12, MaxPool 'pool': …"; errors of the file as a whole have no node."""
    code, said = error.code().name, error.desc().strip()
    words = _SPOKEN.search(said)
    if words:
        said = words["quoted"] or words["asserted"]
    elif said == "false":  # the parser's only message for an unknown operator
        said = "no such operator"
    lines = [line for line in said.splitlines() if not line.startswith("Invalid Node - ")] or [said]
    reason = f"{' '.join(lines[0].split())} ({code})"
    if error.node() < 0:
        return reason
    return f"node {error.node()}, {error.node_operator()} {error.node_name()!r}: {reason}"
