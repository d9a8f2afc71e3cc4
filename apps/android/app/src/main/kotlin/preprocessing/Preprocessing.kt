package io.github.regnet_edge.preprocessing

import org.json.JSONObject
import kotlin.math.max
import kotlin.math.round

enum class Color(val channels: Int) { RGB(3), BGR(3), GRAY(1) }

enum class CropMode { CENTER, SQUASH, BORDER }

enum class CropRounding { EVEN, FLOOR }

/**
 * How a picture becomes the network's input, as an artifact's sidecar says it: colour, resize, crop,
 * (x / 255 - mean) / std. It gives what `regnet_edge/data.py` gives, within 1 of 255 before normalisation;
 * tests/vectors/preprocessing is where both are held together.
 */
class Preprocessing(
    val color: Color,
    val mean: FloatArray,
    val std: FloatArray,
    val resolution: Int,
    val interpolation: Interpolation,
    val resizePx: Int,
    val cropMode: CropMode,
    val cropRounding: CropRounding,
) {
    val channels get() = color.channels

    /** Resized and cropped, resolution x resolution, in the order of [color]. */
    fun fit(picture: Pixels): Pixels {
        val colored = recolored(picture)
        val (w, h) = resizedSides(colored.width, colored.height)
        return cropped(colored.resized(w, h, interpolation))
    }

    /** The input tensor of a fitted picture: float32, channels x resolution x resolution. */
    fun normalize(fitted: Pixels): FloatArray = perChannel(planes(fitted)) { value, c -> (value / 255f - mean[c]) / std[c] }

    /** The pixels, 0 to 255, that an input tensor was made of; both are channels x resolution x resolution. */
    fun pixelsOf(input: FloatArray): FloatArray =
        perChannel(input) { value, c -> round((value * std[c] + mean[c]) * 255f).coerceIn(0f, 255f) }

    /** A fitted picture's pixels, 0 to 255, channels x resolution x resolution. */
    fun planes(fitted: Pixels): FloatArray {
        val plane = resolution * resolution
        return FloatArray(channels * plane) { (fitted.bytes[it % plane * channels + it / plane].toInt() and 0xff).toFloat() }
    }

    private inline fun perChannel(values: FloatArray, change: (Float, Int) -> Float) =
        FloatArray(values.size) { change(values[it], it / (resolution * resolution)) }

    /** Both steps. */
    fun tensor(picture: Pixels): FloatArray = normalize(fit(picture))

    /** Width and height after the resize. */
    private fun resizedSides(w: Int, h: Int): Pair<Int, Int> = when (cropMode) {
        CropMode.SQUASH -> resizePx to resizePx
        CropMode.BORDER -> {
            val ratio = max(w.toDouble() / resizePx, h.toDouble() / resizePx)
            max(1, round(w / ratio).toInt()) to max(1, round(h / ratio).toInt())
        }
        CropMode.CENTER -> if (w <= h) resizePx to resizePx * h / w else resizePx * w / h to resizePx
    }

    private fun cropped(picture: Pixels): Pixels {
        val framed = if (minOf(picture.width, picture.height) < resolution) bordered(picture) else picture
        val left = half(framed.width - resolution)
        val top = half(framed.height - resolution)
        val row = resolution * channels
        val out = ByteArray(resolution * row)
        for (y in 0 until resolution) {
            val start = ((top + y) * framed.width + left) * channels
            framed.bytes.copyInto(out, y * row, start, start + row)
        }
        return Pixels(resolution, resolution, channels, out)
    }

    private fun half(spare: Int): Int =
        if (cropRounding == CropRounding.FLOOR) spare / 2 else round(spare / 2.0).toInt()

    /** The picture in the middle of a field of the mean's colour. */
    private fun bordered(picture: Pixels): Pixels {
        val w = max(picture.width, resolution)
        val h = max(picture.height, resolution)
        val fill = ByteArray(channels) { round(255.0 * mean[it]).toInt().toByte() }
        val out = ByteArray(w * h * channels) { fill[it % channels] }
        val left = max(0, resolution - picture.width) / 2
        val top = max(0, resolution - picture.height) / 2
        val row = picture.width * channels
        for (y in 0 until picture.height) {
            picture.bytes.copyInto(out, ((top + y) * w + left) * channels, y * row, (y + 1) * row)
        }
        return Pixels(w, h, channels, out)
    }

    private fun recolored(picture: Pixels): Pixels = when {
        color == Color.GRAY && picture.channels == 3 -> mapped(picture, 1) { p, _ -> luma(picture, p) }
        color != Color.GRAY && picture.channels == 1 -> mapped(picture, 3) { p, _ -> picture.bytes[p] }
        color == Color.BGR -> mapped(picture, 3) { p, c -> picture.bytes[3 * p + 2 - c] }
        else -> picture
    }

    private inline fun mapped(picture: Pixels, channels: Int, value: (Int, Int) -> Byte): Pixels {
        val out = ByteArray(picture.width * picture.height * channels)
        for (p in 0 until picture.width * picture.height) for (c in 0 until channels) {
            out[p * channels + c] = value(p, c)
        }
        return Pixels(picture.width, picture.height, channels, out)
    }

    /** ITU-R 601 in 1/65536, as Pillow rounds it. */
    private fun luma(rgb: Pixels, p: Int): Byte {
        fun at(c: Int) = rgb.bytes[3 * p + c].toInt() and 0xff
        return ((19595 * at(0) + 38470 * at(1) + 7471 * at(2) + 0x8000) shr 16).toByte()
    }

    companion object {
        /** Of a sidecar's `preprocessing`; throws JSONException or IllegalArgumentException on another. */
        fun of(json: JSONObject): Preprocessing {
            val resolution = json.getInt("resolution")
            return Preprocessing(
                color = Color.valueOf(json.getString("color")),
                mean = floats(json, "mean"),
                std = floats(json, "std"),
                resolution = resolution,
                interpolation = Interpolation.valueOf(json.optString("interpolation", "bilinear").uppercase()),
                resizePx = json.optInt("resize_px").takeIf { it > 0 } ?: resolution,
                cropMode = CropMode.valueOf(json.optString("crop_mode", "center").uppercase()),
                cropRounding = CropRounding.valueOf(json.optString("crop_rounding", "even").uppercase()),
            )
        }

        private fun floats(json: JSONObject, name: String): FloatArray {
            val list = json.getJSONArray(name)
            return FloatArray(list.length()) { list.getDouble(it).toFloat() }
        }
    }
}
