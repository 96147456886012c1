// The client with a socket that the test is the server of.

import assert from "node:assert/strict";
import test from "node:test";

import { Client, ServerRefused, isRevision, textOf } from "../dist/index.js";

const sockets = [];

class FakeSocket {
  readyState = 0;
  sent = [];

  constructor(address) {
    this.address = new URL(address);
    sockets.push(this);
    setImmediate(() => this.#opened());
  }

  #opened() {
    if (FakeSocket.refuse > 0) {
      FakeSocket.refuse -= 1;
      return this.cut(1006);
    }
    this.readyState = 1;
    this.onopen();
  }

  static refuse = 0;

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  answer(message) {
    this.onmessage({ data: JSON.stringify(message) });
  }

  cut(code) {
    this.readyState = 3;
    this.onclose({ code });
  }

  close() {
    this.cut(1005);
  }
}

const connect = (options = {}) => {
  sockets.length = 0;
  return new Client("http://localhost:8477", { WebSocket: FakeSocket, ...options });
};

async function until(condition) {
  for (let i = 0; i < 2000; i += 1) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.fail("it never came");
}

const opened = (count) => until(() => sockets.filter((x) => x.readyState === 1).length && sockets.length === count);

const revision = (rev, offset, text, more = {}) => ({
  type: "revision", tagger: "ner", session: "call", segment: "1", rev, offset, final: false, added: [], changed: [],
  retracted: [], score: 0.9, settled: 0,
  spans: [{ id: 1, start: 0, end: text.length, label: "person", text, stability: 0.9 }], ...more,
});

test("a stream goes on over a break, and iteration ends with it", async () => {
  const client = connect();
  const call = client.stream("call");
  assert.equal(call.replace("anna"), 0);
  await opened(1);
  assert.equal(sockets[0].address.href, "ws://localhost:8477/v1/stream?output=revisions");
  assert.deepEqual(sockets[0].sent.map((x) => x.text), ["anna"]);
  sockets[0].answer(revision(1, 0, "anna"));
  FakeSocket.refuse = 2;
  sockets[0].cut(1006);
  call.append(" rice");
  await opened(4);
  assert.deepEqual(sockets[3].sent.map((x) => [x.text, x.mode]), [["anna rice", "replace"]]);
  assert.equal(client.connections, 2);
  sockets[3].answer(revision(1, 0, "anna rice"));
  client.end();
  assert.deepEqual(sockets[3].sent.at(-1), { type: "end" });
  sockets[3].answer({ ...revision(2, 1, "anna rice", { final: true, added: [] }) });
  sockets[3].cut(1000);
  const got = [];
  for await (const x of client) got.push(x);
  assert.ok(got.every(isRevision));
  assert.deepEqual(got.map((x) => [x.rev, x.offset, x.spans[0].id, x.final]), [[1, 0, 1, false], [2, 1, 1, false], [3, 2, 1, true]]);
  assert.equal(textOf(call.session), "anna rice");
  assert.throws(() => call.append("more"), /was ended/);
});

test("a refused message is thrown where answers are read, and the others go on", async () => {
  const client = connect();
  client.stream("call").replace("anna");
  await opened(1);
  sockets[0].answer({ type: "error", reason: "text_too_long", detail: "go on in a new segment", frame: 0 });
  sockets[0].answer(revision(1, 0, "anna"));
  const refused = await client[Symbol.asyncIterator]().next().catch((error) => error);
  assert.ok(refused instanceof ServerRefused);
  assert.deepEqual([refused.reason, refused.frame], ["text_too_long", 0]);
  assert.equal((await client[Symbol.asyncIterator]().next()).value.rev, 1);
  client.close();
});

test("a server that gives no such output ends the client", async () => {
  const client = connect({ output: "redacted" });
  client.stream().replace("anna");
  await opened(1);
  assert.equal(sockets[0].address.searchParams.get("output"), "redacted");
  sockets[0].answer({ type: "error", reason: "bad_query", detail: "start it with --redact", frame: null });
  sockets[0].cut(4400);
  await assert.rejects(client[Symbol.asyncIterator]().next(), /--redact/);
  assert.throws(() => client.stream().replace("bob"), /--redact/);
});

test("an idle connection is made again with the next message, with a ticket of its own", async () => {
  let tickets = 0;
  const got = [];
  const client = connect({ ticket: async () => `t${(tickets += 1)}`, onAnswer: (x) => got.push(x) });
  const call = client.stream("call");
  call.replace("anna", "1", { final: true });
  await opened(1);
  sockets[0].answer(revision(1, 0, "anna", { final: true }));
  sockets[0].cut(4410);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(sockets.length, 1);
  call.replace("bob");
  await opened(2);
  assert.deepEqual(sockets.map((x) => x.address.searchParams.get("ticket")), ["t1", "t2"]);
  assert.deepEqual(sockets[1].sent.map((x) => x.text), ["anna", "bob"]);
  assert.deepEqual(got.map((x) => x.rev), [1]);
  client.close();
});

test("a server that cannot be reached is given up in time", async () => {
  FakeSocket.refuse = 1000;
  const client = connect({ reconnectSeconds: 0.1 });
  client.stream().replace("anna");
  await assert.rejects(client[Symbol.asyncIterator]().next(), /no WebSocket at localhost:8477/);
  FakeSocket.refuse = 0;
});
