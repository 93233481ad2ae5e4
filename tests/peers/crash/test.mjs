// SIGKILL at any moment loses nothing that was acknowledged: 200 of them under a load of first sights, links, unlinks,
// retirements and imports, and a fresh process reads all of it back after each.
import assert from 'node:assert/strict';
import http from 'node:http';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { bareEnvironment, start } from '../lib/process.mjs';
import { issuerSection, startIssuer } from '../lib/issuer.mjs';
import { Operator } from '../lib/registry.mjs';
import { Usher, binary, lay, yaml } from '../lib/usher.mjs';
import { Load } from './load.mjs';
import { Import } from './operations.mjs';
import { Model, foundOf, keyOf, randomOf } from './model.mjs';
import { stores } from '../lib/stores.mjs';

const KILLS = Number(process.env.CRASH_KILLS ?? 200), EARLY = 12;

/** Runs `each` over `items`, at most 8 at a time. */
async function together(items, each) {
  const rest = [...items][Symbol.iterator]();
  await Promise.all(Array.from({ length: 8 }, async () => { for (const item of rest) await each(item); }));
}

class Trial {
  constructor(t, place, issuer, store, seed) {
    this.t = t;
    this.scene = { place, issuer, store, random: randomOf(seed), model: new Model(place.identityKey), count: 0, files: 0, again: [], tally: new Map() };
    this.scene.note = (what) => { const { tally } = this.scene; tally.set(what, (tally.get(what) ?? 0) + 1); };
    this.slowest = 0;
  }

  spawn() {
    const { place } = this.scene;
    return start('usher', binary, ['serve', '--config', place.configFile], { cwd: place.home, env: bareEnvironment({ STATE_DIRECTORY: place.state }) });
  }

  /** A fresh process, ready. */
  async begin() {
    const { scene } = this, begun = performance.now();
    scene.usher = new Usher(this.spawn(), scene.place);
    scene.agent = new http.Agent({ keepAlive: true });
    for (;;) {
      if ((await scene.usher.health('/readyz')).status === 200) break;
      assert.ok(!scene.usher.child.how, `usher does not start again:\n${scene.usher.child.tail()}`);
      assert.ok(performance.now() - begun < 20_000, `usher is not ready within 20 s:\n${scene.usher.child.tail()}`);
      await sleep(3);
    }
    scene.operator = new Operator(scene.place, scene.agent);
    this.slowest = Math.max(this.slowest, performance.now() - begun);
  }

  /** What the registry holds must be what was acknowledged, and each of `doubts` wholly or not at all. */
  async readBack(doubts, { all = false } = {}) {
    const { scene } = this, { model, operator } = scene, found = foundOf(await operator.rows());
    for (const operation of doubts.sort((one, other) => (one instanceof Import) - (other instanceof Import))) {
      if (operation.happened(found)) { operation.apply(); scene.note(`${operation.kind}: had happened`); } else if (operation instanceof Import) scene.again.push(operation);
      model.release(operation.about);
    }
    model.compare(found);
    await together([...model.identities.keys()].filter((identity) => all || model.touched.has(identity)), (identity) => this.#readIdentity(identity));
    await together(model.people.filter((who, at) => (all && at % 5 === 0) || model.touched.has(keyOf(who))), (who) => this.#readPerson(who));
    model.touched.clear();
  }

  async #readIdentity(identity) {
    const { model, operator } = this.scene, { state, subjects, history, created_at: since } = await operator.show(identity);
    const shown = { identity, state, subjects: subjects.map(({ namespace, subject }) => ({ namespace, subject })), history: history.map(({ who, what, why }) => ({ who: who.split(':')[0], what, why })) };
    assert.deepEqual(shown, model.shown(identity));
    for (const time of [since, ...subjects.map((one) => one.linked_at), ...history.map((one) => one.at)]) assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  }

  async #readPerson(who) {
    const { model, operator } = this.scene, wanted = model.held.get(keyOf(who));
    assert.deepEqual((await operator.of(who)).map(({ identity }) => identity), wanted === undefined ? [] : [wanted]);
  }
}

for (const { name, open } of stores) {
  test(`${name}: after each of ${KILLS} kills everything acknowledged is there, and nothing is half there`, { timeout: 700_000 }, async (t) => {
    const seed = Number(process.env.CRASH_SEED ?? randomInt(2 ** 32)), begun = performance.now();
    t.diagnostic(`CRASH_SEED=${seed}`);
    const issuer = await startIssuer({ algorithm: 'ES256' });
    t.after(() => issuer.close());
    const place = await lay(t, {}), store = await open(t, place);
    const sections = { issuers: [issuerSection(issuer.url, { namespace: 'corp', jwksUri: `${issuer.url}/jwks`, algorithms: ['ES256'] })], store: store.section };
    await writeFile(place.configFile, yaml({ ...place.configuration, ...sections }), { mode: 0o600 });
    const trial = new Trial(t, place, issuer, store, seed), { scene } = trial, { random } = scene;

    // While it makes the store.
    for (let kill = 0; kill < EARLY; kill++) {
      const child = trial.spawn();
      await sleep(random() * 150);
      await child.stop('SIGKILL');
      await store.check();
    }

    let doubts = [];
    t.after(() => scene.usher?.child.stop('SIGKILL'));
    for (let kill = 0; kill < KILLS; kill++) {
      await trial.begin();
      await trial.readBack(doubts);
      if (random() < 0.7) await store.pass();
      const load = new Load(scene);
      await sleep(50 + random() * 350);
      doubts = await load.kill();
      await store.shake(random);
      await store.check();
    }
    await trial.begin();
    await trial.readBack(doubts, { all: true });
    await scene.usher.stop();
    await store.check();
    t.diagnostic(`${name}: ${KILLS} kills in ${Math.round((performance.now() - begun) / 1000)} s, slowest start ${Math.round(trial.slowest)} ms; ${scene.model.identities.size} identities, ${scene.model.held.size} subjects`);
    t.diagnostic([...scene.tally].sort().map(([row, count]) => `${row} × ${count}`).join(', '));
  });
}
