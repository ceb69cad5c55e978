// What a browser can tell of a code without asking anybody but the published keys. Says AUTHENTIC
// only of what the holder of an issuer's key signed; everything that it cannot check it names.

import { isSignedBy, readCode } from "./code.js";
import { loadKeys, loadRevocations, revoke } from "./keys.js";

/** One of these is the status of a check; the same words as in the Python client's offline.py,
 * and two for what only a browser lacks. */
export const STATUS = Object.freeze({
  AUTHENTIC: "AUTHENTIC",
  FALSE: "FALSE",
  UNKNOWN_KEY: "UNKNOWN_KEY",
  KEY_REVOKED: "KEY_REVOKED",
  NOT_SIGNED: "NOT_SIGNED",
  MALFORMED: "MALFORMED",
  NO_KEYS: "NO_KEYS", // the key set is not to be had
  UNSUPPORTED: "UNSUPPORTED", // this browser cannot verify this kind of signature
});

/** The judgement on `code` (from readCode, or null) by keys that are at hand. */
export async function judge(code, keySet) {
  if (code === null) return STATUS.MALFORMED;
  if (code.algorithm === null) return STATUS.NOT_SIGNED;
  if (!globalThis.crypto?.subtle) return STATUS.UNSUPPORTED; // not a secure context
  const key = keySet.get(code.keyId);
  if (key === undefined) return STATUS.UNKNOWN_KEY;
  let signed;
  try {
    signed = await isSignedBy(code, key);
  } catch {
    return STATUS.UNSUPPORTED;
  }
  if (!signed) return STATUS.FALSE;
  return key.revoked === null ? STATUS.AUTHENTIC : STATUS.KEY_REVOKED;
}

/** Checks the code that `text` spells. Answers { status, code, time }: `time`, in milliseconds, is
 * that of the keys, null where none were needed. `urls` are those of `keys` and `revocations`. */
export async function check(text, resolver, urls) {
  const code = readCode(text, resolver);
  if (code === null || code.algorithm === null) {
    return { status: await judge(code, null), code, time: null };
  }
  try {
    // Both at once: on a slow phone each wait is long.
    let [keySet, revoked] = await Promise.all([
      loadKeys(urls.keys),
      loadRevocations(urls.revocations),
    ]);
    // The key may be younger than a cached set; only the service can tell.
    if (keySet.get(code.keyId) === undefined) keySet = await loadKeys(urls.keys, true);
    revoke(keySet, revoked);
    return { status: await judge(code, keySet), code, time: keySet.time };
  } catch {
    return { status: STATUS.NO_KEYS, code, time: null };
  }
}
