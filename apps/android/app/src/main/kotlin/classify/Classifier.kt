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

/** Classifies pictures; the models that were asked for last stay open. Not for several threads at once. */
class Classifier(private val runtimes: Runtimes, private val ns: () -> Long = System::nanoTime) {
    private val opened = mutableMapOf<String, Network>()

    /** Each model's answer, or why there is none. */
    fun classify(picture: Pixels, models: List<Model>, threads: Int = 1): List<Pair<Model, Result<Answer>>> {
        closeAllBut(models.map { key(it, threads) })
        return models.map { it to runCatching { classify(picture, it, threads) } }
    }

    /** The five likeliest classes; throws [io.github.regnet_edge.runtime.RuntimeFailure]. */
    fun classify(picture: Pixels, model: Model, threads: Int = 1): Answer {
        val runtime = runtimes.of(model.target)
        val began = ns()
        val input = model.batchOf(model.preprocessing.fit(picture))
        val preprocessed = ns()
        val network = network(model, runtime, threads, input)
        val fed = ns()
        val given = network.logitsOf(input).copyOf(model.classes)
        val ran = ns()
        val top = top(if (model.givesProbabilities) given else softmax(given), model)
        return Answer(model, runtime, top, (preprocessed - began) / MS, (ran - fed) / MS, (ns() - ran) / MS)
    }

    /** Let the open models go. */
    fun close() = closeAllBut(emptyList())

    private fun closeAllBut(keys: List<String>) {
        (opened.keys - keys.toSet()).forEach { opened.remove(it)?.close() }
    }

    private fun key(model: Model, threads: Int) = "${model.file} ${model.sha256} $threads"

    /** An open model; its first run, in which runtimes still pack weights, is over. */
    private fun network(model: Model, runtime: Runtime, threads: Int, input: FloatArray): Network =
        opened.getOrPut(key(model, threads)) {
            runtime.open(model.file, model.input, threads).also { it.logitsOf(input) }
        }

    private fun top(probabilities: FloatArray, model: Model): List<Guess> =
        probabilities.indices.sortedByDescending { probabilities[it] }.take(SHOWN)
            .map { Guess(model.label(it), it, probabilities[it]) }

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
