// Finds the faces of a PNG picture by the exported network, without any code of featherface:
//
//     npm ci
//     node detect.mjs network.onnx picture.png 0.5
//
// Prints a JSON list of boxes [x1, y1, x2, y2], scores and landmarks in pixels of the picture.
import { readFileSync } from "node:fs";
import ort from "onnxruntime-node";
import { PNG } from "pngjs";

const MULTIPLE = 32; // the sides of the input are multiples of this

/** RGBA pixels -> the input: RGB on white ground, black beyond the picture; no scaling, no mean. */
function toInput({ width, height, data }) {
  const wide = Math.ceil(width / MULTIPLE) * MULTIPLE;
  const tall = Math.ceil(height / MULTIPLE) * MULTIPLE;
  const pixels = new Uint8Array(tall * wide * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = 4 * (y * width + x);
      const to = 3 * (y * wide + x);
      const alpha = data[from + 3] / 255;
      for (let c = 0; c < 3; c++) {
        pixels[to + c] = Math.round(alpha * data[from + c] + (1 - alpha) * 255);
      }
    }
  }
  return new ort.Tensor("uint8", pixels, [1, tall, wide, 3]);
}

/** The faces of a picture, best first. */
async function detect(session, picture, score = 0.5) {
  const found = await session.run({
    images: toInput(picture),
    score_threshold: new ort.Tensor("float32", [score], [1]),
    iou_threshold: new ort.Tensor("float32", [0.4], [1]),
    max_faces: new ort.Tensor("int64", BigInt64Array.of(10000n), [1]),
  });
  const faces = [];
  for (let i = 0; i < found.scores.dims[0]; i++) {
    const [x1, y1, x2, y2] = found.boxes.data.slice(4 * i, 4 * i + 4);
    const box = [
      Math.max(x1, 0),
      Math.max(y1, 0),
      Math.min(x2, picture.width),
      Math.min(y2, picture.height),
    ];
    if (box[2] <= box[0] || box[3] <= box[1]) continue; // it lies beyond the picture
    const points = found.landmarks.data.slice(10 * i, 10 * i + 10);
    const landmarks = [0, 2, 4, 6, 8].map((at) => [points[at], points[at + 1]]);
    faces.push({ box, score: found.scores.data[i], landmarks });
  }
  return faces;
}

const [network, file, score] = process.argv.slice(2);
if (!network || !file) {
  console.error("usage: node detect.mjs NETWORK.onnx PICTURE.png [SCORE]");
  process.exit(2);
}
const session = await ort.InferenceSession.create(network);
const picture = PNG.sync.read(readFileSync(file));
console.log(JSON.stringify(await detect(session, picture, score ? Number(score) : 0.5)));
