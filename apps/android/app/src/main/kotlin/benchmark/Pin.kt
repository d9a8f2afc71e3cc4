package io.github.regnet_edge.benchmark

import java.io.IOException

/** Pins this process to CPUs with the system's own `taskset`, because Java has no call for it. */
class Pin(private val machine: Machine, private val pid: Int) {
    /** The CPUs that /proc says the process was pinned to; empty where none were asked for or the system refused. */
    fun to(cpus: List<Int>): List<Int> {
        if (cpus.isEmpty()) return emptyList()
        val mask = cpus.fold(0L) { bits, cpu -> bits or (1L shl cpu) }
        if (!ran("taskset", "-ap", mask.toString(16), pid.toString())) return emptyList()
        return machine.allowedCpus().takeIf { it.isNotEmpty() && it.toSet().all(cpus::contains) }.orEmpty()
    }

    private fun ran(vararg command: String): Boolean = try {
        val process = ProcessBuilder(*command).redirectErrorStream(true).start()
        process.inputStream.use { it.readBytes() }
        process.waitFor() == 0
    } catch (_: IOException) {
        false
    }
}
