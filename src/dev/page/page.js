// The demo page of `usher dev`: sign in, exchange, look at it.
import { tokenSource } from "/conversations/client.js";

const LOGIN = "usher-demo-login"; // what must come back from the provider unchanged
const SESSION = "usher-demo-session"; // in a demo, so that a reload stays signed in; it ends with the tab
const SEEN = "usher-demo-seen";
const MOST_SEEN = 12;

const $ = (id) => document.getElementById(id);
const exchanges = watchExchanges();
let config, upstream, tokens, shown, timer;

start();

async function start() {
  $("sign-in").addEventListener("click", () => attempt($("sign-in"), () => signIn()));
  $("switch-user").addEventListener("click", () => attempt($("switch-user"), () => signIn()));
  $("other-device").addEventListener("click", () => attempt($("other-device"), otherDevice));
  $("ask-again").addEventListener("click", () => attempt($("ask-again"), askAgain));
  $("copy").addEventListener("click", () => attempt($("copy"), copyIdentity));
  await attempt($("sign-in"), async () => {
    config = await readConfig();
    upstream = recall(SESSION);
    let refused;
    const session = await finishSignIn().catch((error) => void (refused = error));
    if (session) keepSession(session);
    // Whoever cancels a change of user stays who they were.
    if (upstream) await showExchange();
    if (refused) throw refused;
  });
}

/** Runs `step` with `button` busy, and shows what went wrong. */
async function attempt(button, step) {
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  $("error").hidden = true;
  try {
    await step();
  } catch (error) {
    showError(error);
  } finally {
    button.removeAttribute("aria-disabled");
    say("");
  }
}

// ---------------------------------------------------------------- the exchange

async function showExchange() {
  say("Exchanging the token…");
  tokens = tokenSource({ authorization: ({ forceRefresh }) => bearer(forceRefresh) });
  $("other").hidden = true;
  $("ask-again-result").textContent = "";
  showUpstream();
  await renew();
}

/** Shows the token there is, and comes back when it is time for the next. */
async function renew() {
  clearTimeout(timer);
  const source = tokens;
  const answer = await source.answer();
  if (source !== tokens) return;
  shown = { answer, at: Date.now() };
  showUpstream();
  showAnswer(answer);
  remember(upstream.person, "this device", answer.identity);
  timer = setTimeout(() => renew().catch(showError), answer.refresh_in * 1000 + 500);
}

/** The provider's token for whoever is signed in; a fresh one where usher finds the old one used up. */
async function bearer(forceRefresh) {
  if (forceRefresh) keepSession({ ...upstream, access_token: await quietly(upstream.username) });
  return `Bearer ${upstream.access_token}`;
}

/** A token for the mere name. Only this provider does that; a real application has a refresh token or a session. */
async function quietly(username) {
  const form = { grant_type: "password", username, client_id: config.client_id, scope: "openid profile" };
  return (await askProvider(form)).access_token;
}

/** The same person on a phone: a sign-in and a token source of their own, nothing shared. */
async function otherDevice() {
  say("Signing in on another device…");
  const access_token = await quietly(upstream.username);
  const phone = tokenSource({ authorization: () => `Bearer ${access_token}` });
  const { identity, token } = await phone.answer();
  const same = identity === shown.answer.identity;
  $("other").hidden = false;
  $("other-what").textContent = `${upstream.person} on another device, with another upstream token (jti ${claimsOf(access_token).jti}) `
    + `and another Conversations token (jti ${claimsOf(token).jti}):`;
  $("other-identity").textContent = identity;
  $("other-verdict").textContent = same ? "✓ The same identity" : "✗ Another identity: this should not happen";
  $("other-verdict").classList.toggle("differs", !same);
  remember(upstream.person, "another device", identity);
}

