// The exported network in LiteRT.js: a crop of a face in, probabilities, valence and arousal out.
import {loadAndCompile, loadLiteRt, Tensor} from "@litertjs/core";

/**
 * Loads `model.tflite` as `model.json` describes it. A network of clips keeps what it needs of past frames: its states
 * if the file has a signature that reads one frame after the other, otherwise the last T frames.
 */
export async function loadNetwork(description) {
  await loadLiteRt(new URL("litertjs/core/wasm/", document.baseURI).href);
  const model = await loadAndCompile("model.tflite", {accelerator: "wasm"});
  const signatures = Object.values(model.signatures);
  const streaming = signatures.find((signature) => stateNames(signature).length > 0);
  if (description.frames === undefined) return new StillNetwork(signatures[0], description);
  if (streaming) return new StreamingNetwork(streaming, description);
  return new WindowNetwork(signatures.find((signature) => detailOf(signature, "frames")), description);
}

class StillNetwork {
  remembers = false;

  constructor(signature, description) {
    Object.assign(this, {signature, description});
  }

  reset() {}

  async run(face) {
    return answer(await call(this.signature, {image: face}), 0, this.description);
  }
}

/** Constant cost per frame: what is known of the past is in the states, zeros at the beginning. */
class StreamingNetwork {
  remembers = true;

  constructor(signature, description) {
    Object.assign(this, {signature, description, names: stateNames(signature)});
    this.input = signature.getInputDetails().find(({name}) => !this.names.includes(name)).name;
    this.reset();
  }

  reset() {
    this.states = Object.fromEntries(this.names.map((name) => [name, values(detailOf(this.signature, name))]));
  }

  async run(face) {
    const outputs = await call(this.signature, {[this.input]: face, ...this.states});
    this.states = Object.fromEntries(this.names.map((name) => [name, outputs[name]]));
    return answer(outputs, 0, this.description);
  }
}

/** The last T faces; the mask is 0 where there is none yet. */
class WindowNetwork {
  remembers = true;

  constructor(signature, description) {
    Object.assign(this, {signature, description, faces: []});
    this.frames = detailOf(signature, "frames");
    this.mask = detailOf(signature, "frame_mask");
  }

  reset() {
    this.faces = [];
  }

  async run(face) {
    const length = this.frames.shape[1];
    this.faces = [...this.faces, face].slice(-length);
    const frames = values(this.frames);
    this.faces.forEach((pixels, index) => frames.set(pixels, index * pixels.length));
    const frameMask = values(this.mask).fill(1, 0, this.faces.length);
    const outputs = await call(this.signature, {frames, frame_mask: frameMask});
    return answer(outputs, this.faces.length - 1, this.description);
  }
}

function detailOf(signature, name) {
  return signature.getInputDetails().find((detail) => detail.name === name);
}

function stateNames(signature) {
  const outputs = signature.getOutputDetails().map(({name}) => name);
  return signature.getInputDetails().map(({name}) => name).filter((name) => outputs.includes(name));
}

function values({dtype, shape}) {
  const size = shape.reduce((a, b) => a * b, 1);
  return new {float32: Float32Array, int32: Int32Array, uint8: Uint8Array}[dtype](size);
}

/** Runs a signature on typed arrays by name; tensors are freed, as LiteRT.js leaves that to its user. */
async function call(signature, given) {
  const inputs = Object.fromEntries(
    signature.getInputDetails().map(({name, shape}) => [name, new Tensor(given[name], [...shape])]),
  );
  const outputs = await signature.run(inputs);
  const result = Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, tensor.toTypedArray()]));
  for (const tensor of [...Object.values(inputs), ...Object.values(outputs)]) tensor.delete();
  return result;
}

/** What the outputs say: `{probabilities, valence, arousal}`, those that the network has. `last` is the frame that
 * counts where there is an output for each. */
function answer(outputs, last, {heads}) {
  const classes = heads.emotion?.length;
  const frames = outputs.valence?.length ?? outputs.emotion.length / classes;
  const index = frames > 1 ? last : 0;
  const result = {};
  if (heads.emotion) result.probabilities = softmax(outputs.emotion.subarray(index * classes, (index + 1) * classes));
  if (heads.valence) result.valence = outputs.valence[index];
  if (heads.arousal) result.arousal = outputs.arousal[index];
  return result;
}

function softmax(logits) {
  const largest = Math.max(...logits);
  const weights = Array.from(logits, (logit) => Math.exp(logit - largest));
  const total = weights.reduce((a, b) => a + b);
  return weights.map((weight) => weight / total);
}
