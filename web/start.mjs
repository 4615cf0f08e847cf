// Serves the page on this machine: node start.mjs [PORT].

import { serve } from "./serve.mjs";

const port = Number(process.argv[2] ?? 8080);
try {
  await serve(new URL("./site/", import.meta.url), port);
  console.log(`http://localhost:${port}/`);
} catch (error) {
  console.error(`port ${port} cannot be used (${error.code}); try another: node start.mjs ${port + 1}`);
  process.exitCode = 1;
}
