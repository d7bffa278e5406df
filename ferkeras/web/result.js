// Bars of the emotions, the point of valence and arousal, and the square on the picture.

const element = (id) => document.getElementById(id);
let labels = [];

/** Makes what the network's heads need. */
export function prepareResult({heads}) {
  labels = heads.emotion ?? [];
  element("bars").hidden = labels.length === 0;
  element("affect").toggleAttribute("hidden", !(heads.valence && heads.arousal)); // SVG has no property `hidden`
  element("bars").replaceChildren(...labels.map(bar));
}

function bar(label) {
  const row = document.createElement("li");
  const name = document.createElement("span");
  name.textContent = label;
  const meter = document.createElement("div");
  meter.className = "meter";
  meter.setAttribute("role", "meter");
  meter.setAttribute("aria-label", label);
  meter.setAttribute("aria-valuemin", "0");
  meter.setAttribute("aria-valuemax", "100");
  meter.append(document.createElement("div"));
  const share = document.createElement("span");
  share.className = "share";
  row.append(name, meter, share);
  return row;
}

/** Shows `{probabilities, valence, arousal}` and returns it as a sentence. */
export function showAnswer({probabilities, valence, arousal}) {
  const parts = [];
  if (probabilities) {
    const best = probabilities.indexOf(Math.max(...probabilities));
    [...element("bars").children].forEach((row, index) => setBar(row, probabilities[index], index === best));
    parts.push(`${labels[best]}, ${Math.round(100 * probabilities[best])} %`);
  }
  if (valence !== undefined && arousal !== undefined) {
    element("point").setAttribute("cx", valence.toFixed(3));
    element("point").setAttribute("cy", (-arousal).toFixed(3));
    const text = `valence ${valence.toFixed(2)}, arousal ${arousal.toFixed(2)}`;
    element("affect").setAttribute("aria-label", text);
    parts.push(text);
  }
  document.body.classList.remove("nothing");
  return parts.join("; ");
}

function setBar(row, probability, best) {
  const percent = 100 * probability;
  const [, meter, share] = row.children;
  meter.setAttribute("aria-valuenow", percent.toFixed(0));
  meter.firstChild.style.width = `${percent}%`;
  share.textContent = `${percent.toFixed(0)} %`;
  row.classList.toggle("best", best);
}

/** There is no face: what is shown is no longer true, and is dimmed. */
export function showNothing() {
  document.body.classList.add("nothing");
  delete document.body.dataset.answer;
}

/** Draws the square that the network sees. */
export function showSquare(pen, {x, y, size}) {
  pen.lineWidth = Math.max(pen.canvas.width / 200, 2);
  pen.strokeStyle = "#fff";
  pen.strokeRect(x - pen.lineWidth, y - pen.lineWidth, size + 2 * pen.lineWidth, size + 2 * pen.lineWidth);
  pen.strokeStyle = "#0b8f88";
  pen.strokeRect(x, y, size, size);
}
