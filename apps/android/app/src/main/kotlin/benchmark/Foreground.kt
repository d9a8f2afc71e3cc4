package io.github.regnet_edge.benchmark

import java.util.concurrent.atomic.AtomicBoolean
import java.util.concurrent.atomic.AtomicInteger

/**
 * Whether the app is in the foreground. In the background the system may move it to small cores, so a measurement
 * pauses there, and its record says that it did.
 */
class Foreground(private val clock: Clock = Clock.System) {
    private val shown = AtomicInteger()
    private val left = AtomicBoolean()

    /** An activity came to the front. */
    fun entered() {
        shown.incrementAndGet()
    }

    /** An activity went to the back. */
    fun left() {
        if (shown.decrementAndGet() <= 0) left.set(true)
    }

    /** Start watching anew: what was left before does not count. */
    fun watch() = left.set(shown.get() <= 0)

    /** Whether the foreground was left since [watch]. */
    val wasLeft get() = left.get()

    /** Block while the app is in the background; [goOn] throws where the user cancelled. */
    fun await(goOn: () -> Unit) {
        while (shown.get() <= 0) {
            goOn()
            clock.sleep(PAUSE_MS)
        }
    }

    private companion object {
        const val PAUSE_MS = 200L
    }
}
