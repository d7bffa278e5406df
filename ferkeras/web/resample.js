// A square of a picture as the network's input, the same arithmetic as in training: grey, then resized.

/** RGBA bytes of (height, width) to C planes of floats in [0, 255]; C = 1 is ITU-R BT.601 luma, rounded. */
export function planes(rgba, channels) {
  const size = rgba.length / 4;
  const result = Array.from({length: channels}, () => new Float32Array(size));
  for (let i = 0; i < size; i++) {
    const [red, green, blue] = [rgba[4 * i], rgba[4 * i + 1], rgba[4 * i + 2]];
    if (channels === 1) {
      result[0][i] = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16;
    } else {
      result[0][i] = red;
      result[1][i] = green;
      result[2][i] = blue;
    }
  }
  return result;
}

/** One plane to (toHeight, toWidth), bilinear; the triangle is widened when shrinking, which prevents aliasing. */
export function resize(plane, height, width, toHeight, toWidth) {
  if (height === toHeight && width === toWidth) return plane;
  const columns = triangles(width, toWidth);
  const narrow = new Float32Array(height * toWidth);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < toWidth; x++) {
      const {first, weights} = columns[x];
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k] * plane[y * width + first + k];
      narrow[y * toWidth + x] = sum;
    }
  }
  const rows = triangles(height, toHeight);
  const result = new Float32Array(toHeight * toWidth);
  for (let y = 0; y < toHeight; y++) {
    const {first, weights} = rows[y];
    for (let k = 0; k < weights.length; k++) {
      const from = (first + k) * toWidth;
      for (let x = 0; x < toWidth; x++) result[y * toWidth + x] += weights[k] * narrow[from + x];
    }
  }
  return result;
}

function triangles(size, toSize) {
  const scale = size / toSize;
  const reach = Math.max(scale, 1);
  return Array.from({length: toSize}, (_, index) => {
    const centre = (index + 0.5) * scale - 0.5;
    const first = Math.max(Math.ceil(centre - reach), 0);
    const last = Math.min(Math.floor(centre + reach), size - 1);
    const weights = [];
    for (let i = first; i <= last; i++) weights.push(Math.max(1 - Math.abs(i - centre) / reach, 0));
    const total = weights.reduce((a, b) => a + b);
    return {first, weights: weights.map((weight) => weight / total)};
  });
}

/** RGBA bytes of (height, width) to the network's (H, W, C) floats, whole numbers in [0, 255]. */
export function networkInput(rgba, height, width, {height: toHeight, width: toWidth, channels}) {
  const result = new Float32Array(toHeight * toWidth * channels);
  planes(rgba, channels).forEach((plane, channel) => {
    const resized = resize(plane, height, width, toHeight, toWidth);
    for (let i = 0; i < resized.length; i++) {
      result[i * channels + channel] = Math.min(Math.max(roundHalfToEven(resized[i]), 0), 255);
    }
  });
  return result;
}

function roundHalfToEven(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}

/** A square of a canvas as RGBA bytes of (size, size); beyond the border its outermost pixels are repeated. */
export function cutSquare(canvas, square) {
  const [left, top, size] = [Math.round(square.x), Math.round(square.y), Math.max(Math.round(square.size), 1)];
  const {width, height} = canvas;
  const source = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  const result = new Uint8ClampedArray(4 * size * size);
  for (let y = 0; y < size; y++) {
    const row = width * Math.min(Math.max(top + y, 0), height - 1);
    for (let x = 0; x < size; x++) {
      const from = 4 * (row + Math.min(Math.max(left + x, 0), width - 1));
      const to = 4 * (y * size + x);
      for (let k = 0; k < 4; k++) result[to + k] = source[from + k];
    }
  }
  return result;
}
