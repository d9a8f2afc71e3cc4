package io.github.regnet_edge.verify

import io.github.regnet_edge.model.Model
import io.github.regnet_edge.runtime.Runtime
import java.util.concurrent.ConcurrentHashMap

/** What was proved since the app started, by file and runtime, so that a benchmark proves nothing twice. */
class Proofs {
    private val known = ConcurrentHashMap<String, Proof>()

    /** The proof of a model on a runtime, null where nobody asked for one yet. */
    fun find(model: Model, runtime: Runtime): Proof? = known[key(model, runtime)]

    /** Prove it now, or give what is known; null for a model that brought no golden data. */
    fun of(model: Model, runtime: Runtime, verifier: Verifier = Verifier()): Proof? =
        if (model.golden == null) null else find(model, runtime) ?: renew(model, runtime, verifier)

    /** Prove it now. */
    fun renew(model: Model, runtime: Runtime, verifier: Verifier = Verifier()): Proof =
        verifier.prove(model, runtime).also { known[key(model, runtime)] = it }

    private fun key(model: Model, runtime: Runtime) = "${model.sha256} ${runtime.name}"
}
