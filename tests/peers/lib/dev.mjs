// `usher dev` as the README starts it, on free ports, in a folder of its own.
import { binary, folder } from './usher.mjs';
import { bareEnvironment, start } from './process.mjs';

const ANSI = /\u001b\[[0-9;]*m/g;

class Dev {
  constructor(child) { this.child = child; }

  #plain() { return this.child.lines.map((line) => line.replace(ANSI, '')); }

  /** The `curl` line as a person would copy it, with what follows where a line ends in a backslash. */
  curl() {
    const lines = this.#plain(), first = lines.findIndex((line) => /^\s*(\$ )?curl /.test(line));
    if (first < 0) return undefined;
    let last = first;
    while (lines[last].trimEnd().endsWith('\\') && last + 1 < lines.length) last++;
    return lines[last].trimEnd().endsWith('\\') ? undefined : lines.slice(first, last + 1).join('\n').trim().replace(/^\$ /, '');
  }

  /** Where the demo page and /conversations are: the origin that the curl line asks. */
  get url() { return new URL(/https?:\/\/[^\s'"$)]+\/conversations\/token/.exec(this.curl())[0]).origin; }
}

/** Starts it in `home` (by default a fresh folder) and waits for the curl line. */
export async function startDev(t, home) {
  const cwd = home ?? await folder(t, 'dev');
  const child = start('usher-dev', binary, ['dev', '--listen', '127.0.0.1:0'], { cwd, env: bareEnvironment() });
  t.after(() => child.stop('SIGKILL'));
  const dev = new Dev(child);
  await child.until(() => dev.curl(), 30, 'a curl line');
  return Object.assign(dev, { home: cwd });
}
