package io.github.regnet_edge.benchmark

import org.json.JSONObject

/** What Android's services say of the phone: heat, power, and what makes a figure doubtful. A door for tests. */
interface Phone {
    /** PowerManager's status 0 (none) to 6 (shutdown), null before Android 10. */
    fun thermalStatus(): Int?

    /** PowerManager's forecast for the next seconds, 1 being severe throttling; null where it is not told. */
    fun thermalHeadroom(): Double?

    /** Battery, charger and power saver: the record's `power`. */
    fun power(): JSONObject

    /** What the record's `device` says of it, but for what /proc tells. */
    fun about(): JSONObject

    /** Emulator, debuggable app, kind of build. */
    fun trust(): JSONObject
}
