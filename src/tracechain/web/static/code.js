// The code's one spelling, and whether its signature is right: domain/code.py once more, for a
// browser. What this module calls signed was signed by the holder of that key for exactly that
// GTIN and serial. It does not say that the label is the original: a printed code can be copied.

const ALPHABET = "0-9A-HJKMNP-TV-Z"; // Crockford base32, upper case
const SPELLING = new RegExp(
  `^/01/([0-9]{14})/21/([${ALPHABET}]{13})\\?91=([A-Za-z0-9_-]{90}|[A-Za-z0-9_-]{16})$`,
);
const VERSION = 1;
const NIBBLES = { 1: "ES256", 2: "Ed25519" };
const TAG = "tracechain/code/v1\0";
const IMPORT = {
  ES256: { name: "ECDSA", namedCurve: "P-256" },
  Ed25519: { name: "Ed25519" },
};
const VERIFY = { ES256: { name: "ECDSA", hash: "SHA-256" }, Ed25519: { name: "Ed25519" } };
const P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/** The code that `text` spells for `resolver` (a host), or null where it is not one of its codes.
 * `algorithm` is only the token's claim, null for a compact code; nothing is proved yet. */
export function readCode(text, resolver) {
  const prefix = `https://${resolver}`;
  const parts = text.startsWith(prefix) ? SPELLING.exec(text.slice(prefix.length)) : null;
  if (parts === null) return null;
  const [, gtin, serial, token] = parts;
  if (gtin[13] !== checkDigit(gtin.slice(0, 13))) return null;
  const bytes = fromBase64url(token);
  if (bytes === null) return null;
  if (bytes.length === 12) {
    return { gtin, serial, keyId: (bytes[0] << 8) | bytes[1], algorithm: null, proof: null };
  }
  const algorithm = bytes[0] >> 4 === VERSION ? NIBBLES[bytes[0] & 15] : undefined;
  if (algorithm === undefined) return null;
  return { gtin, serial, keyId: (bytes[1] << 8) | bytes[2], algorithm, proof: bytes.slice(3) };
}

/** Whether this key signed `code` (signed profile). The algorithm is the key's; a token that
 * claims another one is false. Rejects where the browser does not know the algorithm. */
export async function isSignedBy(code, key) {
  if (code.algorithm !== key.algorithm) return false;
  if (key.algorithm === "ES256" && !isLowS(code.proof)) return false;
  const { kty, crv, x, y } = key.jwk;
  const jwk = { kty, crv, x, ...(y === undefined ? {} : { y }) };
  const publicKey = await crypto.subtle.importKey("jwk", jwk, IMPORT[key.algorithm], false, [
    "verify",
  ]);
  const payload = new TextEncoder().encode(`${TAG}${code.gtin}\0${code.serial}`);
  return crypto.subtle.verify(VERIFY[key.algorithm], publicKey, code.proof, payload);
}

// Of the two signatures that the curve allows the high one is refused: nobody can respell a code.
function isLowS(signature) {
  const r = toNumber(signature.subarray(0, 32));
  const s = toNumber(signature.subarray(32));
  return r > 0n && r < P256_ORDER && s > 0n && s <= P256_ORDER / 2n;
}

function toNumber(bytes) {
  return BigInt(`0x${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`);
}

function checkDigit(digits) {
  let sum = 0;
  for (let at = 0; at < digits.length; at++) {
    sum += Number(digits[digits.length - 1 - at]) * (at % 2 ? 1 : 3);
  }
  return String((10 - (sum % 10)) % 10);
}

// Only the canonical spelling: bits that a last character carries too many are zero.
function fromBase64url(text) {
  if (text.length === 90 && !"AQgw".includes(text[89])) return null;
  const standard = text.replaceAll("-", "+").replaceAll("_", "/");
  return Uint8Array.from(atob(standard), (character) => character.charCodeAt(0));
}
