package io.github.regnet_edge.share

import android.app.Activity
import android.content.ClipData
import android.content.Intent
import android.net.Uri
import android.os.Bundle
import io.github.regnet_edge.MainActivity

/** Takes what other apps share and hands it to the screen that it is for: pictures to Classify, files to Models. */
class ShareActivity : Activity() {
    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        val shared = shared(intent)
        if (shared.isNotEmpty()) startActivity(forward(shared))
        finish()
    }

    private fun forward(shared: List<Uri>): Intent {
        val clip = ClipData.newRawUri("", shared.first()).apply { shared.drop(1).forEach { addItem(ClipData.Item(it)) } }
        val isPicture = intent.action == Intent.ACTION_SEND && intent.type.orEmpty().startsWith("image/")
        return Intent(this, MainActivity::class.java)
            .putExtra(MainActivity.TAB, if (isPicture) MainActivity.CLASSIFY else MainActivity.MODELS)
            .addFlags(Intent.FLAG_ACTIVITY_CLEAR_TOP or Intent.FLAG_GRANT_READ_URI_PERMISSION)
            .apply { clipData = clip }
    }

    companion object {
        /** The files that an intent brings, of whatever kind. */
        @Suppress("DEPRECATION") // the typed getters came with API 33
        fun shared(intent: Intent): List<Uri> {
            val clip = intent.clipData
            val stream = intent.extras?.get(Intent.EXTRA_STREAM)
            return when {
                clip != null && clip.itemCount > 0 -> (0 until clip.itemCount).mapNotNull { clip.getItemAt(it).uri }
                stream is Uri -> listOf(stream)
                stream is List<*> -> stream.filterIsInstance<Uri>()
                else -> listOfNotNull(intent.data)
            }
        }
    }
}
