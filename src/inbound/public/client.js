// Twilio Conversations tokens from usher. authorization: value or ({forceRefresh}) => value.
export function tokenSource({ url = "/conversations/token", service, platform, authorization } = {}) {
	for (const [name, value] of Object.entries({ service, platform }))
		if (value) url += (/\?/.test(url) ? "&" : "?") + name + "=" + encodeURIComponent(value);
	const renewable = authorization?.call;
	let kept, flight;

	async function post(forceRefresh) {
		const value = renewable ? await authorization({ forceRefresh }) : authorization;
		const response = await fetch(url, {
			method: "POST",
			headers: value ? { authorization: value } : {},
			signal: AbortSignal.timeout(3e4),
		}).catch((cause) => ({ status: 0, cause }));
		const { status, cause } = response;
		const body = (await response.json?.().catch(() => 0)) || {};
		if (response.ok && body.token) return body;
		if (body.action == "renew_upstream" && renewable && !forceRefresh) return post(true);
		// Else something before usher has answered.
		const code = status ? "unexpected_answer" : "unreachable";
		const action = status == 401 ? "sign_in" : /^4(?!08|29)/.test(status) ? "ask_operator" : "retry";
		const retryAfter = +response.headers?.get("retry-after") || 0;
		throw Object.assign(Error(body.detail || code), { code, action, ...body, status, retryAfter, cause });
	}

	// One request however many ask; only a forced one joins no other.
	function ask(force) {
		if (flight?.force >= force) return flight.answer;
		const at = Date.now(), mine = (flight = { force });
		const keep = (answer) => (flight == mine && (kept = { answer, at }), answer);
		return (mine.answer = post(force).then(keep).finally(() => flight == mine && (flight = 0)));
	}

	// By refresh_in, since this clock may be wrong.
	async function answer() {
		const age = Date.now() - kept?.at;
		return age >= 0 && age < kept.answer.refresh_in * 1e3 ? kept.answer : ask(false);
	}

	// onReplace(token) gives a new client for one past repair; onError(error) hears of failures.
	function keepFresh(client, { onReplace, onError } = {}) {
		let stopped, running, timer, forced = false, last = 0, tries = 0;
		const sleep = (ms) => new Promise((wake) => (timer = setTimeout(wake, ms, 1)));
		const changed = (state) => state == "denied" && renew(true);
		const events = [
			["tokenAboutToExpire", () => renew(false)],
			["tokenExpired", () => renew(true)],
			["connectionStateChanged", changed],
		];
		const listen = (way) => events.map((event) => client[way](...event));
		const stop = () => {
			clearTimeout(timer);
			stopped ||= listen("off");
		};

		async function give({ token }) {
			// The SDK loses a token given while it disconnects.
			while (client.connectionState == "disconnecting") await sleep(100);
			if (stopped) return;
			const dead = await Promise.race([
				// A TypeError: the client never initialised.
				(async () => client.updateToken(token))().then(() => 0, (error) => error instanceof TypeError || Promise.reject(error)),
				sleep(3e4),
			]);
			clearTimeout(timer);
			if (stopped) return;
			if (dead && onReplace) {
				const next = await onReplace(token);
				listen("off");
				client = next;
				if (!(stopped ||= !next)) listen("on");
			} else if (dead || client.connectionState == "denied") throw Error("token not taken");
		}

		async function renew(force) {
			forced ||= force;
			if (running || stopped) return;
			running = true;
			if (Date.now() - last > 3e4) tries = 0;
			for (let again = 1, wait = 0; again && !stopped; ) {
				if (tries++) await sleep(Math.max(wait, Math.min(3e4, 250 * 2 ** tries) * (1 + Math.random())));
				try {
					await give(await ask(forced));
					again = 0;
				} catch (error) {
					again = (error?.action || "retry") == "retry";
					wait = Math.min(error?.retryAfter || 0, 3600) * 1e3;
					Promise.resolve(error).then(onError).catch(() => {});
				}
			}
			last = Date.now();
			running = forced = false;
		}

		listen("on");
		changed(client.connectionState);
		return stop;
	}

	return { answer, get: async () => (await answer()).token, keepFresh };
}
