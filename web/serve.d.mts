import type { Server } from "node:http";

export function serve(folder: URL, port: number): Promise<Server>;
