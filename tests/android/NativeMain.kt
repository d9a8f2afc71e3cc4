package io.github.regnet_edge

import io.github.regnet_edge.benchmark.Foreground
import io.github.regnet_edge.benchmark.Machine
import io.github.regnet_edge.benchmark.Phone
import io.github.regnet_edge.benchmark.Pin
import io.github.regnet_edge.benchmark.Session
import io.github.regnet_edge.classify.Classifier
import io.github.regnet_edge.headless.Headless
import io.github.regnet_edge.model.Assets
import io.github.regnet_edge.model.Golden
import io.github.regnet_edge.model.Model
import io.github.regnet_edge.model.ModelStore
import io.github.regnet_edge.preprocessing.Pixels
import io.github.regnet_edge.record.Provenance
import io.github.regnet_edge.record.json
import io.github.regnet_edge.record.jsonOf
import io.github.regnet_edge.runtime.Runtimes
import io.github.regnet_edge.runtime.logitsOf
import io.github.regnet_edge.verdict.Rules
import io.github.regnet_edge.verify.Proofs
import io.github.regnet_edge.verify.Verifier
import org.json.JSONObject
import java.io.File
import java.time.Instant
import java.time.temporal.ChronoUnit
import javax.imageio.ImageIO
import kotlin.system.exitProcess

/**
 * The app's own classes with the very libraries of an APK, on a desktop's JVM: classify, verify, measure.
 *
 * `NativeMain SHIM LIB BUNDLE OUT PLAN`: what is found goes to OUT as JSON, for pytest to judge. With PLAN alone of
 * interest (`headless SHIM LIB BUNDLE OUT PLAN`) it is the app's part of `regnet-edge benchmark --host adb`; with `classify`
 * before it, it classifies a few pictures and no more: for an emulated JVM.
 */
object NativeMain {
    private const val IMAGES = 100
    private const val FEW = 8

    /** Null, or what the dynamic linker says. */
    @JvmStatic
    external fun open(path: String, deep: Boolean): String?

    @JvmStatic
    fun main(arguments: Array<String>) {
        val only = arguments.first().takeIf { it in setOf("headless", "classify") }
        val (shim, lib, bundle, out, plan) = arguments.drop(if (only == null) 0 else 1).map(::File)
        load(shim, lib)
        val desktop = Desktop(bundle, out)
        when (only) {
            null -> File(out, "found.json").writeText(desktop.found().toString())
            "classify" -> File(out, "found.json").writeText(desktop.seen().toString())
        }
        if (only != "classify") desktop.headless.run(plan)
        exitProcess(0) // fbjni's thread is no daemon
    }

    private fun load(shim: File, lib: File) {
        System.load(File(shim, "libopen.so").path)
        val names = listOf("libc.so", "libm.so", "libdl.so", "liblog.so", "libandroid.so").map { File(shim, it) to false } +
            listOf("libtensorflowlite_jni.so", "libexecutorch.so").map { File(lib, it) to true }
        for ((file, deep) in names) open(file.path, deep)?.let { error(it) }
    }

    /** A desktop in the phone's place: it says that it is a debuggable emulator, as it should. */
    private object NoPhone : Phone {
        override fun thermalStatus() = null
        override fun thermalHeadroom() = null
        override fun power(): JSONObject = json("charging" to null, "percent" to null, "battery_c" to null, "saver" to null)
        override fun about(): JSONObject = json(
            "label" to "Double (Example E1)", "manufacturer" to "Example", "model" to "Double", "soc" to "Example E1",
            "os" to "Android 14 (API 34)", "abi" to "x86_64",
        )

        override fun trust(): JSONObject = json("emulator" to true, "debuggable" to true, "build_type" to "userdebug")
    }

    private class Desktop(private val bundle: File, out: File) {
        private val runtimes = Runtimes()
        private val assets = Assets { File(bundle, it).inputStream() }
        private val store = ModelStore(assets, File(out, "models"), runtimes)
        private val machine = Machine(NoPhone)
        private val foreground = Foreground().apply { entered("desktop") }
        private val pin = Pin(machine, ProcessHandle.current().pid().toInt())
        private val verifier = Verifier(read = ::picture)
        private val proofs = Proofs()
        private val judge = Rules.of { File(bundle, it).inputStream() }
        private val provenance = Provenance({ Instant.now().truncatedTo(ChronoUnit.SECONDS).toString() }, listOf("app", "headless"))

