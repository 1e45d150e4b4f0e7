// The page of `mathesis view`. What is shown stands in the address: #/, #/run?run=..., #/compare?first=...&second=...
"use strict";

const main = document.getElementById("main");
const path = document.getElementById("path");
const status = document.getElementById("status");
const help = document.getElementById("help");
const VERDICTS = ["right", "wrong", "no-answer", "truncated", "refused", "error"];

/** An element; text goes in as text. Attributes that start with "on" are listeners. */
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "html") element.innerHTML = value; // Typeset by the server, which lets no markup of replies through.
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const whole = (number) => Number(number).toLocaleString("en-US");
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const points = (share) => `${share >= 0 ? "+" : "−"}${Math.abs(100 * share).toFixed(2)}`;
const probability = (p) => (p < 0.0001 ? "< 0.0001" : p.toFixed(4));
const day = (text) => (text || "").replace("T", " ").replace(/:\d\dZ$/, "");
const size = (bytes) => (bytes < 1000 ? `${bytes} B` : bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);
const duration = (seconds) => (seconds < 1 ? `${(seconds * 1e3).toFixed(0)} ms` : `${seconds.toFixed(1)} s`);
const file = (run, name) => "/files/" + [...run.split("/"), name].map(encodeURIComponent).join("/");
const address = (view, question) => `#/${view}?${new URLSearchParams(question)}`;
const many = (count, one) => `${whole(count)} ${one}${count === 1 ? "" : "s"}`;

/** Asks the server; says so if it takes long. */
let waiting = 0;
async function ask(what, question = {}) {
  waiting += 1;
  const slow = setTimeout(() => (status.textContent = "reading the run…"), 400);
  try {
    const response = await fetch(`/api/${what}?${new URLSearchParams(question)}`);
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error);
    return answer;
  } catch (error) {
    throw error instanceof TypeError ? new Error("mathesis view does not answer any more: has it been ended?") : error;
  } finally {
    clearTimeout(slow);
    waiting -= 1;
    if (waiting === 0) status.textContent = "";
  }
}

const alertOf = (error) => h("p", { class: "alert", role: "alert" }, error.message);
const chip = (verdict, count) => h("span", { class: `chip ${verdict}` }, count > 1 ? `${verdict} ${whole(count)}` : verdict);

function shares(verdicts) {
  const all = verdicts.reduce((sum, [, count]) => sum + count, 0);
  const label = verdicts.map(([verdict, count]) => `${verdict} ${count}`).join(", ");
  const bar = h("div", { class: "share", role: "img", "aria-label": label, title: label });
  for (const [verdict, count] of verdicts.filter(([, count]) => count > 0)) {
    const part = h("i", { class: verdict });
    part.style.width = `${(100 * count) / all}%`;
    bar.append(part);
  }
  return bar;
}

function table(header, rows, options = {}) {
  const kind = (name) => [options.numbers?.includes(name) && "number", options.wide?.includes(name) && "wide"].filter(Boolean).join(" ");
  const cells = header.map((name) => h("th", { scope: "col", class: kind(name) || null }, name));
  return h("div", { class: "table" },
    h("table", { class: options.class }, h("thead", {}, h("tr", {}, cells)), h("tbody", {}, rows)));
}

function plainTable(header, rows, numbers = []) {
  const cell = (value, column) => h("td", { class: numbers.includes(header[column]) ? "number" : null }, value);
  return table(header, rows.map((row) => h("tr", {}, row.map(cell))), { numbers });
}

/** A row that opens something by a click or Enter. */
const opening = (attributes, open, ...cells) =>
  h("tr", { tabindex: "0", onclick: (event) => event.target.closest("a, input, button") || open(), onopen: open, ...attributes }, cells);

function crumbs(...parts) {
  path.replaceChildren(...parts.map(([text, to]) => (to ? h("a", { href: to }, text) : h("span", {}, text))));
  document.title = parts.length ? `${parts.map(([text]) => text).join(" / ")} – Mathesis` : "Mathesis runs";
}

