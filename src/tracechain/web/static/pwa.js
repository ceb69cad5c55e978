// Registers the service worker, so that scanning works without a network. Without it (an old
// browser, a web view, a page that is not served securely) every page works as before.

// The one script address that this site may load by name: `trusted-types` in the page's policy.
const policy = globalThis.trustedTypes?.createPolicy("tracechain", {
  createScriptURL: (url) => {
    if (url === "/sw.js") return url;
    throw new TypeError("no script of ours");
  },
});

if ("serviceWorker" in navigator) {
  const script = policy ? policy.createScriptURL("/sw.js") : "/sw.js";
  // After the page is there: nothing that the worker fetches may delay it.
  const register = () => navigator.serviceWorker.register(script).catch(() => {});
  if (document.readyState === "complete") register();
  else addEventListener("load", register, { once: true });
}
