package io.github.regnet_edge

import io.github.regnet_edge.camera.Camera2Source
import io.github.regnet_edge.camera.Plane
import io.github.regnet_edge.camera.Yuv
import io.github.regnet_edge.preprocessing.Pixels
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Test
import java.nio.ByteBuffer
import kotlin.math.abs

/** A grey picture as a sensor sees it that has to be turned by [degrees]: rows padded, chroma interleaved, as on phones. */
fun sensorSees(picture: Pixels, degrees: Int): Yuv {
    val seen = picture.upright(mapOf(0 to 1, 90 to 8, 180 to 3, 270 to 6).getValue(degrees))
    val stride = seen.width + 13
    val luma = ByteBuffer.allocate(stride * seen.height)
    for (y in 0 until seen.height) for (x in 0 until seen.width) luma.put(y * stride + x, seen.at(x, y, 0).toByte())
    val chroma = ByteBuffer.wrap(ByteArray(stride * (seen.height / 2 + 1)) { 128.toByte() })
    return Yuv(seen.width, seen.height, Plane(luma, stride, 1), Plane(chroma, stride, 2), Plane(chroma, stride, 2))
}

/** What a camera gives becomes an upright RGB picture. */
class CameraTest {
    private fun plane(vararg values: Int) = Plane(ByteBuffer.wrap(ByteArray(values.size) { values[it].toByte() }), values.size, 1)

    @Test
    fun `YUV becomes the colours that the JFIF standard names`() {
        val known = listOf( // Y, Cb, Cr as rounded by JFIF 1.02's equations, and the colour
            listOf(76, 85, 255) to listOf(255, 0, 0), listOf(150, 44, 21) to listOf(0, 255, 0),
            listOf(29, 255, 107) to listOf(0, 0, 255), listOf(255, 128, 128) to listOf(255, 255, 255), listOf(0, 128, 128) to listOf(0, 0, 0),
        )
        for ((yuv, rgb) in known) {
            val found = Yuv(1, 1, plane(yuv[0]), plane(yuv[1]), plane(yuv[2])).toPixels(0)
            for (c in 0..2) assertEquals("$yuv, channel $c", 0, abs(rgb[c] - found.at(0, 0, c)) / 3)
        }
    }

    @Test
    fun `frames of all four rotations come out upright, whatever their strides`() {
        val picture = Pixels(6, 4, 1, ByteArray(24) { (10 * it).toByte() })
        for (degrees in listOf(0, 90, 180, 270)) {
            val found = sensorSees(picture, degrees).toPixels(degrees)
            assertEquals("width at $degrees", 6, found.width)
            assertArrayEquals("at $degrees", picture.bytes, ByteArray(24) { found.bytes[3 * it] })
        }
    }

    @Test
    fun `a turn is the sensor's less the display's, a front camera's the other way`() {
        val displays = listOf(0, 90, 180, 270)
        assertEquals(listOf(90, 0, 270, 180), displays.map { Camera2Source.turn(90, it, front = false) })
        assertEquals(listOf(270, 0, 90, 180), displays.map { Camera2Source.turn(270, it, front = true) })
    }
}