async function askAgain() {
  const before = exchanges.count;
  const token = await tokens.get();
  const asked = exchanges.count > before;
  $("ask-again-result").textContent = asked
    ? "A new request was due, and made."
    : `No request was made: the token ending in ${token.slice(-6)} is remembered until it is time for the next.`;
  if (asked) await renew();
}

async function copyIdentity() {
  await navigator.clipboard.writeText(shown.answer.identity);
  $("copy").textContent = "Copied";
  setTimeout(() => ($("copy").textContent = "Copy"), 2000);
}

/** Looks on as client.js asks: what it sends and gets is shown, never changed. */
function watchExchanges() {
  const plain = globalThis.fetch;
  const seen = { count: 0, last: undefined };
  globalThis.fetch = async (input, init) => {
    const path = new URL(input, location).pathname;
    if (!path.startsWith("/conversations/")) return plain(input, init);
    const started = performance.now();
    const response = await plain(input, init);
    seen.count += 1;
    const body = await response.clone().text();
    seen.last = { path, init, response, body, milliseconds: performance.now() - started };
    return response;
  };
  return seen;
}

// ---------------------------------------------------------------- signing in
// Authorization code with PKCE (RFC 7636), state and nonce (OpenID Connect Core 3.1).

async function signIn() {
  if (!crypto.subtle) {
    throw problem("insecure_context", "stop", "The browser offers its cryptography on https and on localhost only. Open this page by http://localhost, on the machine that runs usher.");
  }
  config ??= await readConfig();
  await providerAnswers();
  const login = { state: random(16), nonce: random(16), verifier: random(32), redirect_uri: redirectUri() };
  sessionStorage.setItem(LOGIN, JSON.stringify(login));
  const challenge = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(login.verifier));
  const address = new URL(config.authorization_endpoint);
  const question = {
    response_type: "code",
    client_id: config.client_id,
    redirect_uri: login.redirect_uri,
    scope: "openid profile",
    state: login.state,
    nonce: login.nonce,
    code_challenge: base64url(new Uint8Array(challenge)),
    code_challenge_method: "S256",
    prompt: "select_account",
  };
  for (const [name, value] of Object.entries(question)) address.searchParams.set(name, value);
  location.assign(address);
}

/** Takes what the provider sent back in the address; nothing where the page was merely opened. */
async function finishSignIn() {
  const answer = new URLSearchParams(location.search);
  if (!answer.has("code") && !answer.has("error")) return undefined;
  // A code works once, so that it must not stay where a reload would send it again.
  history.replaceState(null, "", location.pathname);
  const login = recall(LOGIN);
  sessionStorage.removeItem(LOGIN);
  if (!login || answer.get("state") !== login.state) {
    throw problem("state_mismatch", "sign_in", "This answer does not belong to a sign-in that was begun in this tab.");
  }
  if (answer.has("error")) {
    const cancelled = answer.get("error") === "access_denied";
    throw problem(answer.get("error"), "sign_in", cancelled ? "The sign-in was cancelled. Nothing was changed." : "The provider refused the sign-in.");
  }
  if (answer.has("iss") && answer.get("iss") !== config.issuer) {
    throw problem("issuer_mismatch", "stop", "The answer came from another issuer than the one that was asked (RFC 9207).");
  }
  say("Redeeming the code…");
  const given = await askProvider({
    grant_type: "authorization_code",
    code: answer.get("code"),
    redirect_uri: login.redirect_uri,
    client_id: config.client_id,
    code_verifier: login.verifier,
  });
  const who = claimsOf(given.id_token);
  if (who.nonce !== login.nonce || who.iss !== config.issuer || ![who.aud].flat().includes(config.client_id)) {
    throw problem("id_token_mismatch", "stop", "The ID token was not made for this sign-in.");
  }
  return {
    access_token: given.access_token,
    person: who.name ?? who.preferred_username ?? who.sub,
    username: who.preferred_username ?? who.sub,
  };
}

function keepSession(session) {
  upstream = session;
  sessionStorage.setItem(SESSION, JSON.stringify(session));
}

