// A sidecar's life under load: secrets swapped as Kubernetes swaps them, a half-written configuration, SIGHUP, SIGTERM.
import assert from 'node:assert/strict';
import http from 'node:http';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { randomBytes } from 'node:crypto';
import { part, verifiesHs256 } from '../lib/jwt.mjs';
import { bareEnvironment, eventually } from '../lib/process.mjs';
import { request, steadyLoad, tally } from '../lib/load.mjs';
import { issuerSection, startIssuer } from '../lib/issuer.mjs';
import { binary, configuration, conversationsToken, lay, problem, run, yaml } from '../lib/usher.mjs';

const RATE = 200;

// A volume as the kubelet lays it: the files are links through ..data, and ..data is swapped by one rename.
const current = new Map();
let generation = 0;
async function publish(volume, files) {
  const fresh = `..2026_11_23_${++generation}`, old = current.get(volume);
  await mkdir(join(volume, fresh), { mode: 0o755 });
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(volume, fresh, name), text, { mode: 0o600 });
    await symlink(join('..data', name), join(volume, name)).catch((error) => { if (error.code !== 'EEXIST') throw error; });
  }
  await symlink(fresh, join(volume, '..data_tmp'));
  await rename(join(volume, '..data_tmp'), join(volume, '..data'));
  current.set(volume, fresh);
  if (old) await rm(join(volume, old), { recursive: true });
}

async function sidecar(t, users) {
  const issuer = await startIssuer();
  t.after(() => issuer.close());
  const place = await lay(t, {});
  const volume = join(place.home, 'volume');
  await mkdir(volume, { mode: 0o700 });
  place.secretFile = join(volume, 'api-key-secret');
  await publish(volume, { 'api-key-secret': `${place.secret}\n` });
  const sections = { issuers: [issuerSection(issuer.url)], store: { url: `sqlite:${join(place.state, 'usher.db')}` }, token: { ttl: '15m' } };
  const write = (change = {}) => writeFile(place.configFile, yaml(configuration(place, { ...sections, ...change })), { mode: 0o600 });
  await write();
  const usher = await run(t, place);
  const tokens = Array.from({ length: users }, (_, user) => issuer.token(`user-${user}`));
  const load = () => steadyLoad(RATE, (number, agent) => usher.exchange(tokens[number % tokens.length], { agent }));
  return { usher, issuer, place, volume, write, load };
}

const lost = (answers) => answers.filter((answer) => answer.status !== 200);
const describe = (answers) => `${tally(answers)}; first: ${JSON.stringify({ ...answers[0], error: String(answers[0]?.error) })}`;

