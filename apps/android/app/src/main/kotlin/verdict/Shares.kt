package io.github.regnet_edge.verdict

import io.github.regnet_edge.model.objects
import org.json.JSONObject
import java.math.BigDecimal
import java.math.RoundingMode
import kotlin.math.max

/**
 * What happened in the timed part as shares of its time: contention is of the pinned CPUs, others of one CPU
 * outside them. Null is unknown.
 */
internal class Shares(
    val contention: Double?, val steal: Double?, val offCpu: Double?, val others: Double?, val busiest: String,
) {
    companion object {
        private const val NS_PER_S = 1e9
        private const val MIN_TICKS = 3 // fewer are the counter's own granularity

        /** Of the timed looks. */
        fun of(timed: List<JSONObject>, environment: JSONObject, threads: Int): Shares = Spans(timed).run {
            val pinned = ints(environment, "pinned")
            val ticksPerS = number(environment, "ticks_per_s") ?: 1.0
            val own = rise("own_cpu_ns")?.takeIf { it != 0.0 }
            val ofPinned = ticks.filterKeys { it in pinned }.values
            val outside = ticks.filterKeys { it !in pinned }.values
            fun perWall(of: Collection<Ticks>) = of.sumOf { it.busy } / ticksPerS * NS_PER_S / wallNs
            val waited = rise("own_wait_ns")
            Shares(
                contention = when {
                    waited != null -> max(0.0, waited) / threads
                    ofPinned.isEmpty() || own == null -> null
                    else -> max(0.0, perWall(ofPinned) - own)
                },
                steal = stolen(ofPinned.ifEmpty { ticks.values }),
                offCpu = own?.takeIf { threads == 1 && pinned.isNotEmpty() }?.let { max(0.0, 1 - it) },
                others = when {
                    ticks.isEmpty() || (pinned.isNotEmpty() && outside.isEmpty()) -> null
                    pinned.isNotEmpty() -> perWall(outside)
                    else -> own?.let { max(0.0, perWall(outside) - it) }
                },
                busiest = busiest(ticksPerS),
            )
        }

        private fun stolen(of: Collection<Ticks>): Double? {
            val total = of.sumOf { it.total }
            val stolen = of.sumOf { it.steal }
            return if (total <= 0) null else if (stolen >= MIN_TICKS) stolen.toDouble() / total else 0.0
        }

        private fun Spans.busiest(ticksPerS: Double): String {
            val spent = mutableMapOf<Int, Long>()
            val known = mutableMapOf<Int, JSONObject>()
            for ((first, last) in spans) {
                val began = objects(first.getJSONArray("processes")).associate { it.getInt("pid") to it.getLong("ticks") }
                for (process in objects(last.getJSONArray("processes"))) {
                    val pid = process.getInt("pid")
                    spent.merge(pid, process.getLong("ticks") - (began[pid] ?: 0), Long::plus)
                    known[pid] = process
                }
            }
            val (pid, ticks) = spent.maxByOrNull { it.value } ?: return ""
            if (ticks < MIN_TICKS) return ""
            val percent = BigDecimal(100 * ticks / ticksPerS * NS_PER_S / wallNs).setScale(0, RoundingMode.HALF_EVEN)
            val process = known.getValue(pid)
            return "${process.getString("name")} (pid $pid) used $percent% of CPU ${process.getInt("cpu")}"
        }
    }
}

/** Counters of one CPU, as they rose. */
internal class Ticks(val busy: Long, val steal: Long, val total: Long)

/** First and last look of each process's timed part. */
internal class Spans(timed: List<JSONObject>) {
    val spans: List<Pair<JSONObject, JSONObject>> =
        timed.groupBy { it.optInt("process") }.values.map { it.first() to it.last() }
    val wallNs: Double = max(1L, spans.sumOf { (first, last) -> last.getLong("at_ns") - first.getLong("at_ns") }).toDouble()

    /** How the ticks of each CPU rose. */
    val ticks: Map<Int, Ticks> by lazy {
        val found = mutableMapOf<Int, Ticks>()
        for ((first, last) in spans) {
            val began = cpus(first)
            for ((cpu, now) in cpus(last)) {
                val before = began[cpu] ?: continue
                val rise = Ticks(now.busy - before.busy, now.steal - before.steal, now.total - before.total)
                found.merge(cpu, rise) { a, b -> Ticks(a.busy + b.busy, a.steal + b.steal, a.total + b.total) }
            }
        }
        found
    }

    /** How much a counter of ns rose, as a share of the time; null where it is not kept. */
    fun rise(name: String): Double? {
        val rises = spans.mapNotNull { (first, last) -> number(last, name)?.let { end -> number(first, name)?.let { end - it } } }
        return rises.takeIf { it.isNotEmpty() }?.sum()?.div(wallNs)
    }

    private fun cpus(look: JSONObject): Map<Int, Ticks> = objects(look.getJSONArray("cpus")).associate {
        it.getInt("cpu") to Ticks(it.getLong("busy"), it.getLong("steal"), it.getLong("total"))
    }
}
