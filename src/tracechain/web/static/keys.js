// The published keys and what is known of them, as of a time that is always told along. Rests on
// the service's own origin and TLS. A key that was revoked after that time counts as good here:
// whoever shows a result shows the time too.

const NAMES = { ES256: "ES256", EdDSA: "Ed25519", Ed25519: "Ed25519" };
const CURVES = { "P-256": "ES256", Ed25519: "Ed25519" };

/** The key set at `url`: { time, get(keyId) }, `time` in milliseconds, when the service gave it.
 * `fresh` asks the service rather than a cache. Rejects where there is none to be had. */
export async function loadKeys(url, fresh = false) {
  const { document, time } = await load(url, fresh);
  const keys = new Map();
  for (const jwk of document.keys) {
    const algorithm = NAMES[jwk.alg] ?? CURVES[jwk.crv];
    // A key of an algorithm that this version does not know is left out: its codes are not
    // judged, rather than judged wrongly.
    if (algorithm === undefined || CURVES[jwk.crv] !== algorithm) continue;
    const revoked = jwk.revoked ? jwk.revoked.revoked_at : null;
    keys.set(Number(jwk.kid), { algorithm, jwk, revoked, issuer: jwk.iss ?? "" });
  }
  return { time, get: (keyId) => keys.get(keyId) };
}

/** The revocation list at `url`, for revoke(). Rejects where there is none to be had. */
export function loadRevocations(url) {
  return load(url, false);
}

/** Marks in `keySet` what a revocation list knows and the set does not; the set's time becomes the
 * older of both. */
export function revoke(keySet, { document, time }) {
  for (const { kid, revoked_at: revokedAt } of document.keys) {
    const key = keySet.get(Number(kid));
    if (key && key.revoked === null) key.revoked = revokedAt;
  }
  keySet.time = Math.min(keySet.time, time);
}

/** A published document and when the service gave it; the service worker keeps that time. */
export async function load(url, fresh) {
  const answer = await fetch(url, { cache: fresh ? "no-cache" : "default" });
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  const time = Date.parse(answer.headers.get("date") ?? "");
  return { document: await answer.json(), time: Number.isNaN(time) ? Date.now() : time };
}
