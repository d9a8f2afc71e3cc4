package io.github.regnet_edge.runtime

import io.github.regnet_edge.Failure
import java.io.Closeable
import java.io.File

/** What runs files of one target. A new runtime is one class here and one line in [Runtimes]. */
interface Runtime {
    /** The name in jobs and records, such as `litert`. */
    val name: String

    /** The target whose artifacts it runs, such as `tflite`. */
    val target: String

    /** What the user reads. */
    val label: String

    /** The version that is packed; throws LinkageError where it is not packed. */
    fun version(): String

    /** Load a file; throws [RuntimeFailure] with a sentence. */
    fun open(file: File, input: Input, threads: Int): Network
}

/**
 * What a file takes: float32 of [shape] (N, C, H, W), or the [pixels] themselves, bytes in the order N, H, W, C. Values are
 * handed on as NCHW floats in both cases, a pixel's from 0 to 255.
 */
class Input(val shape: LongArray, val pixels: Boolean = false) {
    val size: Int get() = shape.reduce(Long::times).toInt()

    /** N, H, W, C. */
    val channelsLast: LongArray get() = longArrayOf(shape[0], shape[2], shape[3], shape[1])

    /** Each value of an NCHW image, in the order N, H, W, C. */
    inline fun eachChannelsLast(image: FloatArray, use: (Float) -> Unit) {
        val (n, c, h, w) = shape.map(Long::toInt)
        for (i in 0 until n) for (p in 0 until h * w) for (j in 0 until c) use(image[(i * c + j) * h * w + p])
    }

    /** NCHW values from 0 to 255 as bytes in the order N, H, W, C. */
    fun bytes(image: FloatArray): ByteArray {
        val out = ByteArray(image.size)
        var at = 0
        eachChannelsLast(image) { out[at++] = it.toInt().toByte() }
        return out
    }
}

/** A loaded file: fed once, run often. */
interface Network : Closeable {
    /** Take NCHW values as the input of every run: normalized, or pixels from 0 to 255 where the file takes those. */
    fun feed(image: FloatArray)

    /** One inference. */
    fun run()

    /** The last run's output. */
    fun logits(): FloatArray
}

/** Feed, run and read. */
fun Network.logitsOf(image: FloatArray): FloatArray {
    feed(image)
    run()
    return logits()
}

/** One sentence that says what a runtime could not do, and what to do about it. */
class RuntimeFailure(sentence: String, cause: Throwable? = null) : Failure(sentence, cause)

/** Those packed into this app; tests give their own. */
class Runtimes(private val known: List<() -> Runtime> = listOf(::TfLite, ::ExecuTorch, ::OnnxRuntime)) {

    /** Each runtime whose classes and libraries are there. */
    val packed: List<Runtime> by lazy { known.mapNotNull(::ifPacked) }

    /** The one for a target; throws [RuntimeFailure] where it is not packed. */
    fun of(target: String): Runtime = packed.find { it.target == target } ?: throw RuntimeFailure(
        "This app has no runtime for $target files; bundle the model with a base APK that packs one.",
    )

    /** The one of that name in a job; throws [RuntimeFailure]. */
    fun named(name: String): Runtime = packed.find { it.name == name } ?: throw RuntimeFailure(
        "This app has no runtime $name; it has ${packed.joinToString { it.name }}.",
    )

    /** A class that is left out shows itself when its version is asked for. */
    private fun ifPacked(make: () -> Runtime): Runtime? = try {
        make().also { it.version() }
    } catch (_: LinkageError) {
        null
    }
}