test('at 200 requests a second a ..data swap, half-written files and SIGHUP lose no request, and the new secret signs within 2 s', { timeout: 120_000 }, async (t) => {
  const { usher, place, volume, write, load } = await sidecar(t, 40);
  const reloadFailed = () => usher.metric('usher_config_reload_failed');
  const running = load();
  const phases = [];
  const phase = async (name, seconds) => { phases.push({ name, at: Date.now() }); await sleep(seconds * 1000); };
  await phase('quiet', 2);

  const next = randomBytes(16).toString('hex');
  const swapped = Date.now();
  await publish(volume, { 'api-key-secret': `${next}\n` });
  await phase('swapped', 4);

  // An empty secret, then a good one again: the last good one stays.
  await publish(volume, { 'api-key-secret': '' });
  await eventually('an empty secret is reported', async () => await reloadFailed() === 1, 5);
  await phase('empty secret', 1);
  await publish(volume, { 'api-key-secret': `${next}\n` });
  await eventually('the report is taken back', async () => await reloadFailed() === 0, 5);

  // A configuration caught half-written, in the middle of a line.
  const whole = yaml(configuration(place, {})), half = whole.slice(0, whole.indexOf('apiKey') + 3);
  await writeFile(place.configFile, half);
  await eventually('a half-written configuration is reported', async () => await reloadFailed() === 1, 5);
  usher.child.signal('SIGHUP');
  await phase('half-written', 2);

  const changedAt = Date.now();
  await write({ token: { ttl: '10m' } });
  usher.child.signal('SIGHUP');
  await eventually('the report is taken back', async () => await reloadFailed() === 0, 5);
  await phase('ten minutes', 3);

  const answers = await running.stop();
  const before = answers.filter((answer) => answer.at < swapped), after = answers.filter((answer) => answer.at > swapped + 2000);
  t.diagnostic(`${answers.length} requests: ${tally(answers)}; slowest ${Math.round(Math.max(...answers.map((answer) => answer.ms)))} ms`);
  assert.equal(lost(answers).length, 0, describe(lost(answers)));
  assert.ok(answers.length >= RATE * 12, `only ${answers.length} requests were sent`);
  const signedBy = (secret) => (answer) => verifiesHs256(JSON.parse(answer.text).token, secret);
  assert.ok(before.every(signedBy(place.secret)), 'before the swap the old secret signs');
  assert.ok(after.length && after.every(signedBy(next)), `2 s after the swap the new secret signs: ${after.filter((answer) => !signedBy(next)(answer)).length} of ${after.length} do not`);
  const first = answers.find(signedBy(next));
  t.diagnostic(`the new secret signed ${first.at - swapped} ms after the swap`);
  const life = (answer) => { const { iat, exp } = part(JSON.parse(answer.text).token, 1); return exp - iat; };
  assert.ok(answers.filter((answer) => answer.at > changedAt + 2000).every((answer) => life(answer) === 600), '2 s after the change tokens live ten minutes');
  assert.ok(answers.filter((answer) => answer.at < changedAt).every((answer) => life(answer) === 900), 'a half-written configuration changes nothing');
  await usher.stop();
});

test('SIGTERM at 200 requests a second: readiness goes 503, what is in flight finishes, exit 0', { timeout: 60_000 }, async (t) => {
  const { usher, issuer, load } = await sidecar(t, 40);
  const running = load();
  await sleep(2000);

  // A request whose body is still coming when the signal arrives: 0.8 s in flight.
  const agent = new http.Agent();
  const slow = new Promise((resolve) => {
    const form = new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', subject_token: issuer.token('slow'), subject_token_type: 'urn:ietf:params:oauth:token-type:jwt' }).toString();
    const call = http.request(`${usher.url}/conversations/oauth2/token`, { method: 'POST', agent, headers: { 'content-type': 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(form) } }, (response) => {
      let text = '';
      response.on('data', (piece) => { text += piece; }).on('end', () => resolve({ status: response.statusCode, headers: response.headers, text }));
    });
    call.on('error', (error) => resolve({ error }));
    call.write(form.slice(0, 100));
    setTimeout(() => call.end(form.slice(100)), 1000);
  });
  await sleep(200);

  const term = Date.now();
  usher.child.signal('SIGTERM');
  let readiness;
  while (!usher.child.how && readiness !== 503) readiness = (await usher.health('/readyz')).status;
  const notReady = Date.now();
  // From here on no balancer sends anything more.
  const answers = await running.stop();
  conversationsToken(await slow, usher.secret);
  const { code, signal } = await usher.child.stop('SIGTERM', 30);
  const gone = Date.now();
  t.diagnostic(`readiness 503 after ${notReady - term} ms, gone after ${gone - term} ms; ${tally(answers)}`);
  assert.deepEqual({ code, signal }, { code: 0, signal: null });
  assert.equal(readiness, 503, 'readiness turned 503 while it drained');
  assert.ok(notReady - term < 1000, `readiness took ${notReady - term} ms`);
  assert.ok(gone - term < 10_000, `the drain took ${gone - term} ms`);
  const inFlight = answers.filter((answer) => answer.at < term), late = answers.filter((answer) => answer.at >= term);
  assert.equal(lost(inFlight).length, 0, describe(lost(inFlight)));
  // A request sent after the signal is served, told to go elsewhere, or finds nobody listening: a listener that closes resets
  // what waits in its queue. It never gets anything else.
  const turnedAway = (answer) => ['ECONNREFUSED', 'ECONNRESET'].includes(answer.error?.code);
  for (const answer of late.filter((one) => one.status !== 200 && !turnedAway(one))) problem(answer, 503, 'draining', 'retry');
});