/** Rows that come in pages. `fetch(from)` gives {total, next, rows}; a search goes on by itself until a page is full. */
class Pages {
  constructor(options) {
    Object.assign(this, { limit: 100, starts: [0], generation: 0 }, options);
    this.body = h("div");
    this.count = h("span", { id: "count" });
    this.previous = h("button", { type: "button", id: "previous", onclick: () => this.turn(-1) }, "‹ Previous");
    this.following = h("button", { type: "button", id: "next", onclick: () => this.turn(1) }, "Next ›");
    this.element = h("div", {}, this.body, h("div", { class: "foot" }, this.count, this.previous, this.following));
  }

  restart() {
    this.starts = [0];
    return this.load();
  }

  turn(step) {
    if (step > 0 && this.next !== null) this.starts.push(this.next);
    else if (step < 0 && this.starts.length > 1) this.starts.pop();
    else return;
    this.load().then(() => this.element.scrollIntoView({ block: "nearest" }));
  }

  async load() {
    const generation = ++this.generation;
    let from = this.starts[this.starts.length - 1];
    const rows = [];
    let answer;
    try {
      do {
        answer = await this.fetch(from, this.limit - rows.length);
        if (generation !== this.generation) return;
        rows.push(...answer.rows);
        from = answer.next;
        if (this.searches() && from !== null && rows.length < this.limit) {
          this.count.textContent = `searched ${whole(from)} of ${whole(answer.total)}, ${whole(rows.length)} found`;
          if (rows.length) this.show(rows);
        }
      } while (this.searches() && from !== null && rows.length < this.limit);
    } catch (error) {
      if (generation === this.generation) this.body.replaceChildren(alertOf(error));
      return;
    }
    this.next = from;
    this.show(rows);
    const first = this.starts[this.starts.length - 1];
    if (this.searches()) this.count.textContent = `${whole(rows.length)}${from === null ? "" : "+"} found, searched ${whole(from ?? answer.total)} of ${whole(answer.total)}`;
    else if (rows.length) this.count.textContent = `${whole(first + 1)} to ${whole(first + rows.length)} of ${whole(answer.total)}`;
    else this.count.textContent = "";
    this.previous.hidden = this.following.hidden = this.starts.length === 1 && from === null;
    this.previous.disabled = this.starts.length === 1;
    this.following.disabled = from === null;
  }

  show(rows) {
    this.rows = rows;
    this.body.replaceChildren(rows.length ? this.draw(rows) : h("p", { class: "empty table" }, "Nothing fits these filters."));
    this.mark();
  }

  /** Marks the row that is open. */
  mark() {
    const open = this.open?.();
    for (const row of this.body.querySelectorAll("tr[data-item]")) row.setAttribute("aria-selected", String(row.dataset.item === open));
  }

  /** The item before or behind one on this page. */
  beside(item, step) {
    const items = [...this.body.querySelectorAll("tr[data-item]")].map((row) => row.dataset.item);
    return items[items.indexOf(item) + step];
  }
}

/* All runs */

