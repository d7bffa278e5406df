// Keeps the files of the page for use without a network. The export writes a new VERSION whenever a file changes.
const VERSION = "unversioned";
const NAME = `ferkeras-${new URL(self.registration.scope).pathname}`;
const CACHE = `${NAME}-${VERSION}`;
const FILES = [
  "./", "index.html", "style.css", "icon.svg", "app.js", "faces.js", "network.js", "resample.js", "result.js",
  "cascade.json", "model.json", "model.tflite", "litertjs/core/dist/index.js", "litertjs/wasm-utils/dist/index.js",
];

self.addEventListener("install", (event) => {
  // "reload" passes over the browser's own cache, which may hold files of the version before.
  const requests = FILES.map((file) => new Request(file, {cache: "reload"}));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(requests)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const old = (name) => name.startsWith(`${NAME}-`) && name !== CACHE;
  const clean = async () => Promise.all((await caches.keys()).filter(old).map((name) => caches.delete(name)));
  event.waitUntil(clean().then(() => self.clients.claim()));
});

/** From the cache; what is not there yet, such as the one WebAssembly file that this browser takes, is added. */
self.addEventListener("fetch", (event) => {
  const {request} = event;
  if (request.method !== "GET" || new URL(request.url).origin !== self.location.origin) return;
  event.respondWith(answer(request));
});

async function answer(request) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request, {ignoreSearch: request.mode === "navigate"});
  if (kept) return kept;
  const response = await fetch(request);
  if (response.ok) await cache.put(request, response.clone());
  return response;
}
