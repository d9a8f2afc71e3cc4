package io.github.regnet_edge.benchmark

import java.io.IOException

/** Pins this process to CPUs with the system's own `taskset`, because Java has no call for it. */
class Pin(private val machine: Machine, private val pid: Int, private val run: (List<String>) -> Boolean = ::runs) {
    private var usual: List<Int> = emptyList()

    /**
     * The CPUs that /proc says every thread was pinned to; empty where none were asked for, which undoes an earlier
     * pinning, or where the system refused. With [exact] they are all of those asked for.
     */
    fun to(cpus: List<Int>, exact: Boolean = false): List<Int> {
        if (usual.isEmpty()) usual = machine.allowedCpus()
        val wanted = cpus.ifEmpty { usual }
        if (machine.allowedCpus() != wanted && !run(listOf("taskset", "-ap", mask(wanted), pid.toString()))) return emptyList()
        val allowed = machine.allowedCpus()
        val isPinned = cpus.isNotEmpty() && allowed.isNotEmpty() && if (exact) allowed == cpus.sorted() else cpus.containsAll(allowed)
        return if (isPinned) allowed else emptyList()
    }

    private fun mask(cpus: List<Int>) = cpus.fold(0L) { bits, cpu -> bits or (1L shl cpu) }.toString(16)
}

private fun runs(command: List<String>): Boolean = try {
    val process = ProcessBuilder(command).redirectErrorStream(true).start()
    process.inputStream.use { it.readBytes() }
    process.waitFor() == 0
} catch (_: IOException) {
    false
}
