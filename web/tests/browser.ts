// A Chromium with nothing in it, on a page that is served from a folder of this one.

import { existsSync, statfsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type BrowserContext, type BrowserContextOptions, type Page } from "playwright-core";

import { serve } from "../serve.mjs";

export const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
export const WEB = new URL("../../", import.meta.url); // from where the build lays this file

/** Why no browser test can run here; false if they can. */
export const noBrowser = existsSync(CHROMIUM)
  ? false
  : `needs Chromium at ${CHROMIUM} (or the variable CHROMIUM): apt-get install chromium`;

/** Why no page can be kept for use without a network; false if it can. */
export const noRoom = noBrowser || (() => {
  const { bavail, bsize } = statfsSync(tmpdir());
  const needed = 6e9; // with 5e9 free Chromium keeps 13 MB of WebAssembly in one file, with 3e9 it does not
  return bavail * bsize < needed && `needs ${needed / 1e9} GB free in ${tmpdir()}, or Chromium does not keep the page`;
})();

const PATIENCE = 120_000; // milliseconds, on a machine that has other work to do

const FLAGS = [
  ..."--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync".split(" "),
  ..."--disable-background-networking --disable-component-update".split(" "),
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost", // the browser's own calls stay here
];

/** A browser and the server that its page comes from. */
export interface Visit {
  page: Page;
  context: BrowserContext;
  address: string;
  /** Everything that the page logged as an error, and every exception in it. */
  complaints: string[];
  /** Every address that was asked for, by the page, its workers or its service worker. */
  requests: string[];
  /** Bytes that the server has sent so far, headers included. */
  sent: () => number;
  stopServer: () => Promise<void>;
  end: () => Promise<void>;
}

/**
 * Opens a browser with a new profile; the page is not visited yet.
 *
 * @param folder below web/ (or an address of a file) that is served, with a slash at its end.
 */
export async function visit(
  folder: string,
  options: BrowserContextOptions & { args?: string[] } = {},
): Promise<Visit> {
  const server = await serve(new URL(folder, WEB), 0);
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => sockets.add(socket));
  const sent = () => [...sockets].reduce((sum, { bytesWritten }) => sum + bytesWritten, 0);
  const { args = [], ...rest } = options;
  const profile = await mkdtemp(join(tmpdir(), "featherface-web-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    headless: true,
    args: [...FLAGS, ...args],
    acceptDownloads: true,
    ...rest,
  });
  const page = context.pages()[0] ?? (await context.newPage());
  page.setDefaultTimeout(PATIENCE);
  const complaints: string[] = [];
  const requests: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  context.on("request", (request) => requests.push(request.url()));
  let isServing = true;
  const stopServer = async () => {
    if (!isServing) return;
    isServing = false;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  const end = async () => {
    await context.close();
    await stopServer();
    await rm(profile, { recursive: true, force: true });
  };
  const address = `http://localhost:${(server.address() as AddressInfo).port}/`;
  return { page, context, address, complaints, requests, sent, stopServer, end };
}
