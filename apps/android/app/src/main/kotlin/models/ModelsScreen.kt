package io.github.regnet_edge.models

import android.app.Activity
import android.content.Intent
import android.net.Uri
import android.provider.OpenableColumns
import android.view.View
import android.widget.LinearLayout
import android.widget.TextView
import io.github.regnet_edge.R
import io.github.regnet_edge.Services
import io.github.regnet_edge.model.Model
import io.github.regnet_edge.model.ModelFailure
import io.github.regnet_edge.share.ShareActivity
import io.github.regnet_edge.ui.Screen
import io.github.regnet_edge.ui.Views
import java.io.FileNotFoundException
import java.io.InputStream

/** What is in the app, and adding a model file with its sidecar, without a rebuild. */
class ModelsScreen(private val activity: Activity, private val services: Services) : Screen {
    private val views = Views(activity)
    private val message: TextView = views.message()
    private val list: LinearLayout = views.column()
    override val view: View = views.page(
        views.column(views.small(activity.getString(R.string.add_about)), views.button(R.string.add_model, ::choose), message, list),
    )

    override fun shown() = refresh("")

    private fun refresh(sentence: String) {
        services.inBackground(services.store::all) { result ->
            message.text = sentence
            list.removeAllViews()
            val listing = result.getOrNull()
            listing?.models.orEmpty().forEach { list.addView(card(it)) }
            listing?.failures.orEmpty().forEach { list.addView(views.card(views.text(it))) }
            if (listing?.models.orEmpty().isEmpty() && sentence.isEmpty()) message.setText(R.string.no_model)
        }
    }

    private fun card(model: Model): View {
        val facts = activity.getString(
            R.string.model_facts, model.network, model.preprocessing.resolution, model.target, model.precision,
            model.bytes / 1e6, model.flops / 1e6, model.params / 1e6, model.activations / 1e6,
            model.licence.ifEmpty { activity.getString(R.string.no_licence) }, model.sha256.take(16),
        )
        val runtime = services.runtimes.packed.find { it.target == model.target }
        val runs = runtime?.let { activity.getString(R.string.runs_with, it.label, it.version()) }
            ?: activity.getString(R.string.no_runtime, model.target)
        val remove = if (model.bundled) emptyList() else listOf(views.button(R.string.remove) { remove(model) })
        return views.card(views.text(model.name), views.small(facts), views.small(runs), *remove.toTypedArray())
    }

    private fun remove(model: Model) {
        services.inBackground({ services.store.remove(model) }) { refresh(activity.getString(R.string.removed, model.name)) }
    }

    private fun choose() {
        val intent = Intent(Intent.ACTION_OPEN_DOCUMENT).setType("*/*").addCategory(Intent.CATEGORY_OPENABLE)
            .putExtra(Intent.EXTRA_ALLOW_MULTIPLE, true)
        @Suppress("DEPRECATION") // its replacement is in AndroidX
        activity.startActivityForResult(intent, ADD)
    }

    override fun chosen(request: Int, data: Intent) {
        val files = ShareActivity.shared(data).associateBy(::nameOf)
        services.inBackground({ add(files) }) { result ->
            refresh(result.fold({ activity.getString(R.string.added, it.name) }) { it.message.orEmpty() })
        }
    }

    private fun add(files: Map<String, Uri>): Model {
        val name = files.keys.find { "$it.json" in files }
            ?: throw ModelFailure("Choose two files together: a model, and the sidecar of its name with .json at the end.")
        val sidecar = opened(files.getValue("$name.json")).use { it.readBytes().decodeToString() }
        return services.store.add(name, sidecar) { opened(files.getValue(name)) }
    }

    private fun opened(uri: Uri): InputStream =
        activity.contentResolver.openInputStream(uri) ?: throw FileNotFoundException("$uri is gone")

    private fun nameOf(uri: Uri): String {
        val told = activity.contentResolver.query(uri, arrayOf(OpenableColumns.DISPLAY_NAME), null, null, null)?.use {
            if (it.moveToFirst()) it.getString(0) else null
        }
        return told ?: uri.lastPathSegment.orEmpty()
    }

    private companion object {
        const val ADD = 3
    }
}
