package io.github.regnet_edge.ui

import android.content.Intent
import android.os.Bundle
import android.view.View

/** One of the app's screens: made anew after a rotation, from what it saved. */
interface Screen {
    /** Its view, made once. */
    val view: View

    /** It is in front now. */
    fun shown() = Unit

    /** It is no longer in front: let cameras go. */
    fun hidden() = Unit

    /** What a chooser that it started gave. */
    fun chosen(request: Int, data: Intent) = Unit

    /** The answer to a permission that it asked for. */
    fun permitted(granted: Boolean) = Unit

    /** Keep what a rotation must not lose. */
    fun save(state: Bundle) = Unit
}
