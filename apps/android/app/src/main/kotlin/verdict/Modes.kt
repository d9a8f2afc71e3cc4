package io.github.regnet_edge.verdict

import kotlin.math.abs
import kotlin.math.exp
import kotlin.math.ln
import kotlin.math.max
import kotlin.math.min
import kotlin.math.pow
import kotlin.math.round
import kotlin.math.sqrt

private const val POINTS = 512
private const val APART = 0.05
private const val MASS = 0.25
private const val DEEP = 0.6

/**
 * The values around which samples gather, one or more: peaks of a Gaussian kernel density of their logarithms
 * (Silverman 1986, bandwidth 0.9 min(std, iqr / 1.34) n^-1/5) that lie 5 % apart, each with a quarter of the samples
 * and with a valley between them that is lower than 0.6 of the lower one.
 */
internal fun modes(samplesMs: List<Double>): List<Double> {
    val all = samplesMs.map(::ln)
    val low = percentile(all, 1.0)
    val high = percentile(all, 99.0)
    val x = all.filter { it in low..high }
    val mean = x.average()
    val deviation = sqrt(x.sumOf { (it - mean).pow(2) } / x.size)
    val spread = max(min(deviation, (percentile(all, 75.0) - percentile(all, 25.0)) / 1.34), 1e-3)
    val h = 0.9 * spread * x.size.toDouble().pow(-0.2)
    val start = low - 3 * h
    val step = (high - low + 6 * h) / (POINTS - 1)
    val density = density(x, start, step, h)
    return peaks(x, density) { start + it * step }.map { round(exp(start + it * step) * 1e9) / 1e9 }
}

/** The density on the grid, from a histogram, so that its cost does not grow with the samples. */
private fun density(x: List<Double>, start: Double, step: Double, h: Double): DoubleArray {
    val counts = DoubleArray(POINTS)
    val edges = DoubleArray(POINTS) { start + it * step - step / 2 }
    for (value in x) counts[edges.binarySearch(value).let { if (it >= 0) it else -it - 2 }.coerceAtLeast(0)]++
    val kernel = DoubleArray(POINTS) { exp(-0.5 * (it * step / h).pow(2)) }
    val smooth = DoubleArray(POINTS) { i -> counts.indices.sumOf { counts[it] * kernel[abs(i - it)] } }
    val most = smooth.max()
    return DoubleArray(POINTS) { smooth[it] / most }
}

private fun peaks(x: List<Double>, density: DoubleArray, at: (Int) -> Double): List<Int> {
    val kept = mutableListOf<Int>()
    for (i in (1 until POINTS - 1).filter { density[it] > density[it - 1] && density[it] >= density[it + 1] }) {
        if (kept.isEmpty()) {
            kept += i
            continue
        }
        val last = kept.last()
        val valley = (last until i).minBy { density[it] }
        val lowSide = x.count { it <= at(valley) }.toDouble() / x.size
        val deep = density[valley] < DEEP * min(density[last], density[i])
        if (deep && at(i) - at(last) >= APART && min(lowSide, 1 - lowSide) >= MASS) kept += i
        else if (density[i] > density[last]) kept[kept.lastIndex] = i
    }
    return kept
}
