// Many sidecars on one PostgreSQL, which is slow to come, killed, cut off, foreign, and behind TLS.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { bareEnvironment, eventually, start } from '../lib/process.mjs';
import { steadyLoad, tally } from '../lib/load.mjs';
import { issuerSection, startIssuer } from '../lib/issuer.mjs';
import { startPostgres } from '../lib/postgres.mjs';
import { binary, configuration, conversationsToken, lay, problem, run, yaml } from '../lib/usher.mjs';

const root = fileURLToPath(new URL('../../../', import.meta.url));

let postgres, issuer;
const ending = [];
before(async () => {
  issuer = await startIssuer();
  postgres = await startPostgres({ after: (end) => ending.unshift(end) });
}, { timeout: 60_000 });
after(async () => { for (const end of ending) await end(); await issuer?.close(); });

/** Folders and files of a sidecar whose store is `url`; all of `identityKey` are replicas of each other. */
async function place(t, url, { identityKey, store = {}, ...more } = {}) {
  const laid = await lay(t, {}, { identityKey });
  laid.rewrite = (change) => writeFile(laid.configFile, yaml(configuration(laid, { issuers: [issuerSection(issuer.url)], store: { url, ...store, ...change }, ...more })), { mode: 0o600 });
  await laid.rewrite({});
  return laid;
}

const KEY = 'k'.repeat(64);
const replicas = async (t, count, url, more = {}) => Promise.all(Array.from({ length: count }, () => place(t, url, { identityKey: KEY, ...more })));
const said = (usher, pattern) => usher.child.lines.filter((line) => pattern.test(line));
const identity = (answer) => JSON.parse(answer.text).identity;
const failures = (answers) => answers.filter((answer) => answer.status !== 200);
const first = (answers) => { const { status, text, error } = failures(answers)[0] ?? {}; return `${tally(answers)}; first: ${status} ${text} ${error ?? ''}`; };

/** Rows of the registry, and whether each identity has just one subject. */
async function rows(database) {
  const [subjects, identities, owned] = (await postgres.sql('SELECT (SELECT count(*) FROM subjects), (SELECT count(*) FROM identities), (SELECT count(DISTINCT identity) FROM subjects)', database)).split('|').map(Number);
  assert.equal(subjects, owned, 'no identity has two subjects');
  assert.equal(identities, owned, 'no identity is there that nobody has');
  return subjects;
}

/** Every user who was given an identity has that one in the registry. */
async function holds(database, given) {
  const held = new Map((await postgres.sql('SELECT subject, identity FROM subjects', database)).split('\n').map((line) => line.split('|')));
  for (const [user, answered] of given) assert.equal(held.get(user), answered, `what ${user} was given is in the registry`);
}

/** `usher serve` that ends by itself; gives its exit code and what it said. */
async function refusal(laid) {
  const child = start('usher', binary, ['serve', '--config', laid.configFile], { cwd: laid.home, env: bareEnvironment({ STATE_DIRECTORY: laid.state }) });
  const { code } = await Promise.race([child.exited, sleep(20_000, { code: 'none within 20 s' }, { ref: false })]);
  child.signal('SIGKILL');
  return { code, text: child.lines.join('\n') };
}

