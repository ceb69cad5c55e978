// Is the address in a code ours, or made to look like it? The host is pinned: nothing but
// `https://{resolver}/` is ours, and nothing else is ever opened. Calling a foreign address a
// look-alike by mistake costs a stronger warning; both warn.

import { decodeHost } from "./punycode.js";

/** What an address is. OURS is opened; all others are shown with a warning, as text. */
export const ADDRESS = Object.freeze({
  OURS: "OURS",
  NONE: "NONE", // no web address: a bar code, a word, a price
  FOREIGN: "FOREIGN", // another web site that does not resemble ours
  USERINFO: "USERINFO", // our name before an @, another host behind it
  INSECURE: "INSECURE", // our host by http or by another port: anybody on the way may answer
  SUBDOMAIN: "SUBDOMAIN", // our name inside or below another host
  HOMOGLYPH: "HOMOGLYPH", // characters that look like those of our name
  TYPO: "TYPO", // our name with a slip of a character or two
});

/** Judges `text` as read from a label against the host that is printed on ours. Answers { kind,
 * host }: `host` is what a browser would have opened, in ASCII. */
export function judgeAddress(text, resolver) {
  const trimmed = text.trim();
  let url;
  try {
    url = new URL(trimmed);
  } catch {
    // A host that no browser takes is still no bar code: it was meant to be opened.
    return { kind: /^https?:/i.test(trimmed) ? ADDRESS.FOREIGN : ADDRESS.NONE, host: "" };
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") return { kind: ADDRESS.NONE, host: "" };
  const host = url.hostname.replace(/\.$/, "");
  const found = (kind) => ({ kind, host: url.host });
  const [ourHost, ourPort = ""] = resolver.toLowerCase().split(":");
  if (host === ourHost) {
    if (url.username || url.password) return found(ADDRESS.USERINFO);
    const safe = url.protocol === "https:" && url.port === ourPort;
    return found(safe ? ADDRESS.OURS : ADDRESS.INSECURE);
  }
  const before = decodeURIComponentSafely(`${url.username}:${url.password}`);
  if (before.toLowerCase().includes(ourHost)) return found(ADDRESS.USERINFO);
  return found(resemblance(host, ourHost));
}

function resemblance(host, ours) {
  if (/^[0-9.]+$/.test(host) || host.startsWith("[")) return ADDRESS.FOREIGN;
  const shown = decodeHost(host);
  const [theirs, own] = [skeleton(shown), skeleton(ours)];
  if (theirs === own) return ADDRESS.HOMOGLYPH;
  const disguised = [...shown].some((character) => character > "\x7f");
  // Dots and hyphens are how one name is put inside another.
  const joined = (name) => name.replace(/[.-]/g, "");
  if (joined(theirs).includes(joined(own))) {
    return disguised ? ADDRESS.HOMOGLYPH : ADDRESS.SUBDOMAIN;
  }
  if (distance(theirs, own) <= (own.length < 8 ? 1 : 2)) return ADDRESS.TYPO;
  // Our name proper under another ending, or beside other words: every label of ours but the
  // last that is long enough to be a name.
  for (const label of own.split(".").slice(0, -1)) {
    if (label.length < 5) continue;
    for (const piece of theirs.split(".")) {
      if (piece.includes(label)) return disguised ? ADDRESS.HOMOGLYPH : ADDRESS.SUBDOMAIN;
      if (piece.split("-").some((word) => distance(word, label) <= 1)) return ADDRESS.TYPO;
    }
  }
  return ADDRESS.FOREIGN;
}

// What Latin letters are mistaken for: the Cyrillic, Greek and Armenian letters that fonts draw
// alike, digits, and pairs that run together. Accents go by decomposition, full width by NFKD.
const LOOKALIKES = new Map(
  Object.entries({
    a: "аα", b: "ьв", c: "сϲ", d: "ԁɗ", e: "еєҽε", f: "ſ", g: "ɡցģ", h: "һհ", i: "іıɩιӏľ|",
    j: "јϳ", k: "кκ", l: "1ӏⅼ", m: "мⅿ", n: "пոη", o: "0оοօσ", p: "рρ", q: "ԛգ", r: "гѓ",
    s: "ѕꜱ5", t: "тτ", u: "υսц", v: "νѵ", w: "ԝωѡш", x: "хχ", y: "уүγ", z: "ᴢ2",
  }).flatMap(([letter, others]) => [...others].map((other) => [other, letter])),
);

function skeleton(host) {
  const plain = host.toLowerCase().normalize("NFKD").replace(/\p{Mark}/gu, "");
  return [...plain]
    .map((character) => LOOKALIKES.get(character) ?? character)
    .join("")
    .replaceAll("rn", "m")
    .replaceAll("vv", "w")
    .replaceAll("cl", "d")
    .replaceAll("i", "l");
}

/** How many slips (a character more, less, other, or two exchanged) lie between two names. */
function distance(one, other) {
  if (Math.abs(one.length - other.length) > 2) return 3;
  let [last, before] = [[], []];
  for (let i = 0; i <= one.length; i++) {
    const row = [i];
    for (let j = 1; j <= other.length; j++) {
      if (i === 0) {
        row.push(j);
        continue;
      }
      const same = one[i - 1] === other[j - 1] ? 0 : 1;
      let least = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + same);
      const exchanged = one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1];
      if (i > 1 && j > 1 && exchanged) least = Math.min(least, before[j - 2] + 1);
      row.push(least);
    }
    [before, last] = [last, row];
  }
  return last[other.length];
}

function decodeURIComponentSafely(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
