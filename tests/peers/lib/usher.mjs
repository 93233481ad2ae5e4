// usher as a user runs it: the built binary, a configuration file, files of secrets, free ports.
import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join, resolve } from 'node:path';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { bareEnvironment, freePorts, start } from './process.mjs';
import { request } from './load.mjs';
import { part, verifiesHs256 } from './jwt.mjs';

const root = fileURLToPath(new URL('../../../', import.meta.url));
/** The program under test. */
export const binary = resolve(process.env.USHER_BIN ?? join(root, 'target/debug/usher'));

const hex = (letter) => letter.repeat(32);
/** Twilio's numbers in the tests' configuration; none of them exists. */
export const sids = { account: `AC${hex('a')}`, key: `SK${hex('b')}`, service: `IS${hex('c')}`, otherService: `IS${hex('d')}`, ios: `CR${hex('e')}`, role: `RL${hex('f')}` };

/** YAML of an object; text is always quoted, so that nothing turns into a number or a date. */
export function yaml(value, indent = '') {
  const scalar = (v) => (typeof v === 'string' ? JSON.stringify(v) : String(v));
  const nested = (v) => v !== null && typeof v === 'object' && Object.keys(v).length > 0;
  const empty = (v) => (Array.isArray(v) ? '[]' : '{}');
  const after = (v) => (nested(v) ? `\n${yaml(v, `${indent}  `)}` : ` ${v !== null && typeof v === 'object' ? empty(v) : scalar(v)}\n`);
  if (Array.isArray(value)) return value.map((v) => `${indent}-${nested(v) ? ` ${yaml(v, `${indent}  `).trimStart()}` : after(v)}`).join('');
  return Object.entries(value).filter(([, v]) => v !== undefined).map(([k, v]) => `${indent}${k}:${after(v)}`).join('');
}

