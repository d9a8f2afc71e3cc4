package io.github.regnet_edge.history

import io.github.regnet_edge.Failure
import org.json.JSONException
import org.json.JSONObject
import java.io.File
import java.io.IOException
import java.io.RandomAccessFile

/** The records made on this phone, as the JSON lines that `regnet-edge report` and `law` read. */
class History(val file: File) {
    /** Append a record, flushed to disk before this returns; a line that a crash cut short is taken away first. */
    @Synchronized
    fun add(record: JSONObject) {
        try {
            mend()
            file.parentFile?.mkdirs()
            file.appendText("$record\n")
        } catch (error: IOException) {
            throw StorageFull("The record could not be written (${error.message}); free some space and measure again.")
        }
    }

    private fun mend() {
        if (!file.exists()) return
        val text = file.readBytes()
        val whole = text.lastIndexOf('\n'.code.toByte()) + 1
        if (whole < text.size) RandomAccessFile(file, "rw").use { it.setLength(whole.toLong()) }
    }

    /** Every whole record, the newest first. */
    @Synchronized
    fun all(): List<JSONObject> = if (!file.exists()) emptyList() else file.readLines().mapNotNull { line ->
        try {
            JSONObject(line)
        } catch (_: JSONException) {
            null // the last line, cut short
        }
    }.asReversed()

    /** Take every record away. */
    @Synchronized
    fun clear() {
        file.delete()
    }
}

/** One sentence: a record could not be written. */
class StorageFull(sentence: String) : Failure(sentence)
