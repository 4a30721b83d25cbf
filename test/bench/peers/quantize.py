"""onnxruntime's own quantizer, as mlser's benchmarks run it: one job a call. Needs onnxruntime 1.30, onnx, numpy."""
import sys

job, src, dst = sys.argv[1:4]
data = sys.argv[4] if len(sys.argv) > 4 else None


def reader():
    import numpy as np
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader

    class Samples(CalibrationDataReader):
        def __init__(self):
            arrays = np.load(data)
            inputs = [i.name for i in onnxruntime.InferenceSession(src).get_inputs()]
            count = len(arrays[inputs[0]])
            self.batches = iter([{n: arrays[n][i : i + 1] for n in inputs} for i in range(count)])

        def get_next(self):
            return next(self.batches, None)

    return Samples()


def with_matmul(model):
    """Gemm as MatMul and Add: the peer's blocks are made for MatMul alone."""
    import numpy as np
    from onnx import helper, numpy_helper

    weights = {i.name: i for i in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        if node.op_type != "Gemm":
            nodes.append(node)
            continue
        a, b, c = node.input
        if any(x.name == "transB" and x.i for x in node.attribute):
            turned = np.ascontiguousarray(numpy_helper.to_array(weights[b]).T)
            weights[b].CopyFrom(numpy_helper.from_array(turned, b))
        product = f"{node.output[0]}_product"
        nodes.append(helper.make_node("MatMul", [a, b], [product]))
        nodes.append(helper.make_node("Add", [product, c], list(node.output)))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


if job.startswith("int8-dynamic"):
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # Signed weights of Conv have no kernel in all runtimes; its own documentation proposes unsigned ones there.
    kind = QuantType.QUInt8 if "u8" in job else QuantType.QInt8
    quantize_dynamic(src, dst, per_channel="channel" in job, weight_type=kind)
elif job.startswith("int8-static"):
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    form = QuantFormat.QOperator if "operators" in job else QuantFormat.QDQ
    kinds = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
    quantize_static(src, dst, reader(), quant_format=form, per_channel="channel" in job, **kinds)
elif job == "int4-hqq":
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import HQQWeightOnlyQuantConfig, MatMulNBitsQuantizer

    config = HQQWeightOnlyQuantConfig(block_size=32, bits=4)
    quantizer = MatMulNBitsQuantizer(with_matmul(onnx.load(src)), block_size=32, algo_config=config)
    quantizer.process()
    onnx.save(quantizer.model.model, dst)
elif job.startswith("int4") or job.startswith("int8-weights"):
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    bits = 4 if job.startswith("int4") else 8
    quantizer = MatMulNBitsQuantizer(with_matmul(onnx.load(src)), block_size=32, is_symmetric="sym" in job, bits=bits)
    quantizer.process()
    onnx.save(quantizer.model.model, dst)
elif job == "fp16":
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(src), keep_io_types=True), dst)
else:
    raise SystemExit(f"no job {job}")
