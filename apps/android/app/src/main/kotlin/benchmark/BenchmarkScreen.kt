package io.github.regnet_edge.benchmark

import android.app.Activity
import android.view.View
import android.view.WindowManager
import android.widget.LinearLayout
import android.widget.ProgressBar
import android.widget.TextView
import io.github.regnet_edge.R
import io.github.regnet_edge.Services
import io.github.regnet_edge.model.Model
import io.github.regnet_edge.model.ModelStore
import io.github.regnet_edge.model.objects
import io.github.regnet_edge.record.Measurement
import io.github.regnet_edge.ui.Screen
import io.github.regnet_edge.ui.Views
import org.json.JSONObject

/** Any set of models with so many threads, in bursts or sustained; progress, cancel, results with their verdicts. */
class BenchmarkScreen(private val activity: Activity, private val services: Services) : Screen {
    private val views = Views(activity)
    private val list: LinearLayout = views.column()
    private val message: TextView = views.text("")
    private val progress = ProgressBar(activity, null, android.R.attr.progressBarStyleHorizontal).apply {
        contentDescription = activity.getString(R.string.progress)
    }
    private val results: LinearLayout = views.column()
    private val start = views.button(R.string.start, ::begin)
    private val cancel = views.button(R.string.cancel) { services.benchmark.cancel() }
    private val models = mutableMapOf<Model, Boolean>()
    private var threads = THREADS.first()
    private var mode = Mode.BURST
    override val view: View = views.page(
        views.column(
            list,
            views.choice(R.string.threads, THREADS.map { activity.getString(R.string.thread_sets, it.joinToString(", ")) }, 0) { threads = THREADS[it] },
            views.choice(R.string.mode, MODES.map { activity.getString(it.second) }, 0) { mode = MODES[it].first },
            views.row(start, cancel), progress, message, results,
        ),
    )

    init {
        services.inBackground(services.store::all) { result ->
            result.onSuccess(::offer).onFailure { message.text = it.message }
        }
    }

    private fun offer(listing: ModelStore.Listing) {
        listing.models.forEach { model ->
            models[model] = true
            list.addView(views.check(model.name, true) { models[model] = it })
        }
        if (listing.models.isEmpty()) list.addView(views.text(activity.getString(R.string.no_model)))
        listing.failures.forEach { list.addView(views.small(it)) }
    }

    private fun begin() {
        val chosen = models.filterValues { it }.keys.toList()
        if (chosen.isEmpty()) message.setText(R.string.choose_models)
        else services.benchmark.start(SessionPlan(chosen, threads, mode))
    }

    override fun shown() {
        services.benchmark.watcher = ::show
        show(services.benchmark.state)
    }

    override fun hidden() {
        services.benchmark.watcher = null
        activity.window.clearFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
    }

    private fun show(state: BenchmarkState) {
        val keepOn = WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON
        if (state.running) activity.window.addFlags(keepOn) else activity.window.clearFlags(keepOn)
        start.isEnabled = !state.running
        cancel.isEnabled = state.running
        progress.visibility = if (state.running) View.VISIBLE else View.INVISIBLE
        progress.max = maxOf(1, state.all)
        progress.progress = state.done
        message.text = state.sentence
        results.removeAllViews()
        state.refusals.forEach { results.addView(views.card(views.text(it))) }
        state.records.asReversed().forEach { results.addView(RecordCard(views).of(it)) }
        ranks(state.records).forEach { results.addView(views.text(it)) }
    }

    private fun ranks(records: List<JSONObject>): List<String> = Measurement.ranks(records).map {
        activity.getString(R.string.rank, it.file, it.firstMinute, it.lastMinute)
    }

    private companion object {
        val THREADS = listOf(listOf(1), listOf(2), listOf(4), listOf(1, 2, 4))
        val MODES = listOf(Mode.BURST to R.string.burst, Mode.SUSTAINED to R.string.sustained)
    }
}

/** A record as a card: file, latency, verdict and why. */
class RecordCard(private val views: Views) {
    fun of(record: JSONObject): View {
        val file = record.getJSONObject("artifact").getString("file")
        val plan = record.getJSONObject("plan")
        val validity = record.getJSONObject("validity")
        val latency = "%.3f ms, %d thread(s), %s: %s".format(
            Measurement.medianMs(record), plan.getInt("threads"), plan.getString("mode"), validity.getString("verdict"),
        )
        val reasons = objects(validity.getJSONArray("reasons")).filter { it.getString("severity") != "note" }
            .map { views.small("${it.getString("severity")}: ${it.getString("sentence")}") }
        return views.card(views.text(file), views.text(latency), *reasons.toTypedArray())
    }
}
