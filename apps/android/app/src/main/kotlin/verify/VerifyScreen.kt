package io.github.regnet_edge.verify

import android.app.Activity
import android.view.View
import android.widget.LinearLayout
import android.widget.TextView
import io.github.regnet_edge.R
import io.github.regnet_edge.Services
import io.github.regnet_edge.model.Model
import io.github.regnet_edge.ui.Screen
import io.github.regnet_edge.ui.Views

/** Every model against the definition's own numbers, on this phone. */
class VerifyScreen(private val activity: Activity, private val services: Services) : Screen {
    private val views = Views(activity)
    private val message: TextView = views.message().apply { setText(R.string.verify_about) }
    private val results: LinearLayout = views.column()
    private val start = views.button(R.string.verify_all, ::verifyAll)
    override val view: View = views.page(views.column(message, start, results))

    private fun verifyAll() {
        start.isEnabled = false
        results.removeAllViews()
        services.inBackground(services.store::all) { result ->
            val models = result.getOrNull()?.models.orEmpty()
            if (models.isEmpty()) message.setText(R.string.no_model)
            verify(models)
        }
    }

    /** One after the other, so that each result shows as soon as it is there. */
    private fun verify(models: List<Model>) {
        val model = models.firstOrNull()
        if (model == null) {
            start.isEnabled = true
            return
        }
        val verifier = Verifier { done, all -> services.main.execute { tell(model, done, all) } }
        services.inBackground({ services.proofs.renew(model, services.runtimes.of(model.target), verifier) }) { result ->
            results.addView(result.fold({ card(model, it) }) { views.card(views.text(model.name), views.small(it.message.orEmpty())) })
            message.setText(R.string.verified)
            verify(models.drop(1))
        }
    }

    private fun tell(model: Model, done: Int, all: Int) {
        message.text = activity.getString(R.string.verifying, model.name, done, all)
    }

    private fun card(model: Model, proof: Proof): View {
        val verdict = activity.getString(if (proof.passed) R.string.passes else R.string.fails)
        val numbers = activity.getString(
            R.string.proof, figure(proof.maxAbsError), decibels(proof.sqnrDb), 100 * proof.top1Agreement, proof.images,
        )
        val accuracy = proof.accuracy?.let { activity.getString(R.string.accuracy, 100 * it) }
        val lines = listOfNotNull(numbers, accuracy) + proof.failures
        return views.card(views.text("${model.name}: $verdict"), *lines.map(views::small).toTypedArray())
    }

    /** Two digits; small ones with a power of ten. */
    private fun figure(value: Double): String = if (value != 0.0 && value < SMALL) "%.1e".format(value) else "%.2g".format(value)

    private fun decibels(db: Double): String =
        if (db.isInfinite()) activity.getString(R.string.no_error) else activity.getString(R.string.decibels, db)

    private companion object {
        const val SMALL = 1e-3
    }
}
