package io.github.regnet_edge.verdict

import org.json.JSONObject

/** Says whether a figure can be believed. */
fun interface Judge {
    /** The record's `validity` of what a target saw under a plan on a device. */
    fun judge(seen: JSONObject, plan: JSONObject, device: JSONObject): JSONObject
}
