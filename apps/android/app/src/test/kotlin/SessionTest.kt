package io.github.regnet_edge

import io.github.regnet_edge.benchmark.Foreground
import io.github.regnet_edge.benchmark.HeatGate
import io.github.regnet_edge.benchmark.Interrupted
import io.github.regnet_edge.benchmark.Machine
import io.github.regnet_edge.benchmark.Phone
import io.github.regnet_edge.benchmark.Pin
import io.github.regnet_edge.benchmark.Session
import io.github.regnet_edge.benchmark.SessionListener
import io.github.regnet_edge.benchmark.SessionPlan
import io.github.regnet_edge.model.Model
import io.github.regnet_edge.model.ModelStore
import io.github.regnet_edge.model.objects
import io.github.regnet_edge.record.Measurement
import io.github.regnet_edge.record.Provenance
import io.github.regnet_edge.record.json
import io.github.regnet_edge.record.jsonOf
import io.github.regnet_edge.runtime.Runtimes
import io.github.regnet_edge.verdict.Rules
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import java.io.File
import java.nio.file.Files

/** Heat, the foreground and pinning while a session measures, with a clock that costs no time. */
class SessionTest {
    private val clock = FakeClock()
    private val fake = FakePhone()
    private val records = mutableListOf<JSONObject>()
    private val told = mutableListOf<String>()
    private val foreground = Foreground(clock).apply { entered("test") }
    private val runtimes = Runtimes(listOf({ golden("tflite", "TFLite") }))
    private val model: Model by lazy {
        val store = ModelStore({ File(BUNDLE, it).inputStream() }, Files.createTempDirectory("models").toFile(), runtimes)
        store.all().models.first { it.name.endsWith("fp32.tflite") }
    }

    /** [fake], but for its heat. */
    private fun phone(status: () -> Int, headroom: () -> Double = { 0.3 }) = object : Phone by fake {
        override fun thermalStatus() = status()
        override fun thermalHeadroom() = headroom()
    }

    private val listener = object : SessionListener {
        override fun progress(done: Int, all: Int, sentence: String) {
            told += sentence
        }

        override fun measured(record: JSONObject) = Unit

        override fun refused(model: Model, sentence: String) = throw AssertionError(sentence)
    }

    private fun run(phone: Phone = fake, cpus: List<Int> = emptyList(), pins: Boolean = false) {
        val machine = Machine(phone, clock, File("/nowhere"))
        val rules = Rules.of(JSONObject(File(ROOT, "benchmarks/verdict/rules.json").readText()))
        val session = Session(
            machine, Pin(machine, 1) { pins }, runtimes, rules, foreground, { _, _ -> null }, { records += it },
            Provenance({ "2026-01-01T00:00:00Z" }, listOf("app")),
        )
        session.run(SessionPlan(listOf(model), rounds = 1, cpus = cpus, minRuns = 20, minSeconds = 0.05, maxSeconds = 5.0), listener)
    }

    private fun seconds(look: JSONObject) = look.getLong("at_ns") / 1e9

    private fun looks(record: JSONObject) = objects(record.getJSONObject("environment").getJSONArray("looks"))

    private fun rules(record: JSONObject) = objects(record.getJSONObject("validity").getJSONArray("reasons")).map { it.getString("rule") }

    @Test
    fun `a hot phone is waited for with a countdown, then measured`() {
        run(phone({ if (clock.now < 30e9) 2 else 0 }))
        assertTrue(told.toString(), "Waiting until the phone is cool, 900 s at most" in told && "Waiting until the phone is cool, 875 s at most" in told)
        assertTrue("it began cool", seconds(looks(records.single()).first()) >= 30)
        assertTrue("nothing is wrong with it", "thermal" !in rules(records.single()))
    }

    @Test
    fun `a forecast of heat is waited for as well`() {
        run(phone({ 0 }, { if (clock.now < 10e9) 0.9 else 0.2 }))
        assertTrue(seconds(looks(records.single()).first()) >= 10)
    }

    @Test
    fun `a phone that stays hot ends the session with a sentence`() {
        val ended = assertThrows(Interrupted::class.java) { run(phone({ 1 })) }
        assertTrue(ended.message, "did not become cool within 15 minutes" in ended.message.orEmpty())
        assertEquals(0, records.size)
    }

    @Test
    fun `a phase that throttled is measured again after a rest, once`() {
        run(phone({ if (told.lastOrNull().orEmpty().startsWith("Measuring") && records.isEmpty()) 2 else 0 }))
        assertEquals(listOf(0, 1), records.map { it.getJSONObject("plan").getInt("attempt") })
        assertEquals(listOf(true, false), records.map { "thermal" in rules(it) })
        val rest = seconds(looks(records[1]).first()) - seconds(looks(records[0]).last())
        assertTrue("$rest s", rest >= HeatGate.REST_SECONDS)
        records.clear()
        told.clear()
        run(phone({ if (told.lastOrNull().orEmpty().startsWith("Measuring")) 2 else 0 }))
        assertEquals("it is not tried forever", 2, records.size)
    }

    @Test
    fun `in the background a measurement pauses, and its record says so`() {
        var slept = 0
        clock.onSleep = { if (++slept == 5) foreground.entered("test") }
        var looked = 0
        run(phone({ if (++looked == 3) foreground.left("test"); 0 }))
        assertTrue("it waited", slept >= 5)
        assertTrue(rules(records.single()).toString(), "background" in rules(records.single()))
        foreground.watch()
        records.clear()
        run()
        assertTrue("and the next one does not", "background" !in rules(records.single()))
    }

    @Test
    fun `a phone that refuses to pin makes an unpinned record`() {
        run(cpus = listOf(4, 5))
        assertEquals(0, records.single().getJSONObject("environment").getJSONArray("pinned").length())
        assertTrue(rules(records.single()).toString(), "unpinned" in rules(records.single()))
    }

    @Test
    fun `the system's taskset pins every thread, and what is recorded is read back from proc`() {
        val machine = Machine(fake)
        val usual = machine.allowedCpus()
        val pin = Pin(machine, ProcessHandle.current().pid().toInt())
        try {
            assertEquals(usual.takeLast(1), pin.to(usual.takeLast(1)))
            assertEquals(usual.takeLast(1), machine.allowedCpus())
        } finally {
            pin.to(emptyList())
        }
        assertEquals("a later job that asks for none is not pinned", usual, machine.allowedCpus())
    }

    @Test
    fun `sustained models are ranked by their first and by their last minute`() {
        fun record(file: String, vararg ms: Long) = json(
            "plan" to json("mode" to "sustained", "threads" to 1), "artifact" to json("file" to file),
            "timing" to json("samples_ns" to jsonOf(ms.flatMap { each -> List((60_000 / each).toInt()) { each * 1_000_000 } }.toLongArray())),
        )
        val ranks = Measurement.ranks(listOf(record("throttles", 10), record("lasts", 20), record("lasts", 20), record("throttles", 30)))
        assertEquals(listOf("throttles, 1 thread(s)", "lasts, 1 thread(s)"), ranks.map { it.trial })
        assertEquals(listOf(1 to 2, 2 to 1), ranks.map { it.firstMinute to it.lastMinute })
        assertEquals("bursts have no minutes", 0, Measurement.ranks(listOf(record("a", 10).apply { getJSONObject("plan").put("mode", "burst") })).size)
    }
}
