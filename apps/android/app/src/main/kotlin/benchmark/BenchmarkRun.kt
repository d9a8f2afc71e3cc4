package io.github.regnet_edge.benchmark

import io.github.regnet_edge.Failure
import io.github.regnet_edge.Services
import io.github.regnet_edge.model.Model
import io.github.regnet_edge.record.Provenance
import org.json.JSONObject
import java.time.Instant
import java.time.temporal.ChronoUnit
import java.util.concurrent.atomic.AtomicBoolean

/** What the benchmark's screen shows: it outlives the screen, and so rotation and a look at another app. */
data class BenchmarkState(
    val running: Boolean = false,
    val done: Int = 0,
    val all: Int = 0,
    val sentence: String = "",
    val records: List<JSONObject> = emptyList(),
    val refusals: List<String> = emptyList(),
)

/** The process's one benchmark, which a screen watches. */
class BenchmarkRun(private val services: Services) {
    /** Called on the main thread with every change; the screen that shows it sets it. */
    var watcher: ((BenchmarkState) -> Unit)? = null

    @Volatile
    var state = BenchmarkState()
        private set
    private val cancelled = AtomicBoolean()

    /** Begin in the background; what was shown before is forgotten, the history keeps it. */
    fun start(plan: SessionPlan) {
        if (state.running) return
        cancelled.set(false)
        change { BenchmarkState(running = true, sentence = "Starting") }
        services.background.execute {
            val ended = try {
                session(listOf("app", "benchmark"), cancelled::get).run(plan, listener)
                "Done. The records are in the history."
            } catch (end: Failure) {
                end.message.orEmpty()
            } catch (_: OutOfMemoryError) {
                "The phone has too little memory for this model; choose a smaller one."
            } catch (failure: RuntimeException) { // a native runtime's own: the user has to hear of it
                "A runtime failed: ${failure.message ?: failure.javaClass.simpleName}; choose fewer threads or another model."
            }
            change { it.copy(running = false, sentence = ended) }
        }
    }

    /** End it between two slices. */
    fun cancel() = cancelled.set(true)

    /** A session of this app's doors; the headless entry uses it, too. */
    fun session(command: List<String>, isCancelled: () -> Boolean, keep: (JSONObject) -> Unit = services.history::add) = Session(
        services.machine, services.pin, services.runtimes, services.judge, services.foreground, services.proofs::of, keep,
        Provenance({ Instant.now().truncatedTo(ChronoUnit.SECONDS).toString() }, command), isCancelled,
    )

    private val listener = object : SessionListener {
        override fun progress(done: Int, all: Int, sentence: String) = change { it.copy(done = done, all = all, sentence = sentence) }

        override fun measured(record: JSONObject) = change { it.copy(records = it.records + record) }

        override fun refused(model: Model, sentence: String) = change { it.copy(refusals = it.refusals + sentence) }
    }

    private fun change(to: (BenchmarkState) -> BenchmarkState) {
        state = to(state)
        services.main.execute { watcher?.invoke(state) }
    }
}
