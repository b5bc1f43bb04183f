"""Rewrites the SSD MobileNetV2 detector from TFLite to ONNX (opset 13), weight for weight.

Owns: the translation of the six TFLite operators that this network uses. Refuses to know: any other operator, activation
or data type; it stops with the operator's name. The output is deterministic: the same input bytes and the pinned
versions of `onnx` and `numpy` (xtask/requirements/tools.txt) give the same digest, which models/manifest.json pins.

TFLite computes in NHWC, ONNX convolutions in NCHW. The graph keeps the NHWC input of the original, transposes once at the
entry, and transposes back where a prediction head is flattened, so that the rows of the outputs keep their order.

    python ssd_tflite_to_onnx.py SOURCE.tflite TARGET.onnx
"""

import sys

import ai_edge_litert.schema_py_generated as tflite
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 13
IR_VERSION = 8
DTYPES = {0: np.float32, 1: np.float16, 2: np.int32}
PADDING_VALID = 1
ACTIVATION_NONE, ACTIVATION_RELU, ACTIVATION_RELU6 = 0, 1, 3
OPERATOR_NAMES = {code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)}


def name_of(tensor):
    return f"t{tensor}"


def constant_of(model, tensor):
    """The tensor's stored value, or None where the network computes it."""
    data = model.buffers[tensor.buffer].data
    if data is None or len(data) == 0:
        return None
    shape = [] if tensor.shape is None else list(tensor.shape)
    return np.frombuffer(bytes(data), DTYPES[tensor.type]).reshape(shape)


def same_padding(size, kernel, stride):
    """TFLite's SAME: the odd pixel goes to the bottom and the right. ONNX wants [top, left, bottom, right]."""
    total = [max(0, (-(-s // t) - 1) * t + k - s) for s, k, t in zip(size, kernel, stride)]
    before = [t // 2 for t in total]
    return before + [t - b for t, b in zip(total, before)]


class Converter:
    def __init__(self, model):
        self.model = model
        self.graph = model.subgraphs[0]
        self.constants = [constant_of(model, tensor) for tensor in self.graph.tensors]
        self.nodes = []
        self.initializers = {}
        self.in_nchw = set()

    def initializer(self, name, value):
        self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def node(self, operator, inputs, output, **attributes):
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))

    def activation(self, code, output):
        """Puts the fused activation of the node written last behind it."""
        if code == ACTIVATION_NONE:
            return
        raw = output + "_pre"
        self.nodes[-1].output[0] = raw
        if code == ACTIVATION_RELU6:
            bounds = [self.initializer("zero", np.float32(0)), self.initializer("six", np.float32(6))]
            self.node("Clip", [raw, *bounds], output)
        elif code == ACTIVATION_RELU:
            self.node("Relu", [raw], output)
        else:
            sys.exit(f"activation {code} is not translated")

    def convolution(self, operator, options, depthwise):
        source, kernel, bias = operator.inputs
        target = operator.outputs[0]
        weights = self.constants[kernel]
        size = weights.shape[1:3]
        # OHWI (or, depthwise, 1HWO) to ONNX's OIHW.
        weights = weights.transpose(3, 0, 1, 2) if depthwise else weights.transpose(0, 3, 1, 2)
        shape = self.graph.tensors[source].shape
        stride = (options.strideH, options.strideW)
        padding = [0] * 4 if options.padding == PADDING_VALID else same_padding(shape[1:3], size, stride)
        self.node(
            "Conv",
            [
                name_of(source),
                self.initializer(f"w{target}", weights),
                self.initializer(f"b{target}", self.constants[bias]),
            ],
            name_of(target),
            strides=list(stride),
            kernel_shape=list(size),
            pads=padding,
            group=int(shape[3]) if depthwise else 1,
        )
        self.activation(options.fusedActivationFunction, name_of(target))
        self.in_nchw.add(target)

    def addition(self, operator, options):
        target = operator.outputs[0]
        self.node("Add", [name_of(source) for source in operator.inputs], name_of(target))
        self.activation(options.fusedActivationFunction, name_of(target))
        self.in_nchw.add(target)

    def reshape(self, operator):
        source, target = operator.inputs[0], operator.outputs[0]
        value = name_of(source)
        if source in self.in_nchw:
            rows = f"{value}_hwc{target}"
            self.node("Transpose", [value], rows, perm=[0, 2, 3, 1])
            value = rows
        shape = np.array(self.graph.tensors[target].shape, np.int64)
        self.node("Reshape", [value, self.initializer(f"s{target}", shape)], name_of(target))

    def operator(self, operator):
        code = self.model.operatorCodes[operator.opcodeIndex]
        kind = OPERATOR_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]
        options = operator.builtinOptions
        match kind:
            case "DEQUANTIZE":
                # Weights are stored as f16; the network computes in f32.
                self.constants[operator.outputs[0]] = self.constants[operator.inputs[0]].astype(np.float32)
            case "CONV_2D" | "DEPTHWISE_CONV_2D":
                self.convolution(operator, options, depthwise=kind == "DEPTHWISE_CONV_2D")
            case "ADD":
                self.addition(operator, options)
            case "RESHAPE":
                self.reshape(operator)
            case "CONCATENATION":
                sources = [name_of(source) for source in operator.inputs]
                self.node("Concat", sources, name_of(operator.outputs[0]), axis=int(options.axis))
            case _:
                sys.exit(f"operator {kind} is not translated")

    def convert(self):
        entry = self.graph.inputs[0]
        self.node("Transpose", ["image"], name_of(entry), perm=[0, 3, 1, 2])
        self.in_nchw.add(entry)
        for operator in self.graph.operators:
            self.operator(operator)
        outputs = []
        for index in self.graph.outputs:
            tensor = self.graph.tensors[index]
            name = tensor.name.decode().split("/")[-1]
            self.node("Identity", [name_of(index)], name)
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [int(n) for n in tensor.shape]))
        shape = [int(n) for n in self.graph.tensors[entry].shape]
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)
        graph = helper.make_graph(self.nodes, "ssd", [image], outputs, list(self.initializers.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model)
        return model


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, target = sys.argv[1:]
    with open(source, "rb") as file:
        model = tflite.ModelT.InitFromPackedBuf(file.read(), 0)
    onnx.save(Converter(model).convert(), target)


if __name__ == "__main__":
    main()
