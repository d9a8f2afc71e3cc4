package io.github.regnet_edge.ui

import android.content.Context
import android.content.res.Configuration
import android.graphics.Typeface
import android.util.TypedValue
import android.view.Gravity
import android.view.View
import android.view.ViewGroup.LayoutParams.MATCH_PARENT
import android.view.ViewGroup.LayoutParams.WRAP_CONTENT
import android.widget.AdapterView
import android.widget.ArrayAdapter
import android.widget.Button
import android.widget.CheckBox
import android.widget.LinearLayout
import android.widget.ProgressBar
import android.widget.ScrollView
import android.widget.Spinner
import android.widget.TextView
import io.github.regnet_edge.R

/** Makes the few kinds of framework views that the screens are built of; sizes in dp, texts in sp. */
class Views(private val context: Context) {
    /** Whether there is more room beside than below. */
    val isLandscape get() = context.resources.configuration.orientation == Configuration.ORIENTATION_LANDSCAPE

    fun dp(value: Int): Int =
        TypedValue.applyDimension(TypedValue.COMPLEX_UNIT_DIP, value.toFloat(), context.resources.displayMetrics).toInt()

    fun column(vararg children: View): LinearLayout = LinearLayout(context).apply {
        orientation = LinearLayout.VERTICAL
        children.forEach { addView(it, LinearLayout.LayoutParams(MATCH_PARENT, WRAP_CONTENT).spaced()) }
    }

    /** Side by side, each as wide as the others. */
    fun row(vararg children: View): LinearLayout = LinearLayout(context).apply {
        gravity = Gravity.CENTER_VERTICAL
        children.forEach { addView(it, LinearLayout.LayoutParams(0, WRAP_CONTENT, 1f)) }
    }

    /** A column that scrolls where it is longer than the screen, in landscape and with large fonts. */
    fun page(content: View): ScrollView = ScrollView(context).apply {
        val side = dp(16)
        setPadding(side, dp(8), side, dp(8))
        clipToPadding = false
        scrollBarStyle = View.SCROLLBARS_OUTSIDE_OVERLAY
        addView(content)
    }

    fun heading(text: CharSequence): TextView = text(text).apply {
        setTextSize(TypedValue.COMPLEX_UNIT_SP, 20f)
        setTypeface(typeface, Typeface.BOLD)
        if (android.os.Build.VERSION.SDK_INT >= 28) isAccessibilityHeading = true
    }

    fun text(text: CharSequence): TextView = TextView(context).apply {
        this.text = text
        setTextSize(TypedValue.COMPLEX_UNIT_SP, 15f)
        setTextColor(color(android.R.attr.textColorPrimary))
        setTextIsSelectable(true)
    }

    /** Says what happens now; it takes no room while it is empty, and TalkBack reads what is new. */
    fun message(): TextView = object : TextView(context) {
        override fun onTextChanged(text: CharSequence, start: Int, before: Int, after: Int) {
            visibility = if (text.isEmpty()) View.GONE else View.VISIBLE
        }
    }.apply {
        setTextSize(TypedValue.COMPLEX_UNIT_SP, 15f)
        setTextColor(color(android.R.attr.textColorPrimary))
        accessibilityLiveRegion = View.ACCESSIBILITY_LIVE_REGION_POLITE
        visibility = View.GONE
    }

    fun small(text: CharSequence): TextView = text(text).apply {
        setTextSize(TypedValue.COMPLEX_UNIT_SP, 13f)
        setTextColor(color(android.R.attr.textColorSecondary))
    }

    fun button(text: Int, onClick: () -> Unit): Button = Button(context).apply {
        setText(text)
        isAllCaps = false
        setOnClickListener { onClick() }
    }

    fun check(text: CharSequence, checked: Boolean, onChange: (Boolean) -> Unit): CheckBox = CheckBox(context).apply {
        this.text = text
        isChecked = checked
        minHeight = dp(48)
        setOnCheckedChangeListener { _, now -> onChange(now) }
    }

    /** A choice of one; [label] is what TalkBack reads before it. */
    fun choice(label: Int, items: List<String>, selected: Int, onChoose: (Int) -> Unit): Spinner = Spinner(context).apply {
        contentDescription = context.getString(label)
        minimumHeight = dp(48)
        adapter = ArrayAdapter(context, android.R.layout.simple_spinner_item, items).apply {
            setDropDownViewResource(android.R.layout.simple_spinner_dropdown_item)
        }
        setSelection(selected)
        onItemSelectedListener = object : AdapterView.OnItemSelectedListener {
            override fun onItemSelected(parent: AdapterView<*>, view: View?, position: Int, id: Long) = onChoose(position)

            override fun onNothingSelected(parent: AdapterView<*>) = Unit
        }
    }

    /** A label over a bar and a percentage; one thing for TalkBack. */
    fun bar(label: String, share: Float): View {
        val percent = "%.1f %%".format(100 * share)
        val words = row(text(label), text(percent).apply { gravity = Gravity.END; textAlignment = View.TEXT_ALIGNMENT_VIEW_END })
        val bar = ProgressBar(context, null, android.R.attr.progressBarStyleHorizontal).apply {
            max = 1000
            progress = (1000 * share).toInt()
        }
        return column(words, bar).apply {
            contentDescription = "$label, $percent"
            isFocusable = true
        }
    }

    /** A card: a column with a frame around it. */
    fun card(vararg children: View): LinearLayout = column(*children).apply {
        layoutParams = LinearLayout.LayoutParams(MATCH_PARENT, WRAP_CONTENT).spaced()
        setBackgroundResource(R.drawable.card)
        val side = dp(12)
        setPadding(side, dp(4), side, dp(8))
    }

    fun color(attribute: Int): Int = context.obtainStyledAttributes(intArrayOf(attribute)).run {
        getColor(0, 0).also { recycle() }
    }

    private fun LinearLayout.LayoutParams.spaced() = apply { topMargin = dp(6) }
}
