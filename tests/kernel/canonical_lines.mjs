// Answers each line {"call": one of clients/js/canonical.js, "given": its arguments} with {"gave"} or {"refused"}.
// Where JSON has no word, {"$": "undefined"} stands for an expression of JavaScript.
import { createInterface } from "node:readline";
import * as canonical from "../../clients/js/canonical.js";

function revived(value) {
  if (Array.isArray(value)) return value.map(revived);
  if (value === null || typeof value !== "object") return value;
  if ("$" in value) return (0, eval)(`(${value.$})`);
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, revived(part)]));
}

async function answer({ call, given }) {
  try {
    return { gave: await canonical[call](...given.map(revived)) };
  } catch (error) {
    return { refused: `${error.name}: ${error.message}` };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
}
