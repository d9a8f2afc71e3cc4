package io.github.regnet_edge.benchmark

/** Lets a measurement start only when the phone is cool, so that the first and the last one begin alike. */
class HeatGate(private val phone: Phone, private val clock: Clock) {
    /** Whether nothing is throttled and the forecast is far from it; what Android does not tell counts as cool. */
    fun isCool(): Boolean =
        (phone.thermalStatus() ?: 0) == 0 && (phone.thermalHeadroom() ?: 0.0) < HEADROOM

    /** Wait; [tell] hears every second how many are left. Throws [Interrupted] when they are over. */
    fun wait(goOn: () -> Unit, tell: (Int) -> Unit) {
        for (left in MOST_SECONDS downTo 1) {
            goOn()
            if (isCool()) return
            tell(left)
            clock.sleep(1000)
        }
        throw Interrupted("The phone did not become cool within ${MOST_SECONDS / 60} minutes; take it off the charger and out of the sun.")
    }

    private companion object {
        const val HEADROOM = 0.7
        const val MOST_SECONDS = 900
    }
}