test('the contract of every store, and the driver under cuts, losses, foreign tables and other troubles', { timeout: 1_500_000 }, async (t) => {
  // A server of their own: they leave some hundred databases behind.
  const url = process.env.USHER_TEST_POSTGRES_URL ?? (await startPostgres(t, { trusting: true })).url('postgres');
  const cargo = spawn('cargo', ['test', '--locked', '--lib', '--features', 'postgres-tests', 'store::postgres'], { cwd: root, env: { ...process.env, USHER_TEST_POSTGRES_URL: url }, stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [cargo.stdout, cargo.stderr]) stream.on('data', (piece) => { text += piece; });
  const code = await new Promise((resolve) => { cargo.on('close', resolve); cargo.on('error', resolve); });
  assert.equal(code, 0, text.slice(-6000));
  for (const name of ['contract_of_every_store', 'contract_of_every_registry', 'contract_where_any_statement_fails']) assert.match(text, new RegExp(`postgres::tests::it_keeps_the_${name} \\.\\.\\. ok`));
  const passed = Number(/test result: ok\. (\d+) passed; 0 failed; 0 ignored/.exec(text)?.[1]);
  assert.ok(passed >= 25, `${passed} tests passed`);
  t.diagnostic(`${passed} tests`);
});

test('ten sidecars that start at once on an empty database make one schema', { timeout: 120_000 }, async (t) => {
  const database = await postgres.database();
  const ushers = await Promise.all((await replicas(t, 10, postgres.url(database))).map((laid) => run(t, laid)));
  assert.equal(await postgres.sql('SELECT count(*), max(major), max(steps) FROM usher_schema', database), '1|1|2');
  for (const usher of ushers) {
    assert.deepEqual(said(usher, /"level":"(ERROR|WARN)".*(store|PostgreSQL)/i), []);
    await usher.stop();
  }
});

test('64 concurrent first requests of one new user over 8 sidecars give one row and one identity', { timeout: 120_000 }, async (t) => {
  const database = await postgres.database();
  const ushers = await Promise.all((await replicas(t, 8, postgres.url(database))).map((laid) => run(t, laid)));
  for (const round of ['alice', 'Zoë-李', 'bob']) {
    const tokens = Array.from({ length: 64 }, () => issuer.token(round));
    const answers = await Promise.all(tokens.map((token, n) => ushers[n % 8].exchange(token)));
    assert.equal(tally(answers), '200 × 64', first(answers));
    assert.equal(new Set(answers.map(identity)).size, 1, round);
    assert.equal(await postgres.sql(`SELECT count(*) FROM subjects WHERE subject = '${round}'`, database), '1');
  }
  assert.equal(await rows(database), 3);
  for (const usher of ushers) await usher.stop();
});

test('a server that is killed and comes back: known users notice nothing, new ones get 503 and are back within 5 s', { timeout: 180_000 }, async (t) => {
  const database = await postgres.database();
  const usher = await run(t, await place(t, postgres.url(database)));
  const known = Array.from({ length: 40 }, (_, n) => issuer.token(`known-${n}`));
  for (const token of known) conversationsToken(await usher.exchange(token), usher.secret);
  const given = new Map();
  const knownLoad = steadyLoad(50, (n, agent) => usher.exchange(known[n % known.length], { agent }));
  const newLoad = steadyLoad(20, async (n, agent) => {
    const user = `new-${n}`, answer = await usher.exchange(issuer.token(user), { agent });
    if (answer.status === 200) given.set(user, identity(answer));
    return answer;
  });
  const outages = [];
  for (const pause of [4000, 9000]) {
    await sleep(2000);
    const killed = Date.now();
    await postgres.kill();
    await sleep(pause);
    await postgres.start();
    outages.push({ killed, back: Date.now() });
    await sleep(6000);
  }
  const [knownAnswers, newAnswers] = [await knownLoad.stop(), await newLoad.stop()];
  assert.equal(failures(knownAnswers).length, 0, `known users: ${first(knownAnswers)}`);
  for (const answer of failures(newAnswers)) {
    problem(answer, 503, 'store_unavailable', 'retry');
    assert.ok(Number(answer.headers['retry-after']) >= 1, `Retry-After: ${answer.headers['retry-after']}`);
    assert.ok(outages.some(({ killed, back }) => answer.at >= killed - 5000 && answer.at < back + 5000), 'a new user is refused only while the server is away, and 5 s more');
    assert.ok(answer.ms < 6000, `an answer took ${answer.ms} ms`);
  }
  for (const { killed, back } of outages) {
    const during = newAnswers.filter((answer) => answer.at > killed + 500 && answer.at < back - 1500);
    assert.ok(during.length > 20 && during.every((answer) => answer.status === 503), `while it was away: ${tally(during)}`);
    const again = newAnswers.find((answer) => answer.at >= back - 1500 && answer.status === 200);
    t.diagnostic(`away for ${back - killed} ms; the first new user ${again.at + Math.round(again.ms) - back} ms after it answered again`);
  }
  t.diagnostic(`known users: ${tally(knownAnswers)}; new users: ${tally(newAnswers)}`);
  await holds(database, given);
  await rows(database);
  await usher.stop();
});

test('tables that are dropped beneath a sidecar: known users go on, nobody new gets an identity, and none is made again', { timeout: 120_000 }, async (t) => {
  const database = await postgres.database();
  const laid = await place(t, postgres.url(database), { identityKey: KEY }), usher = await run(t, laid);
  const was = conversationsToken(await usher.exchange(issuer.token('known')), usher.secret).identity;
  const tables = () => postgres.sql(`SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`, database);
  const cut = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${database}' AND pid <> pg_backend_pid()`;
  for (const [n, how] of ['SELECT 1', cut].entries()) {
    await postgres.sql(`${how}; ALTER SCHEMA public RENAME TO aside; CREATE SCHEMA public`, database);
    await eventually('the log says so', () => said(usher, /"level":"ERROR".*the store cannot be used.*its tables are gone/).length === n + 1, 15);
    for (let turn = 0; turn < 20; turn++) {
      assert.equal(conversationsToken(await usher.exchange(issuer.token('known')), usher.secret).identity, was);
      problem(await usher.exchange(issuer.token(`new-${turn}`)), 503, 'store_unavailable', 'retry');
    }
    assert.equal(await tables(), '0');
    await postgres.sql('DROP SCHEMA public; ALTER SCHEMA aside RENAME TO public', database);
    await usher.child.until(async () => (await usher.exchange(issuer.token(`back-${n}`))).status === 200, 10, 'a new user is served again');
  }
  assert.equal(await rows(database), 3);
  await usher.stop();
});

test('an import goes on while the server is started again', { timeout: 120_000 }, async (t) => {
  const database = await postgres.database(), laid = await place(t, postgres.url(database), { identityKey: KEY });
  const child = start('import', binary, ['identity', 'import', '-', '--format', 'csv', '--config', laid.configFile], { cwd: laid.home, env: bareEnvironment({ STATE_DIRECTORY: laid.state }), stdio: ['pipe', 'pipe', 'pipe'] });
  const lines = (from, to) => Array.from({ length: to - from }, (_, n) => `corp,s${from + n},i${from + n}\n`).join('');
  child.process.stdin.write(`namespace,subject,identity\n${lines(0, 5000)}`);
  await eventually('rows are aside', async () => Number(await postgres.sql('SELECT count(*) FROM staged', database).catch(() => 0)) >= 1000, 20);
  await postgres.kill();
  child.process.stdin.write(lines(5000, 10_000));
  await sleep(6000);
  await postgres.start();
  child.process.stdin.end(lines(10_000, 12_000));
  const { code } = await child.exited;
  assert.equal(code, 0, child.tail());
  assert.equal(await postgres.sql('SELECT count(*) FROM subjects', database), '12000');
});

test('connections that are cut in the midst of statements, again and again: nobody sees an error', { timeout: 120_000 }, async (t) => {
  const database = await postgres.database();
  const ushers = await Promise.all((await replicas(t, 2, postgres.url(database))).map((laid) => run(t, laid)));
  const given = new Map();
  let cuts = 0;
  const cutting = setInterval(async () => {
    const cut = await postgres.sql(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '${database}'`).catch(() => 0);
    cuts += Number(cut);
  }, 100);
  t.after(() => clearInterval(cutting));
  const load = steadyLoad(60, async (n, agent) => {
    const user = `user-${n}`, answer = await ushers[n % 2].exchange(issuer.token(user), { agent });
    if (answer.status === 200) given.set(user, identity(answer));
    return answer;
  });
  await sleep(10_000);
  const answers = await load.stop();
  clearInterval(cutting);
  t.diagnostic(`${cuts} connections cut; ${tally(answers)}; slowest ${Math.round(Math.max(...answers.map((answer) => answer.ms)))} ms`);
  assert.ok(cuts >= 50, `${cuts} connections were cut`);
  assert.equal(failures(answers).length, 0, first(answers));
  await holds(database, given);
  assert.equal(await rows(database), given.size);
  for (const usher of ushers) await usher.stop();
});

test('a role whose transactions are serializable, and others who write the same: no error and no second identity', { timeout: 120_000 }, async (t) => {
  const database = await postgres.database();
  await postgres.sql(`ALTER DATABASE ${database} SET default_transaction_isolation = 'serializable'`);
  const ushers = await Promise.all((await replicas(t, 4, postgres.url(database))).map((laid) => run(t, laid)));
  const users = Array.from({ length: 320 }, (_, n) => `user-${Math.floor(n / 4)}`);
  const answers = await Promise.all(users.map((user, n) => ushers[n % 4].exchange(issuer.token(user))));
  assert.equal(tally(answers), `200 × ${users.length}`, first(answers));
  for (let n = 0; n < users.length; n += 4) assert.equal(new Set(answers.slice(n, n + 4).map(identity)).size, 1, users[n]);
  assert.equal(await rows(database), 80);
  for (const usher of ushers) await usher.stop();
});

test('a server that is away when usher starts does not end it, and makes it ready once it is there', { timeout: 120_000 }, async (t) => {
  const database = await postgres.database();
  await postgres.stop();
  const usher = await run(t, await place(t, postgres.url(database)), { ready: false });
  await sleep(2500);
  assert.equal((await usher.health('/livez')).status, 200);
  assert.equal((await usher.health('/readyz')).status, 503);
  problem(await usher.exchange(issuer.token('alice')), 503, 'store_unavailable', 'retry');
  assert.equal(said(usher, /"level":"WARN".*cannot be used yet: nobody takes connections there/).length, 1);
  await postgres.start();
  const back = Date.now();
  await usher.child.until(async () => (await usher.health('/readyz')).status === 200, 5, '/readyz 200');
  t.diagnostic(`ready ${Date.now() - back} ms after the server answered`);
  conversationsToken(await usher.exchange(issuer.token('alice')), usher.secret);
  assert.equal(await postgres.sql("SELECT count(*) FROM meta WHERE key = 'fingerprint'", database), '1');
  await usher.stop();
});

test('verify-full: the right name and authority and password, and nothing else', { timeout: 180_000 }, async (t) => {
  const database = await postgres.database();
  await postgres.user('usher', 'correct horse', database);
  const laid = await place(t, postgres.url(database, { user: 'usher', host: 'localhost', query: '?sslmode=verify-full' }), { identityKey: KEY });
  const password = join(laid.secrets, 'password'), authority = join(laid.secrets, 'ca.pem'), other = join(laid.secrets, 'other.pem');
  await writeFile(password, 'wrong\n', { mode: 0o600 });
  await writeFile(authority, postgres.authority, { mode: 0o600 });
  const secrets = { password: { file: password }, certificateAuthority: { file: authority } };
  await laid.rewrite(secrets);
  const refused = async (why, change, url) => {
    const one = await place(t, url ?? postgres.url(database, { user: 'usher', host: 'localhost', query: '?sslmode=verify-full' }), { store: { ...secrets, ...change } });
    const usher = await run(t, one, { ready: false });
    await usher.child.line(why, 5);
    problem(await usher.exchange(issuer.token('alice')), 503, 'store_unavailable', 'retry');
    assert.equal((await usher.health('/readyz')).status, 503);
    await usher.child.stop('SIGKILL');
  };
  // Its certificate is for `localhost`, and these are the same server.
  await refused(/certificate is for another host/, {}, postgres.url(database, { user: 'usher', query: '?sslmode=verify-full' }));
  await refused(/certificate is from an authority that is not trusted/, { certificateAuthority: undefined });
  await refused(/refuses the user or the password/, {});
  assert.equal(await postgres.sql(`SELECT count(*) FROM pg_class WHERE relname = 'usher_schema'`, database), '0');

  // A password that is put right is used without another start.
  const usher = await run(t, laid, { ready: false });
  await usher.child.line(/refuses the user or the password/, 5);
  await writeFile(password, 'correct horse\n', { mode: 0o600 });
  await usher.child.until(async () => (await usher.health('/readyz')).status === 200, 8, '/readyz 200');
  conversationsToken(await usher.exchange(issuer.token('alice')), usher.secret);
  assert.equal(await postgres.sql(`SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'usher'`), 't');
  assert.deepEqual(said(usher, /correct horse|wrong/), []);
  await usher.stop();
});

test('a socket, by libpq\'s way of writing it', { timeout: 60_000 }, async (t) => {
  const database = await postgres.database();
  // Only the server's user and root may pass its folder, and usher runs as one of them.
  await writeFile(join(postgres.data, 'pg_hba.conf'), 'local all all trust\nhost all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n');
  await postgres.sql('SELECT pg_reload_conf()');
  for (const url of [`postgres:///${database}?host=${postgres.data}&port=${postgres.port}&user=postgres`, `postgres://postgres@${encodeURIComponent(postgres.data)}:${postgres.port}/${database}`]) {
    const usher = await run(t, await place(t, url, { identityKey: KEY }));
    conversationsToken(await usher.exchange(issuer.token('alice')), usher.secret);
    assert.equal(await postgres.sql(`SELECT bool_and(client_addr IS NULL) FROM pg_stat_activity WHERE datname = '${database}' AND application_name = 'usher'`), 't');
    await usher.stop();
  }
  assert.equal(await rows(database), 1);
});

test('what only an operator can put right ends the start with 69 and one sentence', { timeout: 120_000 }, async (t) => {
  const database = await postgres.database();
  const never = await place(t, postgres.url(database), { store: { migrate: 'never' }, identityKey: KEY });
  const behind = await refusal(never);
  assert.equal(behind.code, 69, behind.text);
  assert.match(behind.text, /store\.migrate is never; run `usher migrate`/);
  assert.equal(await postgres.sql(`SELECT count(*) FROM pg_class WHERE relname IN ('usher_schema', 'meta')`, database), '0');
  // Another one makes the schema; then it is served.
  const auto = await run(t, await place(t, postgres.url(database), { identityKey: KEY }));
  await auto.stop();
  const usher = await run(t, never);
  conversationsToken(await usher.exchange(issuer.token('alice')), usher.secret);
  await usher.stop();

  const otherKey = await refusal(await place(t, postgres.url(database)));
  assert.equal(otherKey.code, 69, otherKey.text);
  assert.match(otherKey.text, /identity\.key is not the one/);

  await postgres.sql('UPDATE usher_schema SET major = 2', database);
  const newer = await refusal(never);
  assert.equal(newer.code, 69, newer.text);
  assert.match(newer.text, /has a schema of version 2 and this usher knows 1/);

  const foreign = await postgres.database();
  await postgres.sql('CREATE TABLE identities (name TEXT)', foreign);
  const another = await refusal(await place(t, postgres.url(foreign)));
  assert.equal(another.code, 69, another.text);
  assert.match(another.text, /tables of another program/);
});
