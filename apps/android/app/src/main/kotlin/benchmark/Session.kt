package io.github.regnet_edge.benchmark

import io.github.regnet_edge.Failure
import io.github.regnet_edge.model.Model
import io.github.regnet_edge.record.Measurement
import io.github.regnet_edge.record.Provenance
import io.github.regnet_edge.runtime.Runtime
import io.github.regnet_edge.runtime.Runtimes
import io.github.regnet_edge.verdict.Judge
import io.github.regnet_edge.verify.Proof
import org.json.JSONObject

/** What to measure: every model with every number of threads, each visited [rounds] times in ABBA order. */
data class SessionPlan(
    val models: List<Model>,
    val threads: List<Int> = listOf(1),
    val mode: Mode = Mode.BURST,
    val rounds: Int = 2,
    val cpus: List<Int> = emptyList(),
    val minRuns: Int = mode.minRuns,
    val minSeconds: Double = mode.minSeconds,
    val maxSeconds: Double = maxOf(60.0, 3 * mode.minSeconds),
) {
    /** (round, model, threads): forwards in even rounds, backwards in odd ones, so that a slow trend cancels out. */
    fun visits(): List<Visit> {
        val trials = models.flatMap { model -> threads.map { model to it } }
        return (0 until rounds).flatMap { round ->
            (if (round % 2 == 0) trials else trials.reversed()).map { (model, n) -> Visit(round, model, n) }
        }
    }

    internal fun job(visit: Visit, runtime: Runtime, referenceNs: Long?) = Job(
        runtime.name, visit.model.file.path, visit.model.precision, mode, visit.threads, cpus, cpus.isNotEmpty(), minRuns,
        Job.MAX_RUNS, minSeconds, maxSeconds, visit.model.input.shape.map(Long::toInt), referenceNs = referenceNs,
        takesPixels = visit.model.input.pixels,
    )
}

/** One measurement to come. */
data class Visit(val round: Int, val model: Model, val threads: Int)

/** What a session tells while it works; called on the session's own thread. */
interface SessionListener {
    /** What happens now, as a sentence, at visit [done] of [all]. */
    fun progress(done: Int, all: Int, sentence: String)

    /** A record was made; it is kept already. */
    fun measured(record: JSONObject)

    /** A model that is not measured, and why. */
    fun refused(model: Model, sentence: String)
}

/**
 * Measures what a plan says. A model is proved before it is measured, and refused where it fails. Each record is
 * kept as soon as it is made; [cancelled] ends the session between two slices.
 */
class Session(
    private val machine: Machine,
    private val pin: Pin,
    private val runtimes: Runtimes,
    private val judge: Judge,
    private val foreground: Foreground,
    private val prove: (Model, Runtime) -> Proof?,
    private val keep: (JSONObject) -> Unit,
    private val provenance: Provenance,
    private val cancelled: () -> Boolean = { false },
) {
    private val gate = HeatGate(machine.phone, machine.clock)
    private var referenceNs: Long? = null

    /** Everything in order; throws [Interrupted] where it was cancelled. */
    fun run(plan: SessionPlan, listener: SessionListener) {
        val able = plan.models.filter { model -> isProved(model, listener) }
        val visits = plan.copy(models = able).visits()
        visits.forEachIndexed { i, visit -> visit(plan, visit, i, visits.size, listener) }
    }

    private fun isProved(model: Model, listener: SessionListener): Boolean {
        listener.progress(0, 1, "Verifying ${model.name}")
        val sentence = try {
            prove(model, runtimes.of(model.target))?.failures?.firstOrNull()
        } catch (error: Failure) {
            error.message
        } catch (error: RuntimeException) { // a native runtime's own
            "the runtime failed with ${error.message ?: error.javaClass.simpleName}"
        }
        if (sentence != null) listener.refused(model, "${model.name} is not measured: $sentence")
        return sentence == null
    }

    private fun visit(plan: SessionPlan, visit: Visit, done: Int, all: Int, listener: SessionListener) {
        for (attempt in 0..1) { // the second one where the first throttled, after a rest
            gate.wait(attempt * HeatGate.REST_SECONDS, ::checkCancelled) { listener.progress(done, all, "Waiting until the phone is cool, $it s at most") }
            listener.progress(done, all, "Measuring ${visit.model.name}, ${visit.threads} thread(s)")
            val record = measure(plan, visit, attempt)
            keep(record)
            listener.measured(record)
            if (!Measurement.throttled(record)) return
        }
    }

    private fun measure(plan: SessionPlan, visit: Visit, attempt: Int): JSONObject {
        val runtime = runtimes.of(visit.model.target)
        val job = plan.job(visit, runtime, referenceNs)
        foreground.watch()
        val seen = Observer(machine, pin, ::checkGoOn).observe(job, runtime)
        val environment = seen.getJSONObject("environment")
        environment.put("app", Measurement.appState(machine, foreground))
        if (!environment.isNull("reference_ns") && visit.threads == 1) referenceNs = environment.getLong("reference_ns")
        val measuredPlan = job.measuredPlan(0.0, visit.round, attempt)
        return Measurement.record(visit.model, Measurement.device(machine), measuredPlan, seen, judge, provenance)
    }

    private fun checkCancelled() {
        if (cancelled()) throw Interrupted("Cancelled; what was measured before is kept.")
    }

    private fun checkGoOn() {
        checkCancelled()
        foreground.await(::checkCancelled)
    }
}
