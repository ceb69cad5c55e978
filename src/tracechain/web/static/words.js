// What the scripts say, in Chinese and English. Words about a product itself come from the server.

// By the statuses of check.js.
const CHECK = {
  AUTHENTIC: [
    "浏览器已自行验证签名：正确。标签仍可能被复制，请以上面的结果为准。",
    "Your browser has checked the signature itself: it is right. A label can still be a copy, so " +
      "go by the answer above.",
  ],
  FALSE: [
    "浏览器已自行验证签名：不正确，该码系伪造。",
    "Your browser has checked the signature and it is false: this code is forged.",
  ],
  UNKNOWN_KEY: [
    "公布的密钥中没有该码所用的密钥，浏览器无法验证签名。",
    "The key that this code names is not among the published ones, so your browser cannot check " +
      "the signature.",
  ],
  KEY_REVOKED: [
    "签名正确，但所用密钥已被撤销。请谨慎，并向厂家核实。",
    "The signature is right, but its key has been revoked. Be careful and ask the manufacturer.",
  ],
  NOT_SIGNED: [
    "这是小标签用的短码，浏览器无法自行验证，只能由本服务联网查询。",
    "This is a short code for small labels. Your browser cannot check it; only the service can.",
  ],
  MALFORMED: [
    "这不是完整的防伪追溯码，无法验证。请重新扫描标签。",
    "This is not a complete product code, so there is nothing to check. Please scan the label again.",
  ],
  NO_KEYS: [
    "未能取得公布的密钥，浏览器没有验证签名。",
    "The published keys could not be fetched, so your browser has not checked the signature.",
  ],
  UNSUPPORTED: [
    "该浏览器不支持验证此类签名。",
    "This browser cannot check this kind of signature.",
  ],
};

// By the kinds of address.js. {host} is the address in the code, shown and never opened; {ours} is
// the one on our labels.
const WARNING = {
  NONE: [
    "这不是防伪追溯码。请对准标签上的二维码重新扫描。",
    "This is no product code. Point the camera at the QR code on the label.",
  ],
  FOREIGN: [
    "该码指向另一个网站：{host}。本服务的标签只用 {ours}，请勿在该网站上核对真伪。",
    "This code leads to another website: {host}. Our labels use {ours} only. Do not check a " +
      "product there.",
  ],
  USERINFO: [
    "假网站！网址中用 {ours} 作掩饰，实际指向 {host}。请勿打开，并举报（12315）。",
    "Fake website! The address hides behind {ours} but leads to {host}. Do not open it; report " +
      "it (12315).",
  ],
  INSECURE: [
    "该码的网址不安全（{host}）：本服务的标签以 https://{ours}/ 开头。未打开。",
    "The address in this code is not safe ({host}): our labels begin with https://{ours}/. It " +
      "was not opened.",
  ],
  SUBDOMAIN: [
    "假网站！{host} 冒用 {ours} 的名称，并非本服务。请勿打开，并举报（12315）。",
    "Fake website! {host} uses the name of {ours} and is not this service. Do not open it; report " +
      "it (12315).",
  ],
  HOMOGLYPH: [
    "假网站！{host} 用形近字符冒充 {ours}。请勿打开，并举报（12315）。",
    "Fake website! {host} imitates {ours} with characters that look alike. Do not open it; report " +
      "it (12315).",
  ],
  TYPO: [
    "可能是假网站！{host} 与 {ours} 只差一两个字符。请勿打开，并举报（12315）。",
    "Probably a fake website! {host} differs from {ours} by a character or two. Do not open it; " +
      "report it (12315).",
  ],
};

const PLAIN = {
  keysAsOf: ["密钥取得时间：{time}（{age}）。", "Keys as of {time} ({age})."],
  keysAge: ["密钥：{age}。", "Keys: {age}."],
  minutes: ["{n} 分钟前", "{n} minutes ago"],
  hours: ["{n} 小时前", "{n} hours ago"],
  days: ["{n} 天前", "{n} days ago"],
  now: ["刚刚", "just now"],
  offlineAuthentic: [
    "签名正确：该码由厂家签发。标签可能被复制。",
    "The signature is right: the manufacturer issued this code. The label may still be a copy.",
  ],
  forged: ["伪造的码", "Forged code"],
  forgedAdvice: [
    "请勿购买、食用或使用，保留包装和购货凭证，并举报（12315）。",
    "Do not buy or use the product. Keep the package and the receipt, and report it (12315).",
  ],
  notChecked: ["未能核对：", "What could not be checked:"],
  notHistory: [
    "此前是否有人查询过（被复制的标签要靠查询记录识别）",
    "whether it was scanned before (that is how a copied label shows)",
  ],
  notState: [
    "是否已售出、停售、过期、失窃或销毁",
    "whether it was sold, stopped, out of date, stolen or destroyed",
  ],
  notRecallSince: ["{time} 之后发布的召回", "recalls published after {time}"],
  notRecall: ["是否正在召回", "whether it is being recalled"],
  notKeySince: ["{time} 之后是否有密钥被撤销", "whether a key was revoked after {time}"],
  notSignature: ["签名", "the signature"],
  recallOfProduct: [
    "该产品有批次正在召回：{lots}。请核对包装上的批号。",
    "Batches of this product are being recalled: {lots}. Compare the lot on the package.",
  ],
  gtin: ["商品条码", "GTIN"],
  serial: ["序列号", "Serial"],
  cameraStart: ["用摄像头扫码", "Use the camera"],
  cameraStop: ["停止", "Stop"],
  cameraAim: ["请将二维码放入框内。", "Hold the QR code inside the frame."],
  cameraDenied: [
    "未获准使用摄像头。请在浏览器设置中允许，或上传照片、手工输入。",
    "The camera may not be used. Allow it in the browser's settings, or choose a photograph, or " +
      "type the code.",
  ],
  cameraNone: [
    "没有可用的摄像头。请上传照片或手工输入。",
    "There is no camera. Choose a photograph or type the code.",
  ],
  photoNothing: [
    "照片中没有读到二维码。请在光线充足处靠近标签重拍。",
    "No QR code was found in the photograph. Take it again in good light, closer to the label.",
  ],
  photoBroken: ["无法打开该图片。", "This picture cannot be opened."],
  readerMissing: [
    "读码程序未能载入。请联网后重试，或手工输入。",
    "The reader could not be loaded. Try again online, or type the code.",
  ],
  reading: ["正在读取…", "Reading…"],
  found: ["已读到，正在查询…", "Found; looking it up…"],
};

/** The words of one language, "zh" or "en"; whatever else is asked for gets Chinese. */
export function wordsIn(lang) {
  const at = lang === "en" ? 1 : 0;
  const locale = at ? "en" : "zh-CN";
  const say = (words, values = {}) =>
    words[at].replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
  const plain = (name, values) => say(PLAIN[name], values);
  return Object.freeze({
    plain,
    checked: (status) => say(CHECK[status]),
    warning: (kind, host, ours) => say(WARNING[kind], { host, ours }),
    time: (time) =>
      new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" }).format(time),
    age: (milliseconds) => {
      const minutes = Math.floor(Math.max(milliseconds, 0) / 60_000);
      if (minutes < 1) return plain("now");
      if (minutes < 120) return plain("minutes", { n: minutes });
      if (minutes < 48 * 60) return plain("hours", { n: Math.floor(minutes / 60) });
      return plain("days", { n: Math.floor(minutes / 1440) });
    },
  });
}
