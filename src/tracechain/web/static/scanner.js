// /scan: a code by the camera, from a photograph, or typed. Only an address of ours is opened, and
// that on this very site; every other one is shown as text with a warning.

import { ADDRESS, judgeAddress } from "./address.js";
import { openReader } from "./reader.js";
import { wordsIn } from "./words.js";

const PAUSE = 120; // milliseconds between two looks at the picture

const page = document.getElementById("scanner");
const { resolver, lang } = page.dataset;
const words = wordsIn(lang);
const video = page.querySelector("video");
const start = page.querySelector("#camera-start");
const photo = page.querySelector("#photo");
const form = page.querySelector("form");
const message = page.querySelector("#scan-message");
let stream = null;
let reader = null;

/** Where on this site the answer about `text` is, or null where it is nothing of ours. */
export function pathOf(text) {
  const url = new URL(text.trim());
  if (!/\/(01|00|414|417)\//.test(url.pathname)) return null;
  // The language of the page stays; it is no part of the code.
  return `${url.pathname}${url.search}${url.search ? "&" : "?"}lang=${lang}`;
}

/** Opens what was read, or warns. Answers whether it was opened. */
function take(text) {
  const { kind, host } = judgeAddress(text, resolver);
  const path = kind === ADDRESS.OURS ? pathOf(text) : null;
  if (path === null) {
    const shown = kind === ADDRESS.OURS ? ADDRESS.NONE : kind;
    warn(words.warning(shown, host, resolver), shown);
    return false;
  }
  say(words.plain("found"));
  location.assign(path);
  return true;
}

function say(text) {
  delete message.dataset.kind;
  message.className = "";
  message.textContent = text;
}

function warn(text, kind) {
  message.dataset.kind = kind;
  message.className = "warning";
  message.textContent = text;
}

async function readerOrWarning() {
  try {
    reader ??= await openReader();
    return reader;
  } catch {
    warn(words.plain("readerMissing"), "READER");
    return null;
  }
}

async function startCamera() {
  start.disabled = true;
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      video: { facingMode: "environment", width: { ideal: 1280 } },
    });
  } catch (error) {
    const denied = error.name === "NotAllowedError" || error.name === "SecurityError";
    warn(words.plain(denied ? "cameraDenied" : "cameraNone"), "CAMERA");
    return;
  } finally {
    start.disabled = false;
  }
  video.srcObject = stream;
  page.classList.add("filming");
  start.textContent = words.plain("cameraStop");
  say(words.plain("cameraAim"));
  await video.play().catch(() => {}); // stopped before it began
  if (await readerOrWarning()) await watch(stream);
  else stopCamera();
}

function stopCamera() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  video.srcObject = null;
  page.classList.remove("filming");
  start.textContent = words.plain("cameraStart");
}

// A warning stays until another code comes into view; the camera goes on.
async function watch(own) {
  let last = null;
  while (stream === own) {
    if (video.videoWidth > 0) {
      const text = await reader.read(video, video.videoWidth, video.videoHeight).catch(() => null);
      if (stream !== own) return;
      if (text !== null && text !== last) {
        last = text;
        if (take(text)) return stopCamera();
      }
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}

async function readPhoto(file) {
  say(words.plain("reading"));
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    warn(words.plain("photoBroken"), "PHOTO");
    return;
  }
  if (!(await readerOrWarning())) return;
  const text = await reader.read(picture, picture.width, picture.height).catch(() => null);
  picture.close();
  if (text === null) warn(words.plain("photoNothing"), "PHOTO");
  else take(text);
}

start.addEventListener("click", () => (stream ? stopCamera() : startCamera()));
photo.addEventListener("change", () => {
  const [file] = photo.files;
  photo.value = ""; // so that the same picture can be chosen again
  if (file) readPhoto(file);
});
// What is typed and is no address of ours goes to the service as it is: it says what is wrong.
form.addEventListener("submit", (event) => {
  const text = form.elements.code.value;
  const { kind } = judgeAddress(text, resolver);
  if (kind === ADDRESS.NONE || kind === ADDRESS.OURS) return;
  event.preventDefault();
  take(text);
});
addEventListener("pagehide", stopCamera);
start.disabled = !navigator.mediaDevices;
if (start.disabled) say(words.plain("cameraNone"));
photo.disabled = false;
