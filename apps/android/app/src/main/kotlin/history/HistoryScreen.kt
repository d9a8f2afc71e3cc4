package io.github.regnet_edge.history

import android.app.Activity
import android.content.ClipData
import android.content.Intent
import android.net.Uri
import android.view.View
import android.widget.LinearLayout
import android.widget.TextView
import io.github.regnet_edge.R
import io.github.regnet_edge.Services
import io.github.regnet_edge.benchmark.RecordCard
import io.github.regnet_edge.ui.Screen
import io.github.regnet_edge.ui.Views
import org.json.JSONObject
import java.io.IOException

/** The records made on this phone: read, saved as a file, shared. */
class HistoryScreen(private val activity: Activity, private val services: Services) : Screen {
    private val views = Views(activity)
    private val message: TextView = views.message()
    private val list: LinearLayout = views.column()
    override val view: View = views.page(
        views.column(
            views.row(views.button(R.string.save, ::save), views.button(R.string.share, ::share), views.button(R.string.clear, ::clear)),
            message, list,
        ),
    )

    override fun shown() = services.inBackground(services.history::all) { show(it.getOrNull().orEmpty()) }

    private fun show(records: List<JSONObject>) {
        list.removeAllViews()
        if (records.isEmpty()) message.setText(R.string.no_records)
        else message.text = activity.resources.getQuantityString(R.plurals.records, records.size, records.size)
        records.take(SHOWN).forEach { list.addView(RecordCard(views).of(it)) }
    }

    private fun save() {
        val intent = Intent(Intent.ACTION_CREATE_DOCUMENT).setType(RecordProvider.TYPE).addCategory(Intent.CATEGORY_OPENABLE)
            .putExtra(Intent.EXTRA_TITLE, services.history.file.name)
        @Suppress("DEPRECATION") // its replacement is in AndroidX
        activity.startActivityForResult(intent, SAVE)
    }

    override fun chosen(request: Int, data: Intent) {
        val to = data.data ?: return
        services.inBackground({ copyTo(to) }) { result ->
            message.text = result.fold({ activity.getString(R.string.saved) }) { activity.getString(R.string.not_saved, it.message) }
        }
    }

    private fun copyTo(to: Uri) {
        val target = activity.contentResolver.openOutputStream(to) ?: throw IOException("it is gone")
        target.use { out -> services.history.file.inputStream().use { it.copyTo(out) } }
    }

    private fun share() {
        if (!services.history.file.exists()) return message.setText(R.string.no_records)
        val intent = Intent(Intent.ACTION_SEND).setType(RecordProvider.TYPE)
            .putExtra(Intent.EXTRA_STREAM, RecordProvider.URI)
            .addFlags(Intent.FLAG_GRANT_READ_URI_PERMISSION)
            .apply { clipData = ClipData.newRawUri("", RecordProvider.URI) }
        activity.startActivity(Intent.createChooser(intent, activity.getString(R.string.share)))
    }

    private fun clear() = services.inBackground(services.history::clear) { shown() }

    private companion object {
        const val SAVE = 4
        const val SHOWN = 100
    }
}
