package io.github.regnet_edge.model

import io.github.regnet_edge.preprocessing.Pixels
import io.github.regnet_edge.preprocessing.Preprocessing
import org.json.JSONException
import org.json.JSONObject
import java.io.File
import java.io.IOException
import java.io.RandomAccessFile
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** What the definition computed, as docs/golden-data.md lays it out: pictures, tensors, logits, test images. */
class Golden private constructor(private val folder: File, private val header: JSONObject) {
    val preprocessing = Preprocessing.of(header.getJSONObject("preprocessing"))
    val classes: Int = header.getInt("classes")
    val trained: Boolean = header.getBoolean("trained")
    val pictures: List<File> = objects(header.getJSONArray("pictures")).map { File(folder, it.getString("file")) }
    private val test: JSONObject? = header.optJSONObject("test")
    private val inputSize = preprocessing.channels * preprocessing.resolution * preprocessing.resolution

    /** The pictures' input tensors. */
    val inputs: List<FloatArray> get() = rows(header.getString("inputs"), inputSize)

    /** The definition's logits of the pictures. */
    val logits: List<FloatArray> get() = rows(header.getString("logits"), classes)

    /** Classes of the test images; empty where the model has none. */
    val testLabels: List<Int> = test?.getJSONArray("labels")?.let { list -> List(list.length()) { list.getInt(it) } }.orEmpty()

    /** The definition's logits of the test images. */
    val testLogits: List<FloatArray> get() = test?.let { rows(it.getString("logits"), classes) }.orEmpty()

    /** Test image [index], resized and cropped. */
    fun testPixels(index: Int): Pixels {
        val side = preprocessing.resolution
        val bytes = ByteArray(inputSize)
        RandomAccessFile(File(folder, checkNotNull(test).getString("pixels")), "r").use {
            it.seek(index.toLong() * inputSize)
            it.readFully(bytes)
        }
        return Pixels(side, side, preprocessing.channels, bytes)
    }

    /** What a precision must reach. */
    fun bar(precision: String): Bar {
        val bar = header.getJSONObject("bars").getJSONObject(precision)
        return Bar(bar.getDouble("sqnr_db"), bar.getDouble("top1"))
    }

    private fun rows(file: String, size: Int): List<FloatArray> {
        val floats = ByteBuffer.wrap(File(folder, file).readBytes()).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
        return List(floats.remaining() / size) { FloatArray(size).also { row -> floats.get(row) } }
    }

    /** SQNR above [sqnrDb], for trained weights a top-1 agreement of at least [top1]. */
    class Bar(val sqnrDb: Double, val top1: Double)

    companion object {
        const val HEADER = "golden.json"
        private const val VERSION = 1

        /** The folder's, every file's hash checked; throws [ModelFailure]. */
        fun read(folder: File): Golden {
            try {
                val header = JSONObject(File(folder, HEADER).readText())
                val hashes = header.getJSONObject("sha256")
                val changed = hashes.keys().asSequence().find { sha256(File(folder, it)) != hashes.getString(it) }
                if (header.getInt("version") != VERSION || changed != null) {
                    throw ModelFailure("The golden data ${folder.name} is damaged (${changed ?: HEADER}); install the app again.")
                }
                return Golden(folder, header)
            } catch (error: JSONException) {
                throw ModelFailure("The golden data ${folder.name} cannot be read (${error.message}); install the app again.")
            } catch (error: IOException) {
                throw ModelFailure("The golden data ${folder.name} cannot be read (${error.message}); install the app again.")
            }
        }
    }
}
