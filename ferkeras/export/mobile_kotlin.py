"""Kotlin of the mobile guide, complete files; `mobile.py` puts the names and sizes of a model in for {{...}}.

Source of the interfaces: `com.google.ai.edge.litert` 2, CompiledModel and TensorBuffer.
"""

_HEAD = """\
// build.gradle.kts: implementation("com.google.ai.edge.litert:litert:2.1.0"); src/main/assets/{{file}}
import android.content.res.AssetManager
import android.graphics.Bitmap
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import kotlin.math.abs
import kotlin.math.ceil
import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min
import kotlin.math.round

const val HEIGHT = {{height}}
const val WIDTH = {{width}}
const val CHANNELS = {{channels}}
val LABELS = listOf<String>({{labels}})
val OUTPUTS = listOf({{outputs}})

"""

_STILL = """\
/** Not to be used from two threads at once. */
class FaceExpression(assets: AssetManager) : AutoCloseable {
    private val model = CompiledModel.create(assets, "{{file}}", CompiledModel.Options(Accelerator.CPU))
    private val inputs = mapOf("image" to model.createInputBuffer("image", "{{signature}}"))
    private val outputs = OUTPUTS.associateWith { model.createOutputBuffer(it, "{{signature}}") }

    /** Outputs by name for the picture of one face, of any size. */
    fun run(face: Bitmap): Map<String, FloatArray> {
        inputs.getValue("image").writeFloat(networkInput(face))
        model.run(inputs, outputs, "{{signature}}")
        return outputs.mapValues { it.value.readFloat() }
    }

    override fun close() {
        (inputs.values + outputs.values).forEach { it.close() }
        model.close()
    }
}
"""

_STEP = """\
/** Reads a video frame by frame. Not to be used from two threads at once. */
class FaceExpression(assets: AssetManager) : AutoCloseable {
    private val model = CompiledModel.create(assets, "{{file}}", CompiledModel.Options(Accelerator.CPU))
    private val sizes = mapOf({{kotlin_states}})
    private val inputs = (sizes.keys + "image").associateWith { model.createInputBuffer(it, "{{signature}}") }
    private val outputs = (OUTPUTS + sizes.keys).associateWith { model.createOutputBuffer(it, "{{signature}}") }

    init {
        reset()
    }

    /** Begins another video. */
    fun reset() = sizes.forEach { (name, size) -> inputs.getValue(name).writeFloat(FloatArray(size)) }

    /** Outputs by name after one more frame, the picture of the face in it. Leave out frames without a face. */
    fun run(face: Bitmap): Map<String, FloatArray> {
        inputs.getValue("image").writeFloat(networkInput(face))
        model.run(inputs, outputs, "{{signature}}")
        sizes.keys.forEach { inputs.getValue(it).writeFloat(outputs.getValue(it).readFloat()) }
        return OUTPUTS.associateWith { outputs.getValue(it).readFloat() }
    }

    override fun close() {
        (inputs.values + outputs.values).forEach { it.close() }
        model.close()
    }
}
"""

_CLIP = """\
/** Looks at the last {{frames}} faces. Not to be used from two threads at once. */
class FaceExpression(assets: AssetManager) : AutoCloseable {
    private val frames = {{frames}}
    private val model = CompiledModel.create(assets, "{{file}}", CompiledModel.Options(Accelerator.CPU))
    private val inputs = listOf("frames", "frame_mask").associateWith { model.createInputBuffer(it, "{{signature}}") }
    private val outputs = OUTPUTS.associateWith { model.createOutputBuffer(it, "{{signature}}") }
    private val faces = ArrayDeque<FloatArray>()

    /** Begins another video. */
    fun reset() = faces.clear()

    /** Outputs by name after one more frame, the picture of the face in it. Leave out frames without a face. */
    fun run(face: Bitmap): Map<String, FloatArray> {
        faces.addLast(networkInput(face))
        if (faces.size > frames) faces.removeFirst()
        val size = HEIGHT * WIDTH * CHANNELS
        val clip = FloatArray(frames * size)
        faces.forEachIndexed { index, pixels -> pixels.copyInto(clip, index * size) }
        inputs.getValue("frames").writeFloat(clip)
        inputs.getValue("frame_mask").writeBoolean(BooleanArray(frames) { it < faces.size })
        model.run(inputs, outputs, "{{signature}}")
        return outputs.mapValues { it.value.readFloat() }
    }

    override fun close() {
        (inputs.values + outputs.values).forEach { it.close() }
        model.close()
    }
}
"""

_PIXELS = """
/** Pixels as in training: colour, bilinear resizing that is widened when shrinking, whole numbers in [0, 255]. */
fun networkInput(face: Bitmap): FloatArray {
    val colours = IntArray(face.width * face.height)
    face.getPixels(colours, 0, face.width, 0, 0, face.width, face.height)
    val result = FloatArray(HEIGHT * WIDTH * CHANNELS)
    for (channel in 0 until CHANNELS) {
        val plane = FloatArray(colours.size) { value(colours[it], channel).toFloat() }
        val resized = resize(plane, face.height, face.width)
        for (i in resized.indices) result[i * CHANNELS + channel] = min(max(round(resized[i]), 0f), 255f)
    }
    return result
}

private fun value(colour: Int, channel: Int): Int {
    val rgb = intArrayOf(colour shr 16 and 255, colour shr 8 and 255, colour and 255)
    if (CHANNELS == 3) return rgb[channel]
    return (19595 * rgb[0] + 38470 * rgb[1] + 7471 * rgb[2] + 32768) shr 16
}

private fun resize(plane: FloatArray, height: Int, width: Int): FloatArray {
    val columns = triangles(width, WIDTH)
    val rows = triangles(height, HEIGHT)
    val narrow = FloatArray(height * WIDTH)
    for (y in 0 until height) for (x in 0 until WIDTH) {
        val (first, weights) = columns[x]
        for (k in weights.indices) narrow[y * WIDTH + x] += weights[k] * plane[y * width + first + k]
    }
    val result = FloatArray(HEIGHT * WIDTH)
    for (y in 0 until HEIGHT) for (x in 0 until WIDTH) {
        val (first, weights) = rows[y]
        for (k in weights.indices) result[y * WIDTH + x] += weights[k] * narrow[(first + k) * WIDTH + x]
    }
    return result
}

/** For each pixel of the result the first pixel that it sees and the weights of it and the following ones. */
private fun triangles(size: Int, toSize: Int): List<Pair<Int, FloatArray>> {
    val scale = size.toFloat() / toSize
    val reach = max(scale, 1f)
    return List(toSize) { index ->
        val centre = (index + 0.5f) * scale - 0.5f
        val first = max(ceil(centre - reach).toInt(), 0)
        val last = min(floor(centre + reach).toInt(), size - 1)
        val weights = FloatArray(last - first + 1) { max(1 - abs(first + it - centre) / reach, 0f) }
        val total = weights.sum()
        Pair(first, FloatArray(weights.size) { weights[it] / total })
    }
}
"""

#: What the signature reads -> the file.
KOTLIN = {
    "image": _HEAD + _STILL + _PIXELS,
    "step": _HEAD + _STEP + _PIXELS,
    "frames": _HEAD + _CLIP + _PIXELS,
}
