package io.github.regnet_edge.verdict

import io.github.regnet_edge.model.objects
import org.json.JSONObject
import kotlin.math.max
import kotlin.math.min
import kotlin.math.sqrt

/** Every input of the verdict's rules that is known, by its name; what the system does not tell is left out. */
fun readings(seen: JSONObject, plan: JSONObject, device: JSONObject): Map<String, Any> {
    val case = Case(seen, plan, device)
    val parts = listOf(asked(case), processors(case), heat(case), power(case), clock(case), calm(case), processes(case), series(case), app(case), page(case))
    return parts.flatMap { it.entries }.mapNotNull { (name, value) -> value?.let { name to it } }.toMap()
}

private const val NS_PER_S = 1e9
private const val NS_PER_MS = 1e6
private const val CALM_PER_MS = 0.03 // so much of a burst has to be calm for each ms of a slice
private const val CALM = 0.9
private const val SLOW = 1.06
private const val FEWEST = 10 // samples whose shape says something

/** What the inputs are computed from. */
internal class Case(val seen: JSONObject, val plan: JSONObject, val device: JSONObject) {
    val environment: JSONObject = seen.getJSONObject("environment")
    val timing: JSONObject = seen.getJSONObject("timing")
    val looks: List<JSONObject> = objects(environment.getJSONArray("looks"))
    val timed = looks.filter { it.getString("phase") == "during" }
    val pinned = ints(environment, "pinned")
    val mode: String = plan.getString("mode")
    val samplesNs = longs(timing, "samples_ns")
    val asideNs = longs(timing, "set_aside_ns")
    val loopsNs = longs(timing, "loops_ns")
    val samplesMs = samplesNs.map { it / NS_PER_MS }
    val medianMs = percentile(samplesMs, 50.0)
    val referenceNs = number(environment, "reference_ns")

    /** The timed looks that are next to a piece that was kept. */
    val aroundSamples: List<JSONObject>
        get() {
            val counts = timed.map { it.getInt("samples") }
            val around = listOf(counts.first()) + counts + counts.last()
            return timed.filterIndexed { i, _ -> around[i] < around[i + 1] || around[i + 1] < around[i + 2] }
        }
}

private fun asked(case: Case): Map<String, Any?> {
    val runtime = case.seen.getJSONObject("runtime")
    val phone = mapOf("adb" to true, "app" to true, "local" to false, "ssh" to false)
    return mapOf(
        "mode" to case.mode, "accelerator" to runtime.optString("accelerator", "cpu"), "runtime" to runtime.getString("name"),
        "phone" to phone[case.device.getString("transport")], "min_runs" to case.plan.getDouble("min_runs"),
    )
}

private fun processors(case: Case): Map<String, Any?> {
    val shares = Shares.of(case.timed, case.environment, case.plan.getInt("threads"))
    return mapOf(
        "contention" to shares.contention, "steal" to shares.steal, "off_cpu" to shares.offCpu,
        "off_cpu_unexplained" to shares.offCpu?.let { it - (shares.contention ?: 0.0) },
        "others" to shares.others, "others_seen" to (shares.contention != null || shares.others != null),
        "busiest" to shares.busiest.ifEmpty { null }, "pinned" to case.pinned.isNotEmpty(),
    )
}

private fun heat(case: Case): Map<String, Any?> {
    val states = case.timed.map { values(it, "cooling").maxOrNull() ?: 0.0 }.ifEmpty { listOf(0.0) }
    val events = case.timed.mapNotNull { number(it, "throttle_events") }
    val status = case.looks.mapNotNull { number(it, "thermal_status") }
    return mapOf(
        "cooling_first" to states.first(), "cooling_max" to states.max(),
        "throttled" to events.firstOrNull()?.let { events.max() - it },
        "thermal_status_first" to status.firstOrNull(), "thermal_status_min" to status.minOrNull(),
        "thermal_status_max" to status.maxOrNull(),
    )
}

private fun power(case: Case): Map<String, Any?> {
    val states = case.looks.mapNotNull { it.optJSONObject("power") }
    return mapOf(
        "saver" to any(states.map { flag(it, "saver") }), "charging" to any(states.map { flag(it, "charging") }),
        "battery_percent" to states.mapNotNull { number(it, "percent") }.minOrNull(),
    )
}

private fun any(told: List<Boolean?>): Boolean? = told.filterNotNull().takeIf { it.isNotEmpty() }?.any { it }

private fun clock(case: Case): Map<String, Any?> {
    if (case.timed.isEmpty()) return emptyMap()
    val names = case.pinned.map { "cpu$it" }
    val reported = case.aroundSamples.mapNotNull { look ->
        val khz = look.optJSONObject("khz") ?: JSONObject()
        khz.keys().asSequence().filter { names.isEmpty() || it in names }.map { khz.getDouble(it) }.minOrNull()
    }
    return mapOf("clock_fall" to fall(reported), "loop_fall" to loopsFall(case))
}

/** How far the fixed loop's speed fell; of a burst its fastest quarter has to have fallen. */
private fun loopsFall(case: Case): Double? {
    val known = case.referenceNs?.let { 1 / it } ?: 0.0
    if (case.loopsNs.isNotEmpty() && case.mode == "burst") return fall(case.loopsNs.map { 1.0 / it }, known, 75.0)
    return fall(case.aroundSamples.mapNotNull { number(it, "reference_ns") }.map { 1 / it }, known)
}

/** How far a percentile of the last third lies below the plateau, the 75th percentile of all or a higher one known. */
private fun fall(speeds: List<Double>, known: Double = 0.0, end: Double = 50.0): Double? {
    if (speeds.size < 4) return null
    val plateau = max(percentile(speeds, 75.0), known)
    return 1 - percentile(speeds.takeLast(max(1, speeds.size / 3)), end) / plateau
}

