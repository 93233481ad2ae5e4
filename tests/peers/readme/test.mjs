// The README's first minute: `usher dev` prints a curl line; pasted into a shell, it returns a token.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { test } from 'node:test';
import { bareEnvironment, start } from '../lib/process.mjs';
import { request } from '../lib/load.mjs';
import { part } from '../lib/jwt.mjs';
import { startDev } from '../lib/dev.mjs';
import { binary, folder } from '../lib/usher.mjs';

async function paste(dev) {
  const { stdout } = await promisify(execFile)('bash', ['-c', dev.curl()], { env: bareEnvironment(), timeout: 30_000 });
  const [token] = /eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+/.exec(stdout) ?? assert.fail(`no token came back: ${stdout}`);
  assert.equal(part(token, 0).cty, 'twilio-fpa;v=1', 'it is a Conversations token');
  return part(token, 1);
}
const stop = async (dev) => assert.deepEqual(await dev.child.stop('SIGTERM', 30), { code: 0, signal: null }, dev.child.tail());

test('the curl line that usher dev prints returns a Conversations token as pasted, of the same identity after a restart', { timeout: 120_000 }, async (t) => {
  const dev = await startDev(t);
  t.diagnostic(dev.curl());
  const first = await paste(dev), second = await paste(dev);
  assert.match(first.grants.identity, /^u-[a-z2-7]{26}$/);
  assert.equal(second.grants.identity, first.grants.identity);
  assert.match(first.sub, /^AC[0-9a-f]{32}$/);
  assert.match(first.iss, /^SK[0-9a-f]{32}$/);
  assert.match(first.grants.chat.service_sid, /^IS[0-9a-f]{32}$/);
  assert.equal((await stat(join(dev.home, '.usher/dev'))).mode & 0o777, 0o700, '.usher/dev is the owner\'s alone');
  await stop(dev);

  const again = await startDev(t, dev.home);
  assert.equal((await paste(again)).grants.identity, first.grants.identity, 'kept between runs');
  await stop(again);

  const elsewhere = await startDev(t);
  assert.notEqual((await paste(elsewhere)).grants.identity, first.grants.identity, 'another folder has keys of its own');
  await stop(elsewhere);
});

test('every answer of usher dev bears Usher-Mode: dev, and browsers on localhost may ask', { timeout: 60_000 }, async (t) => {
  const dev = await startDev(t);
  for (const [path, status] of [['/', 200], ['/conversations/token', 401], ['/conversations/client.js', 200], ['/nothing-here', 404]]) {
    const answer = await request(dev.url + path);
    assert.equal(answer.status, status, path);
    assert.equal(answer.headers['usher-mode'], 'dev', path);
  }
  const preflight = (origin) => request(`${dev.url}/conversations/token`, { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' } });
  for (const origin of ['http://localhost:5173', 'http://127.0.0.1:8080']) assert.equal((await preflight(origin)).headers['access-control-allow-origin'], origin);
  assert.equal((await preflight('https://evil.example')).headers['access-control-allow-origin'], undefined);
  await stop(dev);
});

test('usher dev refuses to start in a Kubernetes pod', { timeout: 30_000 }, async (t) => {
  const child = start('usher-dev', binary, ['dev', '--listen', '127.0.0.1:0'], { cwd: await folder(t, 'dev'), env: bareEnvironment({ KUBERNETES_SERVICE_HOST: '10.0.0.1' }) });
  t.after(() => child.stop('SIGKILL'));
  const { code } = await child.exited;
  assert.ok(code > 0, `exit code ${code}`);
});

test('the README names the two commands', async () => {
  const text = await readFile(new URL('../../../README.md', import.meta.url), 'utf8');
  for (const command of ['cargo run --release -- dev', 'tests/run']) assert.ok(text.includes(command), command);
});
