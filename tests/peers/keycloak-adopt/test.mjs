// Users whom a hand-written token server knew by e-mail address sign in at Keycloak and keep their identities, and keep them
// again when another realm takes their provider's place.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { opaqueIdentity, part } from '../lib/jwt.mjs';
import { issuerSection } from '../lib/issuer.mjs';
import { startKeycloak, userOf } from '../lib/keycloak.mjs';
import { eventually } from '../lib/process.mjs';
import { command, configuration, conversationsToken, lay, problem, run, yaml } from '../lib/usher.mjs';

// Adds the claim employee_id, which only administrators may change: it names people.
const profile = {
  providerId: 'declarative-user-profile', subComponents: {},
  config: { 'kc.user.profile.config': [JSON.stringify({ attributes: [
    ...['username', 'email', 'firstName', 'lastName'].map((name) => ({ name, permissions: { view: ['admin', 'user'], edit: ['admin', 'user'] } })),
    { name: 'employee_id', permissions: { view: ['admin'], edit: ['admin'] } },
  ] })] },
};
const mapper = {
  name: 'employee_id', protocol: 'openid-connect', protocolMapper: 'oidc-usermodel-attribute-mapper',
  config: { 'user.attribute': 'employee_id', 'claim.name': 'employee_id', 'jsonType.label': 'String', 'access.token.claim': 'true', 'id.token.claim': 'true' },
};
const withUsers = (users) => (realm) => ({
  ...realm, users,
  components: { ...realm.components, 'org.keycloak.userprofile.UserProfileProvider': [profile] },
  clients: realm.clients.map((client) => ({ ...client, protocolMappers: [...client.protocolMappers, mapper] })),
});
const employee = (username, number, more) => userOf(username, { attributes: { employee_id: [number] }, ...more });

let keycloak, corp, next;
before(async () => {
  keycloak = await startKeycloak();
  corp = await keycloak.realm('corp', withUsers([
    employee('alice', '0815'), employee('bob', '4711'), employee('carol', '4712', { emailVerified: false }),
    userOf('dora', { email: 'dora.li@example.com' }), employee('erin', '4714'), userOf('frank', { email: undefined, emailVerified: false }), userOf('mallory'),
  ]));
  // The same people at the provider that comes after it, where nobody's address has been verified yet.
  next = await keycloak.realm('next', withUsers([
    employee('alice', '0815', { emailVerified: false }), employee('bob', '4711', { email: 'bob@new.example', emailVerified: false }),
    employee('erin', '4714'), employee('grace', '4720'), userOf('frank'),
  ]));
}, { timeout: 330_000 });
after(() => keycloak?.child.stop('SIGTERM', 30), { timeout: 60_000 });

const token = async (realm, user, client) => (await realm.signIn(user, client)).access_token;
const subject = (jwt) => part(jwt, 1).sub;

/** The identity that the Conversations token of an exchange is for. */
async function identity(usher, jwt) {
  const answer = conversationsToken(await usher.exchange(jwt), usher.secret);
  assert.equal(answer.identity, answer.claims.grants.identity);
  return answer.claims.grants.identity;
}

/** `usher identity …`, which must end with `code`; gives what it printed. */
async function registry(place, args, code = 0) {
  const done = await command(place, 'identity', ...args);
  assert.equal(done.code, code, `usher identity ${args.join(' ')}: ${done.stdout}${done.stderr}`);
  return done.stdout + (code === 0 ? '' : done.stderr);
}
const waiting = async (place) => (await registry(place, ['list', '--state', 'unclaimed', '--output', 'json'])).split('\n').filter(Boolean).map((line) => JSON.parse(line).identity);
const csv = async (place, name, rows) => { const path = join(place.home, name); await writeFile(path, `${rows.join('\r\n')}\r\n`); return path; };

/** The audit lines of a sidecar with this outcome. */
const audited = (usher, outcome) => usher.child.lines.flatMap((line) => { try { return [JSON.parse(line)]; } catch { return []; } }).filter((line) => line.target === 'audit' && line.outcome === outcome);
const hash = (key, namespace, id) => createHmac('sha256', key).update(`${namespace}\0${id}`).digest('hex').slice(0, 16);