private fun calm(case: Case): Map<String, Any?> {
    val kept = case.samplesNs.sum().toDouble()
    val all = kept + case.asideNs.sum()
    val slices = ints(case.timing, "slices").count { it > 0 }
    val sliceMs = if (slices > 0) all / slices / NS_PER_MS else 0.0
    return mapOf(
        "set_aside" to case.asideNs.isNotEmpty(), "kept_share" to kept / all, "aside_share" to 1 - kept / all,
        "kept_wanted" to min(CALM, CALM_PER_MS * sliceMs),
        "disturbed_share" to case.referenceNs?.let { usual ->
            if (case.loopsNs.isEmpty()) 0.0 else case.loopsNs.count { it > SLOW * usual }.toDouble() / case.loopsNs.size
        },
    )
}

/** How uncertain the figure is because fresh processes have other medians. */
private fun processes(case: Case): Map<String, Any?> {
    val ends = ints(case.timing, "runs_each").runningFold(0, Int::plus)
    val each = ends.zipWithNext().filter { (a, b) -> a < b }.map { (a, b) -> percentile(case.samplesMs.subList(a, b), 50.0) }
    if (each.size < 2) return emptyMap()
    val mean = each.average()
    val deviation = sqrt(each.sumOf { (it - mean) * (it - mean) } / (each.size - 1))
    return mapOf(
        "processes_error" to 2 * deviation / sqrt(each.size.toDouble()) / case.medianMs,
        "process_low_ms" to each.min(), "process_high_ms" to each.max(),
    )
}

private fun series(case: Case): Map<String, Any?> {
    val enough = case.samplesMs.size >= FEWEST
    val warmUp = longs(case.timing, "warmup_ns").sum() / NS_PER_S
    val gathered = if (enough) modes(case.samplesMs) else emptyList()
    val versions = case.seen.getJSONObject("runtime").optJSONObject("host_versions") ?: JSONObject()
    return mapOf(
        "drift" to drift(case.samplesMs), "warm_up_s" to warmUp,
        "warm_up_share" to warmUp * case.plan.optInt("processes", 1) / case.plan.getDouble("max_seconds"),
        "runs" to case.samplesMs.size.toDouble(),
        "modes" to gathered.size.toDouble().takeIf { enough }, "modes_ms" to gathered.takeIf { enough },
        "p90_over_median" to (percentile(case.samplesMs, 90.0) / case.medianMs).takeIf { enough },
        "tool_runs_per_sample" to versions.optString("runs_per_sample", "1").toDouble(),
        "runs_per_sample" to case.timing.optDouble("runs_per_sample", 1.0),
    )
}

/** The relative change of latency from beginning to end, by the median of pairwise slopes (Sen 1968). */
private fun drift(samplesMs: List<Double>): Double {
    val pieces = pieces(samplesMs, min(32, samplesMs.size))
    if (pieces.size < 3) return 0.0
    val sums = pieces.map { it.sum() }
    val middles = sums.runningFold(0.0, Double::plus).zip(sums) { before, sum -> before + sum / 2 }
    val medians = pieces.map { percentile(it, 50.0) }
    val slopes = pieces.indices.flatMap { j -> (0 until j).map { i -> (medians[j] - medians[i]) / (middles[j] - middles[i]) } }
    return percentile(slopes, 50.0) * sums.sum() / percentile(samplesMs, 50.0)
}

/** Pieces of equal number, the first ones longer by one where they do not divide. */
private fun pieces(values: List<Double>, count: Int): List<List<Double>> {
    val ends = (0 until count).runningFold(0) { end, i -> end + values.size / count + if (i < values.size % count) 1 else 0 }
    return ends.zipWithNext { a, b -> values.subList(a, b) }
}

private fun app(case: Case): Map<String, Any?> {
    val app = case.environment.optJSONObject("app") ?: JSONObject()
    return mapOf(
        "emulated" to any(listOf(flag(case.device, "emulated"), flag(app, "emulator"))), "debuggable" to flag(app, "debuggable"),
        "build_type" to app.opt("build_type").takeIf { it is String }, "left_foreground" to flag(app, "left_foreground"),
        "clocks_locked" to flag(app, "clocks_locked"), "thermal_headroom" to number(app, "thermal_headroom"),
    )
}

private fun page(case: Case): Map<String, Any?> {
    val sampleNs = case.medianMs * NS_PER_MS * case.timing.optDouble("runs_per_sample", 1.0)
    return mapOf(
        "hidden_s" to number(case.environment, "hidden_ns")?.let { it / NS_PER_S },
        "tick_share" to number(case.environment, "clock_tick_ns")?.let { it / sampleNs },
    )
}

internal fun number(of: JSONObject, name: String): Double? = if (of.isNull(name)) null else of.getDouble(name)

private fun flag(of: JSONObject, name: String): Boolean? = if (of.isNull(name)) null else of.getBoolean(name)

private fun values(of: JSONObject, name: String): List<Double> =
    of.optJSONObject(name)?.let { map -> map.keys().asSequence().map { map.getDouble(it) }.toList() }.orEmpty()

private fun longs(of: JSONObject, name: String): List<Long> =
    of.optJSONArray(name)?.let { list -> List(list.length()) { list.getLong(it) } }.orEmpty()

internal fun ints(of: JSONObject, name: String): List<Int> = longs(of, name).map(Long::toInt)

/** The q-th percentile, between neighbours as numpy has it. */
internal fun percentile(values: List<Double>, q: Double): Double {
    val sorted = values.sorted()
    val place = q / 100 * (sorted.size - 1)
    val low = place.toInt()
    return sorted[low] + (place - low) * (sorted[min(low + 1, sorted.size - 1)] - sorted[low])
}
