package io.github.regnet_edge.record

import org.json.JSONArray
import org.json.JSONObject

/** A JSON object of these pairs; null becomes JSON's null. */
fun json(vararg pairs: Pair<String, Any?>): JSONObject =
    JSONObject().apply { for ((name, value) in pairs) put(name, value.orJsonNull()) }

/** A JSON list of integers. */
fun jsonOf(values: LongArray): JSONArray = JSONArray().apply { values.forEach { put(it) } }

/** A JSON list. */
fun jsonOf(values: Iterable<Any?>): JSONArray = JSONArray().apply { values.forEach { put(it.orJsonNull()) } }

/** A JSON object of a map. */
fun jsonOf(values: Map<String, Any?>): JSONObject =
    JSONObject().apply { for ((name, value) in values) put(name, value.orJsonNull()) }

/** JSON has no NaN and no infinity: what is not finite is not known. */
private fun Any?.orJsonNull(): Any = when (this) {
    null -> JSONObject.NULL
    is Double -> if (isFinite()) this else JSONObject.NULL
    else -> this
}