/** A sidecar's place whose issuers are changed by `believe`. */
async function laid(t, issuers) {
  const place = await lay(t, {});
  place.believe = (...sections) => writeFile(place.configFile, yaml(configuration(place, { issuers: sections, store: { url: `sqlite:${join(place.state, 'usher.db')}` } })), { mode: 0o600 });
  await place.believe(...issuers);
  return place;
}

const adopt = { claim: 'email', until: '2999-12-31' };

test('users who were imported by e-mail address keep their identities when they sign in at Keycloak', { timeout: 180_000 }, async (t) => {
  const place = await laid(t, [issuerSection(corp.issuer, { namespace: 'corp', adopt })]);
  const old = { alice: 'alice@example.com', bob: 'Bob Müller (Köln) +49/7', carol: 'carol@example.com', dora: 'Dora.Li@example.com', gina: 'gina@example.com' };
  // Keycloak has every address in lower case; the hand-written server took Dora's as she typed it.
  const file = await csv(place, 'waiting.csv', ['namespace,match,identity', ...Object.entries(old).map(([user, name]) => `corp,${user === 'dora' ? 'Dora.Li' : user}@example.com,${name}`)]);
  const imported = async () => {
    const { warnings, ...told } = JSON.parse(await registry(place, ['import', file, '--unclaimed', '--output', 'json']));
    return { ...told, lines: warnings.map((warning) => warning.line) };
  };
  assert.deepEqual(await imported(), { rows: 5, new: 5, known: 0, repeated: 0, dry_run: false, lines: [2, 3, 4, 5, 6], warnings_total: 5 });
  assert.deepEqual((await waiting(place)).sort(), Object.values(old).sort());

  const ushers = [await run(t, place)];
  let usher = ushers[0];
  const own = (jwt) => opaqueIdentity(place.identityKey, 'corp', subject(jwt));
  const taken = new Map(); // subject id by the identity that was adopted
  const expected = new Map(); // identity by user

  await t.test('verified ones at once from several devices, and ever after', async () => {
    for (const user of ['alice', 'bob']) {
      const devices = await Promise.all(['chat', 'spa', 'chat', 'spa'].map((client) => token(corp, user, client)));
      assert.deepEqual([part(devices[0], 1).email, part(devices[0], 1).email_verified], [`${user}@example.com`, true]);
      assert.equal(new Set(devices.map((jwt) => part(jwt, 1).sid)).size, 4, 'four sessions');
      const first = await Promise.all([...devices, ...devices].map((jwt) => identity(usher, jwt)));
      assert.deepEqual([...new Set(first)], [old[user]]);
      const again = await corp.signIn(user);
      assert.equal(await identity(usher, again.access_token), old[user]);
      assert.equal(await identity(usher, again.id_token), old[user]);
      assert.equal(conversationsToken(await usher.exchangeForm(again.access_token, 'access_token'), usher.secret).claims.grants.identity, old[user]);
      taken.set(old[user], subject(again.access_token));
      expected.set(user, old[user]);
    }
  });

  await t.test('an address that is not verified is claim_rule_failed, and makes nothing, until it is', async () => {
    const early = await token(corp, 'carol');
    assert.deepEqual([part(early, 1).email, part(early, 1).email_verified], ['carol@example.com', false]);
    for (let turn = 0; turn < 3; turn++) {
      const refused = problem(await usher.exchange(early), 403, 'claim_rule_failed', 'ask_operator');
      assert.match(refused.detail, /verif/);
      assert.doesNotMatch(JSON.stringify(refused), /carol/);
    }
    await registry(place, ['show', '--namespace', 'corp', '--subject', subject(early)], 1);
    assert.ok((await waiting(place)).includes(old.carol));
    await corp.change('carol', { emailVerified: true });
    assert.equal(await identity(usher, await token(corp, 'carol')), old.carol);
    taken.set(old.carol, subject(early));
    expected.set('carol', old.carol);
  });

  await t.test('another letter case is identity_conflict, which usher identity link settles within 2 s', async () => {
    const dora = await token(corp, 'dora');
    assert.equal(part(dora, 1).email, 'dora.li@example.com');
    for (let turn = 0; turn < 3; turn++) assert.match(problem(await usher.exchange(dora), 409, 'identity_conflict', 'ask_operator').detail, /usher identity link/);
    await registry(place, ['show', '--namespace', 'corp', '--subject', subject(dora)], 1);
    await registry(place, ['link', old.dora, '--namespace', 'corp', '--subject', subject(dora), '--reason', 'spelt otherwise at the provider']);
    const since = performance.now();
    await eventually('the link holds at the sidecar', async () => (await usher.exchange(dora)).status === 200, 2, 10);
    t.diagnostic(`${Math.round(performance.now() - since)} ms after the command the link held`);
    assert.equal(await identity(usher, dora), old.dora);
    expected.set('dora', old.dora);
  });

  await t.test('for whom nothing waits, an opaque one; also who gets the address later that somebody had', async () => {
    for (const user of ['erin', 'frank']) {
      const jwt = await token(corp, user);
      expected.set(user, own(jwt));
      assert.equal(await identity(usher, jwt), own(jwt));
    }
    await corp.change('alice', { email: 'alice@elsewhere.example', emailVerified: false });
    await corp.change('mallory', { email: 'alice@example.com', emailVerified: true });
    const mallory = await token(corp, 'mallory');
    assert.deepEqual([part(mallory, 1).email, part(mallory, 1).email_verified], ['alice@example.com', true]);
    assert.equal(await identity(usher, mallory), own(mallory));
    expected.set('mallory', own(mallory));
    assert.equal(await identity(usher, await token(corp, 'alice')), old.alice);
  });

  await t.test('the list of the unclaimed shows who has not come, and the import again changes nothing', async () => {
    assert.deepEqual(await waiting(place), [old.gina]);
    const before = await registry(place, ['export']);
    assert.deepEqual(await imported(), { rows: 5, new: 0, known: 5, repeated: 0, dry_run: false, lines: [2, 3, 4, 5, 6], warnings_total: 5 });
    assert.equal(await registry(place, ['export']), before);
    const shown = JSON.parse(await registry(place, ['show', old.alice, '--output', 'json']));
    assert.deepEqual([shown.state, shown.outside_alphabet, shown.subjects.map((it) => it.subject)], ['active', true, [taken.get(old.alice)]]);
    assert.equal(shown.history.filter((event) => event.what.startsWith('adopt ') && event.who === 'usher').length, 1);
    assert.equal(shown.history.length, 2, 'imported and adopted, and no more');
  });

  await t.test('a fresh process gives everybody the same', async () => {
    const before = await registry(place, ['export']);
    await usher.stop();
    usher = await run(t, place);
    ushers.push(usher);
    for (const [user, name] of expected) assert.equal(await identity(usher, await token(corp, user)), name, user);
    assert.deepEqual(await waiting(place), [old.gina]);
    assert.equal(await registry(place, ['export']), before);
  });

  await t.test('each adoption is in the audit log once', async () => {
    await usher.stop();
    const lines = ushers.flatMap((it) => audited(it, 'adopted'));
    assert.deepEqual(lines.map((line) => [line.identity, line.subject_hash]), [...taken].map(([name, id]) => [name, hash(place.identityKey, 'corp', id)]));
    for (const line of lines) assert.deepEqual([line.code, line.issuer], ['none', corp.issuer]);
    const codes = audited(ushers[0], 'refused').map((line) => line.code);
    assert.deepEqual(codes, [...Array(3).fill('claim_rule_failed'), ...Array(3).fill('identity_conflict')]);
    t.diagnostic(`${lines.length} adopted, ${expected.size} users`);
  });
});

