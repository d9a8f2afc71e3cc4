package io.github.regnet_edge

import android.app.Application
import android.content.Context

/** Holds what lives as long as the process. */
class App : Application() {
    /** Tests put their own in place before a screen is made. */
    var services: Services
        get() = held ?: Services(this).also { held = it }
        set(value) {
            held = value
        }
    private var held: Services? = null

    companion object {
        /** The application that a context belongs to. */
        fun of(context: Context) = context.applicationContext as App
    }
}
