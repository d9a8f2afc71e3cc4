package io.github.regnet_edge.verify

import io.github.regnet_edge.classify.softmax
import io.github.regnet_edge.model.Golden
import io.github.regnet_edge.model.Model
import io.github.regnet_edge.model.ModelFailure
import io.github.regnet_edge.preprocessing.PictureReader
import io.github.regnet_edge.preprocessing.Pixels
import io.github.regnet_edge.runtime.Network
import io.github.regnet_edge.runtime.Runtime
import io.github.regnet_edge.runtime.logitsOf
import java.io.File
import kotlin.math.abs
import kotlin.math.log10
import kotlin.math.max

/** How near a file's logits on this phone come to the definition's, over [images] images. */
class Proof(
    val images: Int,
    val maxAbsError: Double,
    val sqnrDb: Double,
    val top1Agreement: Double,
    val accuracy: Double?,
    val failures: List<String>,
) {
    val passed get() = failures.isEmpty()
}

/**
 * Proves a model on a runtime with its golden data. [read] makes a picture of a file; the number of images done
 * and of all goes to [progress].
 */
class Verifier(
    private val read: (File) -> Pixels = { file -> PictureReader { file.inputStream() }.read() },
    private val progress: (Int, Int) -> Unit = { _, _ -> },
) {
    /** Throws RuntimeFailure where the file does not open, [ModelFailure] without golden data. */
    fun prove(model: Model, runtime: Runtime): Proof {
        val golden = Golden.read(
            model.golden ?: throw ModelFailure("${model.name} came without golden data, so nothing can be proved here."),
        )
        return runtime.open(model.file, model.input, threads = 1).use { network -> compare(model, golden, network) }
    }

    private fun compare(model: Model, golden: Golden, network: Network): Proof {
        val inputs = golden.inputs
        val all = inputs.size + golden.testLabels.size
        val tally = Tally()
        for ((i, logits) in (golden.logits + golden.testLogits).withIndex()) {
            val input = if (i < inputs.size) model.batchOf(inputs[i]) else model.batchOf(golden.testPixels(i - inputs.size))
            val wanted = if (model.givesProbabilities) softmax(logits) else logits
            tally.add(wanted, network.logitsOf(input).copyOf(model.classes), golden.testLabels.getOrNull(i - inputs.size))
            progress(i + 1, all)
        }
        return tally.proof(preprocessingFailures(golden) + gateFailures(model, golden, tally))
    }

    /** Each picture has to become its input tensor, within 1 of 255. */
    private fun preprocessingFailures(golden: Golden): List<String> {
        val how = golden.preprocessing
        return golden.pictures.zip(golden.inputs).mapNotNull { (file, wanted) ->
            val found = how.tensor(read(file))
            val plane = how.resolution * how.resolution
            val worst = found.indices.maxOf { abs(found[it] - wanted[it]) * how.std[it / plane] * 255 }
            if (worst > 1.01f) "${file.name} becomes another input here, by %.0f of 255".format(worst) else null
        }
    }

    private fun gateFailures(model: Model, golden: Golden, tally: Tally): List<String> {
        val bar = golden.bar(model.precision)
        val low = "SQNR %.1f dB is not above %.0f dB".format(tally.sqnrDb, bar.sqnrDb).takeIf { !(tally.sqnrDb > bar.sqnrDb) }
        val other = "top-1 agreement %.1f %% is below %.1f %%".format(100 * tally.agreement, 100 * bar.top1)
            .takeIf { golden.trained && tally.agreement < bar.top1 }
        return listOfNotNull(low, other)
    }
}

/** Sums over images, as `converters/proof` has them. */
private class Tally {
    private var signal = 0.0
    private var noise = 0.0
    private var worst = 0.0
    private var images = 0
    private var same = 0
    private var labelled = 0
    private var right = 0

    fun add(wanted: FloatArray, found: FloatArray, label: Int?) {
        for (i in wanted.indices) {
            val error = wanted[i].toDouble() - found[i]
            signal += wanted[i].toDouble() * wanted[i]
            noise += error * error
            worst = if (error.isNaN()) Double.NaN else max(worst, abs(error))
        }
        images++
        if (top(wanted) == top(found)) same++
        if (label != null) {
            labelled++
            if (top(found) == label) right++
        }
    }

    /** 10 log10(sum r^2 / sum (r - f)^2). */
    val sqnrDb: Double
        get() = if (noise == 0.0) Double.POSITIVE_INFINITY else 10 * log10(signal / noise)

    val agreement get() = same.toDouble() / images

    fun proof(failures: List<String>) =
        Proof(images, worst, sqnrDb, agreement, if (labelled > 0) right.toDouble() / labelled else null, failures)
}

/** The largest logit's class. */
fun top(logits: FloatArray): Int = logits.indices.maxBy { logits[it] }