test('two realms in one namespace whose subjects are a claim of both give each user one identity', { timeout: 180_000 }, async (t) => {
  const shared = { namespace: 'staff', subject: ['employee_id'] };
  const before = issuerSection(corp.issuer, { ...shared, adopt }), both = [corp, next].map((realm, at) => issuerSection(realm.issuer, { ...shared, sharedNamespace: true, ...(at === 0 ? { adopt } : {}) }));
  const place = await laid(t, [before]);
  await registry(place, ['import', await csv(place, 'waiting.csv', ['namespace,match,identity', 'staff,bob@example.com,bob@example.com']), '--unclaimed']);
  let usher = await run(t, place);
  const own = (number) => opaqueIdentity(place.identityKey, 'staff', number);

  const first = await token(corp, 'bob');
  assert.equal(part(first, 1).employee_id, '4711');
  assert.equal(await identity(usher, first), 'bob@example.com');
  assert.equal(await identity(usher, await token(corp, 'alice')), own('0815'));
  const moved = await token(next, 'bob');
  problem(await usher.exchange(moved), 401, 'unknown_issuer', 'ask_operator');

  // The second realm joins while usher serves.
  await place.believe(...both);
  await eventually('the second realm is believed', async () => (await usher.exchange(moved)).status === 200, 5);
  assert.notEqual(subject(moved), subject(first));
  assert.equal(await identity(usher, moved), 'bob@example.com');
  assert.equal(await identity(usher, await token(next, 'alice')), own('0815'));
  // Whoever comes at the new one first is the same person at the old one.
  assert.equal(await identity(usher, await token(next, 'erin')), own('4714'));
  assert.equal(await identity(usher, await token(corp, 'erin')), own('4714'));
  // Without the claim nobody is made.
  problem(await usher.exchange(await token(next, 'frank')), 401, 'malformed_token', 'ask_operator');

  // The old realm goes, and the process with it.
  await usher.stop();
  await place.believe(both[1]);
  usher = await run(t, place);
  for (const [user, name] of [['alice', own('0815')], ['bob', 'bob@example.com'], ['erin', own('4714')], ['grace', own('4720')]]) assert.equal(await identity(usher, await token(next, user)), name, user);
  problem(await usher.exchange(first), 401, 'unknown_issuer', 'ask_operator');
  const rows = (await registry(place, ['export'])).trim().split('\r\n').slice(1);
  assert.deepEqual(rows, [`staff,0815,${own('0815')},active`, 'staff,4711,bob@example.com,active', `staff,4714,${own('4714')},active`, `staff,4720,${own('4720')},active`]);
  await usher.stop();
});

