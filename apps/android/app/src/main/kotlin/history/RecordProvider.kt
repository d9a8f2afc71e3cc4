package io.github.regnet_edge.history

import android.content.ContentProvider
import android.content.ContentValues
import android.database.Cursor
import android.database.MatrixCursor
import android.net.Uri
import android.os.ParcelFileDescriptor
import android.provider.OpenableColumns
import io.github.regnet_edge.App
import java.io.FileNotFoundException

/** Lends the history file, for reading, to the one app that the user shares it with. */
class RecordProvider : ContentProvider() {
    override fun onCreate() = true

    override fun openFile(uri: Uri, mode: String): ParcelFileDescriptor {
        if (uri != URI || mode != "r") throw FileNotFoundException("$uri is not lent")
        return ParcelFileDescriptor.open(file(), ParcelFileDescriptor.MODE_READ_ONLY)
    }

    override fun query(
        uri: Uri, projection: Array<String>?, selection: String?, arguments: Array<String>?, order: String?,
    ): Cursor = MatrixCursor(arrayOf(OpenableColumns.DISPLAY_NAME, OpenableColumns.SIZE)).apply {
        addRow(arrayOf(file().name, file().length()))
    }

    override fun getType(uri: Uri) = TYPE

    override fun insert(uri: Uri, values: ContentValues?) = null

    override fun update(uri: Uri, values: ContentValues?, selection: String?, arguments: Array<String>?) = 0

    override fun delete(uri: Uri, selection: String?, arguments: Array<String>?) = 0

    private fun file() = App.of(checkNotNull(context)).services.history.file

    companion object {
        val URI: Uri = Uri.parse("content://io.github.regnet_edge.records/results.jsonl")
        const val TYPE = "application/x-ndjson"
    }
}
