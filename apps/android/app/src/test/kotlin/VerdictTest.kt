package io.github.regnet_edge

import io.github.regnet_edge.model.objects
import io.github.regnet_edge.verdict.Rules
import io.github.regnet_edge.verdict.readings
import org.json.JSONArray
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import java.io.File
import kotlin.math.abs

/** The recorded series that Python, Kotlin and JavaScript must judge alike. */
class VerdictTest {
    private val rules = Rules.of(JSONObject(File(ROOT, "benchmarks/verdict/rules.json").readText()))
    private val cases = File(ROOT, "tests/vectors/verdict").listFiles { file -> file.name.endsWith(".json") }.orEmpty().sorted().flatMap {
        val told = JSONObject(it.readText())
        objects(told.getJSONArray("cases")).map { case -> told.getString("rule") to case }
    }

    @Test
    fun `every series gets the verdict that Python gives it, word for word`() {
        assertTrue(cases.size > 60)
        for ((rule, case) in cases) {
            val found = rules.judge(case.getJSONObject("seen"), case.getJSONObject("plan"), case.getJSONObject("device"))
            assertEquals("$rule: ${case.getString("name")}", case.getJSONObject("validity").toString(), found.toString())
        }
    }

    @Test
    fun `every rule fires where it must and nowhere else`() {
        for ((rule, case) in cases) {
            val known = readings(case.getJSONObject("seen"), case.getJSONObject("plan"), case.getJSONObject("device"))
            assertEquals("$rule: ${case.getString("name")}", case.getBoolean("fires"), rules.firing(known).any { it.first.id == rule })
        }
    }

    @Test
    fun `every input has Python's value`() {
        for ((rule, case) in cases) {
            val known = readings(case.getJSONObject("seen"), case.getJSONObject("plan"), case.getJSONObject("device"))
            val wanted = case.getJSONObject("inputs")
            assertEquals("$rule: ${case.getString("name")}", wanted.keys().asSequence().toSortedSet(), known.keys.toSortedSet())
            for (name in known.keys) assertSame("$rule: ${case.getString("name")}: $name", wanted.get(name), known.getValue(name))
        }
    }

    private fun assertSame(where: String, wanted: Any, found: Any) = when (wanted) {
        is Number -> assertTrue("$where: $wanted, not $found", abs(wanted.toDouble() - (found as Number).toDouble()) <= 1e-9 + 1e-9 * abs(wanted.toDouble()))
        is JSONArray -> { // places of peaks: on a flat top the last bits of a sum decide, so a point of the grid is allowed
            val numbers = (found as List<*>).map { it as Double }
            assertEquals(where, wanted.length(), numbers.size)
            numbers.forEachIndexed { i, number -> assertEquals(where, wanted.getDouble(i), number, 1e-3 * number) }
        }
        else -> assertEquals(where, wanted, found)
    }
}
