package io.github.regnet_edge.verdict

import io.github.regnet_edge.model.Assets
import io.github.regnet_edge.model.objects
import io.github.regnet_edge.record.json
import io.github.regnet_edge.record.jsonOf
import org.json.JSONArray
import org.json.JSONObject
import java.math.BigDecimal
import java.math.MathContext
import java.math.RoundingMode
import kotlin.math.abs

/**
 * The verdict's rules as `rules.json` states them, evaluated over what [readings] found; docs/verdict.md describes the
 * file. The command line and the web page judge by the same file, and tests/vectors/verdict holds all three together.
 */
class Rules private constructor(private val rules: List<Rule>) : Judge {
    /** Judge an observation: the verdict, with every reason. */
    override fun judge(seen: JSONObject, plan: JSONObject, device: JSONObject): JSONObject = judge(readings(seen, plan, device))

    /** Judge what is known of one; a note alone does not change the verdict. */
    fun judge(known: Map<String, Any>): JSONObject {
        val fired = firing(known)
        val severities = fired.map { it.second }
        val verdict = if ("invalid" in severities) "invalid" else if ("warning" in severities) "warnings" else "valid"
        val reasons = fired.map { (rule, severity) ->
            json("rule" to rule.name, "severity" to severity, "sentence" to filled(rule.sentence, known))
        }
        return json("verdict" to verdict, "reasons" to jsonOf(reasons))
    }

    /** The rules that fire, in the file's order, each with its severity. */
    fun firing(known: Map<String, Any>): List<Pair<Rule, String>> {
        val fired = mutableListOf<Pair<Rule, String>>()
        for (rule in rules) {
            val silenced = fired.any { it.first.id in rule.unless }
            rule.severity(known)?.takeUnless { silenced }?.let { fired += rule to it }
        }
        return fired
    }

    companion object {
        private const val FILE = "verdict/rules.json"
        private val PLACE = Regex("\\{(\\w+)(?::(\\w+))?\\}")

        /** Those of the app's own assets. */
        fun of(assets: Assets): Rules = of(JSONObject(assets.open(FILE).use { it.readBytes().decodeToString() }))

        /** Those of the file's JSON. */
        fun of(file: JSONObject) = Rules(objects(file.getJSONArray("rules")).map(Rule::of))

        /** The sentence with its `{input:format}` places filled; an absent text is empty. */
        fun filled(sentence: String, known: Map<String, Any>): String =
            PLACE.replace(sentence) { text(known[it.groupValues[1]] ?: "", it.groupValues[2]) }

        private fun text(value: Any, how: String): String = when {
            value is List<*> -> value.joinToString(" and ") { text(checkNotNull(it), how) }
            value is String -> if (how == "clause" && value.isNotEmpty()) ": $value" else value
            how.startsWith("percent") -> percent((value as Number).toDouble(), how.removePrefix("percent").ifEmpty { "0" }.toInt())
            else -> figure((value as Number).toDouble(), how.removePrefix("figure").ifEmpty { "6" }.toInt())
        }

        private fun percent(value: Double, decimals: Int): String =
            BigDecimal(100 * abs(value)).setScale(decimals, RoundingMode.HALF_EVEN).toPlainString() + "%"

        private fun figure(value: Double, digits: Int): String {
            if (value == 0.0) return "0"
            val rounded = BigDecimal(value).round(MathContext(digits, RoundingMode.HALF_EVEN)).stripTrailingZeros()
            return rounded.toPlainString()
        }
    }
}

/** One rule: where all of [conditions] holds it fires with the first of its levels that does, unless another fired. */
class Rule(
    val id: String,
    val name: String,
    val unless: List<String>,
    private val conditions: List<Condition>,
    private val levels: List<Pair<String, List<Condition>>>,
    val sentence: String,
) {
    /** How bad it is; null where it does not fire, or where an input that it reads is absent. */
    fun severity(known: Map<String, Any>): String? {
        val every = conditions + levels.flatMap { it.second }
        if (!every.all { it.isKnown(known) } || !conditions.all { it.holds(known) }) return null
        return levels.find { (_, wanted) -> wanted.all { it.holds(known) } }?.first
    }

    companion object {
        /** Of its JSON. */
        fun of(told: JSONObject) = Rule(
            told.getString("id"),
            told.optString("rule").ifEmpty { told.getString("id") },
            told.optJSONArray("unless")?.let { list -> List(list.length()) { list.getString(it) } }.orEmpty(),
            conditions(told.optJSONArray("when")),
            objects(told.getJSONArray("levels")).map { it.getString("severity") to conditions(it.getJSONArray("when")) },
            told.getString("sentence"),
        )

        private fun conditions(list: JSONArray?) = List(list?.length() ?: 0) { Condition(list!!.getJSONArray(it)) }
    }
}

/** An input compared with a value, or with another input. */
class Condition(told: JSONArray) {
    private val input = told.getString(0)
    private val comparison = told.getString(1)
    private val value: Any = told.get(2)
    private val other = (value as? JSONObject)?.getString("input")

    /** Whether every input that it reads is there. */
    fun isKnown(known: Map<String, Any>) = input in known && (other == null || other in known)

    /** Whether it holds. */
    fun holds(known: Map<String, Any>): Boolean {
        val left = known.getValue(input)
        val right = if (other == null) value else known.getValue(other)
        return when (comparison) {
            "==" -> same(left, right)
            "!=" -> !same(left, right)
            ">=" -> number(left) >= number(right)
            ">" -> number(left) > number(right)
            "<=" -> number(left) <= number(right)
            "<" -> number(left) < number(right)
            else -> error("unknown comparison $comparison in the verdict's rules")
        }
    }

    private fun same(a: Any, b: Any) = if (a is Number && b is Number) number(a) == number(b) else a == b

    private fun number(value: Any) = (value as Number).toDouble()
}