async function runsView() {
  crumbs();
  const runs = await ask("runs");
  const chosen = new Set();
  const compare = h("button", { type: "button", id: "compare", class: "main", disabled: true, onclick: go }, "Compare two runs");
  const search = h("input", { type: "search", id: "search", placeholder: "Filter runs by name, suite, model", "aria-label": "Filter runs", oninput: draw });
  const list = h("div");
  const kinds = [...new Set(runs.map((run) => run.kind || "broken"))].sort();
  const kind = h("select", { "aria-label": "Kind of run", onchange: draw, hidden: kinds.length < 2 },
    h("option", { value: "" }, "all kinds"), kinds.map((name) => h("option", { value: name }, name)));

  function go() {
    const [first, second] = chosen;
    if (chosen.size === 2) location.hash = address("compare", { first, second });
  }
  function choose(name, isChosen) {
    if (isChosen) chosen.add(name);
    else chosen.delete(name);
    if (chosen.size > 2) chosen.delete([...chosen][0]);
    compare.disabled = chosen.size !== 2;
    for (const box of list.querySelectorAll("input")) box.checked = chosen.has(box.value);
  }
  function draw() {
    const words = search.value.toLowerCase().split(/\s+/);
    const fits = (run) =>
      (!kind.value || (run.kind || "broken") === kind.value) &&
      words.every((word) => [run.name, run.title, run.by, run.kind].join(" ").toLowerCase().includes(word));
    const rows = runs.filter(fits).map(row);
    list.replaceChildren(rows.length
      ? table(["", "run", "result", "problems", "ended", ""], rows, { class: "stack", numbers: ["problems"] })
      : h("p", { class: "empty table" }, "No run fits."));
  }
  function row(run) {
    const open = () => {
      if (run.has_items && !run.wrong) location.hash = address("run", { run: run.name });
      else if (run.has_report) location.href = file(run.name, "report.html");
    };
    const box = run.has_items && !run.wrong
      ? h("input", { type: "checkbox", value: run.name, "aria-label": `Compare ${run.name}`, onchange: (event) => choose(run.name, event.target.checked) })
      : null;
    if (box) box.checked = chosen.has(run.name);
    const result = run.wrong
      ? h("span", { class: "fault" }, run.wrong)
      : run.accuracy
        ? [h("b", {}, percent(run.accuracy[0])), h("span", { class: "quiet small" }, `  ${percent(run.accuracy[1])} to ${percent(run.accuracy[2])}`), shares(run.verdicts)]
        : h("span", { class: "small" }, run.figures.map(([name, value]) => `${name} ${value}`).join(", "));
    const counts = run.counts && (run.counts[0] === run.counts[1] ? whole(run.counts[0]) : `${whole(run.counts[0])} (${whole(run.counts[1])} replies)`);
    const about = [run.kind, run.title, run.by, run.grader && `judged by ${run.grader}`].filter(Boolean).join(" · ");
    return opening({ "data-run": run.name, onchoose: () => box && choose(run.name, !box.checked), oncompare: go }, open,
      h("td", { class: "beside" }, box),
      h("td", { class: "beside" }, h("div", { class: "id" }, run.name), h("div", { class: "quiet small" }, about)),
      h("td", {}, result),
      h("td", { class: "number", "data-label": counts ? "problems" : null }, counts || ""),
      h("td", { class: "small quiet when" }, day(run.finished)),
      h("td", { class: "small" }, run.has_report ? h("a", { href: file(run.name, "report.html") }, "report") : ""));
  }
  draw();
  main.replaceChildren(
    h("div", { class: "head" }, h("div", {}, h("h1", {}, "Runs"), h("p", { class: "quiet" }, many(runs.length, "run")))),
    h("div", { class: "bar" }, search, kind, compare), list);
  return { key: "", update() {} };
}

/* Filters of one run or two */

class Filters {
  /** `wanted` is what the server calls a filter; `changed` is told of every change. */
  constructor(wanted, changed) {
    Object.assign(this, { wanted, changed });
  }

  set(name, value) {
    const isEmpty = value === null || value === "" || value === false || (Array.isArray(value) && value.length === 0);
    if (isEmpty) delete this.wanted[name];
    else this.wanted[name] = value;
    this.changed();
  }

  toggles(counts) {
    return counts.filter(([, count]) => count > 0).map(([verdict, count]) => {
      const press = () => {
        const others = (this.wanted.verdicts || []).filter((other) => other !== verdict);
        const isOn = others.length === (this.wanted.verdicts || []).length;
        button.setAttribute("aria-pressed", String(isOn));
        this.set("verdicts", isOn ? [...others, verdict] : others);
      };
      const button = h("button", { type: "button", class: `toggle ${verdict}`, "data-verdict": verdict, "aria-pressed": String(Boolean(this.wanted.verdicts?.includes(verdict))), onclick: press },
        h("i"), verdict, h("span", {}, whole(count)));
      return button;
    });
  }

  choice(label, values, value, set, id) {
    const options = values.map(([name, text]) => h("option", { value: name, selected: name === value }, text));
    return h("label", {}, label, h("select", { id, onchange: (event) => set(event.target.value) }, options));
  }

