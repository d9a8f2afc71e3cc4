package io.github.regnet_edge

import android.content.Context
import android.os.Handler
import android.os.Looper
import android.os.Process
import io.github.regnet_edge.benchmark.AndroidPhone
import io.github.regnet_edge.benchmark.BenchmarkRun
import io.github.regnet_edge.benchmark.Foreground
import io.github.regnet_edge.benchmark.Machine
import io.github.regnet_edge.benchmark.Pin
import io.github.regnet_edge.camera.Camera2Source
import io.github.regnet_edge.camera.FrameSource
import io.github.regnet_edge.classify.Classifier
import io.github.regnet_edge.history.History
import io.github.regnet_edge.model.Assets
import io.github.regnet_edge.model.ModelStore
import io.github.regnet_edge.runtime.Runtimes
import io.github.regnet_edge.verdict.Judge
import io.github.regnet_edge.verdict.Rules
import io.github.regnet_edge.verify.Proofs
import java.io.File
import java.util.concurrent.Executor
import java.util.concurrent.Executors

/**
 * What the screens work with, each behind a door that a test can replace. Work goes to [background], one thing at
 * a time; what it finds comes back on [main].
 */
class Services(
    context: Context,
    val runtimes: Runtimes = Runtimes(),
    val assets: Assets = Assets { context.assets.open(it) },
    val machine: Machine = Machine(AndroidPhone(context)),
    val background: Executor = Executors.newSingleThreadExecutor(),
    val main: Executor = Handler(Looper.getMainLooper()).let { handler -> Executor { handler.post(it) } },
    val camera: (Boolean) -> FrameSource = { front -> Camera2Source(context, front) },
    folder: File = context.filesDir,
    space: (() -> Long)? = null,
) {
    val store = File(folder, "models").let { if (space == null) ModelStore(assets, it, runtimes) else ModelStore(assets, it, runtimes, space) }
    val history = History(File(folder, "results.jsonl"))
    val foreground = Foreground(machine.clock)
    val judge: Judge = Rules.of(assets)
    val proofs = Proofs()
    val pin = Pin(machine, Process.myPid())
    val classifier = Classifier(runtimes)
    val benchmark = BenchmarkRun(this)

    /** Do [work] in the background and hand what it gives, or the exception that it threw, to [done] on the main thread. */
    fun <T> inBackground(work: () -> T, done: (Result<T>) -> Unit) =
        background.execute { runCatching(work).let { result -> main.execute { done(result) } } }
}
