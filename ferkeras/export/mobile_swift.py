"""Swift of the mobile guide, complete files; `mobile.py` puts the names and sizes of a model in for {{...}}.

Source of the interfaces: TensorFlowLiteSwift 2.17, Interpreter and SignatureRunner.
"""

_HEAD = """\
// Podfile: pod 'TensorFlowLiteSwift', '~> 2.17'; add {{file}} to the target
import CoreGraphics
import Foundation
import TensorFlowLite

let height = {{height}}
let width = {{width}}
let channels = {{channels}}
let labels: [String] = [{{labels}}]
let outputNames = [{{outputs}}]

func bytes(_ values: [Float]) -> Data { values.withUnsafeBufferPointer { Data(buffer: $0) } }

func floats(_ data: Data) -> [Float] { data.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) } }

"""

_STILL = """\
/// Not to be used from two threads at once.
final class FaceExpression {
    private let runner: SignatureRunner

    init() throws {
        let path = Bundle.main.path(forResource: "{{stem}}", ofType: "tflite")!
        runner = try Interpreter(modelPath: path).signatureRunner(with: "{{signature}}")
    }

    /// Outputs by name for the picture of one face, of any size.
    func run(_ face: CGImage) throws -> [String: [Float]] {
        try runner.invoke(with: ["image": bytes(networkInput(face))])
        return try outputNames.reduce(into: [:]) { $0[$1] = floats(try runner.output(named: $1).data) }
    }
}
"""

_STEP = """\
/// Reads a video frame by frame. Not to be used from two threads at once.
final class FaceExpression {
    private let runner: SignatureRunner
    private let sizes = [{{swift_states}}]
    private var states: [String: Data] = [:]

    init() throws {
        let path = Bundle.main.path(forResource: "{{stem}}", ofType: "tflite")!
        runner = try Interpreter(modelPath: path).signatureRunner(with: "{{signature}}")
        reset()
    }

    /// Begins another video.
    func reset() { states = sizes.mapValues { bytes([Float](repeating: 0, count: $0)) } }

    /// Outputs by name after one more frame, the picture of the face in it. Leave out frames without a face.
    func run(_ face: CGImage) throws -> [String: [Float]] {
        try runner.invoke(with: states.merging(["image": bytes(networkInput(face))]) { $1 })
        for name in sizes.keys { states[name] = try runner.output(named: name).data }
        return try outputNames.reduce(into: [:]) { $0[$1] = floats(try runner.output(named: $1).data) }
    }
}
"""

_CLIP = """\
/// Looks at the last {{frames}} faces. Not to be used from two threads at once.
final class FaceExpression {
    private let frames = {{frames}}
    private let runner: SignatureRunner
    private var faces: [[Float]] = []

    init() throws {
        let path = Bundle.main.path(forResource: "{{stem}}", ofType: "tflite")!
        runner = try Interpreter(modelPath: path).signatureRunner(with: "{{signature}}")
    }

    /// Begins another video.
    func reset() { faces = [] }

    /// Outputs by name after one more frame, the picture of the face in it. Leave out frames without a face.
    func run(_ face: CGImage) throws -> [String: [Float]] {
        faces = Array((faces + [networkInput(face)]).suffix(frames))
        let missing = frames - faces.count
        let clip = faces.flatMap { $0 } + [Float](repeating: 0, count: missing * height * width * channels)
        let mask = Data([UInt8](repeating: 1, count: faces.count) + [UInt8](repeating: 0, count: missing))
        try runner.invoke(with: ["frames": bytes(clip), "frame_mask": mask])
        return try outputNames.reduce(into: [:]) { $0[$1] = floats(try runner.output(named: $1).data) }
    }
}
"""

_PIXELS = """
/// Pixels as in training: colour, bilinear resizing that is widened when shrinking, whole numbers in [0, 255].
func networkInput(_ face: CGImage) -> [Float] {
    let (h, w) = (face.height, face.width)
    var rgba = [UInt8](repeating: 0, count: 4 * h * w)
    rgba.withUnsafeMutableBytes {
        let context = CGContext(
            data: $0.baseAddress, width: w, height: h, bitsPerComponent: 8, bytesPerRow: 4 * w,
            space: CGColorSpace(name: CGColorSpace.sRGB)!, bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)!
        context.draw(face, in: CGRect(x: 0, y: 0, width: w, height: h))
    }
    var result = [Float](repeating: 0, count: height * width * channels)
    for channel in 0..<channels {
        let plane = (0..<h * w).map { Float(value(rgba, 4 * $0, channel)) }
        for (i, pixel) in resize(plane, h, w).enumerated() {
            result[i * channels + channel] = min(max(pixel.rounded(.toNearestOrEven), 0), 255)
        }
    }
    return result
}

private func value(_ rgba: [UInt8], _ at: Int, _ channel: Int) -> Int {
    if channels == 3 { return Int(rgba[at + channel]) }
    return (19595 * Int(rgba[at]) + 38470 * Int(rgba[at + 1]) + 7471 * Int(rgba[at + 2]) + 32768) >> 16
}

private func resize(_ plane: [Float], _ h: Int, _ w: Int) -> [Float] {
    let (columns, rows) = (triangles(w, width), triangles(h, height))
    var narrow = [Float](repeating: 0, count: h * width)
    for y in 0..<h {
        for x in 0..<width {
            for (k, weight) in columns[x].weights.enumerated() {
                narrow[y * width + x] += weight * plane[y * w + columns[x].first + k]
            }
        }
    }
    var result = [Float](repeating: 0, count: height * width)
    for y in 0..<height {
        for (k, weight) in rows[y].weights.enumerated() {
            for x in 0..<width { result[y * width + x] += weight * narrow[(rows[y].first + k) * width + x] }
        }
    }
    return result
}

/// For each pixel of the result the first pixel that it sees and the weights of it and the following ones.
private func triangles(_ size: Int, _ toSize: Int) -> [(first: Int, weights: [Float])] {
    let scale = Float(size) / Float(toSize)
    let reach = max(scale, 1)
    return (0..<toSize).map { index in
        let centre = (Float(index) + 0.5) * scale - 0.5
        let first = max(Int((centre - reach).rounded(.up)), 0)
        let last = min(Int((centre + reach).rounded(.down)), size - 1)
        let weights = (first...last).map { max(1 - abs(Float($0) - centre) / reach, 0) }
        let total = weights.reduce(0, +)
        return (first, weights.map { $0 / total })
    }
}
"""

#: What the signature reads -> the file.
SWIFT = {
    "image": _HEAD + _STILL + _PIXELS,
    "step": _HEAD + _STEP + _PIXELS,
    "frames": _HEAD + _CLIP + _PIXELS,
}