  /** A choice of one value, or all. `values` are [value, text]; the empty value stands for none. */
  one(label, values, value, set, id) {
    const ANY = "\u0000";
    return this.choice(label, [[ANY, "any"], ...values], value ?? ANY, (chosen) => set(chosen === ANY ? null : chosen), id);
  }

  range(label, name, scale, unit, id) {
    const [low, high] = this.wanted[name] || [];
    const shown = (value, missing) => (value === undefined || value === missing ? "" : Number((value * scale).toPrecision(12)));
    const most = name === "scores" ? 1 : Number.MAX_SAFE_INTEGER;
    const set = () => {
      const [from, to] = [lowest, highest].map((input) => (input.value === "" ? null : Number(input.value) / scale));
      this.set(name, from === null && to === null ? null : [from ?? 0, to ?? most]);
    };
    const input = (value, side) => h("input", { type: "number", min: "0", step: "any", value, placeholder: side, "aria-label": `${label}, ${side}`, id: `${id}-${side}`, onchange: set });
    const lowest = input(shown(low, 0), "from");
    const highest = input(shown(high, most), "to");
    return h("label", {}, label, lowest, "–", highest, unit);
  }

  search() {
    let timer;
    const later = (event) => {
      clearTimeout(timer);
      timer = setTimeout(() => this.set("text", event.target.value), 250);
    };
    return h("input", { type: "search", id: "search", value: this.wanted.text || "", maxlength: "300", placeholder: "Search questions and replies", "aria-label": "Search questions and replies", oninput: later });
  }
}

const wantedOf = (question) => {
  try {
    return JSON.parse(question.get("filter") || "{}");
  } catch {
    return {};
  }
};

/* One run */

