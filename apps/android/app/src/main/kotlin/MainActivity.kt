package io.github.regnet_edge

import android.app.Activity
import android.content.Intent
import android.content.pm.PackageManager
import android.os.Bundle
import android.util.TypedValue
import android.view.View
import android.view.ViewGroup.LayoutParams.MATCH_PARENT
import android.view.ViewGroup.LayoutParams.WRAP_CONTENT
import android.widget.Button
import android.widget.FrameLayout
import android.widget.LinearLayout
import io.github.regnet_edge.benchmark.BenchmarkScreen
import io.github.regnet_edge.classify.ClassifyScreen
import io.github.regnet_edge.history.HistoryScreen
import io.github.regnet_edge.models.ModelsScreen
import io.github.regnet_edge.ui.Screen
import io.github.regnet_edge.ui.Views
import io.github.regnet_edge.verify.VerifyScreen

/** The five screens and the bar that leads to them. */
class MainActivity : Activity() {
    private val services get() = App.of(this).services
    private lateinit var frame: FrameLayout
    private lateinit var tabs: List<Button>
    private var saved: Bundle? = null
    private var index = 0

    /** The screen in front. */
    lateinit var screen: Screen
        private set

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        saved = state
        frame = FrameLayout(this)
        tabs = TITLES.mapIndexed { i, title -> tab(title) { show(i) } }
        setContentView(whole())
        show(state?.getInt(TAB) ?: intent.getIntExtra(TAB, 0))
        if (state == null) take(intent)
    }

    override fun onNewIntent(intent: Intent) {
        super.onNewIntent(intent)
        show(intent.getIntExtra(TAB, index))
        take(intent)
    }

    private fun whole(): View = LinearLayout(this).apply {
        orientation = LinearLayout.VERTICAL
        fitsSystemWindows = true
        addView(frame, LinearLayout.LayoutParams(MATCH_PARENT, 0, 1f))
        addView(Views(context).row(*tabs.toTypedArray()), LinearLayout.LayoutParams(MATCH_PARENT, WRAP_CONTENT))
    }

    private fun tab(title: Int, onClick: () -> Unit): Button =
        Button(this, null, android.R.attr.borderlessButtonStyle).apply {
            setText(title)
            isAllCaps = false
            maxLines = 1 // large fonts shrink here, so that a word stays whole
            val largest = (12 * resources.configuration.fontScale).toInt()
            setAutoSizeTextTypeUniformWithConfiguration(8, maxOf(9, largest), 1, TypedValue.COMPLEX_UNIT_DIP)
            setPadding(0, 0, 0, 0)
            minHeight = Views(context).dp(56)
            setOnClickListener { onClick() }
        }

    /** Bring screen [i] to the front. */
    fun show(i: Int) {
        if (::screen.isInitialized) screen.hidden()
        index = i
        tabs.forEachIndexed { n, tab -> tab.isSelected = n == i; tab.alpha = if (n == i) 1f else UNSELECTED }
        setTitle(TITLES[i])
        screen = made(i)
        frame.removeAllViews()
        frame.addView(screen.view)
        screen.shown()
    }

    private fun made(i: Int): Screen {
        val state = saved?.takeIf { it.getInt(TAB) == i }
        return when (i) {
            CLASSIFY -> ClassifyScreen(this, services, state)
            BENCHMARK -> BenchmarkScreen(this, services, state)
            VERIFY -> VerifyScreen(this, services)
            MODELS -> ModelsScreen(this, services)
            else -> HistoryScreen(this, services)
        }
    }

    /** A picture or models that the share sheet brought. */
    private fun take(intent: Intent) {
        if (intent.clipData != null || intent.data != null) screen.chosen(SHARED, intent)
    }

    override fun onRestart() {
        super.onRestart()
        screen.shown()
    }

    override fun onResume() {
        super.onResume()
        services.foreground.entered(javaClass.name)
    }

    override fun onPause() {
        if (!isChangingConfigurations) services.foreground.left(javaClass.name)
        super.onPause()
    }

    override fun onStop() {
        screen.hidden()
        super.onStop()
    }

    override fun onSaveInstanceState(state: Bundle) {
        super.onSaveInstanceState(state)
        state.putInt(TAB, index)
        screen.save(state)
    }

    @Deprecated("The framework's own replacement is in AndroidX, which this app leaves out.")
    override fun onActivityResult(request: Int, result: Int, data: Intent?) {
        if (result == RESULT_OK && data != null) screen.chosen(request, data)
    }

    override fun onRequestPermissionsResult(request: Int, permissions: Array<String>, results: IntArray) =
        screen.permitted(results.firstOrNull() == PackageManager.PERMISSION_GRANTED)

    companion object {
        const val TAB = "tab"
        const val SHARED = 100
        const val CLASSIFY = 0
        const val BENCHMARK = 1
        const val VERIFY = 2
        const val MODELS = 3
        const val HISTORY = 4
        private const val UNSELECTED = 0.6f
        private val TITLES = listOf(R.string.classify, R.string.benchmark, R.string.verify, R.string.models, R.string.history)
    }
}
