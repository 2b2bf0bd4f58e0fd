// Requests to the server. URLs are relative, so that the page also works below a path of a proxy.

const RECONNECT_MS = 5000;

/** An error with a message for the user. */
export class RequestError extends Error {}

/**
 * What the server answered.
 * @typedef {{status: number, retryAfter: string | null, data: any}} Answer
 */

/**
 * How a request is made.
 * @typedef {object} Options
 * @property {AbortSignal} [signal] ends the request, and any waiting.
 * @property {(message: string) => void} [onWait] is told why the request has to wait.
 */

let notBefore = 0; // the server has asked for no request before this time

/** Return the JSON of a path. @param {Options} [options] */
export function get(path, options) {
  return request((signal) => fetchOnce(path, { signal }), options);
}

/** Send JSON, and return the JSON of the answer. @param {Options} [options] */
export function post(path, body, options) {
  const headers = { "Content-Type": "application/json" };
  const init = { method: "POST", headers, body: JSON.stringify(body) };
  return request((signal) => fetchOnce(path, { ...init, signal }), options);
}

/**
 * Upload a form.
 * @param {(fraction: number) => void} onProgress is told how much has been sent.
 * @param {Options} [options]
 */
export function upload(path, form, onProgress, options) {
  return request((signal) => uploadOnce(path, form, onProgress, signal), options);
}

/**
 * Make attempts until the server answers: again after a lost connection, and after the time that a
 * busy server asks for.
 * @param {(signal?: AbortSignal) => Promise<Answer>} attempt
 * @param {Options} [options]
 */
async function request(attempt, { signal, onWait = () => {} } = {}) {
  for (;;) {
    await sleep(notBefore - Date.now(), signal);
    let answer;
    try {
      answer = await attempt(signal);
    } catch (error) {
      if (signal?.aborted || error instanceof RequestError) throw error;
      onWait(`${navigator.onLine ? "The server cannot be reached" : "You are offline"}. Trying again…`);
      await reconnected(signal);
      continue;
    }
    if (answer.status >= 200 && answer.status < 300) return answer.data;
    const message = messageOf(answer);
    const isBusy = answer.status === 429 || (answer.status === 503 && answer.retryAfter);
    if (!isBusy) throw new RequestError(message);
    const wait = waitMs(answer.retryAfter);
    notBefore = Date.now() + wait;
    onWait(`${message} Trying again in ${Math.ceil(wait / 1000)} s.`);
  }
}

async function fetchOnce(path, init) {
  const response = await fetch(path, init);
  const data = parse(await response.text());
  return { status: response.status, retryAfter: response.headers.get("Retry-After"), data };
}

/** Only XMLHttpRequest tells how much has been sent. @returns {Promise<Answer>} */
function uploadOnce(path, form, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest();
    call.open("POST", path);
    call.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) onProgress(event.loaded / event.total);
    });
    call.addEventListener("load", () => {
      const retryAfter = call.getResponseHeader("Retry-After");
      resolve({ status: call.status, retryAfter, data: parse(call.responseText) });
    });
    // Not sent again by itself: the file may have changed or gone.
    call.addEventListener("error", () => reject(new RequestError("The connection was lost.")));
    call.addEventListener("abort", () => reject(signal.reason));
    signal?.addEventListener("abort", () => call.abort());
    call.send(form);
  });
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null; // from a proxy, for example
  }
}

/** @param {Answer} answer */
function messageOf({ status, data }) {
  if (typeof data?.error !== "string") return `The server answered with error ${status}.`;
  return /[.!?…]$/.test(data.error) ? data.error : `${data.error}.`;
}

/** Return the milliseconds of a Retry-After header: seconds, or a date (RFC 9110, 10.2.3). */
function waitMs(retryAfter) {
  const seconds = /^\d+$/.test(retryAfter ?? "")
    ? Number(retryAfter)
    : (Date.parse(retryAfter ?? "") - Date.now()) / 1000;
  return 1000 * Math.max(1, seconds || 1);
}

/** Wait for the network, or a few seconds. */
function reconnected(signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, RECONNECT_MS);
    window.addEventListener("online", resolve, { once: true, signal });
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

function sleep(milliseconds, signal) {
  signal?.throwIfAborted();
  if (milliseconds <= 0) return undefined;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
