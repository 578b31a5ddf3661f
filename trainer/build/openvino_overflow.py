"""Adds the guards of trainer.models.overflow to OpenVINO's graph, without any training library."""

from typing import Any

from inspector.values import MAX_SCORE
from trainer.models.overflow import FINITE, UNSOUND

LOG_OF_SLOPE = -75.0
"""Logarithm of a ReLU's slope below 0: e⁻⁷⁵ = 3e-33. OpenVINO's ReLU turns NaN into 0; with a slope, NaN stays NaN.

Such a small share of an activation changes no score, and its products are still normal numbers. A slope of 1.6e-38
made denormal ones, which are slow on a CPU: one frame of the demo model took 21.8 ms in bf16 and 1 696 ms in fp32.
With this slope it takes 6.5 and 27.6 ms, without any slope 6.3 and 27.3 ms (2 cores with AMX, medians of 40 in
turns, quiet PC). It is stored as a logarithm because weights are stored as fp16, which cannot hold the slope."""


def guard(model: Any, *, keep_nan: bool) -> None:
    """Turn logits that are not finite, and scores that are NaN, into score 255, in place.

    With `keep_nan`, its ReLUs pass NaN on. int8 needs no `keep_nan`, because its convolutions cannot overflow.
    """
    if keep_nan:
        _keep_nan(model)
    _guard_ends(model)


def _guard_ends(model: Any) -> None:
    """Guard logits and score, unless the score ends in Select: then the export has added the guards."""
    from openvino import opset13 as op

    convert = model.output("score").node.input_value(0).node
    if convert.get_type_name() != "Convert":
        raise RuntimeError("its output score is not made by a Cast: export the model again")
    score = convert.input_value(0)
    if score.node.get_type_name() == "Select":
        return
    for node in _of_type(model, "Softmax"):
        readers = node.output(0).get_target_inputs()
        mean = op.reduce_mean(node.input_value(0), node.get_attributes()["axis"], keep_dims=True)
        sound = op.select(op.less(op.abs(mean), _number(FINITE)), node, _number(UNSOUND))
        for reader in readers:
            reader.replace_source_output(sound.output(0))
    is_number = op.less_equal(op.abs(score), _number(MAX_SCORE))
    limited = op.select(is_number, score, _number(MAX_SCORE))
    convert.input(0).replace_source_output(limited.output(0))


def _keep_nan(model: Any) -> None:
    from openvino import opset13 as op

    for node in _of_type(model, "Relu"):
        readers = node.output(0).get_target_inputs()
        sloped = op.prelu(node.input_value(0), op.exp(op.constant([LOG_OF_SLOPE], dtype="float32")))
        sloped.set_friendly_name(node.get_friendly_name())
        for reader in readers:
            reader.replace_source_output(sloped.output(0))


def _of_type(model: Any, name: str) -> list[Any]:
    return [node for node in model.get_ordered_ops() if node.get_type_name() == name]


def _number(value: float) -> Any:
    from openvino import opset13 as op

    return op.constant(value, dtype="float32")
