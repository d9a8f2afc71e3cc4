package io.github.regnet_edge.model

import io.github.regnet_edge.runtime.RuntimeFailure
import io.github.regnet_edge.runtime.Runtimes
import io.github.regnet_edge.runtime.logitsOf
import org.json.JSONArray
import org.json.JSONException
import org.json.JSONObject
import java.io.File
import java.io.FileNotFoundException
import java.io.IOException
import java.io.InputStream
import java.security.MessageDigest

/** Where bundled files are read from: the APK's assets on a phone, a folder in a test. */
fun interface Assets {
    /** Open a file of the bundle by its path; throws FileNotFoundException. */
    fun open(path: String): InputStream
}

/**
 * The models in the APK and those added later, as files in the app's own [folder].
 *
 * Runtimes map files, so what is bundled is unpacked once, under its hash. [space] says how many bytes are free.
 */
class ModelStore(
    private val assets: Assets,
    private val folder: File,
    private val runtimes: Runtimes,
    private val space: () -> Long = { folder.apply { mkdirs() }.usableSpace },
) {
    private val added = File(folder, "added")

    /** Every model that can be read, and a sentence for each that cannot. */
    fun all(): Listing {
        val models = mutableListOf<Model>()
        val failures = mutableListOf<String>()
        for (load in bundled() + kept()) {
            try {
                models += load()
            } catch (error: ModelFailure) {
                failures += error.message.orEmpty()
            } catch (error: IOException) {
                failures += "A model could not be read (${error.message}); free some space and start the app again."
            }
        }
        return Listing(models, failures)
    }

    private fun bundled(): List<() -> Model> {
        val index = try {
            JSONObject(text(INDEX)).getJSONArray("artifacts")
        } catch (_: FileNotFoundException) {
            return emptyList()
        } catch (error: JSONException) {
            return listOf { throw ModelFailure("The app's list of models is damaged (${error.message}); install it again.") }
        }
        return objects(index).map { entry -> { unpacked(entry) } }
    }

    private fun kept(): List<() -> Model> = added.listFiles().orEmpty().filter { it.isDirectory }.sorted().map { place ->
        {
            val sidecar = place.listFiles().orEmpty().first { it.name.endsWith(".json") }
            Model.of(File(place, sidecar.name.removeSuffix(".json")), sidecar.readText())
        }
    }

    private fun unpacked(entry: JSONObject): Model {
        val path = entry.getString("file")
        val sidecar = text(entry.getString("sidecar"))
        val stated = Model.of(File(path), sidecar)
        val place = File(folder, "bundled/${stated.sha256.take(HASH_DIGITS)}")
        val file = File(place, stated.name)
        if (!file.exists()) {
            requireSpace(stated.bytes)
            assets.open(path).use { copy(it, file, stated) }
        }
        val golden = entry.optString("golden").takeIf { it.isNotEmpty() }?.let(::unpackedGolden)
        return Model.of(file, sidecar, golden, entry.optString("key"), bundled = true)
    }

    /** A model's golden data; the folder's name ends in a hash, so what is there is current. */
    private fun unpackedGolden(path: String): File {
        val place = File(folder, path)
        if (place.isDirectory) return place
        val scratch = File(folder, "$path.part").apply { deleteRecursively(); mkdirs() }
        val header = text("$path/${Golden.HEADER}")
        for (name in JSONObject(header).getJSONObject("sha256").keys()) {
            assets.open("$path/$name").use { source -> File(scratch, name).outputStream().use { source.copyTo(it) } }
        }
        File(scratch, Golden.HEADER).writeText(header)
        if (!scratch.renameTo(place)) throw IOException("$place cannot be written")
        return place
    }

    private fun text(path: String): String = assets.open(path).use { it.readBytes().decodeToString() }

    /**
     * Keep a model that came from another app or a file picker; it is opened and run once before it counts.
     * Throws [ModelFailure] with a sentence.
     */
    fun add(name: String, sidecar: String, open: () -> InputStream): Model {
        if (name != File(name).name || name in setOf("", ".", "..")) throw ModelFailure("$name is no file's name; rename it.")
        val stated = Model.of(File(name), sidecar)
        requireSpace(stated.bytes)
        val scratch = File(added, "${stated.sha256.take(HASH_DIGITS)}.part").apply { deleteRecursively() }
        try {
            open().use { copy(it, File(scratch, name), stated) }
            File(scratch, "$name.json").writeText(sidecar)
            check(Model.of(File(scratch, name), sidecar))
            val place = File(added, stated.sha256.take(HASH_DIGITS)).apply { deleteRecursively() }
            if (!scratch.renameTo(place)) throw ModelFailure("$name could not be kept; free some space and add it again.")
            return Model.of(File(place, name), sidecar)
        } catch (error: IOException) {
            throw ModelFailure("$name could not be read (${error.message}); send it again.")
        } finally {
            scratch.deleteRecursively()
        }
    }

    /** Take an added model away; bundled ones stay. */
    fun remove(model: Model) {
        if (!model.bundled) model.file.parentFile?.deleteRecursively()
    }

    private fun check(model: Model) {
        try {
            runtimes.of(model.target).open(model.file, model.input, threads = 1).use { network ->
                val logits = network.logitsOf(FloatArray(model.input.size))
                if (logits.size != model.batch * model.classes || !logits.all(Float::isFinite)) {
                    throw ModelFailure("${model.name} does not give ${model.classes} finite logits; convert it again.")
                }
            }
        } catch (error: RuntimeFailure) {
            throw ModelFailure(error.message.orEmpty())
        }
    }

    private fun requireSpace(bytes: Long) {
        if (space() < bytes + SPARE) throw ModelFailure(
            "There is no room for a model of ${bytes / 1_000_000 + 1} MB on this phone; free some space and try again.",
        )
    }

    /** Write the whole file or none; its hash must be the sidecar's. */
    private fun copy(source: InputStream, file: File, stated: Model) {
        file.parentFile?.mkdirs()
        val part = File(file.path + ".part")
        part.outputStream().use { source.copyTo(it) }
        if (sha256(part) != stated.sha256) {
            part.delete()
            throw ModelFailure("${stated.name} is not the file its sidecar describes; it was changed or cut short.")
        }
        if (!part.renameTo(file)) throw IOException("$file cannot be written")
    }

    /** What [all] gives. */
    class Listing(val models: List<Model>, val failures: List<String>)

    companion object {
        const val INDEX = "index.json"
        private const val HASH_DIGITS = 16
        private const val SPARE = 16L shl 20 // for records and the system
    }
}

/** The objects of a JSON list. */
fun objects(list: JSONArray): List<JSONObject> = List(list.length()) { list.getJSONObject(it) }

/** Hex sha256 of a file. */
fun sha256(file: File): String {
    val digest = MessageDigest.getInstance("SHA-256")
    file.inputStream().use { source ->
        val buffer = ByteArray(1 shl 16)
        while (true) {
            val n = source.read(buffer)
            if (n < 0) break
            digest.update(buffer, 0, n)
        }
    }
    return digest.digest().joinToString("") { "%02x".format(it) }
}
