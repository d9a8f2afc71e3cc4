package io.github.regnet_edge.classify

import android.Manifest
import android.app.Activity
import android.content.Intent
import android.content.pm.PackageManager
import android.net.Uri
import android.os.Bundle
import android.view.Gravity
import android.view.View
import android.widget.ImageView
import android.widget.LinearLayout
import android.widget.TextView
import io.github.regnet_edge.R
import io.github.regnet_edge.Services
import io.github.regnet_edge.camera.FrameSource
import io.github.regnet_edge.model.Model
import io.github.regnet_edge.preprocessing.PictureReader
import io.github.regnet_edge.preprocessing.Pixels
import io.github.regnet_edge.share.ShareActivity
import io.github.regnet_edge.ui.Screen
import io.github.regnet_edge.ui.Views
import java.io.IOException

/** Live camera or a picture; the five likeliest classes, of one runtime or of all side by side. */
class ClassifyScreen(private val activity: Activity, private val services: Services, state: Bundle?) : Screen {
    private val views = Views(activity)
    private val picture = ImageView(activity).apply {
        adjustViewBounds = true
        maxHeight = views.dp(180)
        contentDescription = activity.getString(R.string.picture)
    }
    private val message: TextView = views.message()
    private val answers: LinearLayout = views.column()
    private val choices: LinearLayout = views.column()
    private val flip = views.button(R.string.switch_camera) { front = !front; restartCamera() }.apply { visibility = View.GONE }
    private val controls = views.column(
        choices,
        views.row(views.button(R.string.choose_picture, ::choosePicture), views.button(R.string.camera, ::toggleCamera)),
        flip,
    )
    override val view: View = views.page(
        if (views.isLandscape) views.row(views.column(controls, picture), views.column(message, answers)).apply { gravity = Gravity.TOP }
        else views.column(controls, picture, message, answers),
    )

    private var networks: List<Network> = emptyList()
    private var chosenNetwork = state?.getInt(NETWORK) ?: 0
    private var chosenRuntime = state?.getInt(RUNTIME) ?: 0
    private var uri: Uri? = state?.getString(PICTURE)?.let(Uri::parse)
    private var pixels: Pixels? = null
    private var source: FrameSource? = null
    private var front = false
    private var busy = false
    private var again = false // something was chosen while an answer was on its way

    /** The same network in the same precision, as a file for each of several runtimes. */
    private class Network(val label: String, val files: List<Model>)

    init {
        services.inBackground(services.store::all) { result ->
            val listing = result.getOrNull()
            offer(listing?.models.orEmpty())
            message.text = listing?.failures?.firstOrNull() ?: if (networks.isEmpty()) activity.getString(R.string.no_model) else ""
            uri?.let(::open)
        }
    }

    private fun offer(models: List<Model>) {
        networks = models.groupBy { "${it.network} ${it.precision}" }.map { (label, files) -> Network(label, able(files)) }
        choices.removeAllViews()
        if (networks.isEmpty()) return
        chosenNetwork = chosenNetwork.coerceIn(networks.indices)
        choices.addView(views.choice(R.string.model, networks.map { it.label }, chosenNetwork) { if (it != chosenNetwork) choose(it) })
        choices.addView(views.choice(R.string.runtime, runtimeNames(), chosenRuntime) { chosenRuntime = it; classify() })
    }

    /** The files that a packed runtime runs; all of them where there is none, so that the reason shows. */
    private fun able(files: List<Model>): List<Model> =
        files.filter { file -> services.runtimes.packed.any { it.target == file.target } }.ifEmpty { files }

    private fun choose(network: Int) {
        chosenNetwork = network
        chosenRuntime = 0
        offer(networks.flatMap { it.files })
        classify()
    }

    private fun runtimeNames(): List<String> {
        val files = networks[chosenNetwork].files
        val names = files.map { file -> services.runtimes.packed.find { it.target == file.target }?.label ?: file.target }
        return if (files.size > 1) names + activity.getString(R.string.all_runtimes) else names
    }

