package io.github.regnet_edge

import io.github.regnet_edge.model.objects
import io.github.regnet_edge.preprocessing.PictureReader
import io.github.regnet_edge.preprocessing.Preprocessing
import org.json.JSONObject
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.GraphicsMode
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs

/** The vectors that Python, Kotlin and JavaScript share. */
@RunWith(RobolectricTestRunner::class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class PreprocessingTest {
    private val folder = File(ROOT, "tests/vectors/preprocessing")
    private val cases = objects(JSONObject(File(folder, "index.json").readText()).getJSONArray("cases"))

    @Test
    fun `every picture becomes the pixels that Pillow makes of it, within 1 of 255`() {
        assertTrue(cases.size >= 27)
        val wrong = cases.mapNotNull { case ->
            val how = Preprocessing.of(case.getJSONObject("preprocessing"))
            val found = how.fit(PictureReader { File(folder, case.getString("picture")).inputStream() }.read())
            val wanted = File(folder, case.getString("pixels")).readBytes()
            assertEquals(case.getString("name"), wanted.size, found.bytes.size)
            val worst = wanted.indices.maxOf { abs((wanted[it].toInt() and 0xff) - (found.bytes[it].toInt() and 0xff)) }
            "${case.getString("name")}: off by $worst".takeIf { worst > 1 }
        }
        assertEquals(emptyList<String>(), wrong)
    }

    @Test
    fun `PNG pictures become the very same bytes`() {
        val png = cases.filter { it.getString("picture").endsWith(".png") }
        val same = png.count { case ->
            val how = Preprocessing.of(case.getJSONObject("preprocessing"))
            val found = how.fit(PictureReader { File(folder, case.getString("picture")).inputStream() }.read())
            File(folder, case.getString("pixels")).readBytes().contentEquals(found.bytes)
        }
        assertEquals(png.size, same)
    }

    @Test
    fun `a tensor gives back the pixels that it was made of`() {
        for (case in cases) {
            val how = Preprocessing.of(case.getJSONObject("preprocessing"))
            val fitted = how.fit(PictureReader { File(folder, case.getString("picture")).inputStream() }.read())
            assertArrayEquals(case.getString("name"), how.planes(fitted), how.pixelsOf(how.normalize(fitted)), 0f)
        }
    }

    @Test
    fun `the tensor is (pixels through 255 - mean) through std`() {
        for (case in cases) {
            val how = Preprocessing.of(case.getJSONObject("preprocessing"))
            val picture = PictureReader { File(folder, case.getString("picture")).inputStream() }.read()
            val floats = ByteBuffer.wrap(File(folder, case.getString("tensor")).readBytes()).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
            val found = how.tensor(picture)
            val step = 1 / 255f / how.std.min() + 1e-5f
            for (i in found.indices) assertEquals(case.getString("name"), floats[i], found[i], step)
        }
    }
}
