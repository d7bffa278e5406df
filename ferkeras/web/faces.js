// Finds frontal faces with OpenCV's Haar cascade (Viola & Jones, CVPR 2001), in every browser alike.
// The cascade is written beside this file by the export, from the user's own OpenCV.
import {planes, resize} from "./resample.js";

// Pixels of the longer side at which a part of the picture is searched, and the smallest face as a fraction of the
// shorter side: all of it, and around the face as it was last.
const WHOLE = {side: 320, smallest: 0.12};
const AROUND = {side: 120, smallest: 0.35};
const PYRAMID = 1.2; // ratio of neighbouring sizes
const NEIGHBOURS = 3; // overlapping finds that make a face
const LEAST_DEVIATION = 10; // windows with less contrast are passed over

/** Reads the cascade, a list of stages {threshold, stumps}; a stump is [threshold, left, right, ...rectangles]. */
export async function loadCascade(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`The face detector cannot be loaded: ${url}, ${response.status}.`);
  return response.json();
}

/**
 * Faces of a canvas as squares {x, y, size, count} in its pixels, the best first. Where the face is known from the frame
 * before, `near`, its surroundings are searched first, which takes a tenth of the time.
 */
export function findFaces(canvas, cascade, near = null) {
  const {width, height} = canvas;
  if (near) {
    const [left, top] = [Math.max(near.x - near.size / 2, 0), Math.max(near.y - near.size / 2, 0)];
    const right = Math.min(near.x + 1.5 * near.size, width);
    const bottom = Math.min(near.y + 1.5 * near.size, height);
    const part = {x: left, y: top, width: right - left, height: bottom - top};
    const found = part.width >= 1 && part.height >= 1 ? searchPart(canvas, part, cascade, AROUND) : [];
    if (found.length) return found;
  }
  return searchPart(canvas, {x: 0, y: 0, width, height}, cascade, WHOLE);
}

function searchPart(canvas, part, cascade, {side, smallest}) {
  const shrink = Math.min(side / Math.max(part.width, part.height), 1);
  const width = Math.max(Math.round(part.width * shrink), 1);
  const height = Math.max(Math.round(part.height * shrink), 1);
  const small = document.createElement("canvas");
  Object.assign(small, {width, height});
  const context = small.getContext("2d", {willReadFrequently: true});
  context.imageSmoothingQuality = "high";
  context.drawImage(canvas, part.x, part.y, part.width, part.height, 0, 0, width, height);
  const [grey] = planes(context.getImageData(0, 0, width, height).data, 1);

  const finds = [];
  let scale = Math.max((smallest * Math.min(width, height)) / cascade.size, 1);
  for (; cascade.size * scale <= Math.min(width, height); scale *= PYRAMID) {
    const w = Math.round(width / scale);
    const h = Math.round(height / scale);
    for (const {x, y} of search(resize(grey, height, width, h, w), h, w, cascade, scale < 2 ? 2 : 1)) {
      finds.push({x: x * scale, y: y * scale, size: cascade.size * scale});
    }
  }
  const back = ({x, y, size, count}) => ({x: part.x + x / shrink, y: part.y + y / shrink, size: size / shrink, count});
  return group(finds).map(back);
}

function search(grey, height, width, cascade, step) {
  const stride = width + 1;
  const sums = new Float64Array((height + 1) * stride);
  const squares = new Float64Array((height + 1) * stride);
  for (let y = 0; y < height; y++) {
    let row = 0;
    let rowOfSquares = 0;
    for (let x = 0; x < width; x++) {
      const value = Math.round(grey[y * width + x]);
      row += value;
      rowOfSquares += value * value;
      const at = (y + 1) * stride + x + 1;
      sums[at] = sums[at - stride] + row;
      squares[at] = squares[at - stride] + rowOfSquares;
    }
  }
  const box = (table, at, w, h) => table[at] - table[at + w] - table[at + h * stride] + table[at + h * stride + w];
  const inner = cascade.size - 2;
  const area = inner * inner;
  const found = [];
  for (let y = 0; y + cascade.size <= height; y += step) {
    for (let x = 0; x + cascade.size <= width; x += step) {
      const at = y * stride + x;
      const sum = box(sums, at + stride + 1, inner, inner);
      const spread = Math.sqrt(Math.max(area * box(squares, at + stride + 1, inner, inner) - sum * sum, 0));
      if (spread > LEAST_DEVIATION * area && passes(cascade, sums, stride, at, spread)) found.push({x, y});
    }
  }
  return found;
}

function passes({stages}, sums, stride, at, spread) {
  for (const {threshold, stumps} of stages) {
    let weight = 0;
    for (const stump of stumps) {
      let feature = 0;
      for (let k = 3; k < stump.length; k += 5) { // x, y, width, height, weight
        const corner = at + stump[k + 1] * stride + stump[k];
        const below = corner + stump[k + 3] * stride;
        const across = stump[k + 2];
        feature += stump[k + 4] * (sums[corner] - sums[corner + across] - sums[below] + sums[below + across]);
      }
      weight += feature < stump[0] * spread ? stump[1] : stump[2];
    }
    if (weight < threshold) return false;
  }
  return true;
}

/** Means of the finds that lie on each other, where there are enough of them. */
function group(finds) {
  const groups = [];
  for (const find of finds) {
    const near = groups.find(({mean}) => {
      const slack = 0.2 * Math.min(find.size, mean.size);
      const far = Math.max(Math.abs(find.x - mean.x), Math.abs(find.y - mean.y));
      return far <= slack && Math.abs(find.size - mean.size) <= 2 * slack;
    });
    const {mean, count} = near ?? {mean: find, count: 0};
    const average = (key) => (mean[key] * count + find[key]) / (count + 1);
    const updated = {mean: {x: average("x"), y: average("y"), size: average("size")}, count: count + 1};
    if (near) Object.assign(near, updated);
    else groups.push(updated);
  }
  const faces = groups.filter(({count}) => count >= NEIGHBOURS).map(({mean, count}) => ({...mean, count}));
  return faces.sort((a, b) => b.count * b.size - a.count * a.size);
}
