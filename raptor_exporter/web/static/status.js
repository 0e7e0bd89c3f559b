// Keeps the status page fresh, and makes its table of sessions searchable and sortable.
//
// Everything but the sessions comes as the server renders it: the page is fetched again and its parts
// are swapped in. The sessions come from the API. Nothing here builds HTML from text.
"use strict";

const REFRESH_MS = 10_000;
const ROWS_A_PAGE = 100;

const $ = (id) => document.getElementById(id);
const named = document.body.dataset.names === "yes";
const order = new Intl.Collator("en", { numeric: true });

// What the user has chosen; kept in the address, so that a reload keeps it too.
const view = { query: "", filter: "all", sort: "fate", direction: "ascending", page: 0 };
const store = { sessions: [], total: 0, nextRuns: new Map(), modes: new Map(), revision: null, shown: [] };
let paused = false;
let timer = 0;

// -- words ----------------------------------------------------------------------------------------

const UNITS = [["y", 31_536_000], ["d", 86_400], ["h", 3_600], ["m", 60], ["s", 1]];

function duration(seconds) {
  if (seconds < 1) return "0s";
  const parts = seconds < 3_600 ? 1 : 2;
  let rest = Math.floor(seconds);
  const words = [];
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size);
    if (count) {
      words.push(count + unit);
      rest -= count * size;
    } else if (words.length) {
      break;
    }
    if (words.length === parts) break;
  }
  return words.join("");
}

function size(bytes) {
  let value = bytes;
  for (const unit of ["B", "KiB", "MiB", "GiB", "TiB"]) {
    if (value < 1024 || unit === "TiB") return (unit === "B" ? value : value.toFixed(1)) + " " + unit;
    value /= 1024;
  }
  return "";
}

const count = (number) => number.toLocaleString("en-US");

// Characters that hide, reorder or break what follows are shown by their numbers.
const HIDDEN = /[\p{C}\p{Zl}\p{Zp}\u115f\u1160\u3164\uffa0]|(?! )\p{Zs}/gu;
const number = (c) => "\\u" + c.codePointAt(0).toString(16).padStart(4, "0");
const visible = (text) => text.replace(HIDDEN, number).replace(/^ | $/g, number);

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function setTime(element, iso, text) {
  element.hidden = !text;
  setText(element, text);
  if (iso) {
    element.dateTime = iso;
    element.title = iso;
  }
}

function refreshTimes(root, now) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const moment = Date.parse(element.dateTime);
    if (!Number.isNaN(moment)) setText(element, relative((moment - now) / 1000, "due" in element.dataset));
  }
}

// What is due is never in the past: it waits for its turn.
function relative(seconds, due = false) {
  if (seconds >= 1) return "in " + duration(seconds);
  return due || seconds > -1 ? "now" : duration(-seconds) + " ago";
}

// -- sessions -------------------------------------------------------------------------------------

function prepare(session) {
  session.idle = session.last_accessed === null ? null : Date.parse(session.last_accessed);
  session.haystack = [
    session.name, session.state, session.reason, session.browser_type, session.address, session.endpoint,
    session.policy, session.action_reason, session.detail, ...Object.entries(session.metadata).map((e) => e.join("=")),
  ].filter((word) => word !== null).join("\n").toLowerCase();
  return session;
}

const fits = {
  all: () => true,
  going: (s) => fateRank(s) === 0,
  would: (s) => fateRank(s) === 1,
  invalid: (s) => s.state === "invalid",
  unreadable: (s) => s.state === "unreadable",
  unreachable: (s) => s.endpoint === "unreachable",
};

function fateRank(s) {
  if (s.action !== "delete") return 2;
  return store.modes.get(s.policy) === "enforce" ? 0 : 1;
}

// What is not known stands last, whichever way one sorts.
const keys = {
  name: (s) => s.name,
  state: (s) => (s.state === "valid" ? "2" : s.state === "unreadable" ? "1" : "0") + (s.reason ?? ""),
  browser: (s) => s.browser_type,
  endpoint: (s) => (s.address === null ? null : (s.endpoint ?? "") + " " + s.address),
  idle: (s) => (s.idle === null ? null : -s.idle),
  size: (s) => s.size_bytes,
  fate: (s) => fateRank(s) * 1e15 + (s.idle ?? 9e14) / 10,
};

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return order.compare(a, b);
}