test('where the subjects of two realms differ, links keep the identities', { timeout: 180_000 }, async (t) => {
  const issuers = [issuerSection(corp.issuer, { namespace: 'corp' }), issuerSection(next.issuer, { namespace: 'next' })];
  const place = await laid(t, issuers);
  const usher = await run(t, place);
  const old = {}, fresh = {}, mine = {};
  for (const user of ['alice', 'bob']) {
    [old[user], fresh[user]] = [await token(corp, user), await token(next, user)];
    mine[user] = await identity(usher, old[user]);
    assert.notEqual(subject(old[user]), subject(fresh[user]));
  }

  // Alice is moved by a file before she comes.
  const file = await csv(place, 'moved.csv', ['namespace,subject,identity', `next,${subject(fresh.alice)},${mine.alice}`]);
  assert.match(await registry(place, ['import', file], 4), /share/);
  await registry(place, ['import', file, '--allow-links']);
  assert.equal(await identity(usher, fresh.alice), mine.alice);

  // Bob has come already and is somebody else there.
  const other = await identity(usher, fresh.bob);
  assert.equal(other, opaqueIdentity(place.identityKey, 'next', subject(fresh.bob)));
  const bob = ['--namespace', 'next', '--subject', subject(fresh.bob), '--reason', 'moved to the next realm'];
  assert.match(await registry(place, ['link', mine.bob, ...bob], 4), /unlink it first/);
  await registry(place, ['unlink', ...bob]);
  await registry(place, ['link', mine.bob, ...bob]);
  await eventually('the link holds at the sidecar', async () => await identity(usher, fresh.bob) === mine.bob, 2, 10);
  for (const user of ['alice', 'bob']) {
    for (const realm of [corp, next]) assert.equal(await identity(usher, await token(realm, user)), mine[user]);
    const shown = JSON.parse(await registry(place, ['show', mine[user], '--output', 'json']));
    assert.deepEqual(shown.subjects.map((it) => [it.namespace, it.subject]), [['corp', subject(old[user])], ['next', subject(fresh[user])]]);
  }
  await usher.stop();
});
