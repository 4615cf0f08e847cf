// Keeps the page's files, so that it opens without a network, and lets no request out to others.

declare const FILES: string[]; // put in by the build
declare const VERSION: string; // of their content

const CACHE = `featherface-${VERSION}`;
const worker = self as unknown as ServiceWorkerGlobalScope;

worker.addEventListener("install", (event) => event.waitUntil(keep()));
worker.addEventListener("activate", (event) => event.waitUntil(takeOver()));
worker.addEventListener("fetch", (event) => event.respondWith(answer(event.request)));

/** All or nothing; the browser has most of them already, and only asks whether they are current. */
async function keep(): Promise<void> {
  const cache = await caches.open(CACHE);
  await cache.addAll(FILES.map((file) => new Request(file, { cache: "no-cache" })));
  await worker.skipWaiting();
}

async function takeOver(): Promise<void> {
  const old = (await caches.keys()).filter((key) => key.startsWith("featherface-") && key !== CACHE);
  await Promise.all(old.map((key) => caches.delete(key)));
  await worker.clients.claim();
}

async function answer(request: Request): Promise<Response> {
  if (new URL(request.url).origin !== worker.location.origin) return Response.error();
  const cache = await caches.open(CACHE);
  return (await cache.match(request, { ignoreSearch: true, ignoreVary: true })) ?? fetch(request);
}

interface ServiceWorkerGlobalScope {
  readonly clients: { claim(): Promise<void> };
  readonly location: Location;
  skipWaiting(): Promise<void>;
  addEventListener(kind: "install" | "activate", listener: (event: Extendable) => void): void;
  addEventListener(kind: "fetch", listener: (event: Fetched) => void): void;
}

interface Extendable extends Event {
  waitUntil(done: Promise<unknown>): void;
}

interface Fetched extends Event {
  readonly request: Request;
  respondWith(answer: Promise<Response>): void;
}