async function runView(question) {
  const name = question.get("run");
  crumbs([name]);
  const run = await ask("run", { run: name });
  const { summary, record, facets } = run;
  const result = record.result;
  let wanted = wantedOf(question);
  let order = question.get("order") || "failures";
  let item = question.get("item");

  const here = (changes) => {
    const now = { run: name };
    if (Object.keys(wanted).length) now.filter = JSON.stringify(wanted);
    if (order !== "failures") now.order = order;
    if (item !== null) now.item = item;
    return address("run", Object.fromEntries(Object.entries({ ...now, ...changes }).filter(([, value]) => value !== null)));
  };
  const pages = new Pages({
    fetch: (from, limit) => ask("items", { run: name, filter: JSON.stringify(wanted), order, from, limit }),
    searches: () => Boolean(wanted.text),
    open: () => item,
    draw: (rows) => table(["item", "verdict", "question", "reference", "found", "longest"], rows.map(row), { class: "stack", numbers: ["longest"], wide: ["reference", "longest"] }),
  });
  const filters = new Filters(wanted, () => {
    history.replaceState(null, "", here({}));
    pages.restart();
  });
  const panel = h("section", { id: "transcript", "aria-label": "Transcript", hidden: true });
  const split = h("div", { class: "split" }, pages.element, panel);

  function row(entry) {
    return opening({ "data-item": String(entry.item) }, () => (location.hash = here({ item: entry.item })),
      h("td", { class: "id beside" }, entry.id),
      h("td", { class: "beside" }, entry.verdicts.map(([verdict, count]) => chip(verdict, count))),
      h("td", {}, h("div", { class: "clamp" }, entry.question)),
      h("td", { class: "wide", "data-label": "reference" }, h("div", { class: "clamp" }, entry.reference)),
      h("td", { "data-label": "found" }, h("div", { class: "clamp" }, entry.answer ?? "–")),
      h("td", { class: "number wide small quiet" }, size(entry.length), entry.seconds === null ? null : h("div", { "data-seconds": String(entry.seconds) }, duration(entry.seconds))));
  }
  async function show(next) {
    item = next;
    pages.mark();
    split.classList.toggle("open", item !== null);
    panel.hidden = item === null;
    if (item === null) return panel.replaceChildren();
    await transcript(panel, name, item, () => (location.hash = here({ item: null })));
  }

  const rule = ([text, count]) => [text, `${text || "none"} (${whole(count)})`];
  const categories = facets.categories.map(([category, values]) =>
    filters.one(category, values.map(rule), wanted.categories?.[category]?.[0], (value) => {
      const { [category]: _, ...others } = wanted.categories || {};
      const all = value === null ? others : { ...others, [category]: [value] };
      filters.set("categories", Object.keys(all).length ? all : null);
    }, `category-${category}`));
  const links = ["report.html", "metrics.json", "records.jsonl"].flatMap((link) => [" · ", h("a", { href: file(name, link) }, link)]);
  const [problems, replies] = summary.counts;
  const about = `${many(problems, "problem")}, ${whole(replies)} ${replies === 1 ? "reply" : "replies"} · asked by ${record.strategy} · judged by ${summary.grader} · ${day(summary.finished)}`;
  main.replaceChildren(
    h("div", { class: "head" },
      h("div", {}, h("h1", {}, `${summary.title} · ${summary.by}`), h("p", { class: "quiet small" }, about, links)),
      h("div", { class: "score" }, h("p", {}, h("b", {}, percent(summary.accuracy[0]))),
        h("p", { class: "quiet small" }, `95 %: ${percent(summary.accuracy[1])} to ${percent(summary.accuracy[2])}`)),
      shares(facets.verdicts)),
    h("div", { class: "bar" }, filters.toggles(facets.verdicts), filters.search()),
    h("div", { class: "bar" },
      filters.choice("order", [["failures", "failures first"], ["file", "as in the file"], ["score", "lowest score"], ["length", "longest reply"], ...(facets.slowest === null ? [] : [["time", "slowest first"]])], order, (value) => {
        order = value;
        filters.changed();
      }, "order"),
      filters.one("rule", facets.rules.map(rule), wanted.rules?.[0], (value) => filters.set("rules", value === null ? null : [value]), "rule"),
      categories,
      filters.range("score", "scores", 100, "%", "score"),
      filters.range("reply", "lengths", 1, "bytes", "length"),
      facets.slowest === null ? null : filters.range("time", "seconds", 1, "s", "time")),
    split,
    h("details", {}, h("summary", {}, "How answers were found"),
      plainTable(["rule", "found", "right", "share"], facets.rules.map(([text, found, right]) => [text || "none", whole(found), whole(right), percent(right / found)]), ["found", "right", "share"])),
    result.at ? h("details", {}, h("summary", {}, "With fewer samples"),
      plainTable(["k", "pass@k", "pass^k", "maj@k"], result.at.map((at) => [at.k, percent(at.pass), percent(at.all_right), at.majority === undefined ? "–" : percent(at.majority)]), ["k", "pass@k", "pass^k", "maj@k"])) : null,
    Object.entries(result.categories || {}).map(([category, scores]) => h("details", {}, h("summary", {}, `By ${category}`),
      plainTable([category, "problems", "accuracy", "95 %"], Object.entries(scores.values).slice(0, 200).map(([value, score]) =>
        [value, whole(score.problems), percent(score.accuracy.value), `${percent(score.accuracy.interval.low ?? 0)} to ${percent(score.accuracy.interval.high ?? 1)}`]), ["problems", "accuracy"]))),
    h("details", {}, h("summary", {}, "Settings, data and machine"),
      h("pre", {}, JSON.stringify({ ...record, result: undefined }, null, 2))));
  pages.restart();
  show(item);
  return {
    key: name,
    pages,
    update(next) {
      const asked = next.get("filter") || "{}";
      if (asked !== JSON.stringify(wanted) || (next.get("order") || "failures") !== order) return false;
      show(next.get("item"));
    },
    leave: () => (item === null ? "#/" : here({ item: null })),
    step(by) {
      const beside = item === null ? undefined : pages.beside(item, by);
      if (beside !== undefined) history.replaceState(null, "", here({ item: beside })), show(beside);
      return item !== null;
    },
  };
}

