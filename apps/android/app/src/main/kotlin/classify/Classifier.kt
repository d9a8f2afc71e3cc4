package io.github.regnet_edge.classify

import io.github.regnet_edge.model.Model
import io.github.regnet_edge.preprocessing.Pixels
import io.github.regnet_edge.runtime.Network
import io.github.regnet_edge.runtime.Runtime
import io.github.regnet_edge.runtime.Runtimes
import io.github.regnet_edge.runtime.logitsOf
import kotlin.math.exp

/** A class with its probability. */
class Guess(val label: String, val index: Int, val probability: Float)

/** What a model says of a picture, and how long each part took. */
class Answer(
    val model: Model,
    val runtime: Runtime,
    val top: List<Guess>,
    val preprocessingMs: Double,
    val inferenceMs: Double,
    val postprocessingMs: Double,
)

/** Classifies pictures; a model stays open until another is asked for. Not for several threads at once. */
class Classifier(private val runtimes: Runtimes, private val ns: () -> Long = System::nanoTime) {
    private var opened: Pair<String, Network>? = null

    /** Throws RuntimeFailure with a sentence where the file cannot be opened. */
    fun classify(picture: Pixels, model: Model, threads: Int = 1): Answer {
        val runtime = runtimes.of(model.target)
        val network = network(model, runtime, threads)
        val began = ns()
        val input = model.batched(model.preprocessing.tensor(picture))
        val fed = ns()
        val logits = network.logitsOf(input)
        val ran = ns()
        val top = top(logits.copyOf(model.classes), model)
        return Answer(model, runtime, top, (fed - began) / MS, (ran - fed) / MS, (ns() - ran) / MS)
    }

    /** Let the open model go. */
    fun close() {
        opened?.second?.close()
        opened = null
    }

    private fun network(model: Model, runtime: Runtime, threads: Int): Network {
        val key = "${model.sha256} $threads"
        opened?.let { (known, network) -> if (known == key) return network }
        close()
        return runtime.open(model.file, model.inputShape, threads).also { opened = key to it }
    }

    private fun top(logits: FloatArray, model: Model): List<Guess> {
        val probabilities = softmax(logits)
        return probabilities.indices.sortedByDescending { probabilities[it] }.take(SHOWN)
            .map { Guess(model.label(it), it, probabilities[it]) }
    }

    private companion object {
        const val SHOWN = 5
        const val MS = 1e6
    }
}

/** Probabilities. */
fun softmax(logits: FloatArray): FloatArray {
    val largest = logits.max()
    val e = FloatArray(logits.size) { exp(logits[it] - largest) }
    val sum = e.sum()
    return FloatArray(e.size) { e[it] / sum }
}
