package io.github.regnet_edge.benchmark

import android.content.Context
import android.content.Intent
import android.content.IntentFilter
import android.content.pm.ApplicationInfo
import android.os.BatteryManager
import android.os.Build
import android.os.PowerManager
import io.github.regnet_edge.record.json
import org.json.JSONObject

/** The phone as Android's services tell of it. */
class AndroidPhone(private val context: Context) : Phone {
    private val manager = context.getSystemService(PowerManager::class.java)

    override fun thermalStatus(): Int? = if (Build.VERSION.SDK_INT >= 29) manager.currentThermalStatus else null

    override fun thermalHeadroom(): Double? {
        val told = if (Build.VERSION.SDK_INT >= 30) manager.getThermalHeadroom(HEADROOM_SECONDS) else Float.NaN
        return told.toDouble().takeIf(Double::isFinite)
    }

    override fun power(): JSONObject {
        val battery = context.registerReceiver(null, IntentFilter(Intent.ACTION_BATTERY_CHANGED))
        fun told(name: String) = battery?.getIntExtra(name, -1)?.takeIf { it >= 0 }
        val level = told(BatteryManager.EXTRA_LEVEL)
        return json(
            "charging" to told(BatteryManager.EXTRA_PLUGGED)?.let { it != 0 },
            "percent" to level?.let { 100.0 * it / (told(BatteryManager.EXTRA_SCALE) ?: 100) },
            "battery_c" to told(BatteryManager.EXTRA_TEMPERATURE)?.let { it / 10.0 },
            "saver" to manager.isPowerSaveMode,
        )
    }

    override fun about(): JSONObject = json(
        "label" to "${Build.MODEL} (${soc()})",
        "manufacturer" to Build.MANUFACTURER,
        "model" to Build.MODEL,
        "soc" to soc(),
        "os" to "Android ${Build.VERSION.RELEASE} (API ${Build.VERSION.SDK_INT})",
        "abi" to Build.SUPPORTED_ABIS.firstOrNull().orEmpty(),
    )

    private fun soc(): String =
        if (Build.VERSION.SDK_INT >= 31) "${Build.SOC_MANUFACTURER} ${Build.SOC_MODEL}" else Build.BOARD

    override fun trust(): JSONObject = json(
        "emulator" to isEmulator(),
        "debuggable" to (context.applicationInfo.flags and ApplicationInfo.FLAG_DEBUGGABLE != 0),
        "build_type" to Build.TYPE,
    )

    private fun isEmulator(): Boolean =
        EMULATORS.any { Build.HARDWARE.contains(it) } || Build.FINGERPRINT.startsWith("generic")

    private companion object {
        const val HEADROOM_SECONDS = 10
        val EMULATORS = listOf("goldfish", "ranchu", "cutf")
    }
}
