// The page: a picture or the camera, the square around the face, and what the network says of it.
import {findFaces, loadCascade} from "./faces.js";
import {loadNetwork} from "./network.js";
import {cutSquare, networkInput} from "./resample.js";
import {showAnswer, showNothing, showSquare, prepareResult} from "./result.js";

const LONGEST = 1280; // pixels of the longer side that a picture is shown and searched at
const SEARCH_EVERY = 200; // ms between two searches for the face in a video
const LOST_AFTER = 1000; // ms without a find until the face counts as gone

const element = (id) => document.getElementById(id);
const view = element("view");
const pen = view.getContext("2d", {willReadFrequently: true});
// What the network sees; `view` has the square drawn over it.
const frame = document.createElement("canvas");
const frameContext = frame.getContext("2d", {willReadFrequently: true});

let description, network, cascade;
let stream = null; // of the camera
let face = null; // the square that was found, and when
let busy = false;

start().catch(report);

async function start() {
  await keepOffline();
  description = await (await fetch("model.json")).json();
  element("model-name").textContent = description.name;
  element("margin").value = Math.round(100 * description.margin);
  element("margin-value").textContent = `${element("margin").value} %`;
  prepareResult(description);
  [network, cascade] = await Promise.all([loadNetwork(description), loadCascade("cascade.json")]);
  element("reset").hidden = !network.remembers;
  element("open").disabled = false;
  element("camera").disabled = !navigator.mediaDevices; // browsers have it on https and localhost alone
  say(navigator.mediaDevices ? "Ready." : "Ready. The camera needs https.");
  document.body.dataset.ready = "true";
}

/** Has the service worker store whatever is loaded from here on; browsers have it on https and localhost alone. */
async function keepOffline() {
  if (!navigator.serviceWorker) return;
  try {
    await navigator.serviceWorker.register("service-worker.js");
    await navigator.serviceWorker.ready;
    if (!navigator.serviceWorker.controller) {
      await new Promise((resolve) => navigator.serviceWorker.addEventListener("controllerchange", resolve, {once: true}));
    }
    element("offline").textContent = "Once loaded it works without a network.";
  } catch (error) {
    console.warn("Not kept for use without a network:", error);
  }
}

element("open").addEventListener("click", () => element("file").click());
element("file").addEventListener("change", (event) => openPicture(event.target.files[0]).catch(report));
element("camera").addEventListener("click", () => (stream ? stopCamera() : startCamera()).catch(report));
element("reset").addEventListener("click", () => network.reset());
element("margin").addEventListener("input", () => {
  element("margin-value").textContent = `${element("margin").value} %`;
  lookAgain();
});
for (const id of ["hand-x", "hand-y", "hand-size"]) element(id).addEventListener("input", lookAgain);
element("by-hand").addEventListener("change", () => {
  const byHand = element("by-hand").checked;
  document.querySelectorAll(".hand").forEach((label) => (label.hidden = !byHand));
  document.querySelectorAll(".found").forEach((label) => (label.hidden = byHand));
  lookAgain();
});
view.addEventListener("pointerdown", (event) => {
  if (!element("by-hand").checked) return;
  const place = view.getBoundingClientRect();
  const across = (event.clientX - place.left) / place.width;
  element("hand-x").value = 100 * (stream ? 1 - across : across); // the camera is shown as a mirror
  element("hand-y").value = (100 * (event.clientY - place.top)) / place.height;
  lookAgain();
});

async function openPicture(file) {
  if (!file) return;
  await stopCamera();
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    throw new Error(`${file.name} is no picture that this browser can read.`);
  }
  show(picture, picture.width, picture.height);
  picture.close();
  network.reset();
  element("file").value = ""; // so that the same file can be opened again
  face = null;
  await look();
}

