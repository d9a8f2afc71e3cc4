package io.github.regnet_edge.camera

import io.github.regnet_edge.preprocessing.Pixels

/** Gives pictures one after the other, upright: a camera, or what a test has instead. */
interface FrameSource {
    /** Begin; each picture comes on a thread of the source's own, failures come once as a sentence. */
    fun start(onFrame: (Pixels) -> Unit, onFailure: (String) -> Unit)

    /** End, and let the camera go. */
    fun stop()
}
