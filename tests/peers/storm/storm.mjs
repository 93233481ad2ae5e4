// The storm, in a thread of its own, so that its answers do not hold up the clock of those who are measured.
import { parentPort, workerData } from 'node:worker_threads';
import { request, tally } from '../lib/load.mjs';

const { url, tokens, spread } = workerData;
let waiting = 0, most = 0;
const answers = await Promise.all(tokens.map(async (token, n) => {
  await new Promise((done) => { setTimeout(done, (n * spread) / tokens.length); });
  most = Math.max(most, ++waiting);
  const answer = await request(`${url}/conversations/token`, { method: 'POST', headers: { authorization: `Bearer ${token}`, 'content-length': '0' } });
  waiting -= 1;
  return answer;
}));
parentPort.postMessage({ most, tally: tally(answers) });
