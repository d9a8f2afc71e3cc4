package io.github.regnet_edge.preprocessing

import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.media.ExifInterface
import java.io.IOException
import java.io.InputStream

/** Reads a picture from wherever it can be opened twice: once for its size and EXIF, once for its pixels. */
class PictureReader(private val open: () -> InputStream) {
    /** The picture upright, RGB. Throws IOException with a sentence where it is none. */
    fun read(): Pixels {
        val bitmap = open().use { BitmapFactory.decodeStream(it, null, options()) }
            ?: throw IOException("This file is no picture that Android can read; choose a JPEG, PNG or WebP.")
        return of(bitmap).upright(orientation())
    }

    /** Huge photographs are read at half or quarter size: as bytes they would not fit in an app's memory. */
    private fun options(): BitmapFactory.Options {
        val bounds = BitmapFactory.Options().apply { inJustDecodeBounds = true }
        open().use { BitmapFactory.decodeStream(it, null, bounds) }
        var sample = 1
        while (bounds.outWidth.toLong() * bounds.outHeight / (sample * sample) > MOST_PIXELS) sample *= 2
        return BitmapFactory.Options().apply {
            inSampleSize = sample
            inPreferredConfig = Bitmap.Config.ARGB_8888
            inPremultiplied = false
        }
    }

    private fun orientation(): Int = try {
        open().use { ExifInterface(it).getAttributeInt(ExifInterface.TAG_ORIENTATION, 1) }
    } catch (_: IOException) {
        1 // no EXIF in it
    }

    companion object {
        private const val MOST_PIXELS = 16_000_000L

        /** A bitmap's pixels, RGB. */
        fun of(bitmap: Bitmap): Pixels {
            val argb = IntArray(bitmap.width * bitmap.height)
            bitmap.getPixels(argb, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
            return Pixels.ofArgb(bitmap.width, bitmap.height, argb)
        }

        /** Pixels as a bitmap, to be shown. */
        fun bitmap(pixels: Pixels): Bitmap {
            val argb = IntArray(pixels.width * pixels.height) {
                fun at(c: Int) = pixels.bytes[it * pixels.channels + c % pixels.channels].toInt() and 0xff
                (0xff shl 24) or (at(0) shl 16) or (at(1) shl 8) or at(2)
            }
            return Bitmap.createBitmap(argb, pixels.width, pixels.height, Bitmap.Config.ARGB_8888)
        }
    }
}
