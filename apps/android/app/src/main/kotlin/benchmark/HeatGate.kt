package io.github.regnet_edge.benchmark

/** Lets a measurement start only when the phone is cool, so that the first and the last one begin alike. */
class HeatGate(private val phone: Phone, private val clock: Clock) {
    /** Whether nothing is throttled and the forecast is far from it; what Android does not tell counts as cool. */
    fun isCool(): Boolean =
        (phone.thermalStatus() ?: 0) == 0 && (phone.thermalHeadroom() ?: 0.0) < HEADROOM

    /**
     * Wait [leastSeconds] and until it is cool; [tell] hears every second how many are left at most. Throws
     * [Interrupted] when they are over.
     */
    fun wait(leastSeconds: Int, goOn: () -> Unit, tell: (Int) -> Unit) {
        for (spent in 0 until MOST_SECONDS) {
            goOn()
            if (spent >= leastSeconds && isCool()) return
            tell(MOST_SECONDS - spent)
            clock.sleep(1000)
        }
        throw Interrupted("The phone did not become cool within ${MOST_SECONDS / 60} minutes; take it off the charger and out of the sun.")
    }

    companion object {
        /** How long a phone rests after it throttled. */
        const val REST_SECONDS = 60
        private const val HEADROOM = 0.7
        private const val MOST_SECONDS = 900
    }
}