const FILES = ['usher.db', 'usher.db-wal', 'usher.db-shm'];

test('a store that is lost beneath a sidecar: known users go on, nobody new gets an identity, until it is back or usher is started again', { timeout: 120_000 }, async (t) => {
  const { usher, issuer, place } = await sidecar(t, 1);
  const known = () => usher.exchange(issuer.token('alice'));
  const was = conversationsToken(await known(), place.secret).identity;
  const aside = join(place.home, 'aside');
  await mkdir(aside);
  const move = async (from, to, names) => { for (const name of names) await rename(join(from, name), join(to, name)); };
  const told = () => usher.child.lines.filter((line) => /"level":"ERROR".*the store cannot be used/.test(line)).length;
  const isLost = async (why, times) => {
    await usher.child.line(why, 15);
    await eventually('the log says so', () => told() === times, 15);
    for (let turn = 0; turn < 20; turn++) {
      assert.equal(conversationsToken(await known(), place.secret).identity, was);
      problem(await usher.exchange(issuer.token(`new-${turn}`)), 503, 'store_unavailable', 'retry');
    }
  };

  await move(place.state, aside, FILES);
  await isLost(/usher\.db: is gone, .*usher does not make a new one while it runs/, 1);
  for (const name of FILES) assert.equal(existsSync(join(place.state, name)), false, `${name} was made`);
  await move(aside, place.state, FILES);
  await eventually('a new user is served again', async () => (await usher.exchange(issuer.token('bob'))).status === 200, 10);

  // Without its log: what was acknowledged is in the file, and another process's log is left alone.
  await rm(join(place.state, 'usher.db-wal'));
  await isLost(/has lost the -wal or -shm file/, 2);
  const cli = (...more) => promisify(execFile)(binary, ['identity', ...more, '--config', place.configFile], { env: bareEnvironment({ STATE_DIRECTORY: place.state }), cwd: place.home });
  await usher.stop();
  assert.equal((await cli('list', '--output', 'json')).stdout.trim().split('\n').length, 2, 'alice and bob are in the file');

  const again = await run(t, place);
  assert.equal(conversationsToken(await again.exchange(issuer.token('alice')), place.secret).identity, was);
  conversationsToken(await again.exchange(issuer.token('carol')), place.secret);
  await again.stop();
});

test('an identity survives a restart, a SIGKILL and the loss of the store', { timeout: 60_000 }, async (t) => {
  const { usher, issuer, place } = await sidecar(t, 1);
  const first = conversationsToken(await usher.exchange(issuer.token('alice')), place.secret).identity;
  await usher.stop();
  const again = await run(t, place);
  assert.equal(conversationsToken(await again.exchange(issuer.token('alice')), place.secret).identity, first);
  await again.child.stop('SIGKILL');
  const killed = await run(t, place);
  assert.equal(conversationsToken(await killed.exchange(issuer.token('alice')), place.secret).identity, first);
  await killed.stop();
  for (const name of ['usher.db', 'usher.db-wal', 'usher.db-shm']) await rm(join(place.state, name), { force: true });
  const anew = await run(t, place);
  assert.equal(conversationsToken(await anew.exchange(issuer.token('alice')), place.secret).identity, first);
  assert.notEqual(conversationsToken(await anew.exchange(issuer.token('bob')), place.secret).identity, first);
  assert.equal((await request(`${anew.url}/conversations/token`)).status, 401);
  await anew.stop();
});
