package io.github.regnet_edge.camera

import io.github.regnet_edge.preprocessing.Pixels
import java.nio.ByteBuffer

/** One plane of a camera's image. */
class Plane(val buffer: ByteBuffer, val rowStride: Int, val pixelStride: Int) {
    internal fun at(x: Int, y: Int): Int = buffer.get(y * rowStride + x * pixelStride).toInt() and 0xff
}

/** A YUV 4:2:0 image as cameras give it: full range, BT.601 (JFIF). */
class Yuv(val width: Int, val height: Int, private val y: Plane, private val u: Plane, private val v: Plane) {
    /** RGB, turned clockwise by [degrees] (0, 90, 180 or 270). */
    fun toPixels(degrees: Int): Pixels {
        val rgb = ByteArray(3 * width * height)
        var to = 0
        for (row in 0 until height) for (column in 0 until width) {
            val luma = y.at(column, row)
            val blue = u.at(column / 2, row / 2) - 128
            val red = v.at(column / 2, row / 2) - 128
            rgb[to++] = byte(luma + ((91881 * red + HALF) shr 16))
            rgb[to++] = byte(luma - ((22554 * blue + 46802 * red + HALF) shr 16))
            rgb[to++] = byte(luma + ((116130 * blue + HALF) shr 16))
        }
        return Pixels(width, height, 3, rgb).upright(ORIENTATIONS.getValue(degrees))
    }

    private fun byte(value: Int): Byte = value.coerceIn(0, 255).toByte()

    private companion object {
        const val HALF = 1 shl 15
        val ORIENTATIONS = mapOf(0 to 1, 90 to 6, 180 to 3, 270 to 8) // EXIF's words for the same turns
    }
}
