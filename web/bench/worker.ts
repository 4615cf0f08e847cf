// Both networks turn by turn in one worker, so that whatever slows the machine slows both.

import { toPicture } from "../src/faces.ts";
import { fit } from "../src/fit.ts";
import { Network } from "../src/network.ts";
import type { Race, Result, Times } from "./messages.ts";
import { YuNet } from "./yunet.ts";

const SIDE = 640;
const SCORE = 0.5;

self.addEventListener("message", async ({ data }: MessageEvent<Race>) => {
  self.postMessage(await race(data));
});

async function race(plan: Race): Promise<Result> {
  const { rgba, width, height } = plan.picture;
  const { script, wasm } = plan;
  const runtime = { script, wasm, threads: 1, provider: "wasm" } as const;
  const ours = await Network.open(plan.ours, "ours", runtime);
  const yunet = await YuNet.open(plan.yunet);
  const rows = (top: number, count: number) => ({
    rgba: rgba.subarray(top * width * 4, (top + count) * width * 4),
    stride: width,
  });
  const prepare = () => fit(rows, width, height, SIDE);
  const fitted = prepare();
  const planes = YuNet.prepare(fitted);
  const entrants = {
    ours: {
      graph: () => ours.run(fitted, SCORE),
      whole: async () => {
        const { scale, ...input } = prepare();
        return toPicture(await ours.run(input, SCORE), width, height, scale);
      },
    },
    yunet: {
      graph: () => yunet.run(planes),
      whole: async () => {
        const input = prepare();
        const outputs = await yunet.run(YuNet.prepare(input));
        return YuNet.decode(outputs, SCORE, width, height, input.scale);
      },
    },
  };
  const names = ["ours", "yunet"] as const;
  const empty = (): Times => ({ graph: [], whole: [], faces: 0 });
  const result: Result = { ours: empty(), yunet: empty() };
  for (const name of names) result[name].faces = (await entrants[name].whole()).length;
  for (let round = -1; round < plan.rounds; round++) {
    for (const name of round % 2 ? names : names.toReversed()) {
      for (const part of ["graph", "whole"] as const) {
        const time = await turn(entrants[name][part], plan.repeats);
        if (round >= 0) result[name][part].push(time); // before, WebAssembly is compiled well
      }
    }
  }
  return result;
}

/** One untimed run, and the median of the timed ones. */
async function turn(run: () => Promise<unknown>, repeats: number): Promise<number> {
  await run();
  const times: number[] = [];
  for (let repeat = 0; repeat < repeats; repeat++) {
    const start = performance.now();
    await run();
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[Math.floor(repeats / 2)]!;
}