/** What the token endpoint answers to a form (RFC 6749 5.1 and 5.2). */
async function askProvider(form) {
  const response = await fetch(config.token_endpoint, { method: "POST", body: new URLSearchParams(form), signal: AbortSignal.timeout(10_000) })
    .catch(unreachable);
  const body = await response.json().catch(() => ({}));
  if (response.ok && body.access_token) return body;
  throw problem(body.error ?? "provider_failed", "sign_in", "The provider did not give a token. A code works once and for a minute: sign in again.", response.status);
}

/** A dead provider is better told here than by the browser's own page. */
async function providerAnswers() {
  const discovery = `${config.issuer}/.well-known/openid-configuration`;
  await fetch(discovery, { mode: "no-cors", signal: AbortSignal.timeout(10_000) }).catch(unreachable);
}

function unreachable() {
  throw problem("provider_unreachable", "retry", `The provider at ${config.issuer} does not answer. Is usher dev still running?`);
}

async function readConfig() {
  const response = await fetch("/dev/config.json", { signal: AbortSignal.timeout(10_000) }).catch(() => undefined);
  if (response?.ok) return response.json();
  throw problem("no_configuration", "retry", "usher does not answer. Is usher dev still running?", response?.status);
}

/** Where to come back to: this very origin, since `localhost` and `127.0.0.1` share no storage. */
function redirectUri() {
  return new URL(new URL(config.redirect_uri).pathname, location.origin).href;
}

// ---------------------------------------------------------------- showing

function showUpstream() {
  const claims = claimsOf(upstream.access_token);
  $("sign-in").hidden = true;
  $("switch-user").hidden = false;
  $("issuer").textContent = claims.iss;
  showJson($("upstream-claims"), claims, ["iss", "sub"]);
  $("upstream-times").textContent = validity(claims);
}

function showAnswer(answer) {
  const [header, payload] = [0, 1].map((part) => claimsOf(answer.token, part));
  $("identity").textContent = answer.identity;
  $("person").textContent = `${upstream.person}’s`;
  $("initial").textContent = upstream.person.slice(0, 1).toUpperCase();
  showJson($("chat-token"), { header, payload }, ["identity"]);
  $("chat-times").textContent = validity(payload);
  showWire(exchanges.last);
  $("ticket").hidden = $("steps").hidden = false;
  showLife();
}

function showWire({ path, init, response, body, milliseconds }) {
  const sent = Object.entries(init.headers).map(([name, value]) => [name, shorten(value)]);
  const wanted = ["content-type", "cache-control", "x-request-id", "usher-mode"];
  const got = wanted.filter((name) => response.headers.has(name)).map((name) => [name, response.headers.get(name)]);
  const answer = JSON.parse(body);
  wire($("exchange-request"), `${init.method} ${path}`, sent);
  wire($("exchange-answer"), `${response.status} ${response.statusText}`, got);
  const json = element("span", "", "json");
  showJson(json, { ...answer, token: shorten(answer.token) }, ["identity"]);
  $("exchange-answer").append("\n\n", json);
  $("exchange-time").textContent = `${milliseconds.toFixed(1)} ms`;
}

function wire(place, first, headers) {
  place.replaceChildren(element("b", first.trim()));
  for (const [name, value] of headers) place.append("\n", element("span", `${name}: `, "quiet"), value);
}

/** JSON in colours; its text stays JSON. `feeds` are the members the identity comes from, or goes to. */
function showJson(place, value, feeds) {
  const text = JSON.stringify(value, null, 2);
  place.replaceChildren();
  let end = 0;
  for (const found of text.matchAll(/("(?:\\.|[^"\\])*")(:?)(,?)|-?\d[\d.eE+-]*|true|false|null/g)) {
    place.append(text.slice(end, found.index));
    const [whole, quoted, colon, comma] = found;
    const feed = colon && feeds.includes(JSON.parse(quoted));
    const kind = feed ? "feeds" : colon ? "key" : quoted ? "text" : "figure";
    // The comma belongs to the value, so that it is not left alone on a line.
    place.append(element("span", quoted ? quoted + comma : whole, kind), colon ?? "");
    end = found.index + whole.length;
  }
  place.append(text.slice(end));
}

