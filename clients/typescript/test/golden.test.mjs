// The golden streams, which the client for Python is tested with too (tests/hearken/golden.py makes them).

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import test from "node:test";

import { EMPTY, ResumableStream, apply, redactedTextOf, sessionOf, settledTextOf, spansOf, textOf } from "../dist/index.js";

const folder = new URL("../../../tests/golden/", import.meta.url);

// Leaves out what is empty, false, 0 or null.
function bare(value) {
  if (value instanceof Map) return bare(Object.fromEntries(value));
  if (Array.isArray(value)) return value.map((x) => bare(x) ?? null);
  if (value === null || typeof value !== "object") return value || undefined;
  const kept = Object.entries(value).map(([name, x]) => [name, bare(x)]);
  const full = kept.filter(([, x]) => x !== undefined && !(typeof x === "object" && x !== null && Object.keys(x).length === 0));
  return Object.fromEntries(full);
}

function replay({ steps, state }) {
  let now = EMPTY;
  for (const [i, { event, offset, repeat = false, seen }] of steps.entries()) {
    const before = now;
    now = apply(now, event, offset);
    assert.equal(now === before, repeat, `step ${i}`);
    const session = sessionOf(now, event.session);
    const read = { text: textOf(session), settled: settledTextOf(session), redacted: redactedTextOf(session) };
    assert.deepEqual(read, seen, `step ${i}`);
    for (const segment of session.segments.values()) {
      const text = Array.from(segment.text ?? "");
      for (const x of spansOf(segment)) {
        if (segment.text !== null && x.text) assert.equal(text.slice(x.start, x.end).join(""), x.text);
      }
    }
  }
  assert.deepEqual(bare(now), bare(state));
}

function resume({ redacted, steps, state }) {
  const stream = new ResumableStream(redacted);
  for (const [i, step] of steps.entries()) {
    const gives =
      "send" in step ? [stream.send(step.send)]
      : "receive" in step ? [stream.receive(step.receive)]
      : "resume" in step ? stream.resume()
      : [stream.finish()];
    assert.deepEqual(gives.filter((x) => x !== null).map(bare), step.gives.map(bare), `step ${i}`);
    if (!("receive" in step)) assert.deepEqual(stream.takeAnswers().map(bare), (step.answers ?? []).map(bare), `step ${i}`);
  }
  assert.deepEqual(bare(stream.state), bare(state));
}

const names = readdirSync(folder).filter((x) => x.endsWith(".json"));
assert.ok(names.length >= 10);
for (const name of names) {
  const golden = JSON.parse(readFileSync(new URL(name, folder), "utf8"));
  test(name, () => ("redacted" in golden ? resume(golden) : replay(golden)));
}