function choose() {
  const words = view.query.toLowerCase().split(/\s+/).filter(Boolean);
  const found = store.sessions.filter(
    (s) => fits[view.filter](s) && words.every((word) => s.haystack.includes(word)),
  );
  const key = keys[view.sort];
  const way = view.direction === "ascending" ? 1 : -1;
  const decorated = found.map((s) => [key(s), s]);
  decorated.sort(([a, s], [b, t]) => {
    if (a === null || b === null) return (a === null) - (b === null) || order.compare(s.name, t.name);
    return way * compare(a, b) || order.compare(s.name, t.name);
  });
  store.shown = decorated.map(([, s]) => s);
}

function fill(row, session, now) {
  const cell = (name) => row.querySelector(`[data-cell="${name}"]`);
  const name = cell("name");
  const shown = visible(session.name);
  setText(name, shown);
  name.title = shown.length > 60 ? shown : "";
  const state = cell("state");
  setText(state, session.reason ?? session.state);
  state.dataset.kind = session.state;
  setText(cell("browser"), session.browser_type ?? "—");
  setText(cell("address"), session.address === null ? "—" : visible(session.address));
  const reach = cell("reach");
  reach.hidden = session.endpoint === null;
  setText(reach, session.endpoint ?? "");
  reach.dataset.kind = session.endpoint ?? "";
  const idle = session.idle === null ? null : (now - session.idle) / 1000;
  setText(cell("idle"), idle === null ? "—" : idle < 0 ? "in the future" : duration(idle));
  setText(cell("size"), size(session.size_bytes));
  const going = session.action === "delete";
  const enforced = store.modes.get(session.policy) === "enforce";
  const fate = cell("fate");
  setText(fate, going ? (enforced ? "goes" : "would go") : "stays");
  fate.dataset.kind = going ? (enforced ? "goes" : "would") : "stays";
  const next = going && enforced ? store.nextRuns.get(session.policy) : null;
  setTime(cell("when"), next, next ? relative((Date.parse(next) - now) / 1000, true) : "");
  setText(cell("policy"), session.policy ?? "");
  setText(cell("detail"), session.detail === null ? "" : visible(session.detail));
}

function draw() {
  const pages = Math.max(1, Math.ceil(store.shown.length / ROWS_A_PAGE));
  view.page = Math.min(view.page, pages - 1);
  const first = view.page * ROWS_A_PAGE;
  const part = store.shown.slice(first, first + ROWS_A_PAGE);
  const rows = $("rows");
  const now = Date.now();
  // Rows are filled anew rather than replaced: what is selected or read out stays where it is.
  if (rows.dataset.drawn !== "yes" || (part.length && rows.querySelector(".none"))) rows.replaceChildren();
  rows.dataset.drawn = "yes";
  while (rows.children.length > part.length) rows.lastElementChild.remove();
  while (rows.children.length < part.length) rows.append($("row").content.cloneNode(true));
  part.forEach((session, index) => fill(rows.children[index], session, now));
  if (!part.length) {
    const nothing = $("nothing").content.cloneNode(true);
    nothing.querySelector("td").textContent = store.sessions.length
      ? "No session fits."
      : "The store holds no sessions.";
    rows.replaceChildren(nothing);
  }
  const all = store.shown.length === store.total;
  setText($("shown"), all ? count(store.total) : `${count(store.shown.length)} of ${count(store.total)}`);
  $("pager").hidden = pages === 1;
  setText($("page"), `${count(first + 1)}–${count(first + part.length)} of ${count(store.shown.length)}`);
  $("previous").disabled = view.page === 0;
  $("following").disabled = view.page === pages - 1;
  for (const header of document.querySelectorAll("th[data-sort]")) {
    if (header.dataset.sort === view.sort) header.setAttribute("aria-sort", view.direction);
    else header.removeAttribute("aria-sort");
  }
  $("sorter").value = `${view.sort} ${view.direction}`;
  for (const element of document.querySelectorAll("[data-count]")) {
    setText(element, store.counts ? count(store.counts[element.dataset.count]) : "");
  }
}

function update() {
  choose();
  draw();
  remember();
}

async function fetchSessions() {
  // In parts: an answer is limited, a store is not.
  const sessions = [];
  let total = 0;
  do {
    const document = await (await get(`/api/v1/sessions?offset=${sessions.length}`)).json();
    total = document.total;
    if (!document.sessions.length) break;
    sessions.push(...document.sessions.map(prepare));
  } while (sessions.length < total);
  store.sessions = sessions;
  store.total = sessions.length;
  store.counts = Object.fromEntries(
    Object.entries(fits).map(([name, fit]) => [name, sessions.filter(fit).length]),
  );
}

