// The durable stores: how each is configured, checked by its own means while nobody has it open, and told that time passed.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFile, mkdir, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
// An import counts as given up when it has done nothing for two minutes.
const PASS = 'UPDATE imports SET beat = 0';

const sqlite = {
  name: 'SQLite',

  lay(place) { return { url: `sqlite:${join(place.state, 'usher.db')}` }; },

  /** `pragma integrity_check` of a copy, so that usher itself finds the file and its log as the kill left them. */
  async check(place) {
    const folder = join(place.home, 'copy'), copy = join(folder, 'usher.db');
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder);
    if (!existsSync(join(place.state, 'usher.db'))) return;
    for (const end of ['', '-wal']) if (existsSync(join(place.state, `usher.db${end}`))) await copyFile(join(place.state, `usher.db${end}`), `${copy}${end}`);
    const { stdout } = await run('sqlite3', [copy, 'pragma integrity_check; pragma foreign_key_check']);
    assert.equal(stdout, 'ok\n', 'integrity_check');
  },

  async pass(place) { await run('sqlite3', ['-cmd', '.timeout 5000', join(place.state, 'usher.db'), PASS]); },
};

export const stores = { sqlite };
