package io.github.regnet_edge.preprocessing

import kotlin.math.PI
import kotlin.math.abs
import kotlin.math.cos
import kotlin.math.sin

/**
 * Pillow's filters by name: how far each reaches, and its weight at a distance. When a picture shrinks, the
 * filter is widened by the same factor, so that every pixel of the source counts.
 */
enum class Interpolation(internal val support: Double, internal val weight: (Double) -> Double) {
    NEAREST(0.0, { 1.0 }),
    BOX(0.5, { x -> if (x > -0.5 && x <= 0.5) 1.0 else 0.0 }),
    BILINEAR(1.0, { x -> maxOf(0.0, 1.0 - abs(x)) }),
    HAMMING(1.0, ::hamming),
    BICUBIC(2.0, ::bicubic),
    LANCZOS(3.0, ::lanczos),
}

private fun hamming(x: Double): Double {
    val t = abs(x)
    if (t == 0.0) return 1.0
    if (t >= 1.0) return 0.0
    return sin(t * PI) / (t * PI) * (0.54 + 0.46 * cos(t * PI))
}

/** Keys' cubic with a = -0.5 (Keys 1981, eq. 4). */
private fun bicubic(x: Double): Double {
    val t = abs(x)
    return when {
        t < 1.0 -> (1.5 * t - 2.5) * t * t + 1.0
        t < 2.0 -> ((-0.5 * t + 2.5) * t - 4.0) * t + 2.0
        else -> 0.0
    }
}

private fun lanczos(x: Double): Double = if (x >= -3.0 && x < 3.0) sinc(x) * sinc(x / 3.0) else 0.0

private fun sinc(x: Double): Double = if (x == 0.0) 1.0 else sin(x * PI) / (x * PI)

/**
 * The picture in another size, rounded to 8 bits after each direction, as Pillow 13 does: horizontally first, but
 * vertically where the height loses more than twice as many pixels as the width.
 */
fun Pixels.resized(width: Int, height: Int, filter: Interpolation): Pixels {
    if (width == this.width && height == this.height) return this
    if (filter == Interpolation.NEAREST) return nearest(width, height)
    val isVerticalFirst = height < this.height && this.height - height > 2 * (this.width - width)
    return if (isVerticalFirst) tall(height, filter).wide(width, filter) else wide(width, filter).tall(height, filter)
}

private fun Pixels.wide(to: Int, filter: Interpolation) = if (to == width) this else across(Weights.of(width, to, filter))

private fun Pixels.tall(to: Int, filter: Interpolation) = if (to == height) this else down(Weights.of(height, to, filter))

/** For each new pixel: the first old one that counts, and the weights from there on in 1/2^22. */
private class Weights(val from: IntArray, val fixed: Array<IntArray>) {
    val size get() = from.size

    companion object {
        fun of(before: Int, after: Int, filter: Interpolation): Weights {
            val scale = before.toDouble() / after
            val widened = maxOf(1.0, scale)
            val support = filter.support * widened
            val from = IntArray(after)
            val fixed = Array(after) { i ->
                val center = (i + 0.5) * scale
                from[i] = maxOf(0, (center - support + 0.5).toInt())
                val end = minOf(before, (center + support + 0.5).toInt())
                inFixedPoint(DoubleArray(end - from[i]) { filter.weight((it + from[i] - center + 0.5) / widened) })
            }
            return Weights(from, fixed)
        }

        private fun inFixedPoint(weights: DoubleArray): IntArray {
            val sum = weights.sum()
            val scale = if (sum != 0.0) 1.0 / sum else 1.0
            return IntArray(weights.size) {
                val w = weights[it] * scale * (1 shl PRECISION)
                (if (w < 0) w - 0.5 else w + 0.5).toInt()
            }
        }
    }
}

private const val PRECISION = 32 - 8 - 2

private fun clipped(sum: Int): Byte = (sum shr PRECISION).coerceIn(0, 255).toByte()

private fun Pixels.across(weights: Weights): Pixels {
    val out = ByteArray(weights.size * height * channels)
    var to = 0
    for (y in 0 until height) for (x in 0 until weights.size) {
        val start = (y * width + weights.from[x]) * channels
        for (c in 0 until channels) out[to++] = weighed(start + c, channels, weights.fixed[x])
    }
    return Pixels(weights.size, height, channels, out)
}

private fun Pixels.down(weights: Weights): Pixels {
    val row = width * channels
    val out = ByteArray(weights.size * row)
    var to = 0
    for (y in 0 until weights.size) {
        val start = weights.from[y] * row
        for (i in 0 until row) out[to++] = weighed(start + i, row, weights.fixed[y])
    }
    return Pixels(width, weights.size, channels, out)
}

/** The weighed sum of every [step]-th byte from [start] on. */
private fun Pixels.weighed(start: Int, step: Int, weights: IntArray): Byte {
    var sum = 1 shl (PRECISION - 1)
    var at = start
    for (w in weights) {
        sum += (bytes[at].toInt() and 0xff) * w
        at += step
    }
    return clipped(sum)
}

private fun Pixels.nearest(w: Int, h: Int): Pixels {
    val columns = nearestOf(width, w)
    val rows = nearestOf(height, h)
    val out = ByteArray(w * h * channels)
    var to = 0
    for (y in rows) for (x in columns) for (c in 0 until channels) out[to++] = at(x, y, c).toByte()
    return Pixels(w, h, channels, out)
}

/** The old position of each new one. Pillow adds the step up, and so do we, to round where it rounds. */
private fun nearestOf(before: Int, after: Int): IntArray {
    val step = before.toDouble() / after
    var position = step * 0.5
    return IntArray(after) { position.toInt().coerceAtMost(before - 1).also { position += step } }
}