    /** The files to run: one, or those of all runtimes. */
    private fun asked(): List<Model> {
        val files = networks.getOrNull(chosenNetwork)?.files.orEmpty()
        return files.getOrNull(chosenRuntime)?.let(::listOf) ?: files
    }

    private fun choosePicture() {
        val intent = Intent(Intent.ACTION_GET_CONTENT).setType("image/*").addCategory(Intent.CATEGORY_OPENABLE)
        @Suppress("DEPRECATION") // its replacement is in AndroidX
        activity.startActivityForResult(intent, PICK)
    }

    override fun chosen(request: Int, data: Intent) {
        ShareActivity.shared(data).firstOrNull()?.let(::open)
    }

    private fun open(from: Uri) {
        stopCamera()
        uri = from
        val read = { PictureReader { activity.contentResolver.openInputStream(from) ?: throw IOException("it is gone") }.read() }
        services.inBackground(read) { result ->
            result.onSuccess(::show).onFailure { message.text = activity.getString(R.string.not_a_picture, it.message) }
        }
    }

    private fun show(found: Pixels) {
        pixels = found
        picture.setImageBitmap(PictureReader.bitmap(found))
        classify()
    }

    private fun classify() {
        val found = pixels ?: return
        val models = asked()
        again = busy
        if (models.isEmpty() || busy) return
        busy = true
        services.inBackground({ services.classifier.classify(found, models) }) { result ->
            busy = false
            result.onSuccess(::show).onFailure { message.text = it.message }
            if (again) classify()
        }
    }

    private fun show(found: List<Pair<Model, Result<Answer>>>) {
        message.text = ""
        answers.removeAllViews()
        for ((model, answer) in found) {
            answers.addView(answer.fold(::card) { views.card(views.text(model.name), views.small(it.message.orEmpty())) })
        }
    }

    private fun card(answer: Answer): View {
        val bars = answer.top.map { views.bar(it.label, it.probability) }
        return views.card(views.text(answer.runtime.label), views.small(times(answer)), *bars.toTypedArray())
    }

    /** Three times; none of a file that failed its proof here. */
    private fun times(answer: Answer): String =
        if (services.proofs.find(answer.model, answer.runtime)?.passed == false) activity.getString(R.string.no_times)
        else activity.getString(R.string.times, answer.preprocessingMs, answer.inferenceMs, answer.postprocessingMs)

    private fun toggleCamera() {
        if (source != null) stopCamera() else startCamera()
    }

    private fun restartCamera() {
        if (source != null) {
            stopCamera()
            startCamera()
        }
    }

    private fun startCamera() {
        if (activity.checkSelfPermission(Manifest.permission.CAMERA) != PackageManager.PERMISSION_GRANTED) {
            activity.requestPermissions(arrayOf(Manifest.permission.CAMERA), PERMISSION)
            return
        }
        uri = null
        flip.visibility = View.VISIBLE
        source = services.camera(front).also { started ->
            started.start(
                { frame -> services.main.execute { if (source === started && !busy) show(frame) } },
                { sentence -> services.main.execute { message.text = sentence } },
            )
        }
    }

    private fun stopCamera() {
        source?.stop()
        flip.visibility = View.GONE
        source = null
    }

    override fun permitted(granted: Boolean) {
        if (granted) startCamera() else message.setText(R.string.camera_denied)
    }

    override fun hidden() = stopCamera()

    override fun save(state: Bundle) {
        state.putInt(NETWORK, chosenNetwork)
        state.putInt(RUNTIME, chosenRuntime)
        state.putString(PICTURE, uri?.toString())
    }

    private companion object {
        const val PICK = 1
        const val PERMISSION = 2
        const val NETWORK = "network"
        const val RUNTIME = "runtime"
        const val PICTURE = "picture"
    }
}
