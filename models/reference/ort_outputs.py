"""What ONNX Runtime's own Python package answers: the same library as ours, driven by others.

    ort_outputs.py MODEL INPUT THREADS OUTPUT

INPUT holds the model's one input as little-endian 32-bit floats; OUTPUT receives its outputs, one after another in the
model's order, in the same form.
"""

import os
import sys

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime

model, source, threads, target = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(threads)
options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
port = session.get_inputs()[0]
with open(target, "wb") as file:
    for output in session.run(None, {port.name: np.fromfile(source, np.float32).reshape(port.shape)}):
        file.write(output.tobytes())
