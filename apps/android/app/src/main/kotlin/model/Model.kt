package io.github.regnet_edge.model

import io.github.regnet_edge.Failure
import io.github.regnet_edge.preprocessing.Pixels
import io.github.regnet_edge.preprocessing.Preprocessing
import io.github.regnet_edge.runtime.Input
import org.json.JSONException
import org.json.JSONObject
import java.io.File

/**
 * An artifact on this phone: its file, and what its sidecar says of it. The file's name counts, not the one in the
 * sidecar: a pair that was renamed together stays a pair.
 *
 * [golden] is the folder of its golden data, null where none came with it; [key] the request's hash, empty
 * where it is not known.
 */
class Model(
    val file: File,
    private val sidecar: JSONObject,
    val golden: File? = null,
    val key: String = "",
    val bundled: Boolean = false,
) {
    private val request = sidecar.getJSONObject("request")
    private val spec = request.getJSONObject("model")
    private val counts = sidecar.getJSONObject("complexity")

    val name: String = file.name
    val network: String = spec.getString("name")
    val target: String = request.getString("target")
    val precision: String = request.optString("precision", "fp32")
    val batch: Int = request.optInt("batch", 1)
    val sha256: String = sidecar.getString("sha256")
    val bytes: Long = sidecar.getLong("bytes")
    val flops: Long = counts.getLong("flops")
    val params: Long = counts.getLong("params")
    val activations: Long = counts.getLong("activations")
    val licence: String = spec.optString("licence")
    val trained: Boolean = spec.getJSONObject("weights").let {
        it.getString("kind") != "untrained" && !it.optBoolean("new_head")
    }
    val preprocessing: Preprocessing = Preprocessing.of(spec.getJSONObject("preprocessing"))
    val labels: List<String> = spec.optJSONArray("labels").let { list -> List(list?.length() ?: 0) { list!!.getString(it) } }
    val classes: Int = spec.getJSONObject("config").optInt("num_classes", 1000)

    private val embeds = request.optJSONArray("embed").let { list -> List(list?.length() ?: 0) { list!!.getString(it) } }

    /** Whether the file answers with probabilities instead of logits. */
    val givesProbabilities: Boolean = "softmax" in embeds

    /** What the file takes: normalized values, or pixels that it normalizes itself. */
    val input = Input(
        longArrayOf(
            batch.toLong(), preprocessing.channels.toLong(),
            preprocessing.resolution.toLong(), preprocessing.resolution.toLong(),
        ),
        pixels = "normalize" in embeds,
    )

    /** A fitted picture as what the file takes, the whole batch. */
    fun batchOf(fitted: Pixels): FloatArray =
        batched(if (input.pixels) preprocessing.planes(fitted) else preprocessing.normalize(fitted))

    /** The input tensor of an image as what the file takes, the whole batch. */
    fun batchOf(normalized: FloatArray): FloatArray =
        batched(if (input.pixels) preprocessing.pixelsOf(normalized) else normalized)

    private fun batched(image: FloatArray) = FloatArray(batch * image.size) { image[it % image.size] }

    /** A class's name, or its number where it has none. */
    fun label(index: Int): String = labels.getOrNull(index) ?: "class $index"

    /** The version of a tool that made the file, such as `executorch`, null where it was not used. */
    fun madeBy(tool: String): String? =
        sidecar.optJSONObject("tool_versions")?.optString(tool)?.takeIf { it.isNotEmpty() }

    /** The record's `model`: the network with its counts for one image. */
    fun measuredModel(): JSONObject = JSONObject()
        .put("name", network)
        .put("config", spec.getJSONObject("config"))
        .put("resolution", preprocessing.resolution)
        .put("batch", batch)
        .put("flops", flops)
        .put("params", params)
        .put("activations", activations)
        .put("trained", trained)

    /** The record's `artifact`: the file, as its sidecar describes it. */
    fun measuredArtifact(): JSONObject = JSONObject()
        .put("file", name)
        .put("target", target)
        .put("precision", precision)
        .put("sha256", sha256)
        .put("bytes", bytes)
        .put("tool_versions", sidecar.getJSONObject("tool_versions"))
        .put("request_key", key)
        .put("structure", sidecar.getJSONObject("structure"))
        .put("calibration_sha256", request.optJSONObject("calibration")?.getString("sha256") ?: JSONObject.NULL)

    companion object {
        const val SIDECAR_VERSION = 2

        /** Of a file and its sidecar's text; throws [ModelFailure] with a sentence. */
        fun of(
            file: File, sidecar: String, golden: File? = null, key: String = "", bundled: Boolean = false,
        ): Model = try {
            val json = JSONObject(sidecar)
            val version = json.optInt("version")
            if (version != SIDECAR_VERSION) throw ModelFailure(otherVersion(file.name, version))
            Model(file, json, golden, key, bundled)
        } catch (error: JSONException) {
            throw ModelFailure("${file.name}.json is not a sidecar (${error.message}); add the one that convert wrote.")
        } catch (error: IllegalArgumentException) { // an interpolation or colour that this app does not know
            throw ModelFailure("${file.name} asks for something this app has not (${error.message}); update the app.")
        }

        private fun otherVersion(name: String, version: Int): String {
            val what = if (version > SIDECAR_VERSION) "update the app" else "convert the model again"
            return "The sidecar of $name has version $version, this app reads $SIDECAR_VERSION; $what."
        }
    }
}

/** One sentence that says what is wrong with a model, and what to do. */
class ModelFailure(sentence: String) : Failure(sentence)