/** Shows an item of a run in a panel. */
async function transcript(panel, run, item, close) {
  const asked = (panel.dataset.asked = `${run} ${item}`);
  let answer;
  try {
    answer = await ask("item", { run, item });
  } catch (error) {
    return panel.replaceChildren(alertOf(error));
  }
  if (panel.dataset.asked !== asked) return;
  const more = h("div");
  panel.replaceChildren(
    h("div", { class: "top" }, h("h2", { class: "id" }, answer.id), h("button", { type: "button", class: "close", onclick: close, "aria-label": "Close the transcript" }, "Close")),
    facts(answer), ...asking(answer), ...answer.samples.map(reply), more);
  panel.scrollTop = 0;
  goOn(more, run, answer, answer.samples.length);
}

const facts = (answer) => h("dl", { class: "facts" },
  h("dt", {}, "reference"), h("dd", { html: answer.reference }),
  h("dt", {}, "from"), h("dd", {}, answer.origin),
  Object.entries(answer.categories).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));

const asking = (answer) => [h("p", { class: "role" }, "asked"), h("div", { class: "text", html: answer.asked })];

function reply(sample) {
  const where = sample.answer === null ? null
    : h("dl", { class: "facts" }, h("dt", {}, "found"), h("dd", { html: sample.answer }),
      h("dt", {}, "by the rule"), h("dd", {}, sample.rule || "–", sample.is_marked ? null : h("span", { class: "quiet" }, " (not in these words: nothing is marked)")));
  return h("div", { class: "reply" },
    h("p", { class: "verdict-line" }, chip(sample.verdict, 1), h("span", { class: "quiet" }, `reply ${sample.number + 1}, ${size(sample.length)}: ${sample.reason}`)),
    where, sample.stages ? h("div", { html: sample.stages }) : null, sample.reply ? h("div", { class: "text", html: sample.reply }) : null);
}

/** A button for the samples that are not there yet. */
function goOn(more, run, answer, shown) {
  if (shown >= answer.count) return;
  const button = h("button", { type: "button", onclick: async () => {
    button.disabled = true;
    const next = await ask("item", { run, item: answer.item, sample: shown });
    more.before(...next.samples.map(reply));
    more.replaceChildren();
    goOn(more, run, answer, shown + next.samples.length);
  } }, `Show more of ${whole(answer.count)} replies`);
  more.replaceChildren(button);
}

/* Two runs */

