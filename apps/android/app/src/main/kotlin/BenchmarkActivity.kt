package io.github.regnet_edge

import android.app.Activity
import android.os.Bundle
import android.util.Log
import android.view.WindowManager
import android.widget.TextView
import io.github.regnet_edge.headless.Headless
import java.io.File

/**
 * What `adb shell am start -n io.github.regnet_edge/.BenchmarkActivity --es plan FILE` starts. The manifest guards it
 * with DUMP, which adb's shell holds. The screen stays on; in the background the measurement pauses and is marked.
 */
class BenchmarkActivity : Activity() {
    private val services get() = App.of(this).services
    private var started = false

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        window.addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
        window.setSustainedPerformanceMode(intent.getBooleanExtra("sustained_performance", false))
        setContentView(TextView(this).apply { setText(R.string.measuring_for_adb) })
        started = state != null
    }

    private fun start(plan: String) {
        started = true
        val results = getExternalFilesDir(null) ?: filesDir
        services.inBackground({ headless(results).run(File(plan)) }) { finish() }
    }

    private fun headless(results: File): Headless = services.run {
        val command = listOf("app", "headless")
        Headless(machine, pin, runtimes, store, foreground, { isCancelled, keep -> benchmark.session(command, isCancelled, keep) }, results) {
            Log.i(TAG, it)
        }
    }

    override fun onResume() {
        super.onResume()
        services.foreground.entered(javaClass.name)
        if (!started) start(intent.getStringExtra("plan").orEmpty())
    }

    override fun onPause() {
        if (!isChangingConfigurations) services.foreground.left(javaClass.name)
        super.onPause()
    }

    private companion object {
        const val TAG = "regnet-edge"
    }
}
