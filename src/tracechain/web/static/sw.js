// The service worker: the shell and the published facts at hand where there is no network. Never
// keeps an answer about a code, a claim or a report: only what is listed here is stored, and it is
// fetched without cookies. `STATIC`, the folder of this release's files, is put before this text
// by the server, so that a release makes a new worker.
/* global STATIC */

const SHELL = `tracechain-shell ${STATIC}`;
const FACTS = "tracechain-facts";
const FILES = [
  "address.js", "check.js", "code.js", "icon.svg", "keys.js", "offline.js", "page.css",
  "punycode.js", "pwa.js", "reader.js", "scanner.js", "words.js",
].map((name) => STATIC + name);
const PAGES = ["/offline", "/scan"];
const LANGUAGES = ["zh", "en"];
const PUBLISHED = ["/.well-known/jwks.json", "/.well-known/revocations.json", "/recalls.json"];

addEventListener("install", (event) => event.waitUntil(install()));
addEventListener("activate", (event) => event.waitUntil(activate()));
addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin) return;
  if (request.mode === "navigate") event.respondWith(navigate(event, url));
  else if (url.pathname.startsWith(STATIC)) event.respondWith(fromShell(request));
  else if (PUBLISHED.includes(url.pathname)) event.respondWith(published(event, url.pathname));
});

async function install() {
  const shell = await caches.open(SHELL);
  const pages = PAGES.flatMap((page) => LANGUAGES.map((lang) => `${page}?lang=${lang}`));
  // Of a release's files the page has fetched some already; they never change.
  const without = (path, cache) => new Request(path, { credentials: "omit", cache });
  await shell.addAll([
    ...FILES.map((path) => without(path, "default")),
    ...pages.map((path) => without(path, "no-cache")),
  ]);
  // Facts that cannot be had now are fetched when a page asks for them.
  const facts = await caches.open(FACTS);
  await Promise.allSettled(PUBLISHED.map((path) => refresh(facts, path)));
  await skipWaiting();
}

async function activate() {
  for (const name of await caches.keys()) {
    if (name.startsWith("tracechain-shell ") && name !== SHELL) await caches.delete(name);
  }
  // Else starting this worker would come on top of every page's own time.
  await registration.navigationPreload?.enable();
  await clients.claim();
}

// One request for a navigation, never two: each that reaches the service is a scan.
async function navigate(event, url) {
  try {
    return (await event.preloadResponse) ?? (await fetch(event.request));
  } catch {
    const page = url.pathname === "/scan" ? "/scan" : "/offline";
    const asked = url.searchParams.get("lang") ?? navigator.language.slice(0, 2);
    const lang = LANGUAGES.includes(asked) ? asked : "zh";
    const kept = await (await caches.open(SHELL)).match(`${page}?lang=${lang}`, {
      ignoreVary: true,
    });
    return kept ?? Response.error();
  }
}

// The files of a release do not change; what is large (the QR reader) is kept when first used.
async function fromShell(request) {
  const shell = await caches.open(SHELL);
  const kept = await shell.match(request);
  if (kept) return kept;
  const answer = await fetch(request);
  if (answer.ok) await shell.put(request, answer.clone());
  return answer;
}

// What is kept at once, and renewed behind it; pages show its age. Who asks for a fresh one
// (`no-cache`) gets it, or what is kept where there is no network.
async function published(event, path) {
  const facts = await caches.open(FACTS);
  const kept = await facts.match(path);
  const renewed = refresh(facts, path);
  if (kept && event.request.cache !== "no-cache") {
    event.waitUntil(renewed.catch(() => {}));
    return kept;
  }
  return renewed.catch((error) => {
    if (kept) return kept;
    throw error;
  });
}

async function refresh(facts, path) {
  const answer = await fetch(path, { credentials: "omit", cache: "no-cache" });
  if (answer.ok) await facts.put(path, answer.clone());
  return answer;
}
