package io.github.regnet_edge.benchmark

import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.atomic.AtomicBoolean

/**
 * Whether the app is in the foreground. In the background the system may move it to small cores, so a measurement
 * pauses there, and its record says that it did.
 */
class Foreground(private val clock: Clock = Clock.System) {
    private val shown: MutableSet<String> = ConcurrentHashMap.newKeySet()
    private val left = AtomicBoolean()

    /** The activity of that name came to the front. */
    fun entered(activity: String) {
        shown += activity
    }

    /** It went to the back, and not only to be made anew after a rotation. */
    fun left(activity: String) {
        shown -= activity
        if (shown.isEmpty()) left.set(true)
    }

    /** Start watching anew: what was left before does not count. */
    fun watch() = left.set(shown.isEmpty())

    /** Whether the foreground was left since [watch]. */
    val wasLeft get() = left.get()

    /** Block while the app is in the background; [goOn] throws where the user cancelled. */
    fun await(goOn: () -> Unit) {
        while (shown.isEmpty()) {
            goOn()
            clock.sleep(PAUSE_MS)
        }
    }

    private companion object {
        const val PAUSE_MS = 200L
    }
}
