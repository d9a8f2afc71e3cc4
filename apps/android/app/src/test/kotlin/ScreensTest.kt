package io.github.regnet_edge

import android.Manifest
import android.content.ClipData
import android.content.Intent
import android.content.pm.PackageManager
import android.graphics.drawable.BitmapDrawable
import android.net.Uri
import android.view.ViewGroup
import android.widget.CheckBox
import android.widget.ImageView
import android.widget.ProgressBar
import io.github.regnet_edge.Flow.Companion.all
import io.github.regnet_edge.Flow.Companion.draw
import io.github.regnet_edge.Flow.Companion.press
import io.github.regnet_edge.Flow.Companion.settle
import io.github.regnet_edge.Flow.Companion.texts
import io.github.regnet_edge.history.RecordProvider
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
import java.io.ByteArrayOutputStream
import java.io.File

/** Every screen and flow, with the doors of the app held by the test. */
@RunWith(RobolectricTestRunner::class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(qualifiers = "w360dp-h640dp-hdpi")
class ScreensTest {
    private val picture = File(ROOT, "tests/vectors/preprocessing/rgb-157x120.png")

    private fun picture(file: File = picture) = Intent().setData(Uri.fromFile(file))

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
        val flow = proving()
        val activity = flow.start().get()
        val golden = golden()
        activity.screen.chosen(1, picture(golden.pictures.first()))
        settle()
        val best = io.github.regnet_edge.verify.top(golden.logits.first())
        val shown = texts(activity)
        assertTrue(shown, flow.services.store.all().models.first().label(best) in shown && "Preprocessing" in shown && "inference" in shown)
        assertEquals("five bars", 5, all(activity).filterIsInstance<ProgressBar>().size)
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
    fun `a camera's YUV images in four rotations are upright when they are classified`() {
        val flow = proving()
        val activity = flow.start().get()
        shadowOf(RuntimeEnvironment.getApplication()).grantPermissions(Manifest.permission.CAMERA)
        press(activity, "Camera")
        val golden = golden()
        val names = flow.services.store.all().models.first().labels
        for ((i, degrees) in listOf(0, 90, 180, 270).withIndex()) {
            val image = golden.testPixels(i)
            flow.camera.give(sensorSees(image, degrees).toPixels(degrees))
            settle()
            val first = all(activity).first { it is ViewGroup && it.contentDescription?.contains("%") == true }.contentDescription
            assertTrue("$first at $degrees", first.startsWith(names[io.github.regnet_edge.verify.top(golden.testLogits[i])]))
        }
    }

    @Test
    fun `a photograph is shown as its EXIF orientation says`() {
        for (orientation in 1..8) {
            val activity = Flow().start().get()
            activity.screen.chosen(1, picture(File(ROOT, "tests/vectors/preprocessing/exif-$orientation.jpg")))
            settle()
            val shown = (all(activity).filterIsInstance<ImageView>().first().drawable as BitmapDrawable).bitmap
            assertEquals("orientation $orientation", orientation >= 5, shown.height > shown.width)
        }
    }

    @Test
    fun `a model that is chosen while an answer is on its way comes next`() {
        val held = ArrayDeque<Runnable>()
        val flow = Flow()
        (RuntimeEnvironment.getApplication() as App).services = flow.with { held += it }
        fun work() {
            while (held.isNotEmpty()) held.removeFirst().run().also { settle() }
        }
        val activity = flow.start().get()
        work()
        activity.screen.chosen(1, picture())
        held.removeFirst().run() // it is read, its answer is on its way
        settle()
        val runtime = all(activity).filterIsInstance<android.widget.Spinner>()[1]
        runtime.setSelection(runtime.count - 1)
        settle()
        work()
        assertTrue(texts(activity), "TFLite" in texts(activity) && "ExecuTorch" in texts(activity))
    }

    @Test
    fun `no times are shown of a file that failed its proof`() {
        val wrong = { logits: FloatArray -> FloatArray(logits.size) { logits[it] + 0.4f * it } }
        val activity = Flow(listOf(golden("tflite", "TFLite", wrong), golden("executorch", "ExecuTorch", wrong))).start().get()
        activity.show(MainActivity.VERIFY)
        press(activity, "Verify all models")
        activity.show(MainActivity.CLASSIFY)
        settle()
        activity.screen.chosen(1, picture())
        settle()
        assertTrue(texts(activity), "failed its proof" in texts(activity))
        assertFalse(texts(activity), "inference" in texts(activity))
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
        val services = flow.with { held += it }
        (RuntimeEnvironment.getApplication() as App).services = services
        val controller = flow.start()
        controller.get().show(MainActivity.BENCHMARK)
        held.toList().forEach { it.run() }
        held.clear()
        settle()
        press(controller.get(), "Start")
        services.foreground.watch()
        controller.recreate()
        settle()
        held.toList().drop(1).forEach { it.run() } // the new screen's list of models; the benchmark still waits
        settle()
        assertTrue(services.benchmark.state.running)
        assertFalse("a rotation does not leave the foreground", services.foreground.wasLeft)
        assertTrue(texts(controller.get()), "Starting" in texts(controller.get()))
        controller.pause().stop()
        settle()
        assertTrue(services.foreground.wasLeft)
        press(controller.get(), "Cancel")
        held.first().run()
        settle()
        controller.restart().start().resume()
        settle()
        assertTrue(texts(controller.get()), "Cancelled" in texts(controller.get()))
    }

    @Test
    fun `what was chosen for a benchmark survives rotation`() {
        val controller = proving().start()
        controller.get().show(MainActivity.BENCHMARK)
        settle()
        fun boxes() = all(controller.get()).filterIsInstance<CheckBox>()
        fun choices() = all(controller.get()).filterIsInstance<android.widget.Spinner>()
        boxes()[1].isChecked = false
        choices()[1].setSelection(1)
        settle()
        controller.recreate()
        settle()
        assertEquals(boxes().indices.map { it != 1 }, boxes().map { it.isChecked })
        assertEquals(1, choices()[1].selectedItemPosition)
    }

    @Test
    fun `records that cannot be kept end the benchmark with a sentence`() {
        val flow = proving()
        flow.services.history.file.mkdirs() // a folder where the file should be: nothing can be written
        val activity = flow.start().get()
        activity.show(MainActivity.BENCHMARK)
        settle()
        press(activity, "Start")
        assertTrue(texts(activity), "could not be written" in texts(activity) && "free some space" in texts(activity))
    }

    @Test
    fun `a bundled file that was damaged is named, the others work`() {
        val flow = Flow(assets = { path ->
            File(BUNDLE, path).readBytes().also { if (path.endsWith("fp32.tflite")) it[it.size / 2]++ }.inputStream()
        })
        val activity = flow.start().get()
        activity.show(MainActivity.MODELS)
        settle()
        assertTrue(texts(activity), "fp32.tflite is not the file its sidecar describes" in texts(activity))
        assertEquals(5, flow.services.store.all().models.size)
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
        val renamed = File(flow.folder, "my net.tflite").apply { writeBytes(model.readBytes()) }
        val renamedSidecar = File(renamed.path + ".json").apply { writeBytes(sidecar.readBytes()) }
        assertTrue("renamed together", "my net.tflite was added" in add(renamed, renamedSidecar))
        assertEquals(listOf("my net.tflite"), flow.services.store.all().models.map { it.name })
        press(activity, "Remove")
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
        val saved = ByteArrayOutputStream()
        val to = Uri.parse("content://documents/results.jsonl")
        shadowOf(activity.contentResolver).registerOutputStream(to, saved)
        activity.screen.chosen(4, Intent().setData(to))
        settle()
        assertEquals("what is saved is the history", flow.services.history.file.readText(), saved.toString())
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
