// What the page may load and reach: its own host, nothing else. Sent as a header, since workers
// go by the header of their script alone; in the page too, for hosts that send no headers.

const POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'", // compiling WebAssembly, not evaluating text
  "worker-src 'self'",
  "connect-src 'self'",
  "img-src 'self'",
  "style-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
];

/** For the page's <meta>. */
export const META = POLICY.join("; ");

/** For every file. The last three let the page use threads, and keep it out of others' frames. */
export const HEADERS = {
  "Content-Security-Policy": [...POLICY, "frame-ancestors 'none'"].join("; "),
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
  "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};
