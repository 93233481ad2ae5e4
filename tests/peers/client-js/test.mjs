// `GET /conversations/client.js` as an application sees it. Run: node --test tests/peers/client-js
// No package is needed. The server is real, on a free loopback port; timers and the clock are not.
import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { tokenSource } from "../../../src/inbound/public/client.js";
import { advance, setDate, startClock, stopClock } from "./clock.mjs";

const MODULE = new URL("../../../src/inbound/public/client.js", import.meta.url);
const NOON = Date.UTC(2026, 10, 23, 12);

const unhandled = [];
process.on("unhandledRejection", (reason) => unhandled.push(reason));

let server, url, requests, answers, stops;

before(async () => {
  server = createServer(async (request, response) => {
    requests.push({ method: request.method, url: request.url, authorization: request.headers.authorization });
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    const { status = 200, headers = {}, body } = await answer(requests.length);
    if (status === "reset") return request.socket.destroy();
    response.writeHead(status, headers).end(typeof body === "string" ? body : JSON.stringify(body));
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  url = `http://127.0.0.1:${server.address().port}/conversations/token`;
});

beforeEach(() => {
  globalThis.fetch = countedFetch;
  requests = [];
  answers = [issued()];
  stops = [];
  stopClock(NOON);
});

afterEach(async () => {
  stops.forEach((stop) => stop());
  await turns();
  startClock();
  assert.deepEqual(unhandled.splice(0), [], "no rejection goes unhandled");
});

after(() => {
  globalThis.fetch = plainFetch;
  server.closeAllConnections();
  server.close();
});

/** A good answer, with a new token each time unless one is given. */
function issued(token, refresh_in = 690) {
  return (count) => ({
    body: { token: token ?? `token-${count}`, identity: "u-d3j7cm4uyqsr24th2j5j4osoqi", expires_in: 900, refresh_in },
  });
}

/** A problem document. */
function problem(status, code, action, headers = {}) {
  const body = { type: `urn:usher:problem:${code}`, title: code, status, detail: `what to do about ${code}`, code, action };
  return () => ({ status, headers: { "content-type": "application/problem+json", ...headers }, body });
}

/** Counts what is on the wire, so that a test can wait for it without waiting for a time. */
const plainFetch = globalThis.fetch;
let onTheWire = 0;
async function countedFetch(...request) {
  onTheWire++;
  try {
    const response = await plainFetch(...request);
    const body = await response.clone().text();
    return Object.assign(response, { json: async () => JSON.parse(body) });
  } finally {
    onTheWire--;
  }
}

/** Lets sockets and promises go on until all is quiet; the clock stands still. */
async function turns(count = 10) {
  for (let turn = 0; turn < 2_000 && onTheWire; turn++) await new Promise(setImmediate);
  for (let turn = 0; turn < count; turn++) await new Promise(setImmediate);
}

async function until(condition, what) {
  for (let turn = 0; turn < 5_000; turn++) {
    if (condition()) return;
    await new Promise(setImmediate);
  }
  assert.fail(`never came: ${what}`);
}

/** Moves the clock on second by second until something holds; gives the seconds it took. */
async function secondsUntil(condition, atMost, what) {
  for (let second = 0; second <= atMost; second++) {
    await turns(10);
    if (condition()) return second;
    advance(1_000);
  }
  assert.fail(`not within ${atMost} s: ${what}`);
}

/** What `keepFresh` needs of the Twilio client. */
class FakeClient extends EventEmitter {
  tokens = [];
  connectionState = "connected";
  async updateToken(token) {
    this.tokens.push(token);
    return this;
  }
  becomes(state) {
    this.connectionState = state;
    this.emit("connectionStateChanged", state);
  }
}

function keep(source, client, options) {
  const stop = source.keepFresh(client, options);
  stops.push(stop);
  return stop;
}

test("it fits 4 KiB, imports nothing and exports one name", async () => {
  const text = await readFile(MODULE, "utf8");
  assert.ok(Buffer.byteLength(text) <= 4096, `${Buffer.byteLength(text)} bytes`);
  assert.doesNotMatch(text, /\bimport\b|\brequire\b|\beval\b|process\./);
  assert.deepEqual(Object.keys(await import(MODULE)), ["tokenSource"]);
});

test("one request is made however many ask, and its whole answer is shared", async () => {
  const source = tokenSource({ url, authorization: "Bearer up" });
  const all = await Promise.all([source.get(), source.answer(), source.get(), source.answer(), source.get()]);
  assert.equal(requests.length, 1);
  assert.deepEqual(requests[0], { method: "POST", url: "/conversations/token", authorization: "Bearer up" });
  assert.deepEqual([all[0], all[2], all[4]], ["token-1", "token-1", "token-1"]);
  assert.equal(all[1].identity, "u-d3j7cm4uyqsr24th2j5j4osoqi");
  assert.equal(all[3].expires_in, 900);
});

test("an answer is remembered until its refresh time and no longer", async () => {
  const source = tokenSource({ url });
  await source.get();
  advance(689_000);
  assert.equal(await source.get(), "token-1");
  advance(1_000);
  assert.equal(await source.get(), "token-2");
  assert.equal(requests.length, 2);
});

test("a clock that is years wrong changes nothing, one set back asks again", async () => {
  setDate(Date.UTC(2041, 0, 1));
  answers = [() => ({ body: { token: "a", refresh_in: 690, refresh_at: "2026-11-23T12:11:30Z", expires_at: "2026-11-23T12:15:00Z" } })];
  const source = tokenSource({ url });
  await source.get();
  await source.get();
  assert.equal(requests.length, 1, "remembered by the seconds left, not by the date");
  setDate(NOON);
  await source.get();
  assert.equal(requests.length, 2, "an age that cannot be told is no age");
});

test("service and platform go into the query, beside what the address has", async () => {
  await tokenSource({ url, service: "main", platform: "ios" }).get();
  await tokenSource({ url: `${url}?a=1`, service: "ä&b" }).get();
  assert.deepEqual(requests.map((request) => request.url), [
    "/conversations/token?service=main&platform=ios",
    "/conversations/token?a=1&service=%C3%A4%26b",
  ]);
});

test("the address defaults to /conversations/token and cookies stay on their own origin", async () => {
  const seen = [];
  const plain = globalThis.fetch;
  globalThis.fetch = async (...args) => {
    seen.push(new Request(new URL(args[0], url), args[1]), args[0]);
    return Response.json({ token: "t", refresh_in: 1 });
  };
  try {
    assert.equal(await tokenSource().get(), "t");
  } finally {
    globalThis.fetch = plain;
  }
  assert.equal(seen[1], "/conversations/token");
  assert.equal(seen[0].credentials, "same-origin");
  assert.equal(seen[0].headers.get("authorization"), null);
});

test("a function gives the header each time, async or not, and nothing sends none", async () => {
  answers = [issued(undefined, 0)];
  let value = "Bearer one";
  const source = tokenSource({ url, authorization: async () => value });
  await source.get();
  value = "Bearer two";
  await source.get();
  await tokenSource({ url, authorization: () => undefined }).get();
  assert.deepEqual(requests.map((request) => request.authorization), ["Bearer one", "Bearer two", undefined]);
});

test("renew_upstream asks for a fresh upstream token, once", async () => {
  answers = [problem(401, "token_expired", "renew_upstream"), issued("renewed")];
  const asked = [];
  const authorization = ({ forceRefresh }) => (asked.push(forceRefresh), `Bearer ${asked.length}`);
  assert.equal(await tokenSource({ url, authorization }).get(), "renewed");
  assert.deepEqual(asked, [false, true]);
  assert.deepEqual(requests.map((request) => request.authorization), ["Bearer 1", "Bearer 2"]);

  answers = [problem(401, "token_expiring", "renew_upstream")];
  requests = [];
  await assert.rejects(tokenSource({ url, authorization }).get(), { code: "token_expiring", action: "renew_upstream", status: 401 });
  assert.equal(requests.length, 2, "and not again and again");
});

test("a header that cannot be renewed is not tried twice", async () => {
  answers = [problem(401, "token_expired", "renew_upstream")];
  await assert.rejects(tokenSource({ url, authorization: "Bearer old" }).get(), { code: "token_expired" });
  assert.equal(requests.length, 1);
});

test("a failure bears code, action, status and what to do, and is not remembered", async () => {
  answers = [problem(403, "not_entitled", "ask_operator"), problem(429, "rate_limited", "retry", { "retry-after": "7" }), issued("later")];
  const source = tokenSource({ url });
  const refused = await source.get().catch((error) => error);
  assert.ok(refused instanceof Error);
  assert.deepEqual([refused.code, refused.action, refused.status, refused.message], ["not_entitled", "ask_operator", 403, "what to do about not_entitled"]);
  await assert.rejects(source.answer(), { code: "rate_limited", action: "retry", retryAfter: 7 });
  assert.equal(await source.get(), "later");
});

test("a dead server, and an answer that is not usher's, have a code and an action too", async () => {
  answers = [() => ({ status: "reset" })];
  const dead = await tokenSource({ url }).get().catch((error) => error);
  assert.deepEqual([dead.code, dead.action], ["unreachable", "retry"]);
  assert.ok(dead.cause instanceof Error);
  const cases = [[200, "<html>", "retry"], [200, "null", "retry"], [200, "{}", "retry"], [401, "<html>", "sign_in"], [403, "", "ask_operator"], [404, "", "ask_operator"], [408, "", "retry"], [429, "", "retry"], [502, "<html>", "retry"]];
  for (const [status, body, action] of cases) {
    answers = [() => ({ status, body })];
    await assert.rejects(tokenSource({ url }).get(), { code: "unexpected_answer", action, status }, `${status} ${body}`);
  }
});

test("what the authorization function throws reaches the caller as it is", async () => {
  const cause = new Error("sign in again");
  await assert.rejects(tokenSource({ url, authorization: () => { throw cause; } }).get(), cause);
  assert.equal(requests.length, 0);
});

test("nobody has to catch the failure of a request that somebody else awaits", async () => {
  answers = [problem(403, "not_entitled", "ask_operator")];
  const source = tokenSource({ url });
  const [one, two] = await Promise.allSettled([source.get(), source.answer()]);
  assert.deepEqual([one.status, two.status, requests.length], ["rejected", "rejected", 1]);
});

test("tokenAboutToExpire brings a new token, though the old one is still remembered", async () => {
  const asked = [];
  const source = tokenSource({ url, authorization: ({ forceRefresh }) => (asked.push(forceRefresh), "Bearer up") });
  const client = new FakeClient();
  await source.get();
  keep(source, client);
  client.emit("tokenAboutToExpire");
  await until(() => client.tokens.length, "updateToken");
  assert.deepEqual(client.tokens, ["token-2"]);
  assert.deepEqual(asked, [false, false]);
  assert.equal(await source.get(), "token-2", "and it is what is remembered from now on");
});

test("tokenExpired and denied force a fresh upstream token, and both at once ask once", async () => {
  const asked = [];
  const source = tokenSource({ url, authorization: ({ forceRefresh }) => (asked.push(forceRefresh), "Bearer up") });
  const client = new FakeClient();
  client.updateToken = async (token) => (client.tokens.push(token), (client.connectionState = "connected"));
  keep(source, client);
  client.emit("tokenExpired");
  client.becomes("denied");
  await until(() => client.tokens.length, "updateToken");
  await turns();
  assert.deepEqual(asked, [true]);
  assert.deepEqual(client.tokens, ["token-1"]);
});

test("a forced renewal that succeeded does not force the next one", async () => {
  const asked = [];
  const source = tokenSource({ url, authorization: ({ forceRefresh }) => (asked.push(forceRefresh), "Bearer up") });
  const client = new FakeClient();
  keep(source, client);
  for (const event of ["tokenExpired", "tokenAboutToExpire"]) {
    client.emit(event);
    await turns();
    advance(60_000);
  }
  assert.deepEqual(asked, [true, false]);
  assert.deepEqual(client.tokens, ["token-1", "token-2"]);
});

test("a client that was denied before keepFresh saw it is renewed as well", async () => {
  const client = new FakeClient();
  client.connectionState = "denied";
  client.updateToken = async (token) => (client.tokens.push(token), (client.connectionState = "connected"));
  keep(tokenSource({ url }), client);
  await until(() => client.tokens.length, "updateToken");
});

test("a forced request does not make do with an unforced one under way", async () => {
  const held = [];
  answers = [() => new Promise((release) => held.push(() => release(issued("plain")()))), issued("forced")];
  const asked = [];
  const source = tokenSource({ url, authorization: ({ forceRefresh }) => (asked.push(forceRefresh), "Bearer up") });
  const client = new FakeClient();
  keep(source, client);
  const plain = source.get();
  await until(() => held.length, "the first request");
  client.emit("tokenExpired");
  await until(() => client.tokens.length, "updateToken");
  held[0]();
  assert.equal(await plain, "plain");
  assert.deepEqual(asked, [false, true]);
  assert.equal(await source.get(), "forced", "the answer to the older question does not replace the newer");
});

test("failures are tried again with back-off and jitter until one succeeds", async () => {
  answers = [...Array(8).fill(problem(503, "store_unavailable", "retry")), issued("at last")];
  const client = new FakeClient();
  const errors = [];
  keep(tokenSource({ url }), client, { onError: (error) => errors.push(error.code) });
  client.emit("tokenAboutToExpire");
  const waits = [];
  for (let count = 1; count <= 9; count++) waits.push(await secondsUntil(() => requests.length === count, 61, `request ${count}`));
  await until(() => client.tokens.length, "updateToken");
  assert.equal(errors.length, 8);
  assert.equal(waits[0], 0, "the first goes at once");
  waits.slice(1).forEach((wait, n) => {
    const base = Math.min(30, 2 ** n);
    assert.ok(wait >= base && wait <= 2 * base + 1, `wait ${n + 1}: ${wait} s, base ${base} s`);
  });
});

test("the jitter differs from client to client", async (t) => {
  answers = [problem(503, "draining", "retry")];
  const waits = new Set();
  t.mock.method(Math, "random", () => waits.size * 0.25);
  for (let n = 0; n < 3; n++) {
    requests = [];
    const client = new FakeClient();
    const stop = keep(tokenSource({ url }), client);
    client.emit("tokenExpired");
    await until(() => requests.length === 1, "the first request");
    await turns();
    let waited = 0;
    for (; requests.length < 2 && waited < 3_000; waited += 50) {
      advance(50);
      await turns(4);
    }
    waits.add(waited);
    stop();
  }
  assert.equal(waits.size, 3, [...waits].join());
});

test("Retry-After is waited for where it is longer than the back-off", async () => {
  answers = [problem(503, "issuer_unavailable", "retry", { "retry-after": "30" }), issued()];
  const client = new FakeClient();
  keep(tokenSource({ url }), client);
  client.emit("tokenAboutToExpire");
  await until(() => requests.length === 1, "the first request");
  await turns();
  advance(29_900);
  await turns();
  assert.equal(requests.length, 1);
  advance(200);
  await until(() => client.tokens.length, "updateToken");
});

test("an absurd Retry-After does not become a busy loop", async () => {
  answers = [problem(503, "issuer_unavailable", "retry", { "retry-after": "99999999999" })];
  const client = new FakeClient();
  keep(tokenSource({ url }), client);
  client.emit("tokenAboutToExpire");
  await until(() => requests.length === 1, "the first request");
  await turns();
  advance(60_000);
  await turns();
  assert.equal(requests.length, 1);
});

for (const action of ["stop", "sign_in", "ask_operator", "renew_upstream"]) {
  test(`${action} ends the retries, and the SDK's next event begins anew`, async () => {
    answers = [problem(401, "some_code", action)];
    const client = new FakeClient();
    const errors = [];
    keep(tokenSource({ url }), client, { onError: (error) => errors.push(error.action) });
    client.emit("tokenAboutToExpire");
    await until(() => errors.length, "the error");
    advance(600_000);
    await turns();
    assert.deepEqual([requests.length, errors], [1, [action]]);
    answers = [issued("signed in")];
    client.emit("tokenExpired");
    await until(() => client.tokens.length, "updateToken");
  });
}

test("a token that the SDK refuses is followed by another, after a wait", async () => {
  const client = new FakeClient();
  client.updateToken = async (token) => {
    client.tokens.push(token);
    if (client.tokens.length === 1) throw new Error("Transport failure: 401");
  };
  const asked = [];
  keep(tokenSource({ url, authorization: ({ forceRefresh }) => (asked.push(forceRefresh), "Bearer up") }), client);
  client.emit("tokenAboutToExpire");
  await until(() => client.tokens.length === 1, "the first token");
  client.becomes("denied");
  client.connectionState = "connected";
  await turns();
  assert.equal(requests.length, 1, "not at once");
  await secondsUntil(() => client.tokens.length === 2, 3, "the second token");
  assert.deepEqual(asked, [false, true], "the SDK denied the first, so the upstream token is renewed");
});

test("an update that leaves the client denied is no success", async () => {
  const client = new FakeClient();
  client.connectionState = "denied";
  client.updateToken = async (token) => {
    client.tokens.push(token);
    if (client.tokens.length === 3) client.connectionState = "connected";
  };
  keep(tokenSource({ url }), client);
  await secondsUntil(() => client.tokens.length === 3, 12, "the third token");
  await secondsUntil(() => true, 0, "");
  advance(120_000);
  await turns();
  assert.equal(client.tokens.length, 3);
});

test("a client that is denied after each success is not renewed in a busy loop", async () => {
  const client = new FakeClient();
  keep(tokenSource({ url }), client);
  client.on("connectionStateChanged", () => {});
  for (let n = 0; n < 20; n++) {
    client.becomes("denied");
    client.connectionState = "connected";
    await turns(10);
    advance(500);
  }
  await turns();
  assert.ok(client.tokens.length >= 1 && client.tokens.length <= 5, `${client.tokens.length} tokens in 10 s`);
});

test("a token is not given while the client disconnects, where the SDK would lose it", async () => {
  const client = new FakeClient();
  keep(tokenSource({ url }), client);
  client.connectionState = "disconnecting";
  client.emit("tokenExpired");
  await until(() => requests.length, "the request");
  advance(1_000);
  await turns();
  assert.deepEqual(client.tokens, []);
  client.connectionState = "disconnected";
  advance(1_000);
  await until(() => client.tokens.length, "updateToken");
});

test("a client that never initialised is replaced, and the new one is kept fresh in its stead", async () => {
  const broken = new FakeClient();
  broken.updateToken = async () => undefined.updateToken();
  const fresh = new FakeClient();
  const given = [];
  const stop = keep(tokenSource({ url }), broken, { onReplace: async (token) => (given.push(token), fresh) });
  broken.becomes("denied");
  await until(() => fresh.listenerCount("tokenExpired"), "the new client");
  assert.deepEqual(given, ["token-1"]);
  assert.equal(broken.eventNames().length, 0, "the old client is let go");
  await turns();
  advance(60_000);
  fresh.emit("tokenAboutToExpire");
  await until(() => fresh.tokens.length, "updateToken");
  stop();
  assert.equal(fresh.eventNames().length, 0);
});

test("an application that replaces a client by itself is left alone from then on", async () => {
  const broken = new FakeClient();
  broken.updateToken = async () => undefined.updateToken();
  let replaced = 0;
  keep(tokenSource({ url }), broken, { onReplace: () => void replaced++ });
  broken.emit("tokenExpired");
  await until(() => replaced, "onReplace");
  await turns();
  assert.equal(broken.eventNames().length, 0);
  advance(600_000);
  await turns();
  assert.deepEqual([replaced, requests.length], [1, 1]);
});

test("without onReplace, and where onReplace fails, it is tried again later", async () => {
  const broken = new FakeClient();
  let updates = 0;
  broken.updateToken = async () => (++updates < 3 ? undefined.updateToken() : broken);
  keep(tokenSource({ url }), broken);
  broken.emit("tokenExpired");
  await secondsUntil(() => updates === 3, 12, "the third update");

  const other = new FakeClient();
  other.updateToken = async () => undefined.updateToken();
  let replaced = 0;
  keep(tokenSource({ url }), other, { onReplace: () => { if (++replaced < 2) throw new Error("not now"); } });
  other.emit("tokenExpired");
  await secondsUntil(() => replaced === 2, 4, "the second onReplace");
});

test("an update that never settles counts as a client past repair", async () => {
  const client = new FakeClient();
  client.updateToken = () => new Promise(() => {});
  let replaced = 0;
  keep(tokenSource({ url }), client, { onReplace: () => void replaced++ });
  client.emit("tokenAboutToExpire");
  await until(() => requests.length, "the request");
  await turns();
  advance(29_000);
  await turns();
  assert.equal(replaced, 0);
  advance(1_000);
  await until(() => replaced, "onReplace");
});

test("an update that is not async will do", async () => {
  const client = new FakeClient();
  client.updateToken = (token) => void client.tokens.push(token);
  keep(tokenSource({ url }), client);
  client.emit("tokenAboutToExpire");
  await until(() => client.tokens.length, "updateToken");
  advance(60_000);
  await turns();
  assert.equal(requests.length, 1);
});

test("what onError throws, or rejects with, harms nothing", async () => {
  answers = [problem(503, "draining", "retry"), problem(503, "draining", "retry"), issued()];
  const client = new FakeClient();
  let calls = 0;
  keep(tokenSource({ url }), client, { onError: () => { if (calls++) return Promise.reject(new Error("b")); throw new Error("a"); } });
  client.emit("tokenAboutToExpire");
  await secondsUntil(() => client.tokens.length, 9, "updateToken");
  assert.equal(calls, 2);
});

test("stopping removes every listener, ends a wait, and drops an answer that comes late", async () => {
  let release;
  answers = [() => new Promise((go) => (release = () => go(issued("late")())))];
  const client = new FakeClient();
  const stop = keep(tokenSource({ url }), client);
  client.emit("tokenAboutToExpire");
  await until(() => release, "the request");
  stop();
  stop();
  release();
  await turns(60);
  assert.deepEqual(client.tokens, []);
  assert.equal(client.eventNames().length, 0);

  answers = [problem(503, "draining", "retry")];
  requests = [];
  const other = new FakeClient();
  const stopOther = keep(tokenSource({ url }), other);
  other.emit("tokenAboutToExpire");
  await until(() => requests.length, "the request");
  await turns();
  stopOther();
  advance(600_000);
  await turns();
  assert.equal(requests.length, 1);
});
