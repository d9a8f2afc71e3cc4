package io.github.regnet_edge

import android.Manifest
import android.content.ClipData
import android.content.Intent
import android.content.pm.PackageManager
import android.net.Uri
import android.widget.CheckBox
import io.github.regnet_edge.Flow.Companion.all
import io.github.regnet_edge.Flow.Companion.draw
import io.github.regnet_edge.Flow.Companion.press
import io.github.regnet_edge.Flow.Companion.settle
import io.github.regnet_edge.Flow.Companion.texts
import io.github.regnet_edge.history.RecordProvider
import io.github.regnet_edge.model.Golden
import io.github.regnet_edge.model.objects
import io.github.regnet_edge.preprocessing.Pixels
import io.github.regnet_edge.share.ShareActivity
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import java.io.File

/** Every screen and flow, with the doors of the app held by the test. */
@RunWith(RobolectricTestRunner::class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(qualifiers = "w360dp-h640dp-hdpi")
class ScreensTest {
    private val picture = File(ROOT, "tests/vectors/preprocessing/rgb-157x120.png")

    private fun picture(file: File = picture) = Intent().setData(Uri.fromFile(file))

    /** A runtime that knows the golden data's answers, each changed by [change]. */
    private fun golden(target: String, label: String, change: (FloatArray) -> FloatArray = { it }): FakeRuntime {
        val known by lazy {
            val entry = objects(JSONObject(File(BUNDLE, "index.json").readText()).getJSONArray("artifacts")).first()
            val golden = Golden.read(File(BUNDLE, entry.getString("golden")))
            val inputs = golden.inputs + golden.testLabels.indices.map(golden::testInput)
            inputs.map { it.contentHashCode() }.zip(golden.logits + golden.testLogits).toMap()
        }
        return FakeRuntime(target, label) { image -> change(known[image.contentHashCode()] ?: FloatArray(10) { i -> if (i == 7) 5f else 0f }) }
    }

    private fun proving(change: (FloatArray) -> FloatArray = { it }) =
        Flow(listOf(golden("tflite", "TFLite", change), golden("executorch", "ExecuTorch")))

    private fun inLightAndDark(name: String, show: () -> MainActivity) {
        for ((qualifiers, end) in listOf("+notnight" to "light", "+night" to "dark")) {
            RuntimeEnvironment.setQualifiers(qualifiers)
            draw(show(), "$name-$end")
        }
    }

    @Test
    fun `a picture from the gallery gives five classes and three times`() = inLightAndDark("classify") {
        val activity = Flow().start().get()
        activity.screen.chosen(1, picture())
        settle()
        val shown = texts(activity)
        assertTrue(shown, "Sneaker" in shown && "Preprocessing" in shown && "94.3 %" in shown)
        activity
    }

    @Test
    fun `all runtimes answer side by side on one picture`() {
        val other = FakeRuntime("executorch", "ExecuTorch") { FloatArray(10) { i -> if (i == 3) 5f else 0f } }
        val activity = Flow(listOf(FakeRuntime("tflite", "TFLite"), other)).start().get()
        activity.screen.chosen(1, picture())
        val runtime = all(activity).filterIsInstance<android.widget.Spinner>()[1]
        runtime.setSelection(runtime.count - 1)
        settle()
        val shown = texts(activity)
        assertTrue(shown, listOf("TFLite", "ExecuTorch", "Sneaker", "Dress").all { it in shown })
    }

    @Test
    fun `a picture shared into the app is classified, a shared pair of files is for the models`() {
        Flow()
        val shared = Intent(Intent.ACTION_SEND).setType("image/png").putExtra(Intent.EXTRA_STREAM, Uri.fromFile(picture))
        val first = Robolectric.buildActivity(ShareActivity::class.java, shared).create().get()
        val forwarded = shadowOf(first).nextStartedActivity
        assertEquals(MainActivity.CLASSIFY, forwarded.getIntExtra(MainActivity.TAB, -1))
        val activity = Robolectric.buildActivity(MainActivity::class.java, forwarded).setup().get()
        settle()
        assertTrue(texts(activity), "Sneaker" in texts(activity))
        val files = Intent(Intent.ACTION_SEND_MULTIPLE).setType("*/*")
            .putParcelableArrayListExtra(Intent.EXTRA_STREAM, arrayListOf(Uri.parse("file:///a"), Uri.parse("file:///a.json")))
        val second = Robolectric.buildActivity(ShareActivity::class.java, files).create().get()
        assertEquals(MainActivity.MODELS, shadowOf(second).nextStartedActivity.getIntExtra(MainActivity.TAB, -1))
    }

    @Test
    fun `rotation keeps the picture and its answer`() {
        val flow = Flow()
        val controller = flow.start()
        controller.get().screen.chosen(1, picture())
        settle()
        RuntimeEnvironment.setQualifiers("+land")
        controller.recreate()
        settle()
        val shown = texts(controller.get())
        assertTrue(shown, "Sneaker" in shown)
        draw(controller.get(), "classify-landscape")
    }

    @Test
    fun `without the permission the screen says how to go on, with it frames are classified`() {
        val flow = Flow()
        val activity = flow.start().get()
        press(activity, "Camera")
        activity.onRequestPermissionsResult(2, arrayOf(Manifest.permission.CAMERA), intArrayOf(PackageManager.PERMISSION_DENIED))
        assertTrue("allow the camera" in texts(activity))
        shadowOf(RuntimeEnvironment.getApplication()).grantPermissions(Manifest.permission.CAMERA)
        press(activity, "Camera")
        assertTrue(flow.camera.running)
        flow.camera.give(Pixels(64, 48, 3, ByteArray(64 * 48 * 3) { it.toByte() }))
        settle()
        assertTrue("Sneaker" in texts(activity))
        activity.show(MainActivity.MODELS)
        assertFalse("the camera is let go", flow.camera.running)
    }

    @Test
    fun `a file that is no picture is named as such`() {
        val activity = Flow().start().get()
        activity.screen.chosen(1, picture(File(ROOT, "LICENSE")))
        settle()
        assertTrue(texts(activity), "no picture" in texts(activity))
    }

    @Test
    fun `an app without models says how to get one`() {
        val activity = Flow(assets = { throw java.io.FileNotFoundException(it) }).start().get()
        for (tab in 0..3) {
            activity.show(tab)
            settle()
            if (tab == MainActivity.VERIFY) press(activity, "Verify all models")
            assertTrue("screen $tab: ${texts(activity)}", "no model in this app" in texts(activity))
        }
    }

    @Test
    fun `a benchmark proves, measures and keeps records with a verdict`() = inLightAndDark("benchmark") {
        val flow = proving()
        val activity = flow.start().get()
        activity.show(MainActivity.BENCHMARK)
        settle()
        all(activity).filterIsInstance<CheckBox>().filter { "int8" in it.text || ".onnx" in it.text }.forEach { it.isChecked = false }
        press(activity, "Start")
        val shown = texts(activity)
        assertTrue(shown, "Done." in shown && "ms, 1 thread(s), burst" in shown)
        assertEquals("two files, two rounds", 4, flow.services.history.all().size)
        activity
    }

    @Test
    fun `a running benchmark survives rotation and can be cancelled`() {
        val held = mutableListOf<Runnable>()
        val flow = proving()
        val services = Services(
            RuntimeEnvironment.getApplication(), flow.services.runtimes, flow.services.assets, flow.services.machine,
            background = { held += it }, camera = { flow.camera }, folder = flow.folder,
        )
        (RuntimeEnvironment.getApplication() as App).services = services
        val controller = flow.start()
        controller.get().show(MainActivity.BENCHMARK)
        held.toList().forEach { it.run() }
        held.clear()
        settle()
        press(controller.get(), "Start")
        controller.recreate()
        settle()
        assertTrue(services.benchmark.state.running)
        assertTrue(texts(controller.get()), "Starting" in texts(controller.get()))
        press(controller.get(), "Cancel")
        held.toList().forEach { it.run() }
        settle()
        assertTrue(texts(controller.get()), "Cancelled" in texts(controller.get()))
    }

    @Test
    fun `a model that fails its proof is refused and shows no latency`() {
        val flow = proving { logits -> FloatArray(logits.size) { logits[it] + 0.4f * it } }
        val activity = flow.start().get()
        activity.show(MainActivity.BENCHMARK)
        settle()
        all(activity).filterIsInstance<CheckBox>().filterNot { it.text.endsWith("fp32.tflite") }.forEach { it.isChecked = false }
        press(activity, "Start")
        assertTrue(texts(activity), "is not measured: SQNR" in texts(activity))
        assertEquals(0, flow.services.history.all().size)
    }

    @Test
    fun `verifying shows error, SQNR, agreement and accuracy of every file`() = inLightAndDark("verify") {
        val activity = proving().start().get()
        activity.show(MainActivity.VERIFY)
        press(activity, "Verify all models")
        val shown = texts(activity)
        assertTrue(shown, "fp32.tflite: passes" in shown && "over 260 images" in shown && "accuracy on this phone 9" in shown)
        assertTrue("a runtime that is missing is named", "no runtime for onnx" in shown)
        activity
    }

    @Test
    fun `the models' facts are those of the sidecars`() = inLightAndDark("models") {
        val activity = Flow().start().get()
        activity.show(MainActivity.MODELS)
        settle()
        val shown = texts(activity)
        assertTrue(shown, listOf("28 x 28", "M flops", "Licence", "sha256", "Runs with TFLite 0", "no runtime for onnx").all { it in shown })
        activity
    }

    @Test
    fun `a model with its sidecar is added, used and removed, anything else refused in a sentence`() {
        val flow = Flow(assets = { throw java.io.FileNotFoundException(it) })
        val activity = flow.start().get()
        activity.show(MainActivity.MODELS)
        settle()
        val model = File(BUNDLE, "models").listFiles().orEmpty().first { it.name.endsWith("fp32.tflite") }
        val sidecar = File(model.path + ".json")
        fun add(vararg files: File): String {
            val clip = ClipData.newRawUri("", Uri.fromFile(files[0])).apply { files.drop(1).forEach { addItem(ClipData.Item(Uri.fromFile(it))) } }
            activity.screen.chosen(3, Intent().apply { clipData = clip })
            settle()
            return texts(activity)
        }
        assertTrue("Choose two files" in add(model))
        val cut = File(flow.folder, model.name).apply { writeBytes(model.readBytes().copyOf(1000)) }
        val cutSidecar = File(cut.path + ".json").apply { writeBytes(sidecar.readBytes()) }
        assertTrue("not the file its sidecar describes" in add(cut, cutSidecar))
        cutSidecar.writeText(sidecar.readText().replaceFirst("\"version\": 2", "\"version\": 9"))
        assertTrue("update the app" in add(cut, cutSidecar))
        assertTrue("was added" in add(model, sidecar))
        assertEquals(listOf(model.name), flow.services.store.all().models.map { it.name })
        press(activity, "Remove")
        assertEquals(0, flow.services.store.all().models.size)
    }

    @Test
    fun `a phone that is full says so before anything is written`() {
        val flow = Flow(space = { 1000 })
        assertTrue(flow.services.store.all().failures.first(), "no room for a model" in flow.services.store.all().failures.first())
        assertNull(File(flow.folder, "models/bundled").list())
    }

    @Test
    fun `the history is listed, shared and cleared`() = inLightAndDark("history") {
        val flow = proving()
        val activity = flow.start().get()
        activity.show(MainActivity.HISTORY)
        settle()
        assertTrue("Nothing was measured" in texts(activity))
        activity.show(MainActivity.BENCHMARK)
        settle()
        press(activity, "Start")
        activity.show(MainActivity.HISTORY)
        settle()
        assertTrue(texts(activity), "8 records" in texts(activity))
        press(activity, "Share")
        val chooser = shadowOf(activity).nextStartedActivity
        @Suppress("DEPRECATION")
        val sent = chooser.getParcelableExtra<Intent>(Intent.EXTRA_INTENT)
        assertNotNull(sent)
        @Suppress("DEPRECATION")
        assertEquals(RecordProvider.URI, sent?.getParcelableExtra(Intent.EXTRA_STREAM))
        activity
    }

    @Test
    fun `large fonts and TalkBack find a label on everything that can be touched`() {
        RuntimeEnvironment.setFontScale(2f)
        val flow = proving()
        val activity = flow.start().get()
        activity.screen.chosen(1, picture())
        for (tab in 0..4) {
            if (tab > 0) activity.show(tab)
            settle()
            val touchable = all(activity).filter { it.hasOnClickListeners() && it.isShown }
            for (view in touchable) {
                val label = view.contentDescription ?: (view as? android.widget.TextView)?.text
                assertFalse("${view.javaClass.simpleName} on screen $tab has no label", label.isNullOrBlank())
            }
            draw(activity, "large-fonts-$tab")
        }
    }
}
