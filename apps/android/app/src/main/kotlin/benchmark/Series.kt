package io.github.regnet_edge.benchmark

import io.github.regnet_edge.Failure
import org.json.JSONObject

/** Why a series stops before its end. */
class Interrupted(sentence: String) : Failure(sentence)

/**
 * Pieces of samples with a look around before, between and after them; a piece is made of slices.
 *
 * The fixed loop is timed on both sides of every slice. Where it is slow something slowed the CPU that the system
 * may not tell, often for a few ms only. A slice is calm if the loop was not slow on either side, and seldom within
 * 25 ms. A burst counts calm slices alone, where there are some. The same rules as in `benchmarks/runner`.
 * [goOn] is asked before every slice: it throws [Interrupted] where the user cancelled.
 */
class Series(
    private val job: Job,
    private val machine: Machine,
    private val earlierReferenceNs: List<Long>,
    private val goOn: () -> Unit = {},
) {
    private val clock = machine.clock
    private val loop = FixedLoop(clock)
    private val loopsNs = mutableListOf<Long>()
    private val loopsAt = mutableListOf<Long>()
    private val slices = mutableListOf<LongArray>() // slice i lies between loops i and i + 1; an empty one stands for a look
    private val looks = mutableListOf<JSONObject>()
    private val looked = mutableListOf<Int>() // slices before each look
    private var runs = 0
    private val began = clock.ns()

    /** Measure until there is enough, or no more to be had. */
    fun take(run: () -> Unit): Series {
        look()
        do {
            run() // not counted: caches hold the look's data now
            piece(run)
            look()
        } while (!isOver())
        return this
    }

    private fun look() {
        looks += machine.look("during", 0, loop.referenceNs())
        looked += slices.size
    }

    private fun piece(run: () -> Unit) {
        if (loopsNs.isNotEmpty()) slices += LongArray(0)
        timeLoop()
        val start = clock.ns()
        val before = runs
        while (runs < job.maxRuns) {
            goOn()
            slice(run)
            if (runs - before >= PIECE_RUNS && clock.ns() - start >= PIECE_NS) break
        }
    }

    private fun slice(run: () -> Unit) {
        val taken = mutableListOf<Long>()
        val start = clock.ns()
        while (taken.isEmpty() || (clock.ns() - start < SLICE_NS && runs + taken.size < job.maxRuns)) {
            taken += timed(clock, run)
        }
        slices += taken.toLongArray()
        runs += taken.size
        timeLoop()
    }

    private fun timeLoop() {
        loopsNs += loop.ns()
        loopsAt += clock.ns()
    }

    /** The loop's time when nothing slows it: of this series or, if lower, what is known already. */
    fun usualNs(): Long {
        val alone = job.threads == 1 // a runtime's other threads may still spin beside it
        val own = percentile(loopsNs + if (alone) earlierReferenceNs else emptyList(), 10.0).toLong()
        return minOf(own, job.referenceNs?.takeIf { alone } ?: own)
    }

    /** Of each slice, whether nothing slowed the CPU. */
    private fun calm(): BooleanArray {
        val limit = SLOW * usualNs()
        val slow = BooleanArray(loopsNs.size) { loopsNs[it] > limit }
        val before = slow.runningFold(0) { n, s -> if (s) n + 1 else n }
        return BooleanArray(slices.size) { i ->
            val first = minOf(firstAtOrAfter(loopsAt[i] - CALM_NS), maxOf(i + 1 - CALM_LOOPS, 0))
            val end = maxOf(firstAtOrAfter(loopsAt[i + 1] + CALM_NS), minOf(i + 1 + CALM_LOOPS, slow.size))
            val seldom = before[end] - before[first] <= CALM_SHARE * (end - first)
            seldom && !slow[i] && !slow[i + 1]
        }
    }

    private fun firstAtOrAfter(ns: Long): Int = loopsAt.binarySearch(ns).let { if (it >= 0) it else -it - 1 }

    private fun isOver(): Boolean {
        val spentS = (clock.ns() - began) / 1e9
        if (spentS >= job.maxSeconds || runs >= job.maxRuns) return true
        val patient = spentS < PATIENCE * job.minSeconds && !isHopeless()
        if (job.mode == Mode.BURST && patient) return isEnough(calm())
        return runs >= job.minRuns && spentS >= job.minSeconds
    }

    private fun isEnough(kept: BooleanArray): Boolean {
        val counted = slices.filterIndexed { i, _ -> kept[i] }
        val ns = counted.sumOf { it.sum() }
        return counted.sumOf { it.size } >= job.minRuns && ns / 1e9 >= 0.95 * job.minSeconds
    }

    /** Whether other processes take so much of the CPU that no figure will be believed. */
    private fun isHopeless(): Boolean {
        val first = looks.first()
        val last = looks.last()
        if (first.isNull("own_wait_ns") || last.isNull("own_wait_ns")) return false
        val waited = last.getLong("own_wait_ns") - first.getLong("own_wait_ns")
        return waited > HOPELESS * (last.getLong("at_ns") - first.getLong("at_ns"))
    }

    private fun kept(): BooleanArray {
        val every = BooleanArray(slices.size) { true }
        if (job.mode != Mode.BURST) return every
        val calm = calm()
        val calmRuns = slices.filterIndexed { i, _ -> calm[i] }.sumOf { it.size }
        return if (calmRuns >= minOf(FEWEST_CALM, job.minRuns)) calm else every
    }

    /** Samples, those set aside, and the looks, each of which is told how many samples came before it. */
    fun result(): Result {
        val kept = kept()
        val before = slices.indices.runningFold(0) { n, i -> if (kept[i]) n + slices[i].size else n }
        looks.zip(looked).forEach { (look, slice) -> look.put("samples", before[slice]) }
        fun of(keep: Boolean) = slices.filterIndexed { i, _ -> kept[i] == keep }.flatMap { it.asIterable() }.toLongArray()
        return Result(
            of(true), of(false), loopsNs.toLongArray(), LongArray(slices.size) { slices[it].size.toLong() }, looks, usualNs(),
        )
    }

    /** What a series gives. */
    class Result(
        val samplesNs: LongArray,
        val setAsideNs: LongArray,
        val loopsNs: LongArray,
        val slices: LongArray,
        val looks: List<JSONObject>,
        val usualNs: Long,
    )

    private companion object {
        const val PIECE_NS = 250_000_000L // the machine is looked at after each piece
        const val PIECE_RUNS = 10
        const val SLICE_NS = 1_000_000L // the fixed loop is timed after each slice
        const val SLOW = 1.06 // times the fixed loop's usual time
        const val CALM_NS = 25_000_000L
        const val CALM_LOOPS = 2
        const val CALM_SHARE = 0.25
        const val PATIENCE = 8 // times the least time, that a burst waits for calm slices
        const val FEWEST_CALM = 5
        const val HOPELESS = 0.25
    }
}

/** How long one run takes, in ns, at least 1. */
internal fun timed(clock: Clock, run: () -> Unit): Long {
    val began = clock.ns()
    run()
    return maxOf(1, clock.ns() - began)
}

/** The q-th percentile (0 to 100), between neighbours as numpy has it. */
fun percentile(values: List<Long>, q: Double): Double {
    val sorted = values.sorted()
    val place = q / 100 * (sorted.size - 1)
    val low = sorted[place.toInt()]
    val high = sorted[minOf(place.toInt() + 1, sorted.size - 1)]
    return low + (place - place.toInt()) * (high - low)
}