// -- the rest of the page ---------------------------------------------------------------------------

async function get(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(30_000) });
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  return answer;
}

const SWAPPED = ["#messages", ".tiles", "#policies", "#runs", ".health", ".refreshed", ".facts"];

async function refresh() {
  const fresh = new DOMParser().parseFromString(await (await get("/")).text(), "text/html");
  for (const selector of SWAPPED) {
    const mine = document.querySelector(selector);
    const theirs = fresh.querySelector(selector);
    if (!mine || !theirs || mine.isEqualNode(theirs) || mine.contains(document.activeElement)) continue;
    mine.replaceChildren(...theirs.childNodes);
    for (const { name, value } of theirs.attributes) mine.setAttribute(name, value);
  }
  readPolicies(fresh);
  if (!named) {
    setText($("shown"), fresh.getElementById("shown")?.textContent ?? "");
    return;
  }
  const revision = fresh.getElementById("sessions")?.dataset.revision;
  if (revision !== store.revision) {
    await fetchSessions();
    store.revision = revision;
  }
  choose();
  draw();
}

function readPolicies(root) {
  for (const row of root.querySelectorAll("#policies tr[data-policy]")) {
    store.modes.set(row.dataset.policy, row.dataset.mode);
    store.nextRuns.set(row.dataset.policy, row.dataset.next || null);
  }
}

async function tick() {
  clearTimeout(timer);
  try {
    if (!paused && !document.hidden) {
      await refresh();
      $("connection").hidden = true;
    }
  } catch (error) {
    const box = $("connection");
    if (box.hidden) {
      box.textContent = `The agent does not answer (${error.message}). What you see is from ${new Date().toLocaleTimeString()}; trying again.`;
      box.hidden = false;
    }
  }
  clearTimeout(timer);
  timer = setTimeout(tick, REFRESH_MS);
}

// -- what the user does -------------------------------------------------------------------------------

function remember() {
  const chosen = new URLSearchParams();
  if (view.query) chosen.set("q", view.query);
  if (view.filter !== "all") chosen.set("show", view.filter);
  if (view.sort !== "fate" || view.direction !== "ascending") chosen.set("sort", `${view.sort} ${view.direction}`);
  if (view.page) chosen.set("page", String(view.page + 1));
  const hash = chosen.toString();
  if (location.hash.slice(1) !== hash) {
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  }
}

function recall() {
  const chosen = new URLSearchParams(location.hash.slice(1));
  view.query = chosen.get("q") ?? "";
  if (Object.hasOwn(fits, chosen.get("show") ?? "")) view.filter = chosen.get("show");
  const [sort, direction] = (chosen.get("sort") ?? "").split(" ");
  if (Object.hasOwn(keys, sort)) {
    view.sort = sort;
    view.direction = direction === "descending" ? direction : "ascending";
  }
  view.page = Math.max(0, (Number.parseInt(chosen.get("page") ?? "1", 10) || 1) - 1);
  $("query").value = view.query;
  for (const input of document.querySelectorAll("input[name=filter]")) input.checked = input.value === view.filter;
}

function sortBy(sort, direction) {
  Object.assign(view, { sort, direction, page: 0 });
  update();
}

function prepareTable() {
  $("tools").hidden = false;
  $("tools").addEventListener("submit", (event) => event.preventDefault());
  recall();
  for (const header of document.querySelectorAll("th[data-sort]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent;
    button.addEventListener("click", () => {
      const again = view.sort === header.dataset.sort && view.direction === "ascending";
      sortBy(header.dataset.sort, again ? "descending" : "ascending");
    });
    header.replaceChildren(button);
  }
  $("sorter").addEventListener("change", (event) => sortBy(...event.target.value.split(" ")));
  let typing = 0;
  $("query").addEventListener("input", (event) => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      Object.assign(view, { query: event.target.value, page: 0 });
      update();
    }, 120);
  });
  $("filters").addEventListener("change", (event) => {
    Object.assign(view, { filter: event.target.value, page: 0 });
    update();
  });
  const turn = (by) => {
    view.page += by;
    update();
    $("sessions").focus();
    $("sessions").scrollIntoView();
  };
  $("previous").addEventListener("click", () => turn(-1));
  $("following").addEventListener("click", () => turn(1));
}

$("pause").hidden = false;
$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  if (!paused) tick();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) tick();
});
setInterval(() => {
  if (!paused && !document.hidden) refreshTimes(document, Date.now());
}, 1000);

if (named) prepareTable();
readPolicies(document);
tick();
