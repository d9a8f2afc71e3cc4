package io.github.regnet_edge.benchmark

import io.github.regnet_edge.record.json
import io.github.regnet_edge.record.jsonOf
import org.json.JSONArray
import org.json.JSONObject
import java.io.File
import java.io.IOException

/**
 * What the kernel tells below [root] (/proc and /sys) and what Android tells through [phone]; what an app may
 * not read comes back as null or empty.
 */
class Machine(val phone: Phone, val clock: Clock = Clock.System, private val root: File = File("/")) {
    /** One look around, as the record's `looks` holds it. */
    fun look(phase: String, samples: Int, referenceNs: Long?): JSONObject = json(
        "phase" to phase,
        "at_ns" to clock.ns(),
        "samples" to samples,
        "own_cpu_ns" to schedstat(CPU_TIME).let { it ?: ownTicks() },
        "own_wait_ns" to schedstat(WAITED),
        "reference_ns" to referenceNs,
        "cpus" to cpus(),
        "processes" to JSONArray(),
        "load_1min" to text("proc/loadavg")?.substringBefore(' ')?.toDoubleOrNull(),
        "khz" to jsonOf(khz()),
        "thermal_mc" to jsonOf(thermalMc()),
        "cooling" to jsonOf(cooling()),
        "throttle_events" to null,
        "thermal_status" to phone.thermalStatus(),
        "power" to phone.power(),
    )

    /** Counters of each CPU; newer Androids hide them from apps. */
    private fun cpus(): JSONArray = jsonOf(
        text("proc/stat").orEmpty().lines().filter { CPU_LINE.containsMatchIn(it) }.map { line ->
            val words = line.trim().split(Regex("\\s+"))
            val t = List(8) { words.getOrNull(it + 1)?.toLong() ?: 0L }
            json(
                "cpu" to words[0].removePrefix("cpu").toInt(),
                "busy" to t[0] + t[1] + t[2] + t[5] + t[6], "steal" to t[7], "total" to t.sum(),
            )
        },
    )

    /** Column [column] of schedstat over all own threads, in ns. */
    private fun schedstat(column: Int): Long? {
        val rows = each("proc/self/task").mapNotNull { text("${it}/schedstat")?.split(' ') }
        return rows.mapNotNull { it.getOrNull(column)?.toLongOrNull() }.takeIf { it.isNotEmpty() }?.sum()
    }

    private fun ownTicks(): Long {
        val columns = text("proc/self/stat").orEmpty().substringAfterLast(')').trim().split(' ')
        val ticks = listOf(11, 12).sumOf { columns.getOrNull(it)?.toLongOrNull() ?: 0L }
        return ticks * (1_000_000_000L / TICKS_PER_S)
    }

    /** The current clock of each CPU. */
    fun khz(): Map<String, Long> = each("sys/devices/system/cpu").filter { CPU_NAME.matches(File(it).name) }
        .mapNotNull { path -> number("$path/cpufreq/scaling_cur_freq")?.let { File(path).name to it } }.toMap()

    /** The limits of each CPU's clock: locked where both are one. */
    fun clocksAreLocked(): Boolean? {
        val limits = each("sys/devices/system/cpu").filter { CPU_NAME.matches(File(it).name) }.mapNotNull { path ->
            val low = number("$path/cpufreq/scaling_min_freq")
            val high = number("$path/cpufreq/scaling_max_freq")
            if (low == null || high == null) null else low == high
        }
        return limits.takeIf { it.isNotEmpty() }?.all { it }
    }

    private fun thermalMc(): Map<String, Long> = each("sys/class/thermal").filter { File(it).name.startsWith("thermal_zone") }
        .mapNotNull { zone ->
            number("$zone/temp")?.let { File(zone).name.removePrefix("thermal_") + ":" + text("$zone/type").orEmpty() to it }
        }.toMap()

    private fun cooling(): Map<String, Long> = each("sys/class/thermal").filter { File(it).name.startsWith("cooling_device") }
        .mapNotNull { path ->
            val kind = text("$path/type").orEmpty()
            val state = number("$path/cur_state").takeIf { "cpu" in kind.lowercase() || "processor" in kind.lowercase() }
            state?.let { File(path).name + ":" + kind to it }
        }.toMap()

    /** CPUs of one kind together, fastest first, as the record's `clusters`. */
    fun clusters(): List<Cluster> {
        val policies = each("sys/devices/system/cpu/cpufreq").filter { File(it).name.startsWith("policy") }.map { path ->
            val cpus = text("$path/related_cpus").orEmpty().split(' ').mapNotNull(String::toIntOrNull)
            Cluster(cpus, number("$path/cpuinfo_max_freq"), text("$path/scaling_governor"))
        }.filter { it.cpus.isNotEmpty() }
        val alike = policies.groupBy { it.maxKhz to it.governor }
            .map { (kind, of) -> Cluster(of.flatMap { it.cpus }.sorted(), kind.first, kind.second) }
        return alike.sortedByDescending { it.maxKhz ?: 0 }.ifEmpty {
            listOf(Cluster((0 until java.lang.Runtime.getRuntime().availableProcessors()).toList(), null, null))
        }
    }

    /** Resident memory, such as VmRSS or VmHWM. */
    fun statusBytes(name: String): Long = text("proc/self/status").orEmpty().lines()
        .find { it.startsWith("$name:") }?.split(Regex("\\s+"))?.getOrNull(1)?.toLongOrNull()?.times(1024) ?: 0L

    /** Physical memory. */
    fun ramBytes(): Long = text("proc/meminfo").orEmpty().lines()
        .find { it.startsWith("MemTotal:") }?.split(Regex("\\s+"))?.getOrNull(1)?.toLongOrNull()?.times(1024) ?: 0L

    /** The CPUs that any of this process's threads may use, as /proc says; empty where it does not. */
    fun allowedCpus(): List<Int> = each("proc/self/task").flatMap { thread ->
        val line = text("$thread/status").orEmpty().lines().find { it.startsWith("Cpus_allowed_list:") }
        cpuList(line.orEmpty().substringAfter(':'))
    }.distinct().sorted()

    /** The file's text without its end, null where an app may not read it. */
    private fun text(path: String): String? = try {
        File(root, path).readText().trim { it <= ' ' || it == '\u0000' }
    } catch (_: IOException) {
        null
    }

    private fun number(path: String): Long? = text(path)?.toLongOrNull()

    private fun each(folder: String): List<String> =
        File(root, folder).list().orEmpty().sorted().map { "$folder/$it" }

    companion object {
        /** USER_HZ: the unit of /proc's CPU times, the same on every Linux that Android runs on. */
        const val TICKS_PER_S = 100
        private const val CPU_TIME = 0
        private const val WAITED = 1
        private val CPU_LINE = Regex("^cpu\\d")
        private val CPU_NAME = Regex("cpu\\d+")
    }
}

/** CPUs of one kind. */
data class Cluster(val cpus: List<Int>, val maxKhz: Long?, val governor: String?) {
    fun json(): JSONObject = json("cpus" to jsonOf(cpus), "max_khz" to maxKhz, "governor" to governor)
}

/** [0, 1, 4] of `0-1,4`. */
fun cpuList(text: String): List<Int> = text.trim().split(',').filter { it.isNotBlank() }.flatMap { word ->
    val first = word.substringBefore('-').trim().toInt()
    first..word.substringAfter('-').trim().toInt()
}
