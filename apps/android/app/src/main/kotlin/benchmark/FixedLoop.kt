package io.github.regnet_edge.benchmark

import java.util.zip.CRC32

/**
 * A fixed piece of integer work, checksums of a buffer that the first cache holds. It follows the clock, and what
 * else uses the same core, not memory: a slower loop is a slower CPU.
 */
class FixedLoop(private val clock: Clock) {
    private val buffer = ByteArray(BUFFER) { it.toByte() }
    private val crc = CRC32()

    /** How long one loop takes. */
    fun ns(): Long {
        repeat(WARM_UP) { crc.update(buffer) }
        val began = clock.ns()
        repeat(LOOP) { crc.update(buffer) }
        return maxOf(1, clock.ns() - began)
    }

    /** The median of several. */
    fun referenceNs(repeats: Int = 30): Long = LongArray(repeats) { ns() }.sorted()[repeats / 2]

    private companion object {
        const val LOOP = 40
        const val WARM_UP = 6
        const val BUFFER = 4096
    }
}
