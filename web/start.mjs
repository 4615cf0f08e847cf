// Serves the page on this machine: node start.mjs [PORT].

import { serve } from "./serve.mjs";

const server = await serve(new URL("./site/", import.meta.url), Number(process.argv[2] ?? 8080));
console.log(`http://localhost:${server.address().port}/`);
