package io.github.regnet_edge.runtime

import org.tensorflow.lite.DataType
import org.tensorflow.lite.Interpreter
import org.tensorflow.lite.Tensor
import org.tensorflow.lite.TensorFlowLite
import java.io.File
import java.io.FileInputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.channels.FileChannel
import kotlin.math.round

/** TensorFlow Lite with XNNPACK on the CPU. */
class TfLite : Runtime {
    override val name = "litert"
    override val target = "tflite"
    override val label = "TFLite"

    override fun version(): String = TensorFlowLite.runtimeVersion()

    override fun open(file: File, input: Input, threads: Int): Network {
        val options = Interpreter.Options().setNumThreads(threads).setUseXNNPACK(true)
        val mapped = FileInputStream(file).use { it.channel.map(FileChannel.MapMode.READ_ONLY, 0, it.channel.size()) }
        try {
            return TfLiteNetwork(Interpreter(mapped, options), input)
        } catch (error: RuntimeException) { // its constructor throws IllegalArgument- and IllegalStateException
            throw RuntimeFailure(
                "TFLite ${version()} cannot open ${file.name}: ${reason(error)}. The file is damaged, or made " +
                    "for a newer runtime.",
                error,
            )
        }
    }
}

private class TfLiteNetwork(private val interpreter: Interpreter, private val taken: Input) : Network {
    private val entry: Tensor = interpreter.getInputTensor(0)
    private val exit: Tensor = interpreter.getOutputTensor(0)
    private val input = direct(entry.numBytes())
    private val output = direct(exit.numBytes())

    override fun feed(image: FloatArray) {
        input.rewind()
        taken.eachChannelsLast(image, ::put)
    }

    private fun put(value: Float) {
        if (entry.dataType() == DataType.FLOAT32) {
            input.putFloat(value)
        } else {
            val q = entry.quantizationParams()
            val step = if (taken.pixels) value else round(value / q.scale) + q.zeroPoint
            input.put(step.toInt().coerceIn(limits(entry.dataType())).toByte())
        }
    }

    override fun run() {
        input.rewind()
        output.rewind()
        interpreter.run(input, output)
    }

    override fun logits(): FloatArray {
        output.rewind()
        if (exit.dataType() == DataType.FLOAT32) return FloatArray(output.capacity() / 4) { output.getFloat() }
        val q = exit.quantizationParams()
        val unsigned = exit.dataType() == DataType.UINT8
        return FloatArray(output.capacity()) {
            val step = output.get().toInt().let { if (unsigned) it and 0xff else it }
            (step - q.zeroPoint) * q.scale
        }
    }

    override fun close() = interpreter.close()
}

private fun limits(type: DataType) = if (type == DataType.UINT8) 0..255 else -128..127

internal fun direct(bytes: Int): ByteBuffer = ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder())

/** The last line of what a runtime said, without its own prefix. */
internal fun reason(error: Throwable): String =
    (error.message ?: error.javaClass.simpleName).lines().last { it.isNotBlank() }.trim().trimEnd('.')
