// Imports a file of N identities with `usher identity import` while a sidecar serves 50 new users a second from the same store.
//
//   node benches/scale/import.mjs PROGRAM ROWS [postgres://…]
//
// Prints one JSON object: the importer's seconds and largest resident set, the store's size, and what the new users saw.
import assert from 'node:assert/strict';
import { createWriteStream, statSync, readFileSync } from 'node:fs';
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { bareEnvironment, freePorts, start } from '../../tests/peers/lib/process.mjs';
import { issuerSection, startIssuer } from '../../tests/peers/lib/issuer.mjs';
import { request, steadyLoad, tally } from '../../tests/peers/lib/load.mjs';
import { sids, yaml } from '../../tests/peers/lib/usher.mjs';

const [program, rowsText, database] = process.argv.slice(2);
const rows = Number(rowsText);
const home = await mkdtemp(join(tmpdir(), 'usher-scale-'));
const at = (name) => join(home, name);

/** A line as a team's own list would have it: an opaque subject of the provider, and a raw identity. */
async function writeUsers(path) {
  const file = createWriteStream(path);
  file.write('namespace,subject,identity\n');
  for (let n = 0; n < rows; n += 1) {
    const subject = (BigInt(n) * 0x9e3779b97f4a7c15n & 0xffffffffffffffffn).toString(16).padStart(16, '0');
    const line = `corp,${subject}-${n},user-${n}@example.com\n`;
    if (!file.write(line)) await once(file, 'drain');
  }
  file.end();
  await once(file, 'finish');
}

async function layOut(issuer) {
  await mkdir(at('state'), { mode: 0o700 });
  await mkdir(at('secrets'), { mode: 0o700 });
  await writeFile(at('secrets/api-key-secret'), '0123456789abcdef0123456789abcdef\n', { mode: 0o600 });
  await writeFile(at('secrets/identity-key'), `${'0123456789abcdef'.repeat(4)}\n`, { mode: 0o600 });
  const [open, admin, health] = await freePorts(3);
  const configuration = {
    twilio: { accountSid: sids.account, apiKey: { sid: sids.key, secret: { file: at('secrets/api-key-secret') } }, services: { main: { sid: sids.service } } },
    identity: { key: { file: at('secrets/identity-key') } },
    issuers: [issuerSection(issuer.url, { namespace: 'corp' })],
    store: { url: database ?? `sqlite:${at('usher.db')}` },
    listen: { public: `127.0.0.1:${open}`, admin: `127.0.0.1:${admin}`, health: `127.0.0.1:${health}` },
  };
  await writeFile(at('usher.yaml'), yaml(configuration), { mode: 0o600 });
  return { url: `http://127.0.0.1:${open}`, health: `http://127.0.0.1:${health}` };
}

const environment = bareEnvironment({ STATE_DIRECTORY: at('state') });

/** Runs the import; its seconds, and the largest resident set the kernel saw. */
async function importUsers(path) {
  const begun = performance.now();
  const child = spawn(program, ['identity', 'import', path, '--config', at('usher.yaml'), '--output', 'json'], { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '', complaints = '', largest = 0;
  child.stdout.setEncoding('utf8').on('data', (piece) => { text += piece; });
  child.stderr.setEncoding('utf8').on('data', (piece) => { if (complaints.length < 2000) complaints += piece; });
  const watch = setInterval(() => {
    try { largest = Math.max(largest, Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? 0)); } catch { /* it has ended */ }
  }, 100);
  const [code] = await once(child, 'exit');
  clearInterval(watch);
  assert.equal(code, 0, complaints);
  return { seconds: (performance.now() - begun) / 1000, rssMiB: largest / 1024, summary: JSON.parse(text) };
}

function percentile(sorted, share) { return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]; }

let issuer, sidecar;
try {
  issuer = await startIssuer();
  const place = await layOut(issuer);
  await writeUsers(at('users.csv'));
  sidecar = start('usher', program, ['serve', '--config', at('usher.yaml')], { env: environment });
  await sidecar.until(async () => (await request(`${place.health}/readyz`, { timeout: 2000 })).status === 200, 20, '/readyz 200');
  const load = steadyLoad(50, (number, agent) => request(`${place.url}/conversations/token`, {
    method: 'POST', agent, headers: { authorization: `Bearer ${issuer.token(`new-${number}`)}`, 'content-length': '0' },
  }));
  const imported = await importUsers(at('users.csv'));
  const answers = await load.stop();
  const times = answers.map((answer) => answer.ms).sort((a, b) => a - b);
  const again = await importUsers(at('users.csv'));
  const size = database ? undefined : statSync(at('usher.db')).size;
  await sidecar.stop();
  console.log(JSON.stringify({
    rows, ...imported, again: { seconds: again.seconds, summary: again.summary }, fileMiB: size && size / 1048576,
    newUsers: { answers: tally(answers), p50: percentile(times, 0.5), p99: percentile(times, 0.99), worst: times.at(-1) },
  }));
} finally {
  await sidecar?.stop('SIGKILL').catch(() => {});
  await issuer?.close();
  await rm(home, { recursive: true, force: true });
}
