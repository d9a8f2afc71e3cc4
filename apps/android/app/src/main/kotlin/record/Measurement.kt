package io.github.regnet_edge.record

import io.github.regnet_edge.BuildConfig
import io.github.regnet_edge.benchmark.Cluster
import io.github.regnet_edge.benchmark.Foreground
import io.github.regnet_edge.benchmark.Machine
import io.github.regnet_edge.benchmark.percentile
import io.github.regnet_edge.model.Model
import io.github.regnet_edge.model.objects
import io.github.regnet_edge.verdict.Judge
import org.json.JSONObject

/** When and by what a record was made. */
class Provenance(private val utc: () -> String, private val command: List<String>) {
    fun json(): JSONObject = json(
        "utc" to utc(), "command" to jsonOf(command),
        "tool_versions" to json("app" to BuildConfig.VERSION_NAME), "git_revision" to null,
    )
}

/** The record of one measurement: the same JSON line that `regnet-edge benchmark` writes. */
object Measurement {
    const val VERSION = 1
    private const val NS_PER_MS = 1e6

    /** The whole record. */
    fun record(
        model: Model, device: JSONObject, plan: JSONObject, seen: JSONObject, judge: Judge, provenance: Provenance,
    ): JSONObject = json(
        "version" to VERSION,
        "summary" to summary(samplesNs(seen)),
        "model" to model.measuredModel(),
        "artifact" to model.measuredArtifact(),
        "device" to device,
        "plan" to plan,
        "runtime" to seen.getJSONObject("runtime"),
        "timing" to seen.getJSONObject("timing"),
        "memory" to seen.getJSONObject("memory"),
        "environment" to seen.getJSONObject("environment"),
        "validity" to judge.judge(seen, plan, device),
        "provenance" to provenance.json(),
        "parity" to null,
    )

    /** The record's `device`. */
    fun device(machine: Machine): JSONObject = machine.phone.about()
        .put("transport", "app")
        .put("ram_bytes", machine.ramBytes())
        .put("clusters", jsonOf(machine.clusters().map(Cluster::json)))
        .put("serial", "")

    /** What the phone's own rules look at: the record's `environment.app`. */
    fun appState(machine: Machine, foreground: Foreground): JSONObject = machine.phone.trust()
        .put("left_foreground", foreground.wasLeft)
        .put("clocks_locked", machine.clocksAreLocked() ?: JSONObject.NULL)
        .put("thermal_headroom", machine.phone.thermalHeadroom() ?: JSONObject.NULL)

    /** The samples of an observation or a record. */
    fun samplesNs(of: JSONObject): List<Long> =
        of.getJSONObject("timing").getJSONArray("samples_ns").let { list -> List(list.length()) { list.getLong(it) } }

    /** The median of a record in ms. */
    fun medianMs(record: JSONObject): Double = percentile(samplesNs(record), 50.0) / NS_PER_MS

    /** Whether Android slowed the phone for heat during the measurement. */
    fun throttled(record: JSONObject): Boolean =
        objects(record.getJSONObject("environment").getJSONArray("looks")).any { it.optInt("thermal_status") > 0 }

    private fun summary(samples: List<Long>): JSONObject = json(
        "runs" to samples.size,
        "min_ms" to samples.min() / NS_PER_MS,
        "max_ms" to samples.max() / NS_PER_MS,
        "mean_ms" to samples.average() / NS_PER_MS,
    ).apply { for (q in listOf(5, 50, 90, 95, 99)) put("p${q}_ms", percentile(samples, q.toDouble()) / NS_PER_MS) }

    /** The ranks of a sustained session's models by the medians of their first and of their last minute, over all rounds. */
    fun ranks(records: List<JSONObject>): List<Rank> {
        val sustained = records.filter { it.getJSONObject("plan").getString("mode") == "sustained" }
        val samples = sustained.groupBy(::trial).mapValues { (_, of) -> of.flatMap(::samplesNs) }
        val first = samples.keys.sortedBy { minute(samples.getValue(it)) }
        val last = samples.keys.sortedBy { minute(samples.getValue(it).reversed()) }
        return first.mapIndexed { i, trial -> Rank(trial, i + 1, last.indexOf(trial) + 1) }
    }

    private fun trial(record: JSONObject): String =
        "${record.getJSONObject("artifact").getString("file")}, ${record.getJSONObject("plan").getInt("threads")} thread(s)"

    /** The median of as many samples as fill a minute. */
    private fun minute(samples: List<Long>): Double {
        var spent = 0L
        val taken = samples.takeWhile { spent += it; spent - it < MINUTE_NS }
        return percentile(taken, 50.0)
    }

    private const val MINUTE_NS = 60_000_000_000L

    /** Where a file with its threads stands among the others, 1 being the fastest. */
    class Rank(val trial: String, val firstMinute: Int, val lastMinute: Int)
}
