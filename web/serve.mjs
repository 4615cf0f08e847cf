// A small server of files for this machine; any host of files can take its place.

import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname } from "node:path";

import { HEADERS } from "./policy.mjs";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".jpg": "image/jpeg",
  ".png": "image/png",
  ".json": "application/json",
  ".wasm": "application/wasm",
  ".webmanifest": "application/manifest+json",
};

/** A server of a folder (a file URL that ends in a slash), listening; port 0 takes a free one. */
export function serve(folder, port) {
  const server = createServer(async (request, response) => {
    const send = (status, headers, body) => {
      response.writeHead(status, { ...HEADERS, ...headers });
      response.end(request.method === "HEAD" ? undefined : body);
    };
    try {
      const { pathname } = new URL(request.url, "http://localhost");
      const path = pathname.endsWith("/") ? `${pathname}index.html` : pathname;
      const file = new URL(`.${path}`, folder);
      if (!file.href.startsWith(folder.href)) return send(404, {}, "not found");
      const wantsBrotli = /\bbr\b/.test(request.headers["accept-encoding"] ?? "");
      const small = wantsBrotli && (await readFile(new URL(`${file.href}.br`)).catch(() => null));
      const body = small || (await readFile(file));
      const etag = `"${createHash("sha256").update(body).digest("hex").slice(0, 16)}"`;
      const headers = {
        "Content-Type": TYPES[extname(path)] ?? "application/octet-stream",
        "Cache-Control": "no-cache", // ask again, and be told that nothing has changed
        Vary: "Accept-Encoding",
        ETag: etag,
        ...(small && { "Content-Encoding": "br" }),
      };
      if (request.headers["if-none-match"] === etag) return send(304, headers);
      send(200, { ...headers, "Content-Length": body.length }, body);
    } catch {
      send(404, { "Content-Type": "text/plain" }, "not found");
    }
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}
