// The page that stands in for an answer where there is no network: checks the signature by the
// keys that were kept, and names what it could not check. Never says that a product is genuine.

import { check, STATUS } from "./check.js";
import { load } from "./keys.js";
import { wordsIn } from "./words.js";

const CODE_PATH = /\/01\/[0-9]{14}\/21\/[^/]+$/;

/** The code that the address of this page spells, or null: the page stands where the link led. */
export function codeOf(address, resolver) {
  const path = CODE_PATH.exec(address.pathname);
  const token = address.searchParams.get("91");
  return path && token !== null ? `https://${resolver}${path[0]}?91=${token}` : null;
}

async function show(page) {
  const { resolver, keysUrl, revocationsUrl, recallsUrl, lang } = page.dataset;
  const words = wordsIn(lang);
  const address = new URL(location.href);
  keepPlace(document.getElementById("switch"), address);
  const text = codeOf(address, resolver);
  if (text === null) return; // what the page says as it stands is all there is to say
  const { status, code, time } = await check(text, resolver, {
    keys: keysUrl,
    revocations: revocationsUrl,
  });
  const recalls = code === null ? null : await recallsOf(code.gtin, recallsUrl);

  const authentic = status === STATUS.AUTHENTIC;
  const lines = [authentic ? words.plain("offlineAuthentic") : words.checked(status)];
  if (time !== null) {
    const age = words.age(Date.now() - time);
    lines.push(words.plain("keysAsOf", { time: words.time(time), age }));
  }
  if (status === STATUS.FALSE) lines.push(words.plain("forgedAdvice"));
  if (recalls?.lots.length) {
    const separator = lang === "en" ? ", " : "、";
    lines.push(words.plain("recallOfProduct", { lots: recalls.lots.join(separator) }));
  }
  // Only what is proved has a tone: that a code is forged. A right signature is no verdict.
  if (status === STATUS.FALSE) {
    const verdict = page.querySelector("#offline-verdict");
    verdict.classList.replace("none", "bad");
    verdict.querySelector(".sign").textContent = "✕";
    verdict.querySelector("h1").textContent = words.plain("forged");
    verdict.querySelector("#offline-lead").hidden = true;
  }
  page.dataset.status = status;
  page.querySelector("#offline-result").replaceChildren(...lines.map((line) => element("p", line)));
  const missing = status === STATUS.FALSE ? [] : unchecked(words, status, time, recalls);
  if (missing.length) {
    page.querySelector("#offline-missing").replaceChildren(
      element("h2", words.plain("notChecked")),
      list(missing),
    );
  }
  if (code !== null) {
    page.querySelector("#offline-code").textContent =
      `${words.plain("gtin")} ${code.gtin} · ${words.plain("serial")} ${code.serial}`;
  }
  const again = page.querySelector("#offline-again");
  again.href = location.href;
  again.hidden = false;
}

// The other language at the same code: this page stands where the link led.
function keepPlace(link, address) {
  const other = new URL(address);
  other.searchParams.set("lang", new URL(link.href).searchParams.get("lang"));
  link.href = other.href;
}

/** The lots of a product that are being recalled and when the list was had, or null without one. */
async function recallsOf(gtin, url) {
  try {
    const { document: feed, time } = await load(url, false);
    const known = feed.items.map((item) => item._tracechain);
    const running = known.filter((recall) => recall.gtin === gtin && recall.lifted === null);
    return { time, lots: [...new Set(running.map((recall) => recall.lot))] };
  } catch {
    return null;
  }
}

function unchecked(words, status, keyTime, recalls) {
  const time = (at) => ({ time: words.time(at) });
  const known = status === STATUS.AUTHENTIC || status === STATUS.KEY_REVOKED;
  return [
    ...(known ? [] : [words.plain("notSignature")]),
    words.plain("notHistory"),
    words.plain("notState"),
    recalls ? words.plain("notRecallSince", time(recalls.time)) : words.plain("notRecall"),
    ...(status === STATUS.AUTHENTIC ? [words.plain("notKeySince", time(keyTime))] : []),
  ];
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function list(texts) {
  const made = document.createElement("ul");
  made.append(...texts.map((text) => element("li", text)));
  return made;
}

const page = document.getElementById("offline");
if (page) show(page);
