// The scan page's own check: the browser verifies the signature by the published keys, whatever
// the page says. A server that answers falsely about a forged code is contradicted here.

import { check, STATUS } from "./check.js";
import { wordsIn } from "./words.js";

const ICONS = { [STATUS.AUTHENTIC]: "✓", [STATUS.FALSE]: "✕", [STATUS.KEY_REVOKED]: "!" };

/** Writes into `place` what the browser found about the code of the page. */
export async function showCheck(page, place) {
  const { code, resolver, keysUrl, revocationsUrl, lang } = page.dataset;
  const words = wordsIn(lang);
  const urls = { keys: keysUrl, revocations: revocationsUrl };
  const { status, time } = await check(code, resolver, urls);
  const said = [words.checked(status)];
  if (time !== null) said.push(words.plain("keysAge", { age: words.age(Date.now() - time) }));
  place.dataset.status = status;
  place.textContent = `${ICONS[status] ?? "–"} ${said.join(" ")}`;
}

const page = document.getElementById("scan");
const place = document.getElementById("browser-check");
if (page && place && page.dataset.code) showCheck(page, place);
