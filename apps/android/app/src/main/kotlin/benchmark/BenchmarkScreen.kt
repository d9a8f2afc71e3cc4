package io.github.regnet_edge.benchmark

import android.app.Activity
import android.os.Bundle
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
class BenchmarkScreen(private val activity: Activity, private val services: Services, state: Bundle?) : Screen {
    private val views = Views(activity)
    private val list: LinearLayout = views.column()
    private val message: TextView = views.message()
    private val progress = ProgressBar(activity, null, android.R.attr.progressBarStyleHorizontal).apply {
        contentDescription = activity.getString(R.string.progress)
    }
    private val results: LinearLayout = views.column()
    private val start = views.button(R.string.start, ::begin)
    private val cancel = views.button(R.string.cancel) { services.benchmark.cancel() }
    private var models: List<Model> = emptyList()
    private val left: MutableSet<String> = state?.getStringArray(LEFT).orEmpty().toMutableSet() // names of models left out
    private var threads = state?.getInt(THREADS) ?: 0
    private var mode = state?.getInt(MODE) ?: 0
    override val view: View = views.page(
        views.column(
            list,
            views.choice(R.string.threads, THREAD_SETS.map(::threadSet), threads) { threads = it },
            views.choice(R.string.mode, MODES.map { activity.getString(it.second) }, mode) { mode = it },
            views.row(start, cancel), progress, message, results,
        ),
    )

    init {
        services.inBackground(services.store::all) { result ->
            result.onSuccess(::offer).onFailure { message.text = it.message }
        }
    }

    private fun offer(listing: ModelStore.Listing) {
        models = listing.models
        models.map { it.name }.forEach { name ->
            list.addView(views.check(name, name !in left) { if (it) left -= name else left += name })
        }
        if (models.isEmpty()) list.addView(views.text(activity.getString(R.string.no_model)))
        listing.failures.forEach { list.addView(views.small(it)) }
    }

    private fun begin() {
        val chosen = models.filter { it.name !in left }
        if (chosen.isEmpty()) message.setText(R.string.choose_models)
        else services.benchmark.start(SessionPlan(chosen, THREAD_SETS[threads], MODES[mode].first))
    }

    private fun threadSet(threads: List<Int>) = activity.getString(R.string.thread_sets, threads.joinToString(", "))

    override fun save(state: Bundle) {
        state.putStringArray(LEFT, left.toTypedArray())
        state.putInt(THREADS, threads)
        state.putInt(MODE, mode)
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
        activity.getString(R.string.rank, it.trial, it.firstMinute, it.lastMinute)
    }

    private companion object {
        const val LEFT = "left"
        const val THREADS = "threads"
        const val MODE = "mode"
        val THREAD_SETS = listOf(listOf(1), listOf(2), listOf(4), listOf(1, 2, 4))
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
