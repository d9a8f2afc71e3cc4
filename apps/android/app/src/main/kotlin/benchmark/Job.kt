package io.github.regnet_edge.benchmark

import io.github.regnet_edge.Failure
import io.github.regnet_edge.record.json
import io.github.regnet_edge.runtime.Input
import org.json.JSONObject
import kotlin.math.floor

/** What to measure, as the command line tells it (schemas/job.schema.json); the app's own screens make the same. */
data class Job(
    val runtime: String,
    val artifact: String,
    val precision: String = "fp32",
    val mode: Mode = Mode.BURST,
    val threads: Int = 1,
    val cpus: List<Int> = emptyList(),
    val exact: Boolean = false,
    val minRuns: Int = mode.minRuns,
    val maxRuns: Int = MAX_RUNS,
    val minSeconds: Double = mode.minSeconds,
    val maxSeconds: Double = maxOf(60.0, 3 * mode.minSeconds),
    val inputShape: List<Int> = emptyList(),
    val wantOutput: Boolean = false,
    val referenceNs: Long? = null,
    val takesPixels: Boolean = false,
) {
    /** What the file takes. */
    val input: Input get() = Input(LongArray(inputShape.size) { inputShape[it].toLong() }, takesPixels)

    /** The record's `plan`; one process measures, [round] and [attempt] count visits. */
    fun measuredPlan(cooldownS: Double, round: Int, attempt: Int): JSONObject = json(
        "mode" to mode.word, "threads" to threads, "affinity" to affinity(), "min_runs" to minRuns,
        "min_seconds" to minSeconds, "max_seconds" to maxSeconds, "cooldown_s" to cooldownS,
        "warmup_rule" to WarmUp.RULE, "round" to round, "attempt" to attempt, "processes" to 1,
    )

    private fun affinity() = if (cpus.isEmpty()) "any" else cpus.joinToString(",")

    companion object {
        const val VERSION = 1
        const val MAX_RUNS = 200_000

        /** Of a plan file; throws JSONException, or [RefusedJob] with a sentence. */
        fun of(plan: JSONObject): Job {
            val version = plan.getInt("version")
            if (version != VERSION) throw RefusedJob("the plan has version $version, this app reads $VERSION; update one of both")
            val accelerator = plan.optString("accelerator", "cpu")
            if (accelerator != "cpu") throw RefusedJob("this app measures on the CPU, not on $accelerator; leave out --compute-units")
            val mode = Mode.entries.find { it.word == plan.getString("mode") }
                ?: throw RefusedJob("this app has no mode ${plan.getString("mode")}; update it")
            return Job(
                plan.getString("runtime"), plan.getString("artifact"), plan.getString("precision"), mode,
                plan.getInt("threads"), ints(plan, "cpus"), plan.getBoolean("exact"), plan.getInt("min_runs"),
                plan.getInt("max_runs"), plan.getDouble("min_seconds"), plan.getDouble("max_seconds"),
                ints(plan, "input_shape"), plan.optBoolean("want_output"),
                if (plan.isNull("reference_ns")) null else plan.getLong("reference_ns"), plan.optBoolean("takes_pixels"),
            )
        }

        private fun ints(json: JSONObject, name: String): List<Int> =
            json.getJSONArray(name).let { list -> List(list.length()) { list.getInt(it) } }
    }
}

/** burst: a few seconds; sustained: a minute, which shows heat (MLPerf Mobile's numbers); cold: the first run. */
enum class Mode(val word: String, val minRuns: Int, val minSeconds: Double) {
    BURST("burst", 100, 3.0),
    SUSTAINED("sustained", 1024, 60.0),
    COLD("cold", 1, 0.0),
}

/** One sentence that says why a job is not measured. */
class RefusedJob(sentence: String) : Failure(sentence)

/** The input every target computes by itself: x[i] = (i * 2654435761 mod 2^32) / 2^30 - 2, in NCHW. */
fun fixedImage(shape: List<Int>): FloatArray = FloatArray(shape.reduce(Int::times)) { i ->
    (((i * 2654435761L) and 0xffffffffL) / (1L shl 30).toDouble() - 2).toFloat()
}

/** What a file is measured with: the fixed image, or the pixels floor(64 (x + 2)). */
fun fixedInput(job: Job): FloatArray {
    val image = fixedImage(job.inputShape)
    return if (job.takesPixels) FloatArray(image.size) { minOf(255.0, floor(64 * (image[it] + 2.0))).toFloat() } else image
}

/** The clocks of a measurement; tests give one that costs no time. */
interface Clock {
    /** Monotonic ns. */
    fun ns(): Long

    /** Let time pass. */
    fun sleep(ms: Long)

    /** The real ones. */
    object System : Clock {
        override fun ns() = java.lang.System.nanoTime()
        override fun sleep(ms: Long) = Thread.sleep(ms)
    }
}