function showLife() {
  const { answer, at } = shown;
  const left = Math.max(0, answer.expires_in - (Date.now() - at) / 1000);
  const refresh = Math.max(0, left - (answer.expires_in - answer.refresh_in));
  $("life").value = left / answer.expires_in;
  $("life-text").textContent = `The next token is due in ${minutes(refresh)}, this one ends in ${minutes(left)}`;
}
setInterval(() => shown && !document.hidden && showLife(), 1000);

/** One line for each person and identity seen, kept over a change of user. */
function remember(who, where, identity) {
  const seen = (recall(SEEN) ?? []).filter((row) => row.who !== who || row.where !== where || row.identity !== identity);
  seen.unshift({ who, where, identity });
  sessionStorage.setItem(SEEN, JSON.stringify(seen.slice(0, MOST_SEEN)));
  const rows = seen.slice(0, MOST_SEEN).map((row) => {
    const line = element("tr", "", row.who === upstream.person ? "now" : "");
    const who = element("td");
    who.append(element("b", row.who), " ", element("span", row.where, "quiet"));
    line.append(who, element("td", row.identity));
    return line;
  });
  $("seen").tBodies[0].replaceChildren(...rows);
}

const NEXT = {
  retry: "Try again in a moment.",
  sign_in: "Sign in again.",
  renew_upstream: "The provider's token is used up. Sign in again for a fresh one.",
  ask_operator: "Trying again helps once the configuration is set right.",
  stop: "Trying again does not help.",
};

function showError(error) {
  const { code = "page_failed", action = "stop", status, request_id, message } = error ?? {};
  const list = element("dl");
  const facts = { code, action, status, "request id": request_id };
  for (const [name, value] of Object.entries(facts)) if (value) list.append(element("dt", name), element("dd", String(value)));
  const again = action === "sign_in" || action === "renew_upstream" ? ["Sign in again", () => signIn()] : ["Try again", () => location.reload()];
  const button = element("button", again[0]);
  button.type = "button";
  button.addEventListener("click", () => attempt(button, again[1]));
  const actions = element("p", "", "actions");
  actions.append(button);
  $("error").replaceChildren(element("h2", "That did not work"), element("p", code === "unreachable" ? "usher does not answer. Is usher dev still running?" : message),
    element("p", NEXT[action] ?? "", "quiet"), list, actions);
  $("error").hidden = false;
  $("error").scrollIntoView({ block: "nearest" });
}

function say(text) {
  $("status").textContent = text;
}

// ---------------------------------------------------------------- small things

function problem(code, action, message, status) {
  return Object.assign(new Error(message), { code, action, status });
}

function element(name, text = "", className = "") {
  return Object.assign(document.createElement(name), { textContent: text, className });
}

function recall(key) {
  return JSON.parse(sessionStorage.getItem(key)) ?? undefined;
}

/** Reads a token to show it. Whether it is good is for usher to say. */
function claimsOf(token, part = 1) {
  const bytes = Uint8Array.from(atob(token.split(".")[part].replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}

function validity({ iat, exp }) {
  const time = (seconds) => new Date(seconds * 1000).toLocaleTimeString();
  return `Issued at ${time(iat)}, ends at ${time(exp)} (${minutes(exp - iat)})`;
}

function minutes(seconds) {
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")} min`;
}

function shorten(text) {
  return text.length > 36 ? `${text.slice(0, 18)}…${text.slice(-6)}` : text;
}

function random(bytes) {
  return base64url(crypto.getRandomValues(new Uint8Array(bytes)));
}

function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}