async function compareView(question) {
  const [first, second] = [question.get("first"), question.get("second")];
  crumbs(["compare"], [`${first} and ${second}`]);
  const tested = await ask("comparison", { first, second });
  const { comparison } = tested;
  let wanted = wantedOf(question);
  if (!question.has("filter")) wanted = { differs: true };
  let item = question.get("item");

  const here = (changes) => {
    const now = { first, second, filter: JSON.stringify(wanted), item };
    return address("compare", Object.fromEntries(Object.entries({ ...now, ...changes }).filter(([, value]) => value !== null)));
  };
  const pages = new Pages({
    fetch: (from, limit) => ask("pairs", { first, second, filter: JSON.stringify(wanted), from, limit }),
    searches: () => Boolean(wanted.text),
    open: () => item,
    draw: (rows) => table(["item", "first", "second", "question", "reference"], rows.map(row), { class: "stack", wide: ["question", "reference"] }),
  });
  const filters = new Filters(wanted, () => {
    history.replaceState(null, "", here({}));
    differs.checked = Boolean(wanted.differs);
    for (const cell of main.querySelectorAll("[data-both]")) cell.setAttribute("aria-pressed", String(cell.dataset.both === String(wanted.both)));
    pages.restart();
  });
  const panel = h("section", { id: "transcript", "aria-label": "Transcripts", hidden: true });
  const split = h("div", { class: "split" }, pages.element, panel);
  const side = (entry, label) => h("td", { "data-label": label },
    h("div", {}, entry.verdicts.map(([verdict, count]) => chip(verdict, count))), h("div", { class: "small clamp" }, entry.answer ?? "–"));

  function row([one, other]) {
    const id = `${one.item},${other.item}`;
    return opening({ "data-item": id }, () => (location.hash = here({ item: id })),
      h("td", { class: "id" }, one.id), side(one, "first"), side(other, "second"),
      h("td", { class: "wide" }, h("div", { class: "clamp" }, one.question)),
      h("td", { class: "wide" }, h("div", { class: "clamp" }, one.reference)));
  }
  async function show(next) {
    item = next;
    pages.mark();
    split.classList.toggle("open", item !== null);
    panel.hidden = item === null;
    if (item === null) return panel.replaceChildren();
    const asked = (panel.dataset.asked = item);
    const [one, other] = item.split(",");
    let answers;
    try {
      answers = await Promise.all([ask("item", { run: first, item: one }), ask("item", { run: second, item: other })]);
    } catch (error) {
      return panel.replaceChildren(alertOf(error));
    }
    if (panel.dataset.asked !== asked) return;
    const sides = answers.map((answer, at) => {
      const more = h("div");
      const column = h("div", { "data-side": at ? "second" : "first" }, h("p", { class: "role" }, [first, second][at]), ...answer.samples.map(reply), more);
      goOn(more, [first, second][at], answer, answer.samples.length);
      return column;
    });
    const sameQuestion = answers[0].asked === answers[1].asked;
    panel.replaceChildren(
      h("div", { class: "top" }, h("h2", { class: "id" }, answers[0].id), h("button", { type: "button", class: "close", onclick: () => (location.hash = here({ item: null })), "aria-label": "Close the transcripts" }, "Close")),
      facts(answers[0]),
      ...(sameQuestion ? asking(answers[0]) : [h("div", { class: "sides" }, answers.map((answer) => h("div", {}, asking(answer))))]),
      h("div", { class: "sides" }, sides));
    panel.scrollTop = 0;
  }

  const differs = h("input", { type: "checkbox", id: "differs", checked: Boolean(wanted.differs), onchange: (event) => filters.set("differs", event.target.checked) });
  const run = (summary, accuracy, label) => h("div", {}, h("p", { class: "quiet small" }, label),
    h("h1", {}, h("a", { href: address("run", { run: summary.name }) }, summary.name)),
    h("p", {}, h("b", {}, percent(accuracy)), h("span", { class: "quiet small" }, ` on these problems · ${[summary.by, summary.grader].filter(Boolean).join(" · ")}`)));
  main.replaceChildren(
    h("div", { class: "sides runs" }, run(tested.first, comparison.first, "first"), run(tested.second, comparison.second, "second")),
    tests(tested),
    comparison.same_replies ? h("p", { class: "quiet" }, "The replies are the same in both: only the judgements differ.") : null,
    h("h2", {}, "Verdicts, the first run downwards and the second across"), matrix(),
    h("div", { class: "bar" }, filters.search(), h("label", {}, differs, `only other scores (${whole(tested.changed)})`)),
    split);

  /** How often each verdict of the first run meets each of the second; a cell chooses its problems. */
  function matrix() {
    const counts = new Map(comparison.verdicts.map(([one, other, count]) => [`${one},${other}`, count]));
    const used = (at) => VERDICTS.filter((verdict) => comparison.verdicts.some((entry) => entry[at] === verdict));
    const press = (both) => () => {
      const isOn = String(wanted.both) === both.join();
      if (isOn) delete wanted.both;
      else {
        wanted.both = both;
        delete wanted.differs;
      }
      filters.changed();
    };
    const rows = used(0).map((one) => h("tr", {}, h("td", {}, chip(one, 1)), used(1).map((other) => {
      const count = counts.get(`${one},${other}`);
      const button = count && h("button", { type: "button", "data-both": `${one},${other}`, "aria-pressed": String(String(wanted.both) === `${one},${other}`), class: "toggle", onclick: press([one, other]), "aria-label": `${one} in the first and ${other} in the second: ${count}` }, whole(count));
      return h("td", { class: "number" }, button || "–");
    })));
    const head = h("tr", {}, h("th", {}), used(1).map((verdict) => h("th", { class: "number" }, chip(verdict, 1))));
    const grid = h("div", { class: "table" }, h("table", {}, h("thead", {}, head), h("tbody", {}, rows)));
    grid.style.maxWidth = "46rem";
    return grid;
  }
  pages.restart();
  show(item);
  return {
    key: `${first}\n${second}`,
    pages,
    update(next) {
      if ((next.get("filter") || JSON.stringify({ differs: true })) !== JSON.stringify(wanted)) return false;
      show(next.get("item"));
    },
    leave: () => (item === null ? "#/" : here({ item: null })),
    step(by) {
      const beside = item === null ? undefined : pages.beside(item, by);
      if (beside !== undefined) history.replaceState(null, "", here({ item: beside })), show(beside);
      return item !== null;
    },
  };
}

