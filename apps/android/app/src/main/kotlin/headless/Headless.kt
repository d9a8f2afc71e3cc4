package io.github.regnet_edge.headless

import io.github.regnet_edge.Failure
import io.github.regnet_edge.benchmark.Foreground
import io.github.regnet_edge.benchmark.Job
import io.github.regnet_edge.benchmark.Machine
import io.github.regnet_edge.benchmark.Mode
import io.github.regnet_edge.benchmark.Observer
import io.github.regnet_edge.benchmark.Pin
import io.github.regnet_edge.benchmark.RefusedJob
import io.github.regnet_edge.benchmark.Session
import io.github.regnet_edge.benchmark.SessionListener
import io.github.regnet_edge.benchmark.SessionPlan
import io.github.regnet_edge.history.History
import io.github.regnet_edge.model.Model
import io.github.regnet_edge.model.ModelStore
import io.github.regnet_edge.record.Measurement
import io.github.regnet_edge.record.json
import io.github.regnet_edge.runtime.Runtimes
import org.json.JSONException
import org.json.JSONObject
import java.io.File
import java.io.IOException

/**
 * The entry for adb: a plan file in, files in [results] out, and one line of progress a measurement.
 *
 * A job of the command line (schemas/job.schema.json) is answered by its observation in `benchmark.json`. A plan
 * with `models` is a session of the app's own: its records go to `results.jsonl`, and `benchmark.json` says how
 * many there are. Whatever goes wrong ends as `{"error": sentence}` there, never in silence.
 */
class Headless(
    private val machine: Machine,
    private val pin: Pin,
    private val runtimes: Runtimes,
    private val store: ModelStore,
    private val foreground: Foreground,
    private val session: (isCancelled: () -> Boolean, keep: (JSONObject) -> Unit) -> Session,
    private val results: File,
    private val log: (String) -> Unit,
) {
    /** Do what the plan file asks; the answer is whole when it appears under its name. */
    fun run(planFile: File) {
        val answer = try {
            answer(JSONObject(planFile.readText()))
        } catch (error: JSONException) {
            failure("${planFile.name} is not a plan (${error.message}); update regnet-edge or the app")
        } catch (error: IOException) {
            failure("${planFile.path} cannot be read (${error.message}); push it again, readable for all")
        } catch (error: Failure) {
            failure(error.message)
        } catch (error: RuntimeException) { // a native runtime's own
            failure("the runtime failed with ${error.javaClass.simpleName}: ${error.message}")
        } catch (error: OutOfMemoryError) {
            failure("the phone has too little memory for this model: ${error.message}")
        }
        log(answer.optString("error", "done"))
        write(answer)
    }

    private fun answer(plan: JSONObject): JSONObject =
        if (plan.has("models")) session(plan) else observation(Job.of(plan))

    private fun observation(job: Job): JSONObject {
        val runtime = runtimes.named(job.runtime)
        if (!File(job.artifact).canRead()) throw RefusedJob("${job.artifact} cannot be read by the app; push it again")
        log("measuring ${File(job.artifact).name} on ${runtime.name}, ${job.threads} thread(s)")
        foreground.watch()
        val seen = Observer(machine, pin) { foreground.await {} }.observe(job, runtime)
        seen.getJSONObject("environment").put("app", Measurement.appState(machine, foreground))
        return seen
    }

    private fun session(plan: JSONObject): JSONObject {
        val listing = store.all()
        val wanted = plan.getJSONArray("models").let { list -> List(list.length()) { list.getString(it) } }
        val models = listing.models.filter { wanted.isEmpty() || it.name in wanted }
        val missing = wanted - models.map { it.name }.toSet()
        if (missing.isNotEmpty()) throw RefusedJob("the app has no model ${missing.first()}; bundle it, or leave it out of the plan")
        val kept = History(File(results, "results.jsonl"))
        val listener = Listener()
        session({ false }, kept::add).run(sessionPlan(plan, models), listener)
        return json("records" to listener.records, "refused" to listener.refusals.firstOrNull())
    }

    private fun sessionPlan(plan: JSONObject, models: List<Model>): SessionPlan {
        val mode = Mode.entries.find { it.word == plan.optString("mode", "burst") } ?: throw RefusedJob("unknown mode ${plan.getString("mode")}")
        fun ints(name: String) = plan.optJSONArray(name)?.let { list -> List(list.length()) { list.getInt(it) } }
        return SessionPlan(
            models, ints("threads") ?: listOf(1), mode, plan.optInt("rounds", 2), ints("cpus").orEmpty(),
            plan.optInt("min_runs", mode.minRuns), plan.optDouble("min_seconds", mode.minSeconds),
            plan.optDouble("max_seconds", maxOf(60.0, 3 * mode.minSeconds)),
        )
    }

    private fun failure(sentence: String?): JSONObject = json("error" to (sentence ?: "unknown"))

    private fun write(answer: JSONObject) {
        results.mkdirs()
        val part = File(results, "$ANSWER.part")
        val isWritten = try {
            part.writeText(answer.toString())
            part.renameTo(File(results, ANSWER))
        } catch (_: IOException) {
            false
        }
        if (!isWritten) log("$ANSWER cannot be written in $results; free some space")
    }

    private inner class Listener : SessionListener {
        var records = 0
        val refusals = mutableListOf<String>()

        override fun progress(done: Int, all: Int, sentence: String) = log("[${done + 1}/$all] $sentence")

        override fun measured(record: JSONObject) {
            records++
            val verdict = record.getJSONObject("validity").getString("verdict")
            log("%.3f ms, %s".format(Measurement.medianMs(record), verdict))
        }

        override fun refused(model: Model, sentence: String) {
            refusals += sentence
            log(sentence)
        }
    }

    companion object {
        const val ANSWER = "benchmark.json"
    }
}
