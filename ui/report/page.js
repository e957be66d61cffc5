"use strict";
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const pageSize = 100;
  // A row shows three lines of an answer; laying out all of a long one is slow.
  const brief = (text) => text.length > 500 ? text.slice(0, 500) + "…" : text;
  const byId = (id) => document.getElementById(id);

  // make builds an element. Texts become text nodes: nothing is read as HTML.
  function make(name, attrs, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attrs || {})) {
      if (value !== false && value != null) node.setAttribute(key, value === true ? "" : value);
    }
    for (const child of children) {
      if (child != null) node.append(child);
    }
    return node;
  }

  // ---- theme ----------------------------------------------------------------
  const root = document.documentElement, theme = byId("theme");
  const darkNow = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const nameTheme = () => { theme.textContent = darkNow() ? "Light" : "Dark"; };
  theme.hidden = false;
  theme.addEventListener("click", () => { root.dataset.theme = darkNow() ? "light" : "dark"; nameTheme(); });
  nameTheme();

  // ---- tables that can be sorted --------------------------------------------
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.querySelectorAll(".keys th")], body = table.tBodies[0];
    const key = (row, i) => row.cells[i].dataset.key === undefined ? row.cells[i].textContent : Number(row.cells[i].dataset.key);
    heads.forEach((head, i) => {
      const button = make("button", { type: "button" }, head.textContent);
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach((h) => h.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const rows = [...body.rows].sort((a, b) => {
          const x = key(a, i), y = key(b, i);
          return (x < y ? -1 : x > y ? 1 : 0) * (up ? 1 : -1);
        });
        body.append(...rows);
      });
    });
  }

  // ---- rows -----------------------------------------------------------------
  if (data.rows.length === 0) return;
  const { subjects, metrics, texts } = data;
  const value = (answer, metric) => answer.v ? answer.v[metric] : null;
  const several = data.rows.some((row) => row.a.length > subjects.length);

  // passes says whether an answer passes by a metric, or (metric -1) as a
  // whole; null: nothing says what passing is.
  function passes(answer, metric) {
    if (metric < 0) return !answer.bad;
    const v = value(answer, metric), m = metrics[metric];
    if (v == null) return null;
    if (m.threshold != null) return v >= m.threshold;
    return m.share ? v === 1 : null;
  }

  const outcomes = {
    all: ["any outcome", () => true],
    failed: ["any subject fails", (marks) => marks.includes(false)],
    passed: ["all pass", (marks) => marks.length > 0 && marks.every((mark) => mark === true)],
    none: ["none passes", (marks) => marks.length > 0 && marks.every((mark) => mark === false)],
    differ: ["outcomes differ", (marks) => marks.includes(true) && marks.includes(false)],
    error: ["has an error", (marks, answers) => answers.some((a) => a.err)],
  };

  function rowText(row) {
    if (row.text === undefined) {
      const parts = [row.i, row.id, row.c, row.t];
      for (const [, text] of row.g || []) parts.push(text);
      for (const a of row.a) {
        parts.push(a.x, a.err, ...Object.values(a.e || {}));
        for (const [, at] of a.q || []) parts.push(texts[at]);
      }
      row.text = parts.filter((part) => part != null).join("\n").toLowerCase();
    }
    return row.text;
  }

  const filter = { metric: byId("f-metric"), outcome: byId("f-outcome"), subject: byId("f-subject"), order: byId("f-order"), search: byId("f-search") };
  filter.metric.append(make("option", { value: -1 }, "as a whole"));
  metrics.forEach((m, i) => { if (m.name !== "passed") filter.metric.append(make("option", { value: i }, m.name)); });
  for (const [name, [title]] of Object.entries(outcomes)) {
    if (subjects.length > 1 || name !== "none" && name !== "differ" || several) filter.outcome.append(make("option", { value: name }, title));
  }
  filter.subject.append(make("option", { value: -1 }, "all subjects"));
  subjects.forEach((name, i) => filter.subject.append(make("option", { value: i }, name)));

  function chosen() {
    const metric = Number(filter.metric.value), subject = Number(filter.subject.value);
    const test = outcomes[filter.outcome.value][1], words = filter.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const answers = (row) => subject < 0 ? row.a : row.a.filter((a) => a.s === subject);
    const rows = data.rows.filter((row) => {
      const of = answers(row);
      return test(of.map((a) => passes(a, metric)), of) && words.every((word) => rowText(row).includes(word));
    });
    const score = (a) => metric < 0 ? (a.bad ? 0 : 1) : value(a, metric);
    const scores = (row) => answers(row).map(score).filter((v) => v != null);
    const lowest = (row) => Math.min(...scores(row)), spread = (row) => Math.max(...scores(row)) - Math.min(...scores(row));
    if (filter.order.value === "low") rows.sort((a, b) => lowest(a) - lowest(b) || a.i - b.i);
    if (filter.order.value === "spread") rows.sort((a, b) => (spread(b) - spread(a)) || a.i - b.i);
    return rows;
  }

  const table = byId("rows"), body = table.tBodies[0], more = byId("more");
  const targets = data.rows.some((row) => row.t);
  let found = [], shown = 0;

  // Of many subjects those have a column that rank first, and the one that is chosen.
  const few = data.ranked.slice(0, data.few).sort((a, b) => a - b);
  const columnsNow = () => {
    const subject = Number(filter.subject.value);
    return subject < 0 || few.includes(subject) ? few : [...few.slice(0, -1), subject];
  };

  const drawHead = () => table.tHead.replaceChildren(make("tr", {},
    make("th", { scope: "col" }, "row"), make("th", { scope: "col" }, "given"),
    targets ? make("th", { scope: "col" }, "right") : null,
    ...columnsNow().map((i) => make("th", { scope: "col", class: "answer" }, make("span", { class: "swatch s" + i % 8, "aria-hidden": "true" }), subjects[i]))));
  table.style.minWidth = Math.max(640, 190 + 140 * few.length) + "px";
  const columns = 2 + (targets ? 1 : 0) + few.length;

  const format = (metric, v) => v == null ? "–" : metrics[metric].share ? (v === 1 ? "yes" : v === 0 ? "no" : (100 * v).toFixed(1) + "%") : String(Number(v.toPrecision(4)));

  function mark(answer) {
    const metric = Number(filter.metric.value), pass = passes(answer, metric);
    if (answer.err && answer.x == null) return make("span", { class: "mark bad" }, "✕ error");
    const v = metric >= 0 && !metrics[metric].share ? " " + format(metric, value(answer, metric)) : "";
    if (pass == null) return v ? make("span", { class: "mark" }, v) : null;
    const why = !pass && metric < 0 && answer.m ? ": " + answer.m : "";
    return make("span", { class: "mark " + (pass ? "good" : "bad") }, (pass ? "✓ passes" : "✕ fails") + why + v);
  }

  function cell(row, subject) {
    const answers = row.a.filter((a) => a.s === subject);
    const failed = answers.some((a) => passes(a, Number(filter.metric.value)) === false);
    const td = make("td", { class: "answer" + (failed ? " failed" : "") });
    if (answers.length === 0) return td;
    const first = answers.find((a) => a.bad) || answers[0];
    td.append(make("div", { class: "clip" }, brief(first.x == null ? first.err || "(none)" : first.x === "" ? "(empty)" : first.x)));
    if (answers.length > 1) {
      const good = answers.filter((a) => !a.bad).length;
      td.append(make("span", { class: "mark " + (good === answers.length ? "good" : "bad") }, good + " of " + answers.length + " pass"));
    } else {
      const m = mark(first);
      if (m) td.append(m);
    }
    return td;
  }

  function rowNode(row) {
    const button = make("button", { type: "button", class: "open", "aria-expanded": "false" }, String(row.i));
    const tr = make("tr", { class: "row" },
      make("td", {}, button, row.id ? make("small", {}, row.id) : null),
      make("td", {}, make("div", { class: "clip" }, row.h || "")),
      targets ? make("td", {}, brief(row.t || "")) : null,
      ...columnsNow().map((i) => cell(row, i)));
    tr.addEventListener("click", (event) => {
      if (event.target.closest("a, summary") || String(getSelection()) !== "") return;
      const open = button.getAttribute("aria-expanded") === "true";
      button.setAttribute("aria-expanded", String(!open));
      if (open) tr.nextSibling.remove();
      else tr.after(make("tr", { class: "detail" }, make("td", { colspan: columns }, ...detail(row))));
    });
    return tr;
  }

  function list(pairs) {
    const dl = make("dl");
    for (const [name, text, more] of pairs) dl.append(make("dt", {}, name), make("dd", {}, text, more ? make("small", {}, more) : null));
    return dl;
  }

  function detail(row) {
    const given = (row.g || []).slice();
    if (row.t) given.push(["right label", row.t]);
    if (row.c) given.push(["cluster", row.c]);
    const panes = make("div", { class: "sides" });
    for (const a of row.a) panes.append(pane(a));
    return [given.length ? list(given) : null, panes];
  }

  function pane(a) {
    const title = make("h4", {}, make("span", { class: "swatch s" + a.s % 8, "aria-hidden": "true" }), subjects[a.s] + (several ? ", draw " + (a.d || 0) : "") + " ");
    title.append(make("span", { class: "mark " + (a.bad ? "bad" : "good") }, a.bad ? "✕ fails" : "✓ passes"));
    const node = make("div", { class: "pane" }, title);
    if (a.err) node.append(make("p", { class: "text error" }, a.err));
    node.append(make("h5", {}, "Answer"), make("p", { class: "text", tabindex: 0 }, a.x == null ? "(none)" : a.x === "" ? "(empty)" : a.x));
    const measured = metrics.map((m, i) => [m.name, format(i, value(a, i)), a.e && a.e[i]]).filter(([, text]) => text !== "–");
    if (measured.length) node.append(make("h5", {}, "Metrics"), list(measured));
    if (a.f && a.f.length) node.append(make("h5", {}, "Call"), list(a.f));
    if (a.q) {
      const asked = make("details", { open: true }, make("summary", {}, "Prompt"));
      for (const [role, at] of a.q) asked.append(make("div", { class: "message " + (role === "assistant" ? "assistant" : "") }, make("span", {}, role), make("p", { class: "text", tabindex: 0 }, texts[at])));
      node.append(make("h5", {}), asked);
    }
    return node;
  }

  function showMore() {
    const next = found.slice(shown, shown + pageSize);
    body.append(...next.map(rowNode));
    shown += next.length;
    more.hidden = shown >= found.length;
    more.textContent = "Show " + Math.min(pageSize, found.length - shown) + " more";
  }

  function refresh() {
    found = chosen();
    shown = 0;
    drawHead();
    body.replaceChildren();
    byId("found").textContent = found.length === data.rows.length ? found.length + " rows" : found.length + " of " + data.rows.length + " rows";
    if (few.length < subjects.length) byId("found").textContent += "; columns for " + few.length + " of " + subjects.length + " subjects (open a row to see all)";
    showMore();
  }

  let waiting = 0;
  filter.search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(refresh, 150); });
  for (const name of ["metric", "outcome", "subject", "order"]) filter[name].addEventListener("change", refresh);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").hidden = false;
  more.addEventListener("click", showMore);
  refresh();
})();
