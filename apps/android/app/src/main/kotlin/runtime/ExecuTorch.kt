package io.github.regnet_edge.runtime

import io.github.regnet_edge.BuildConfig
import org.pytorch.executorch.EValue
import org.pytorch.executorch.ExecuTorchRuntime
import org.pytorch.executorch.Module
import org.pytorch.executorch.Tensor
import java.io.File

/** ExecuTorch with XNNPACK on the CPU. */
class ExecuTorch : Runtime {
    override val name = "executorch"
    override val target = "executorch"
    override val label = "ExecuTorch"

    /** The library tells no version of its own: the build's is stated, once its classes are seen to load. */
    override fun version(): String = BuildConfig.EXECUTORCH.also { ExecuTorchRuntime.getRegisteredBackends() }

    override fun open(file: File, input: Input, threads: Int): Network {
        try {
            val module = Module.load(file.path, Module.LOAD_MODE_MMAP, threads)
            val code = module.loadMethod(FORWARD)
            if (code != 0) throw IllegalStateException("error $code while loading its method $FORWARD")
            return ExecuTorchNetwork(module, input)
        } catch (error: RuntimeException) {
            throw RuntimeFailure(
                "ExecuTorch ${version()} cannot open ${file.name}: ${reason(error)}. The file is damaged, or " +
                    "made for a newer runtime.",
                error,
            )
        }
    }
}

private const val FORWARD = "forward"

private class ExecuTorchNetwork(private val module: Module, private val taken: Input) : Network {
    private var input: EValue? = null
    private var output: Array<EValue> = emptyArray()

    override fun feed(image: FloatArray) {
        val tensor = if (taken.pixels) Tensor.fromBlobUnsigned(taken.bytes(image), taken.channelsLast) else Tensor.fromBlob(image, taken.shape)
        input = EValue.from(tensor)
    }

    override fun run() {
        output = module.forward(input)
    }

    override fun logits(): FloatArray = output[0].toTensor().dataAsFloatArray

    override fun close() = module.destroy()
}