        val headless = Headless(machine, pin, runtimes, store, foreground, ::session, out) { println(it) }

        private fun session(isCancelled: () -> Boolean, keep: (JSONObject) -> Unit) = Session(
            machine, pin, runtimes, judge, foreground, { model, runtime -> proofs.of(model, runtime, verifier) }, keep, provenance, isCancelled,
        )

        private fun runnable() = store.all().models.filter { model -> runtimes.packed.any { it.target == model.target } }

        /** Classes and logits of a few pictures, and what a file that is no model says. */
        fun seen(): JSONObject = json(
            "runtimes" to jsonOf(runtimes.packed.map { "${it.name} ${it.version()}" }),
            "models" to jsonOf(runnable().associate { model ->
                val golden = Golden.read(checkNotNull(model.golden))
                model.name to json(
                    "top1" to jsonOf(topClasses(model, golden, FEW)),
                    "logits" to jsonOf(logits(model, golden, FEW).map { it.toDouble() }),
                )
            }),
            "damaged" to jsonOf(runnable().filter { it.precision == "fp32" }.associate { it.name to noModel(it) }),
        )

        /** What a runtime says of a file of text. */
        private fun noModel(model: Model): String {
            val file = File(model.file.path + ".none").apply { writeText("no model".repeat(100)) }
            return try {
                runtimes.of(model.target).open(file, model.input, 1).close()
                "opened"
            } catch (refusal: Exception) { // whichever the runtime throws, the test wants the sentence
                refusal.message.orEmpty()
            } finally {
                file.delete()
            }
        }

        fun found(): JSONObject {
            val models = runnable()
            return json(
                "runtimes" to jsonOf(runtimes.packed.map { "${it.name} ${it.version()}" }),
                "models" to jsonOf(models.associate { it.name to about(it) }),
                "damaged" to jsonOf(models.filter { it.precision == "fp32" }.associate { it.name to damaged(it) }),
            )
        }

        private fun about(model: Model): JSONObject {
            val golden = Golden.read(checkNotNull(model.golden))
            val proof = verifier.prove(model, runtimes.of(model.target))
            return json(
                "top1" to jsonOf(topClasses(model, golden)), "logits" to jsonOf(logits(model, golden).map { it.toDouble() }),
                "passed" to proof.passed, "failures" to jsonOf(proof.failures), "images" to proof.images,
                "max_abs_error" to proof.maxAbsError, "top1_agreement" to proof.top1Agreement, "accuracy" to proof.accuracy,
            )
        }

        /** The app's own way from a picture to a name, over the first test images. */
        private fun topClasses(model: Model, golden: Golden, images: Int = IMAGES): List<Int> {
            val side = golden.preprocessing.resolution
            val raw = checkNotNull(model.golden).resolve("test.u8").readBytes()
            val classifier = Classifier(runtimes)
            return List(images) { i ->
                val pixels = Pixels(side, side, 1, raw.copyOfRange(i * side * side, (i + 1) * side * side))
                classifier.classify(pixels, model).top.first().index
            }.also { classifier.close() }
        }

        private fun logits(model: Model, golden: Golden, images: Int = IMAGES): List<Float> =
            runtimes.of(model.target).open(model.file, model.input, 1).use { network ->
                List(images) { network.logitsOf(model.batchOf(golden.testPixels(it))).toList() }.flatten()
            }

        /** What the app says of a copy whose weights were changed (most of an fp32 file is weights): it must not pass. */
        private fun damaged(model: Model): String {
            val bytes = model.file.readBytes()
            for (i in bytes.size / 3 until bytes.size / 2) bytes[i] = (bytes[i] + 64).toByte()
            val copy = File(model.file.path + ".damaged").apply { writeBytes(bytes) }
            val sidecar = File(bundle, "models/${model.name}.json").readText()
            return try {
                val proof = verifier.prove(Model.of(copy, sidecar, model.golden), runtimes.of(model.target))
                proof.failures.firstOrNull() ?: "passed"
            } catch (refusal: Exception) { // whatever the runtime makes of it, the test wants the sentence
                refusal.message.orEmpty()
            } finally {
                copy.delete()
            }
        }

        private fun picture(file: File): Pixels {
            val image = ImageIO.read(file)
            val samples = image.raster.getPixels(0, 0, image.width, image.height, null as IntArray?) // as stored, no gamma
            return Pixels(image.width, image.height, image.raster.numBands, ByteArray(samples.size) { samples[it].toByte() })
        }
    }
}
