// Host names as people see them: labels in the ASCII form of RFC 3492 ("xn--…") decoded. A label
// that decodes to nothing stays as it is. Only for comparing and showing, never for opening.

const BASE = 36, T_MIN = 1, T_MAX = 26, SKEW = 38, DAMP = 700, FIRST_BIAS = 72, FIRST = 128;

/** `host` with each of its ASCII-encoded labels decoded. */
export function decodeHost(host) {
  return host
    .split(".")
    .map((label) => (label.startsWith("xn--") ? (decode(label.slice(4)) ?? label) : label))
    .join(".");
}

// RFC 3492 section 6.2.
function decode(label) {
  const end = label.lastIndexOf("-");
  const output = end > 0 ? [...label.slice(0, end)].map((c) => c.codePointAt(0)) : [];
  let [at, code, index, bias] = [end > 0 ? end + 1 : 0, FIRST, 0, FIRST_BIAS];
  while (at < label.length) {
    const start = index;
    for (let weight = 1, k = BASE; ; k += BASE) {
      const digit = digitOf(label[at++]);
      if (digit < 0) return null;
      index += digit * weight;
      const threshold = Math.min(Math.max(k - bias, T_MIN), T_MAX);
      if (digit < threshold) break;
      weight *= BASE - threshold;
    }
    const length = output.length + 1;
    bias = adapt(index - start, length, start === 0);
    code += Math.floor(index / length);
    index %= length;
    if (code > 0x10ffff) return null;
    output.splice(index++, 0, code);
  }
  return String.fromCodePoint(...output);
}

function digitOf(character = "") {
  if (/^[a-z]$/i.test(character)) return character.toLowerCase().charCodeAt(0) - 97;
  return /^[0-9]$/.test(character) ? Number(character) + 26 : -1;
}

// RFC 3492 section 6.1.
function adapt(delta, count, first) {
  let rest = Math.floor(delta / (first ? DAMP : 2));
  rest += Math.floor(rest / count);
  let k = 0;
  for (; rest > ((BASE - T_MIN) * T_MAX) / 2; k += BASE) rest = Math.floor(rest / (BASE - T_MIN));
  return k + Math.floor(((BASE - T_MIN + 1) * rest) / (rest + SKEW));
}
