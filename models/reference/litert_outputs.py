"""What LiteRT's own Python package answers: the same library as ours, driven by others.

    litert_outputs.py MODEL INPUT THREADS OUTPUT

INPUT holds the model's one input as little-endian 32-bit floats; OUTPUT receives its outputs, one after another in the
model's order, in the same form.
"""

import sys

import numpy as np
from ai_edge_litert.compiled_model import CompiledModel, CpuOptions, HardwareAccelerator, Options

model, source, threads, target = sys.argv[1:]
options = Options(hardware_accelerators=HardwareAccelerator.CPU, cpu_options=CpuOptions(num_threads=int(threads)))
compiled = CompiledModel.from_file(model, options=options)
inputs, outputs = compiled.create_input_buffers(0), compiled.create_output_buffers(0)
inputs[0].write(np.fromfile(source, np.float32))
compiled.run_by_index(0, inputs, outputs)
with open(target, "wb") as file:
    for output in outputs:
        count = int(np.prod(output.get_tensor_details()["shape"]))
        file.write(output.read(count, np.float32).tobytes())
