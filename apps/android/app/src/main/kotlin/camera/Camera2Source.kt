package io.github.regnet_edge.camera

import android.annotation.SuppressLint
import android.content.Context
import android.graphics.ImageFormat
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCaptureSession
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraDevice
import android.hardware.camera2.CameraManager
import android.hardware.display.DisplayManager
import android.media.Image
import android.media.ImageReader
import android.os.Handler
import android.os.HandlerThread
import android.util.Size
import android.view.Display
import android.view.Surface
import io.github.regnet_edge.preprocessing.Pixels

/** The back or front camera through Camera2; a frame that comes while the last one is looked at is dropped. */
class Camera2Source(private val context: Context, private val front: Boolean) : FrameSource {
    private val manager = context.getSystemService(CameraManager::class.java)
    private val thread = HandlerThread("camera")
    private var device: CameraDevice? = null
    private var reader: ImageReader? = null

    @Volatile
    private var stopped = false

    @Volatile
    private var opening = false // its thread lives until the system has answered

    override fun start(onFrame: (Pixels) -> Unit, onFailure: (String) -> Unit) {
        thread.start()
        val handler = Handler(thread.looper)
        saying(onFailure) {
            val id = manager.cameraIdList.find { facing(it) == wanted() } ?: manager.cameraIdList.firstOrNull()
            if (id == null) onFailure("This phone has no camera; choose a picture instead.") else open(id, handler, onFrame, onFailure)
        }
    }

    private fun saying(onFailure: (String) -> Unit, work: () -> Unit) = try {
        work()
    } catch (error: CameraAccessException) {
        onFailure("The camera cannot be used (${error.message}); close the app that uses it.")
    } catch (_: SecurityException) {
        onFailure("The camera is not allowed; allow it in the system's settings, or choose a picture.")
    } catch (error: IllegalStateException) { // camera or reader were closed meanwhile, by us or by the system
        if (stopped) Unit else onFailure("The camera was closed (${error.message}); start it again.")
    }

    override fun stop() {
        stopped = true
        device?.close()
        reader?.close()
        if (!opening) thread.quitSafely()
    }

    private fun wanted() = if (front) CameraCharacteristics.LENS_FACING_FRONT else CameraCharacteristics.LENS_FACING_BACK

    private fun facing(id: String) = manager.getCameraCharacteristics(id)[CameraCharacteristics.LENS_FACING]

    @SuppressLint("MissingPermission") // asked for by the screen; a refusal is a SecurityException, caught above
    private fun open(id: String, handler: Handler, onFrame: (Pixels) -> Unit, onFailure: (String) -> Unit) {
        val size = size(id)
        val images = ImageReader.newInstance(size.width, size.height, ImageFormat.YUV_420_888, 2)
        val take = { source: ImageReader -> source.acquireLatestImage()?.use { onFrame(pixels(it, degrees(id))) } }
        images.setOnImageAvailableListener({ source -> saying(onFailure) { take(source) } }, handler)
        reader = images
        opening = true
        manager.openCamera(id, object : CameraDevice.StateCallback() {
            override fun onOpened(camera: CameraDevice) {
                device = camera
                opening = false
                if (stopped) letGo(camera) else saying(onFailure) { stream(camera, images.surface, handler, onFailure) }
            }

            override fun onDisconnected(camera: CameraDevice) = letGo(camera)

            override fun onError(camera: CameraDevice, error: Int) {
                letGo(camera)
                onFailure("The camera failed (error $error); start it again.")
            }
        }, handler)
    }

    private fun letGo(camera: CameraDevice) {
        opening = false
        camera.close()
        if (stopped) thread.quitSafely()
    }

    /** The smallest size of at least 640 x 480: networks look at less. */
    private fun size(id: String): Size {
        val sizes = manager.getCameraCharacteristics(id)[CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP]
            ?.getOutputSizes(ImageFormat.YUV_420_888).orEmpty().sortedBy { it.width * it.height }
        return sizes.find { it.width >= 640 && it.height >= 480 } ?: sizes.lastOrNull() ?: Size(640, 480)
    }

    @Suppress("DEPRECATION") // its successor came with API 28
    private fun stream(camera: CameraDevice, to: Surface, handler: Handler, onFailure: (String) -> Unit) {
        camera.createCaptureSession(listOf(to), object : CameraCaptureSession.StateCallback() {
            override fun onConfigured(session: CameraCaptureSession) = saying(onFailure) {
                val request = camera.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW).apply { addTarget(to) }
                session.setRepeatingRequest(request.build(), null, handler)
            }

            override fun onConfigureFailed(session: CameraCaptureSession) =
                onFailure("The camera does not give pictures in this format; choose a picture instead.")
        }, handler)
    }

    /** How far to turn a frame clockwise so that it is upright on the display. */
    private fun degrees(id: String): Int {
        val sensor = manager.getCameraCharacteristics(id)[CameraCharacteristics.SENSOR_ORIENTATION] ?: 0
        val display = context.getSystemService(DisplayManager::class.java).getDisplay(Display.DEFAULT_DISPLAY)
        return turn(sensor, 90 * (display?.rotation ?: 0), front)
    }

    companion object {
        /** The sensor's turn less the display's; a front camera looks the other way. */
        fun turn(sensor: Int, display: Int, front: Boolean): Int =
            if (front) (sensor + display) % 360 else (sensor - display + 360) % 360

        private fun pixels(image: Image, degrees: Int): Pixels {
            val planes = image.planes.map { Plane(it.buffer, it.rowStride, it.pixelStride) }
            return Yuv(image.width, image.height, planes[0], planes[1], planes[2]).toPixels(degrees)
        }
    }
}
