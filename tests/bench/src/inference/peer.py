# The bench's peer. One thread does everything; the libraries have as many as they are told.
#   run ENGINE MODEL THREADS INPUT OUTPUT   loads, answers once into OUTPUT; then for each line N: seconds of N runs
#   load ENGINE MODEL THREADS               seconds of loading, the package being imported already
import gc
import sys
import time

import numpy as np

action, engine, model, threads = sys.argv[1:5]
threads = int(threads)

if engine == "ort":
    import onnxruntime

    def load():
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def runner(session, values):
        inputs = {session.get_inputs()[0].name: values.reshape(session.get_inputs()[0].shape)}
        return lambda: session.run(None, inputs)
else:
    from ai_edge_litert.compiled_model import CompiledModel, CpuOptions, HardwareAccelerator, Options

    def load():
        options = Options(hardware_accelerators=HardwareAccelerator.CPU, cpu_options=CpuOptions(num_threads=threads))
        compiled = CompiledModel.from_file(model, options=options)
        return compiled, compiled.create_input_buffers(0), compiled.create_output_buffers(0)

    def runner(session, values):
        compiled, inputs, outputs = session
        counts = [int(np.prod(output.get_tensor_details()["shape"])) for output in outputs]

        def run():
            inputs[0].write(values)
            compiled.run_by_index(0, inputs, outputs)
            return [output.read(count, np.float32) for output, count in zip(outputs, counts)]

        return run


def tell(words):
    sys.stdout.write(f"= {words}\n")
    sys.stdout.flush()


started = time.perf_counter()
session = load()
loaded = time.perf_counter() - started
if action == "load":
    tell(loaded)
    sys.exit()
run = runner(session, np.fromfile(sys.argv[5], np.float32))
with open(sys.argv[6], "wb") as file:
    for output in run():
        file.write(np.ascontiguousarray(output).tobytes())
gc.disable()
tell("ready")
for line in sys.stdin:
    count = int(line)
    started = time.perf_counter()
    for _ in range(count):
        run()
    taken = time.perf_counter() - started
    # The libraries' threads stay awake for a while after a run; the other side's round must not pay for that.
    time.sleep(0.1)
    tell(taken)
