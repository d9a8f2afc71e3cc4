package io.github.regnet_edge

import android.content.Intent
import android.view.WindowManager
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.shadows.ShadowLog
import java.io.File

/** The entry for adb: a plan in, an answer out, whatever happens. */
@RunWith(RobolectricTestRunner::class)
class HeadlessTest {
    private val flow = Flow(listOf(golden("tflite", "TFLite"), golden("executorch", "ExecuTorch")))
    private val results get() = checkNotNull(RuntimeEnvironment.getApplication().getExternalFilesDir(null))

    private fun plan(text: String) = File(flow.folder, "plan.json").apply { writeText(text) }

    private fun started(plan: File): JSONObject {
        val controller = Robolectric.buildActivity(BenchmarkActivity::class.java, Intent().putExtra("plan", plan.path)).setup()
        Flow.settle()
        val flags = controller.get().window.attributes.flags
        assertTrue("the screen stays on", flags and WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON != 0)
        assertTrue("it closes when it is done", controller.get().isFinishing)
        return JSONObject(File(results, "benchmark.json").readText())
    }

    private fun logged() = ShadowLog.getLogsForTag("regnet-edge").map { it.msg }

    private fun job(artifact: String) = """{"version": 1, "runtime": "litert", "artifact": "$artifact", "precision": "fp32",
        "mode": "burst", "threads": 1, "cpus": [], "exact": false, "accelerator": "cpu", "min_runs": 20, "max_runs": 1000, "min_seconds": 0.1,
        "max_seconds": 5, "input_shape": [1, 1, 28, 28]}"""

    @Test
    fun `a session's records come back, a line of log for each`() {
        val answer = started(plan("""{"version": 1, "models": [], "rounds": 1, "min_runs": 20, "min_seconds": 0.1}"""))
        assertEquals("four files have a runtime here", 4, answer.getInt("records"))
        assertTrue(answer.getString("refused"), "no runtime for onnx" in answer.getString("refused"))
        assertEquals(4, File(results, "results.jsonl").readLines().map(::JSONObject).size)
        assertEquals(logged().toString(), 4, logged().count { " ms, " in it })
    }

    @Test
    fun `a job of the command line is answered by its observation`() {
        val model = File(BUNDLE, "models").listFiles().orEmpty().first { it.name.endsWith("fp32.tflite") }
        val seen = started(plan(job(model.path)))
        assertEquals("litert", seen.getJSONObject("runtime").getString("name"))
        assertFalse(seen.getJSONObject("environment").getJSONObject("app").getBoolean("left_foreground"))
    }

    @Test
    fun `whatever goes wrong ends in a sentence, never in silence`() {
        val there = File(BUNDLE, "models").listFiles().orEmpty().first { it.name.endsWith("fp32.tflite") }.path
        val wrong = listOf(
            "hello" to "is not a plan",
            """{"version": 1, "models": ["other.tflite"]}""" to "the app has no model other.tflite",
            """{"version": 1, "models": [], "mode": "endless"}""" to "unknown mode endless",
            job("/nowhere/net.tflite") to "push it again",
            job(there).replace("litert", "onnxruntime") to "This app has no runtime onnxruntime",
            job(there).replaceFirst("1", "7") to "the plan has version 7, this app reads 1",
            job(there).replace("\"cpu\"", "\"gpu\"") to "not on gpu",
        )
        assertTrue("cannot be read" in started(File("/nowhere/plan.json")).getString("error"))
        for ((text, sentence) in wrong) {
            val told = started(plan(text)).getString("error")
            assertTrue("$sentence: $told", sentence in told)
            assertTrue("and in the log", told in logged())
        }
    }

    @Test
    fun `a full phone ends in a sentence, too`() {
        File(results, "results.jsonl").mkdirs() // a folder where the file should be: nothing can be written
        val answer = started(plan("""{"version": 1, "models": [], "rounds": 1, "min_runs": 20, "min_seconds": 0.1}"""))
        assertTrue(answer.getString("error"), "free some space" in answer.getString("error"))
    }
}