/** A folder of one's own (0700) below the temporary one, gone when the test is over. */
export async function folder(t, name) {
  const path = await mkdtemp(join(tmpdir(), `usher-${name}-`));
  await chmod(path, 0o700);
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** A sidecar that runs on a laid place. */
export class Usher {
  constructor(child, place) { Object.assign(this, { child, ...place }); }

  /** Asks /conversations/token as a front-end does. */
  exchange(token, { query = '', agent, headers = {}, method = 'POST' } = {}) {
    const bearer = token === undefined ? {} : { authorization: `Bearer ${token}` };
    return request(`${this.url}/conversations/token${query}`, { method, agent, headers: { ...bearer, ...(method === 'POST' ? { 'content-length': '0' } : {}), ...headers } });
  }

  /** Asks the RFC 8693 endpoint. */
  exchangeForm(token, type, more = {}) {
    const form = new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', subject_token: token, subject_token_type: `urn:ietf:params:oauth:token-type:${type}`, ...more }).toString();
    return request(`${this.url}/conversations/oauth2/token`, { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(form) }, body: form });
  }

  async health(path) { return request(`${this.healthUrl}${path}`, { timeout: 2000 }); }

  /** The value of a metric without labels, or the sum over its labels. */
  async metric(name) {
    const { text = '' } = await this.health('/metrics');
    const rows = text.split('\n').filter((row) => row.startsWith(name) && /^[ {]/.test(row.slice(name.length)));
    return rows.length ? rows.reduce((sum, row) => sum + Number(row.slice(row.lastIndexOf(' ') + 1)), 0) : undefined;
  }

  /** SIGTERM, and the exit code must be 0. */
  async stop(seconds = 30) {
    const { code, signal } = await this.child.stop('SIGTERM', seconds);
    assert.equal(signal, null, `usher was ended by ${signal}:\n${this.child.tail()}`);
    assert.equal(code, 0, `usher's exit code after SIGTERM:\n${this.child.tail()}`);
  }
}

/** The defaults of the tests' configuration with `change` over its top-level sections. */
export function configuration(place, change) {
  return {
    twilio: {
      accountSid: sids.account,
      apiKey: { sid: sids.key, secret: { file: place.secretFile } },
      services: { main: { sid: sids.service } },
    },
    identity: { key: { file: place.identityKeyFile } },
    store: { url: 'memory:' },
    listen: place.listen,
    ...change,
  };
}

/** Makes the folders and files of a sidecar; `change` goes over the configuration's sections. */
export async function lay(t, change, { secret = randomBytes(16).toString('hex'), identityKey = randomBytes(32).toString('hex') } = {}) {
  const home = await folder(t, 'sidecar'), secrets = join(home, 'secrets'), state = join(home, 'state');
  await mkdir(secrets, { mode: 0o700 });
  await mkdir(state, { mode: 0o700 });
  const [open, admin, health] = await freePorts(3);
  const place = {
    home, secrets, state, secret, identityKey,
    secretFile: join(secrets, 'api-key-secret'), identityKeyFile: join(secrets, 'identity-key'), configFile: join(home, 'usher.yaml'),
    listen: { public: `127.0.0.1:${open}`, admin: `127.0.0.1:${admin}`, health: `127.0.0.1:${health}` },
    url: `http://127.0.0.1:${open}`, healthUrl: `http://127.0.0.1:${health}`,
  };
  await writeFile(place.secretFile, `${secret}\n`, { mode: 0o600 });
  await writeFile(place.identityKeyFile, `${identityKey}\n`, { mode: 0o600 });
  place.configuration = configuration(place, change);
  await writeFile(place.configFile, yaml(place.configuration), { mode: 0o600 });
  return place;
}

/** Starts `usher serve` on a laid place and waits for /startupz; with `ready` also for /readyz. `program` is another build of it. */
export async function run(t, place, { ready = true, program = binary } = {}) {
  const child = start('usher', program, ['serve', '--config', place.configFile], { cwd: place.home, env: bareEnvironment({ STATE_DIRECTORY: place.state }) });
  t.after(() => child.stop('SIGKILL'));
  const usher = new Usher(child, place);
  await child.until(async () => (await usher.health('/startupz')).status === 200, 20, '/startupz 200');
  if (ready) await child.until(async () => (await usher.health('/readyz')).status === 200, 20, '/readyz 200');
  return usher;
}

/** Runs another command of usher's on a laid place, beside its sidecar or without one; gives {code, stdout, stderr}. */
export function command(place, ...args) {
  return new Promise((done, failed) => {
    execFile(binary, [...args, '--config', place.configFile], { cwd: place.home, env: bareEnvironment({ STATE_DIRECTORY: place.state }), timeout: 60_000 }, (error, stdout, stderr) => {
      if (error && typeof error.code !== 'number') failed(error);
      else done({ code: error?.code ?? 0, stdout, stderr });
    });
  });
}

/** `lay` and `run` in one. */
export async function serve(t, change, options) { return run(t, await lay(t, change, options), options); }

/** The answer's JSON after checking that it is 200, not to be stored, and a Conversations token of the contract's form. */
export function conversationsToken(answer, secret) {
  assert.equal(answer.status, 200, `the exchange: ${answer.error ?? `${answer.status} ${answer.text}`}`);
  assert.match(answer.headers['cache-control'] ?? '', /\bno-store\b/, 'Cache-Control of a token answer');
  const body = JSON.parse(answer.text), token = body.token ?? body.access_token;
  assert.deepEqual(part(token, 0), { typ: 'JWT', alg: 'HS256', cty: 'twilio-fpa;v=1' });
  if (secret !== undefined) assert.ok(verifiesHs256(token, secret), 'the token is signed with the API key secret');
  return { ...body, token, claims: part(token, 1) };
}

/** The problem document of an answer after checking its status, code and action. */
export function problem(answer, status, code, action) {
  assert.equal(answer.status, status, `status: ${answer.error ?? answer.text}`);
  assert.match(answer.headers['content-type'] ?? '', /^application\/problem\+json/);
  const body = JSON.parse(answer.text);
  assert.equal(body.code, code, `code: ${answer.text}`);
  assert.equal(body.action, action, `action: ${answer.text}`);
  return body;
}

/** usher's /conversations/client.js, as a front-end imports it. */
export async function clientModule(url) {
  const answer = await request(`${url}/conversations/client.js`);
  assert.equal(answer.status, 200);
  assert.match(answer.headers['content-type'], /javascript/);
  return import(`data:text/javascript;base64,${Buffer.from(answer.text).toString('base64')}`);
}