function tests({ comparison }) {
  const { difference, mcnemar } = comparison;
  const rows = [["problems", `${whole(comparison.common)} in both; ${whole(comparison.only_first)} only in the first, ${whole(comparison.only_second)} only in the second`]];
  if (difference) {
    rows.push(["difference", `${points(difference.difference)} points (95 %: ${points(difference.interval.low)} to ${points(difference.interval.high)}), standard error ${(100 * difference.standard_error).toFixed(2)}`]);
    rows.push(["p", `${probability(difference.permutation)} by sign permutation, ${probability(difference.t_test)} by Student's t`]);
    if (mcnemar) rows.push(["McNemar", `${whole(mcnemar.only_first)} right only in the first, ${whole(mcnemar.only_second)} only in the second: p = ${probability(mcnemar.exact)} exact, ${probability(mcnemar.mid)} mid-p`]);
    rows.push(["detectable", `${(100 * difference.minimum_detectable).toFixed(2)} points, with a power of 80 % at 5 %`]);
  }
  const note = "One comparison in twenty falls below p = 0.05 by chance. Who compares many runs corrects for that: mathesis compare A B C gives Holm's p-values.";
  return h("div", {}, h("dl", { class: "facts", id: "tests" }, rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])), h("p", { class: "quiet small" }, note));
}

/* Addresses and keys */

const VIEWS = { "": runsView, run: runView, compare: compareView };
let shown = { name: null };

async function route() {
  const [, name, query] = /^#?\/?([^?]*)\??(.*)$/s.exec(location.hash);
  const question = new URLSearchParams(query);
  const view = VIEWS[name];
  const key = name === "run" ? question.get("run") : name === "compare" ? `${question.get("first")}\n${question.get("second")}` : "";
  if (shown.name === name && shown.view?.key === key && shown.view.update(question) !== false) return;
  const mine = (shown = { name });
  if (!view) return main.replaceChildren(alertOf(new Error(`there is no page ${name}`)));
  try {
    const made = await view(question);
    if (shown === mine) shown.view = made;
  } catch (error) {
    if (shown === mine) main.replaceChildren(alertOf(error), h("p", {}, h("a", { href: "#/" }, "All runs")));
  }
  if (shown === mine) scrollTo(0, 0);
}

function move(step) {
  if (shown.view?.step?.(step)) return;
  const rows = [...main.querySelectorAll("tr[tabindex]")];
  const at = rows.indexOf(document.activeElement);
  rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + step, 0), rows.length - 1)]?.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  const typing = event.target.matches("input:not([type=checkbox]), select");
  if (event.key === "Escape") {
    if (typing) return event.target.blur();
    const to = shown.view?.leave?.();
    if (to) location.hash = to;
    return;
  }
  if (typing) return;
  const row = document.activeElement?.closest("tr[tabindex]");
  const tell = (name) => row?.dispatchEvent(new CustomEvent(name));
  const keys = {
    j: () => move(1), k: () => move(-1), ArrowDown: () => move(1), ArrowUp: () => move(-1),
    Enter: () => row === document.activeElement && tell("open"),
    n: () => shown.view?.pages?.turn(1), p: () => shown.view?.pages?.turn(-1),
    "/": () => document.getElementById("search")?.focus(),
    x: () => tell("choose"), c: () => document.getElementById("compare")?.click(),
    "?": () => help.showModal(),
  };
  if (!Object.hasOwn(keys, event.key) || (event.key === "Enter" && row !== document.activeElement)) return;
  event.preventDefault();
  keys[event.key]();
});
document.getElementById("keys").addEventListener("click", () => help.showModal());
addEventListener("hashchange", route);
route();
