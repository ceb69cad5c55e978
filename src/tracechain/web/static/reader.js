// Reads QR codes from pictures: by the browser's own BarcodeDetector where it works, else by
// zxing-cpp in WebAssembly (vendor/), which is loaded when it is first needed. Pictures stay here.

const MAX_SIDE = 1600; // more pixels cost time and read no better

/** A reader: read(picture) answers the text of a code in it or null; `picture` is a video, an
 * image bitmap or a canvas, of `width` times `height`. Rejects where no reader can be loaded. */
export async function openReader() {
  const native = await nativeReader();
  let reader = native ?? (await wasmReader());
  return {
    async read(picture, width, height) {
      try {
        return await reader(picture, width, height);
      } catch (error) {
        // There is a BarcodeDetector on phones whose system has nothing behind it.
        if (reader !== native) throw error;
        reader = await wasmReader();
        return reader(picture, width, height);
      }
    },
  };
}

async function nativeReader() {
  const Detector = globalThis.BarcodeDetector;
  try {
    if (!(await Detector.getSupportedFormats()).includes("qr_code")) return null;
    const detector = new Detector({ formats: ["qr_code"] });
    return async (picture) => (await detector.detect(picture))[0]?.rawValue ?? null;
  } catch {
    return null;
  }
}

async function wasmReader() {
  const { prepareZXingModule, readBarcodes } = await import("./vendor/zxing-wasm/reader/index.js");
  // As it comes, the package would fetch this file from a host that is not ours.
  const wasm = new URL("./vendor/zxing-wasm/reader/zxing_reader.wasm", import.meta.url).href;
  await prepareZXingModule({ overrides: { locateFile: () => wasm }, fireImmediately: true });
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  return async (picture, width, height) => {
    const scale = Math.min(1, MAX_SIDE / Math.max(width, height));
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
    const [found] = await readBarcodes(pixels, { formats: ["QRCode"], maxNumberOfSymbols: 1 });
    return found ? found.text : null;
  };
}
