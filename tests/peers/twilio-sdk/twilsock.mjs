// A small Twilsock server: as much of Twilio's end as the client SDK needs to connect, and all of its checks of a token.
// A frame is `TWILSOCK V3.0 <length of header>\r\n<JSON header>\r\n<payload>`.
import { once } from 'node:events';
import { randomUUID } from 'node:crypto';
import { WebSocketServer } from 'ws';
import { part, verifiesHs256 } from '../lib/jwt.mjs';

function frame(header, payload) {
  const body = payload === undefined ? '' : JSON.stringify(payload);
  const head = JSON.stringify({ ...header, payload_type: 'application/json', payload_size: Buffer.byteLength(body) });
  return Buffer.from(`TWILSOCK V3.0 ${Buffer.byteLength(head)}\r\n${head}\r\n${body}`);
}

function readFrame(bytes) {
  const text = Buffer.from(bytes).toString('utf8'), [, length] = /^TWILSOCK V3\.0 (\d+)\r\n/.exec(text), start = text.indexOf('\r\n') + 2;
  return JSON.parse(Buffer.from(text.slice(start)).subarray(0, Number(length)).toString('utf8'));
}

/** Twilio's error code for a token, or undefined for a good one. The codes are those of Twilio's error list. */
export function fault(token, { secret, account, key, service }, now = Date.now() / 1000) {
  let header, payload;
  try { header = part(token, 0); payload = part(token, 1); } catch { return 20101; }
  if (header.alg !== 'HS256' || header.typ !== 'JWT' || header.cty !== 'twilio-fpa;v=1') return 20102;
  if (!verifiesHs256(token, secret)) return 20107;
  if (payload.iss !== key || payload.sub !== account) return 20103;
  if (!Number.isInteger(payload.exp) || payload.exp <= now || payload.exp > now + 86_400) return 20104;
  if ((payload.nbf ?? 0) > now) return 20105;
  const { identity, chat } = payload.grants ?? {};
  if (typeof identity !== 'string' || identity === '' || [...identity].length > 256 || chat?.service_sid !== service) return 20106;
  return undefined;
}

class Twilsock {
  constructor(server, expected) {
    this.uri = `ws://127.0.0.1:${server.address().port}`;
    this.server = server;
    this.expected = expected;
    this.seen = []; // {method: init | update, token, fault}
    this.sockets = new Set();
    server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
      socket.on('message', (bytes) => this.#receive(socket, readFrame(bytes)));
    });
  }

  #receive(socket, header) {
    const reply = (more, payload) => socket.send(frame({ method: 'reply', id: header.id, status: { code: 200, status: 'OK' }, ...more }, payload));
    if (header.method === 'init' || header.method === 'update') {
      const code = fault(header.token, this.expected);
      this.seen.push({ method: header.method, token: header.token, fault: code });
      if (code) return reply({ status: { code: 401, status: 'Unauthorized', errorCode: code, description: 'the token was refused' } });
      socket.identity = part(header.token, 1).grants.identity;
      return reply({ capabilities: ['client_update'], continuation_token: randomUUID(), continuation_token_status: { reissued: true } });
    }
    if (header.method === 'message') return this.#rest(socket, header.http_request, reply);
    return undefined; // replies, telemetry and close need no answer
  }

  // The SDK's REST calls go over the same socket.
  #rest(socket, request, reply) {
    const answers = [ // [path, body of a 200]
      [/\/Client\/v2\/Configuration$/, () => ({ identity: socket.identity, links: { my_conversations: 'http://chat/MyConversations', media_service: 'http://media/', media_set_service: 'http://media/set' }, options: {}, sync_objects: { my_user_info: '', my_conversations: 'conversations' } })],
      [/\/Maps\/conversations$/, () => ({ sid: `MP${'0'.repeat(32)}`, unique_name: 'conversations', url: 'http://sync/Maps/conversations', revision: '0', last_event_id: 0, links: { items: 'http://sync/Maps/conversations/Items' }, date_updated: new Date().toISOString() })],
      [/\/MyConversations$/, () => ({ conversations: [], meta: { next_token: null } })],
      [/./, () => ({})],
    ];
    const [, answer] = answers.find(([path]) => path.test(request.path));
    return reply({ http_status: { code: 200, status: 'OK' }, http_headers: {} }, answer());
  }

  /** What Twilio pushes in the last three minutes of a token's life. */
  pushTokenAboutToExpire() {
    for (const socket of this.sockets) socket.send(frame({ method: 'client_update', id: `TM${randomUUID()}`, client_update_type: 'token_about_to_expire', status: { code: 200, status: 'OK' } }));
  }

  async close() {
    for (const socket of this.sockets) socket.terminate();
    this.server.close();
    await once(this.server, 'close');
  }
}

/** Starts on a free loopback port; `expected` is {secret, account, key, service}. */
export async function startTwilsock(expected) {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  return new Twilsock(server, expected);
}
