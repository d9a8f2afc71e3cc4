package io.github.regnet_edge.benchmark

/** Runs until the series is steady: the medians of three windows lie within 2 %, 15 s and the job's seconds at most. */
object WarmUp {
    const val RULE = "until the medians of three windows (8 runs and 0.1 s at least) lie within 2 %, 15 s and a process's " +
        "max_seconds at most; after each look around, one run is not counted"
    private const val WINDOW_RUNS = 8
    private const val WINDOW_NS = 100_000_000L
    private const val MAX_NS = 15_000_000_000L
    private const val STEADY = 1.02

    /** The times of its runs in ns. */
    fun take(clock: Clock, maxSeconds: Double, goOn: () -> Unit, run: () -> Unit): LongArray {
        val longest = minOf(MAX_NS.toDouble(), maxSeconds * 1e9)
        val series = mutableListOf<Long>()
        val medians = mutableListOf<Double>()
        val window = mutableListOf<Long>()
        val began = clock.ns()
        var opened = began
        while (clock.ns() - began < longest && !isSteady(medians)) {
            goOn()
            timed(clock, run).let { series += it; window += it }
            if (window.size >= WINDOW_RUNS && clock.ns() - opened >= WINDOW_NS) {
                medians += percentile(window, 50.0)
                window.clear()
                opened = clock.ns()
            }
        }
        return series.toLongArray()
    }

    private fun isSteady(medians: List<Double>): Boolean {
        val last = medians.takeLast(3)
        return last.size == 3 && last.max() <= last.min() * STEADY
    }
}