async function startCamera() {
  stream = await navigator.mediaDevices.getUserMedia({video: {facingMode: "user", width: 640, height: 480}});
  const video = document.createElement("video");
  video.muted = video.playsInline = true;
  video.srcObject = stream;
  await video.play();
  element("camera").textContent = "Stop camera";
  view.classList.add("mirror");
  network.reset();
  face = null;
  follow(video, stream).catch(report);
}

async function stopCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  element("camera").textContent = "Start camera";
  view.classList.remove("mirror");
}

async function follow(video, mine) {
  let last = performance.now();
  let gap = null; // ms between frames, smoothed
  let count = 0;
  while (stream === mine) {
    show(video, video.videoWidth, video.videoHeight);
    // The network was trained on every `stride`-th frame.
    await look({skip: count++ % description.stride !== 0});
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    gap = gap === null ? now - last : 0.9 * gap + 0.1 * (now - last);
    last = now;
    element("rate").textContent = (1000 / gap).toFixed(0);
  }
  element("rate").textContent = "\u2013";
}

function show(source, width, height) {
  const shrink = Math.min(LONGEST / Math.max(width, height), 1);
  frame.width = Math.max(Math.round(width * shrink), 1);
  frame.height = Math.max(Math.round(height * shrink), 1);
  frameContext.imageSmoothingQuality = "high";
  frameContext.drawImage(source, 0, 0, frame.width, frame.height);
  element("hint").hidden = true;
}

/** After a change of the square: a video shows it in its next frame by itself. */
function lookAgain() {
  if (stream || !element("hint").hidden) return;
  network.reset();
  look().catch(report);
}

async function look({skip = false} = {}) {
  if (busy) return;
  busy = true;
  try {
    const square = squareOfFace();
    view.width = frame.width;
    view.height = frame.height;
    pen.drawImage(frame, 0, 0);
    if (!square) {
      showNothing();
      say(stream ? "No face found." : "No face found. Set the square by hand.", {often: stream !== null});
      if (!stream) element("settings").open = true;
      return;
    }
    showSquare(pen, square);
    if (skip) return;
    const began = performance.now();
    const size = Math.max(Math.round(square.size), 1);
    const answer = await network.run(networkInput(cutSquare(frame, square), size, size, description));
    element("network-time").textContent = (performance.now() - began).toFixed(0);
    say(showAnswer(answer), {often: stream !== null});
    document.body.dataset.answer = JSON.stringify({...answer, square}); // for scripts that watch the page
  } finally {
    busy = false;
  }
}

function squareOfFace() {
  const {width, height} = frame;
  if (element("by-hand").checked) {
    const size = (Math.min(width, height) * element("hand-size").value) / 100;
    const [x, y] = [(width * element("hand-x").value) / 100, (height * element("hand-y").value) / 100];
    return {x: x - size / 2, y: y - size / 2, size};
  }
  const now = performance.now();
  if (!stream || !face || now - face.searched > SEARCH_EVERY) {
    const [found] = findFaces(frame, cascade, stream ? face : null);
    element("search-time").textContent = (performance.now() - now).toFixed(0);
    if (found) face = {...found, searched: now, seen: now};
    else if (face && now - face.seen < LOST_AFTER) face.searched = now;
    else face = null;
  }
  if (!face) return null;
  const margin = (face.size * element("margin").value) / 100;
  return {x: face.x - margin, y: face.y - margin, size: face.size + 2 * margin};
}

let spoken = 0;

/** Shows a line; screen readers speak it, `often` changing ones not faster than they can. */
function say(text, {often = false} = {}) {
  element("status").textContent = text;
  const now = performance.now();
  if (often && now - spoken < 2500) return;
  if (element("spoken").textContent !== text) element("spoken").textContent = text;
  spoken = now;
}

function report(error) {
  console.error(error);
  stopCamera();
  showNothing();
  const denied = error.name === "NotAllowedError" ? "The camera was not allowed. Allow it in the browser's settings." : null;
  const absent = error.name === "NotFoundError" ? "There is no camera." : null;
  say(denied ?? absent ?? `Something went wrong: ${error.message}`);
}
