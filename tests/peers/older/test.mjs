// A release may be taken back: the previous build serves under load on the store that this one has migrated and filled, alone
// and beside it, and this one then finds everything as it was.
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { writeFile } from 'node:fs/promises';
import { steadyLoad, tally } from '../lib/load.mjs';
import { issuerSection, startIssuer } from '../lib/issuer.mjs';
import { opaqueIdentity } from '../lib/jwt.mjs';
import { Operator, fileOf } from '../lib/registry.mjs';
import { openSqlite } from '../lib/stores.mjs';
import { lay, problem, run, yaml } from '../lib/usher.mjs';

const RATE = 100, SECONDS = 8, KNOWN = 40;
const older = resolve(process.env.OLDER_USHER_BIN ?? 'the previous build, which tests/run makes');

test('the previous build serves under load on the store that this one has migrated', { timeout: 200_000 }, async (t) => {
  const issuer = await startIssuer({ algorithm: 'ES256' });
  t.after(() => issuer.close());
  const place = await lay(t, {}), beside = await lay(t, {}, { identityKey: place.identityKey }), store = await openSqlite(t, place);
  for (const one of [place, beside]) {
    one.configuration = { ...one.configuration, store: store.section, issuers: [issuerSection(issuer.url, { namespace: 'corp' })] };
    await writeFile(one.configFile, yaml(one.configuration), { mode: 0o600 });
  }
  const derive = (subject) => opaqueIdentity(place.identityKey, 'corp', subject), expected = new Map();
  const named = (count, name) => Array.from({ length: count }, (_, n) => `${name}-${n}`);
  /** Signs in: the identity must be the one that is expected, which is the derived one for whoever is new. */
  const signIn = async (usher, subject, agent) => {
    const answer = await usher.exchange(issuer.token(subject), { agent });
    if (answer.status !== 200) return answer;
    const wanted = expected.get(subject) ?? derive(subject), { identity } = JSON.parse(answer.text);
    assert.equal(identity, wanted, `the identity of ${subject}`);
    expected.set(subject, wanted);
    return answer;
  };
  const all = async (usher, subjects) => { for (const subject of subjects) assert.equal((await signIn(usher, subject)).status, 200, subject); };
  /** Known and new users at a steady rate; every request must be answered with 200. */
  const underLoad = async (usher, name, seconds, meanwhile = () => sleep(seconds * 1000)) => {
    const known = [...expected.keys()], load = steadyLoad(RATE, (number, agent) => signIn(usher, number % 2 ? known[number % known.length] : `${name}-${number}`, agent));
    await meanwhile();
    const answers = await load.stop(), lost = answers.filter((answer) => answer.status !== 200);
    assert.equal(lost.length, 0, `${name}: ${tally(answers)}; first: ${lost[0]?.text ?? lost[0]?.error}`);
    t.diagnostic(`${name}: ${answers.length} requests, ${tally(answers)}`);
  };

  // What the previous build has made, this one migrates.
  const first = await run(t, place, { program: older });
  await all(first, named(KNOWN, 'before'));
  await first.stop();
  const migrated = await run(t, place), operator = new Operator(place);
  await all(migrated, [...expected.keys(), ...named(KNOWN, 'since')]);

  // What it could not do.
  const rows = named(KNOWN, 'imported').map((subject, n) => ({ namespace: 'corp', subject, identity: `Legacy.${n}_~40` }));
  const ok = async (asked) => { const answer = await asked; assert.equal(answer.status, 200, answer.text); };
  // The previous build knows no identity beyond usher's own alphabet.
  const raw = { namespace: 'corp', subject: 'raw', identity: 'raw@example.com' };
  await ok(operator.import(fileOf([...rows, raw], 'csv'), 'csv'));
  for (const { subject, identity } of rows) expected.set(subject, identity);
  await ok(operator.link(derive('before-0'), { namespace: 'corp', subject: 'second account' }, 'is the same person'));
  expected.set('second account', derive('before-0'));
  await all(migrated, named(4, 'leaving'));
  await ok(operator.retire(derive('leaving-0'), 'left'));
  await ok(operator.erase(derive('leaving-1'), 'request 4711'));
  await ok(operator.unlink({ namespace: 'corp', subject: 'leaving-2' }, 'by mistake'));
  const waiting = [{ namespace: 'corp', match: 'waits@example.com', identity: 'waits' }];
  await ok(operator.import(fileOf(waiting, 'jsonl'), 'jsonl', { unclaimed: 'true' }));
  await migrated.stop();
  for (const subject of ['leaving-0', 'leaving-1', 'leaving-2']) expected.delete(subject);

  // Taken back, under load. Whoever an operator ended is nobody there as well.
  const back = await run(t, place, { program: older });
  await all(back, expected.keys());
  const ended = async (usher) => {
    problem(await usher.exchange(issuer.token('leaving-0')), 403, 'identity_retired', 'ask_operator');
    for (const subject of ['leaving-1', 'leaving-2']) assert.ok([200, 403, 409].includes((await usher.exchange(issuer.token(subject))).status), subject);
    assert.notEqual((await usher.exchange(issuer.token('leaving-1'))).status, 200, 'an erased subject is given an identity');
  };
  await ended(back);
  problem(await back.exchange(issuer.token('raw')), 503, 'store_unavailable', 'retry');
  await underLoad(back, 'the previous build', SECONDS);

  // Both at once, as in the middle of a rollout; each has users that the other has not seen.
  const fresh = await run(t, beside);
  await Promise.all([underLoad(back, 'the previous one beside this one', SECONDS), underLoad(fresh, 'this one beside it', SECONDS)]);
  await Promise.all([all(back, expected.keys()), all(fresh, expected.keys())]);
  await back.stop();
  await fresh.stop();
  await store.check();

  const again = await run(t, place);
  await all(again, expected.keys());
  await ended(again);
  expected.set('raw', raw.identity);
  await all(again, ['raw']);
  const held = new Map((await operator.rows()).filter((row) => row.subject !== '' && row.state === 'active').map((row) => [row.subject, row.identity]));
  for (const [subject, identity] of expected) assert.equal(held.get(subject), identity, `what the registry holds for ${subject}`);
  assert.equal((await operator.show('waits')).state, 'unclaimed');
  assert.deepEqual((await operator.show(derive('before-0'))).history.map(({ what }) => what), ['link corp second account']);
  t.diagnostic(`${expected.size} users have the identity they had`);
  await again.stop();
});
