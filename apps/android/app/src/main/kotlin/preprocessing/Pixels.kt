package io.github.regnet_edge.preprocessing

/** A picture as bytes: rows of pixels of [channels] values 0..255 each (R, G, B, or grey alone). */
class Pixels(val width: Int, val height: Int, val channels: Int, val bytes: ByteArray) {
    init {
        require(bytes.size == width * height * channels) {
            "${bytes.size} bytes are no picture of $width x $height x $channels"
        }
    }

    /** The value at a place, 0..255. */
    fun at(x: Int, y: Int, channel: Int): Int = bytes[(y * width + x) * channels + channel].toInt() and 0xff

    /** The picture as EXIF's orientation 1..8 wants it shown; others mean upright already. */
    fun upright(orientation: Int): Pixels {
        val turned = orientation in 5..8
        val w = if (turned) height else width
        val h = if (turned) width else height
        if (orientation !in 2..8) return this
        return made(w, h) { x, y ->
            when (orientation) {
                2 -> index(width - 1 - x, y)
                3 -> index(width - 1 - x, height - 1 - y)
                4 -> index(x, height - 1 - y)
                5 -> index(y, x)
                6 -> index(y, height - 1 - x)
                7 -> index(width - 1 - y, height - 1 - x)
                else -> index(width - 1 - y, x)
            }
        }
    }

    private fun index(x: Int, y: Int) = (y * width + x) * channels

    private inline fun made(w: Int, h: Int, from: (Int, Int) -> Int): Pixels {
        val out = ByteArray(bytes.size)
        var to = 0
        for (y in 0 until h) for (x in 0 until w) {
            val start = from(x, y)
            for (c in 0 until channels) out[to++] = bytes[start + c]
        }
        return Pixels(w, h, channels, out)
    }

    companion object {
        /** Of an Android bitmap's ARGB words; transparency is dropped. */
        fun ofArgb(width: Int, height: Int, argb: IntArray): Pixels {
            val out = ByteArray(3 * width * height)
            for (i in 0 until width * height) {
                out[3 * i] = (argb[i] shr 16).toByte()
                out[3 * i + 1] = (argb[i] shr 8).toByte()
                out[3 * i + 2] = argb[i].toByte()
            }
            return Pixels(width, height, 3, out)
        }
    }
}
