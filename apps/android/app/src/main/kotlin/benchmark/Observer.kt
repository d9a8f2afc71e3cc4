package io.github.regnet_edge.benchmark

import io.github.regnet_edge.BuildConfig
import io.github.regnet_edge.record.json
import io.github.regnet_edge.record.jsonOf
import io.github.regnet_edge.runtime.Network
import io.github.regnet_edge.runtime.Runtime
import org.json.JSONObject
import java.io.File

/** Measures one file in this process; what comes out is the record's Observation (schemas/measurement.schema.json). */
class Observer(private val machine: Machine, private val pin: Pin, private val goOn: () -> Unit = {}) {
    private val clock = machine.clock

    /** The observation of a job. */
    fun observe(job: Job, runtime: Runtime): JSONObject {
        val pinned = pin.to(job.cpus, job.exact)
        val reference = FixedLoop(clock).referenceNs()
        val before = machine.look("before", 0, reference)
        val rss = machine.statusBytes("VmRSS")
        val image = fixedInput(job)
        lateinit var network: Network
        val loadNs = timed(clock) { network = runtime.open(File(job.artifact), job.input, job.threads) }
        return network.use {
            it.feed(image)
            val rssLoaded = machine.statusBytes("VmRSS")
            val firstNs = timed(clock, it::run)
            val measured = if (job.mode == Mode.COLD) cold(firstNs) else warm(job, it, listOf(reference))
            val after = machine.look("after", measured.samplesNs.size, FixedLoop(clock).referenceNs())
            json(
                "runtime" to about(runtime),
                "timing" to timing(loadNs, firstNs, measured),
                "memory" to json(
                    "before_bytes" to rss, "after_load_bytes" to rssLoaded,
                    "peak_bytes" to maxOf(machine.statusBytes("VmHWM"), rssLoaded),
                ),
                "environment" to environment(pinned, listOf(before) + measured.looks + after, measured),
                "output" to if (job.wantOutput) output(it, job) else null,
            )
        }
    }

    private class Measured(
        val warmupNs: LongArray, val samplesNs: LongArray, val series: Series.Result?, val looks: List<JSONObject>,
    )

    private fun warm(job: Job, network: Network, references: List<Long>): Measured {
        val warmup = WarmUp.take(clock, job.maxSeconds, goOn, network::run)
        val result = Series(job, machine, references, goOn).take(network::run).result()
        return Measured(warmup, result.samplesNs, result, result.looks)
    }

    private fun cold(firstNs: Long) = Measured(
        LongArray(0), longArrayOf(firstNs), null, List(2) { machine.look("during", it, FixedLoop(clock).referenceNs()) },
    )

    private fun timing(loadNs: Long, firstNs: Long, measured: Measured): JSONObject = json(
        "loads_ns" to jsonOf(longArrayOf(loadNs)),
        "first_runs_ns" to jsonOf(longArrayOf(firstNs)),
        "warmup_ns" to jsonOf(measured.warmupNs),
        "samples_ns" to jsonOf(measured.samplesNs),
        "set_aside_ns" to jsonOf(measured.series?.setAsideNs ?: LongArray(0)),
        "loops_ns" to jsonOf(measured.series?.loopsNs ?: LongArray(0)),
        "slices" to jsonOf(measured.series?.slices ?: LongArray(0)),
    )

    private fun environment(pinned: List<Int>, looks: List<JSONObject>, measured: Measured): JSONObject = json(
        "ticks_per_s" to Machine.TICKS_PER_S,
        "pinned" to jsonOf(pinned),
        "looks" to jsonOf(looks),
        "reference_ns" to measured.series?.usualNs,
    )

    private fun about(runtime: Runtime): JSONObject = json(
        "name" to runtime.name,
        "version" to runtime.version(),
        "accelerator" to "cpu",
        "delegated_ops" to null,
        "total_ops" to null,
        "partitions" to null,
        "host_versions" to json("app" to BuildConfig.VERSION_NAME),
    )

    /** The first image's logits. */
    private fun output(network: Network, job: Job) =
        network.logits().let { all -> jsonOf(all.take(all.size / job.inputShape[0]).map { it.toDouble() }) }
}
