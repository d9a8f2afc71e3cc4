package io.github.regnet_edge

import android.app.Activity
import android.content.Intent
import android.graphics.Bitmap
import android.graphics.Canvas
import android.os.Looper
import android.view.View
import android.view.ViewGroup
import android.widget.Button
import android.widget.TextView
import io.github.regnet_edge.benchmark.Clock
import io.github.regnet_edge.benchmark.Machine
import io.github.regnet_edge.benchmark.Phone
import io.github.regnet_edge.camera.FrameSource
import io.github.regnet_edge.model.Assets
import io.github.regnet_edge.model.Golden
import io.github.regnet_edge.model.objects
import io.github.regnet_edge.preprocessing.Pixels
import io.github.regnet_edge.record.json
import io.github.regnet_edge.runtime.Input
import io.github.regnet_edge.runtime.Network
import io.github.regnet_edge.runtime.Runtime
import io.github.regnet_edge.runtime.RuntimeFailure
import io.github.regnet_edge.runtime.Runtimes
import org.json.JSONObject
import org.robolectric.Robolectric
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController
import java.io.File
import java.nio.file.Files
import java.util.concurrent.Executor

/** A folder as regnet-edge bundle lays it out; the Makefile says where. */
val BUNDLE = File(System.getProperty("bundle"))

/** The repository. */
val ROOT = File(System.getProperty("root"))

/** A phone that is cool, charged and honest, until a test says otherwise. */
class FakePhone : Phone {
    var status = 0
    var headroom = 0.3
    val power: JSONObject = json("charging" to false, "percent" to 80.0, "battery_c" to 25.0, "saver" to false)
    val trust: JSONObject = json("emulator" to false, "debuggable" to false, "build_type" to "user")

    override fun thermalStatus() = status

    override fun thermalHeadroom() = headroom

    override fun power() = JSONObject(power.toString())

    override fun about(): JSONObject = json(
        "label" to "Pixel 8 (Google Tensor G3)", "manufacturer" to "Google", "model" to "Pixel 8",
        "soc" to "Google Tensor G3", "os" to "Android 14 (API 34)", "abi" to "arm64-v8a",
    )

    override fun trust() = JSONObject(trust.toString())
}

/** A clock that costs no time: each reading is a little later, and so is each sleep. */
class FakeClock : Clock {
    @Volatile
    var now = 0L

    override fun ns(): Long {
        now += 20_000
        return now
    }

    /** What else happens while time passes. */
    var onSleep: () -> Unit = {}

    override fun sleep(ms: Long) {
        now += ms * 1_000_000
        onSleep()
    }
}

/** The logits of the shipped net's golden pictures and test images, by the hash of their input. */
val GOLDEN: Map<Int, FloatArray> by lazy {
    val golden = golden()
    val inputs = golden.inputs + golden.testLabels.indices.map { golden.preprocessing.normalize(golden.testPixels(it)) }
    inputs.map { it.contentHashCode() }.zip(golden.logits + golden.testLogits).toMap()
}

/** The shipped net's golden data. */
fun golden(): Golden {
    val entry = objects(JSONObject(File(BUNDLE, "index.json").readText()).getJSONArray("artifacts")).first()
    return Golden.read(File(BUNDLE, entry.getString("golden")))
}

/** A runtime that knows the golden data's answers, each changed by [change]; another input is a sneaker. */
fun golden(target: String, label: String, change: (FloatArray) -> FloatArray = { it }) =
    FakeRuntime(target, label) { image -> change(GOLDEN[image.contentHashCode()] ?: FloatArray(10) { i -> if (i == 7) 5f else 0f }) }

/** A runtime without natives: its logits are told, or those of the golden data for the inputs it knows. */
class FakeRuntime(
    override val target: String,
    override val label: String,
    private val logits: (FloatArray) -> FloatArray = { FloatArray(10) { i -> if (i == 7) 5f else 0f } },
) : Runtime {
    override val name = if (target == "tflite") "litert" else target

    override fun version() = "0"

    override fun open(file: File, input: Input, threads: Int): Network {
        if (file.length() < 100) throw RuntimeFailure("$label 0 cannot open ${file.name}: it is damaged.")
        return object : Network {
            private var image = FloatArray(0)

            override fun feed(image: FloatArray) {
                this.image = image
            }

            override fun run() = Unit

            override fun logits() = logits(image)

            override fun close() = Unit
        }
    }
}

/** A camera that gives what a test hands it. */
class FakeCamera : FrameSource {
    var running = false
    private var onFrame: (Pixels) -> Unit = {}

    override fun start(onFrame: (Pixels) -> Unit, onFailure: (String) -> Unit) {
        running = true
        this.onFrame = onFrame
    }

    override fun stop() {
        running = false
    }

    fun give(frame: Pixels) = onFrame(frame)
}

/** The app with every door open to a test, and its screens in reach. */
class Flow(
    val runtimes: List<Runtime> = listOf(FakeRuntime("tflite", "TFLite"), FakeRuntime("executorch", "ExecuTorch")),
    assets: Assets = Assets { File(BUNDLE, it).inputStream() },
    space: (() -> Long)? = null,
) {
    val phone = FakePhone()
    val clock = FakeClock()
    val camera = FakeCamera()
    val folder: File = Files.createTempDirectory("app").toFile()
    private val app = RuntimeEnvironment.getApplication() as App

    init {
        app.services = Services(
            app, Runtimes(runtimes.map { { it } }), withRules(assets), Machine(phone, clock, File("/nowhere")),
            background = Executor { it.run() }, camera = { camera }, folder = folder, space = space,
        )
    }

    val services get() = app.services

    /** The same app whose background work a test lets happen. */
    fun with(background: Executor) = Services(
        app, services.runtimes, services.assets, services.machine, background, camera = { camera }, folder = folder,
    )

    /** The main activity, resumed. */
    fun start(intent: Intent = Intent()): ActivityController<MainActivity> =
        Robolectric.buildActivity(MainActivity::class.java, intent).setup().also { settle() }

    /** The rules lie in the repository; a base APK packs them. */
    private fun withRules(assets: Assets) = Assets { path ->
        if (path == "verdict/rules.json") File(ROOT, "benchmarks/$path").inputStream() else assets.open(path)
    }

    companion object {
        /** Let everything that was posted happen. */
        fun settle() = repeat(3) { shadowOf(Looper.getMainLooper()).idle() }

        /** All text on the screen. */
        fun texts(activity: Activity): String = all(activity).filterIsInstance<TextView>().joinToString("\n") { it.text }

        /** Every view. */
        fun all(activity: Activity): List<View> = below(activity.findViewById(android.R.id.content))

        private fun below(view: View): List<View> =
            listOf(view) + ((view as? ViewGroup)?.let { group -> (0 until group.childCount).flatMap { below(group.getChildAt(it)) } }.orEmpty())

        /** Press the button that says so. */
        fun press(activity: Activity, text: String) {
            all(activity).filterIsInstance<Button>().first { it.text.toString() == text }.performClick()
            settle()
        }

        /** The screen as a PNG under build/screens. */
        fun draw(activity: Activity, name: String) {
            settle()
            val view = activity.window.decorView
            val bitmap = Bitmap.createBitmap(view.width, view.height, Bitmap.Config.ARGB_8888)
            view.draw(Canvas(bitmap))
            val file = File(System.getProperty("screens"), "$name.png")
            file.parentFile?.mkdirs()
            file.outputStream().use { bitmap.compress(Bitmap.CompressFormat.PNG, 100, it) }
        }
    }
}
