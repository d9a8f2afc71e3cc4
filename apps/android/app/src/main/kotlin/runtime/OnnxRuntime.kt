package io.github.regnet_edge.runtime

import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtSession
import java.io.File
import java.nio.ByteBuffer
import java.nio.FloatBuffer

/** ONNX Runtime on the CPU; packed where the build found its Android library. */
class OnnxRuntime : Runtime {
    override val name = "onnxruntime"
    override val target = "onnx"
    override val label = "ONNX Runtime"

    override fun version(): String = OrtEnvironment.getEnvironment().version

    override fun open(file: File, input: Input, threads: Int): Network {
        val options = OrtSession.SessionOptions()
        options.setIntraOpNumThreads(threads)
        options.setInterOpNumThreads(1)
        try {
            return OnnxNetwork(OrtEnvironment.getEnvironment().createSession(file.path, options), input)
        } catch (error: OrtException) {
            throw RuntimeFailure(
                "ONNX Runtime ${version()} cannot open ${file.name}: ${reason(error)}. The file is damaged, or " +
                    "made for a newer runtime.",
                error,
            )
        }
    }
}

private class OnnxNetwork(private val session: OrtSession, private val taken: Input) : Network {
    private val entry = session.inputNames.first()
    private var input: Map<String, OnnxTensor> = emptyMap()
    private var result: OrtSession.Result? = null

    override fun feed(image: FloatArray) {
        input.values.forEach(OnnxTensor::close)
        input = mapOf(entry to tensor(image))
    }

    private fun tensor(image: FloatArray): OnnxTensor {
        val environment = OrtEnvironment.getEnvironment()
        if (!taken.pixels) return OnnxTensor.createTensor(environment, FloatBuffer.wrap(image), taken.shape)
        return OnnxTensor.createTensor(environment, ByteBuffer.wrap(taken.bytes(image)), taken.channelsLast, OnnxJavaType.UINT8)
    }

    override fun run() {
        result?.close()
        result = session.run(input)
    }

    override fun logits(): FloatArray {
        val buffer = (checkNotNull(result)[0] as OnnxTensor).floatBuffer
        return FloatArray(buffer.remaining()).also { buffer.get(it) }
    }

    override fun close() {
        result?.close()
        input.values.forEach(OnnxTensor::close)
        session.close()
    }
}
