// What pages do when they are open: theme, search, filters, order of tables, what is late now, lineage. No page needs it to be read,
// except those that share files: they are assembled here.
"use strict";

const data = new Map();
function slipwayData(name, text) {
  data.get(name)?.(text);
}

(() => {
  const kept = (() => { try { return localStorage.getItem("slipway-theme"); } catch { return null; } })();
  if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
})();

async function load(name) {
  const root = document.body.dataset.root;
  const text = await new Promise((resolve, reject) => {
    data.set(name, resolve);
    const script = document.createElement("script");
    script.src = `${root}data/${name}.js`;
    script.onerror = () => reject(new Error(`${name} cannot be loaded`));
    document.head.append(script);
  });
  const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Response(plain).json();
}
const loaded = new Map();
const loadOnce = (name) => { if (!loaded.has(name)) loaded.set(name, load(name)); return loaded.get(name); };

// CRC-32 as in RFC 1952: it names the file that has a page
function crc32(text) {
  let crc = -1;
  for (const byte of new TextEncoder().encode(text)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ -1) >>> 0;
}

async function showPacked() {
  const { pack, buckets } = document.body.dataset;
  const name = decodeURIComponent(location.hash.slice(1));
  const main = document.querySelector("main");
  const number = String(crc32(name) % Number(buckets)).padStart(3, "0");
  let shared;
  try { shared = await loadOnce(`${pack}-${number}`); } catch { /* said below */ }
  const at = shared ? shared.names.indexOf(name) : -1;
  if (at >= 0) {
    document.title = document.title.replace(/^.*?(?= · )/, () => shared.titles[at]);
    main.innerHTML = shared.sections.map((pages) => pages[at]).join(""); // made by the site's own templates, which escape every text
    prepare(main);
    scrollTo(0, 0);
  } else {
    main.textContent = name ? `There is no page about ${name} here.` : "Search for a name above.";
  }
}

async function showFile() {
  const main = document.querySelector("main");
  try {
    main.innerHTML = await loadOnce(document.body.dataset.file); // as above
    prepare(main);
    document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
  } catch { main.textContent = "A file of this page is missing."; }
}

function ago(then) {
  const minutes = Math.round((Date.now() - Date.parse(then)) / 60000);
  if (!(minutes >= 0)) return "";
  const [count, unit] = minutes < 90 ? [minutes, "minute"] : minutes < 2880 ? [Math.round(minutes / 60), "hour"] : [Math.round(minutes / 1440), "day"];
  return `${count} ${unit}${count === 1 ? "" : "s"} ago`;
}

function judgeLateness(within) {
  for (const one of within.querySelectorAll("[data-late]")) {
    const limit = Number(one.dataset.error || one.dataset.warn);
    const age = (Date.now() - Date.parse(one.dataset.late)) / 1000;
    const late = limit > 0 && !(age <= limit);
    if (one.tagName === "LI") one.hidden = !late;
    else one.classList.toggle("is-late", late);
  }
  const items = [...within.querySelectorAll("li[data-late]")];
  const count = within.querySelector("[data-late-count]");
  if (count) count.textContent = String(new Set(items.filter((one) => !one.hidden).map((one) => one.dataset.promise ?? one)).size);
  const none = within.querySelector("[data-none]");
  if (none) none.hidden = [...none.parentElement.children].some((one) => one !== none && !one.hidden);
  for (const one of within.querySelectorAll("[data-ago]")) one.textContent = ago(one.dataset.ago);
}

const MOST_ROWS = 500; // of a list that can be filtered; the template hides the others

function prepareFilters(within) {
  for (const input of within.querySelectorAll("[data-filter]")) {
    const body = document.getElementById(input.dataset.filter).tBodies[0];
    const count = within.querySelector(`[data-count="${input.dataset.filter}"]`);
    let texts = null; // read when somebody types: long lists take a while
    const show = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      const rows = [...body.rows];
      if (words.length) texts ??= new Map(rows.map((row) => [row, (row.dataset.find ?? row.textContent).toLowerCase()]));
      let found = 0;
      for (const row of rows) {
        const fits = words.every((word) => texts.get(row).includes(word));
        row.hidden = !fits || found >= MOST_ROWS;
        found += fits;
      }
      const some = found > MOST_ROWS ? `${MOST_ROWS} of ${found} are shown` : "";
      count.textContent = words.length ? `${found} of ${rows.length}${some ? `, ${some}` : ""}` : some;
    };
    input.addEventListener("input", show);
    body.addEventListener("reordered", show);
    if (body.rows.length > MOST_ROWS) show();
  }
}

function prepareOrder(within) {
  for (const button of within.querySelectorAll(".sortable th button")) {
    button.addEventListener("click", () => {
      const head = button.parentElement;
      const down = head.ariaSort === "ascending";
      for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const body = head.closest("table").tBodies[0];
      const key = (row) => row.cells[head.cellIndex].dataset.sort ?? row.cells[head.cellIndex].textContent.trim();
      const order = new Intl.Collator("en", { numeric: true }).compare;
      body.append(...[...body.rows].map((row) => [key(row), row]).sort((a, b) => (down ? -1 : 1) * order(a[0], b[0])).map(([, row]) => row));
      body.dispatchEvent(new Event("reordered"));
    });
  }
}

function prepareTheme() {
  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("slipway-theme", root.dataset.theme); } catch { /* only the page has it then */ }
  });
}

function prepareSearch() {
  const input = document.getElementById("search");
  const list = document.getElementById("found");
  let chosen = -1;
  let entries = null;
  const rank = ([name, , , more], words) => {
    const label = name.toLowerCase();
    if (words.every((word) => label.includes(word))) return label.split(".").at(-1).startsWith(words[0]) ? 3 : 2;
    const all = `${label} ${more.toLowerCase()}`;
    return words.every((word) => all.includes(word)) ? 1 : 0;
  };
  const close = () => { list.hidden = true; input.setAttribute("aria-expanded", "false"); input.removeAttribute("aria-activedescendant"); chosen = -1; };
  const choose = (at) => {
    const items = [...list.children];
    chosen = items.length ? (at + items.length) % items.length : -1;
    items.forEach((item, number) => item.setAttribute("aria-selected", String(number === chosen)));
    if (chosen >= 0) { input.setAttribute("aria-activedescendant", items[chosen].id); items[chosen].scrollIntoView({ block: "nearest" }); }
  };
  const go = (item) => { if (item?.dataset.href) { close(); location.href = document.body.dataset.root + item.dataset.href; } };
  const show = async () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) { close(); return; }
    try { entries ??= await loadOnce("search"); } catch { entries = []; }
    const found = entries.map((entry) => [rank(entry, words), entry]).filter(([points]) => points).sort((a, b) => b[0] - a[0]).slice(0, 30);
    list.replaceChildren(...found.map(([points, [name, kind, href, more]], at) => {
      const item = document.createElement("li");
      const small = document.createElement("small");
      const columns = points === 1 && href.startsWith("table") ? more.split(" ").filter((one) => words.some((word) => one.toLowerCase().includes(word))).slice(0, 3).join(", ") : "";
      small.textContent = columns ? `column ${columns}` : kind;
      item.append(name, small);
      Object.assign(item, { id: `found-${at}` });
      item.setAttribute("role", "option");
      item.dataset.href = href;
      return item;
    }));
    if (!found.length) {
      const item = document.createElement("li");
      item.textContent = "Nothing has this name.";
      item.setAttribute("role", "option");
      list.append(item);
    }
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    choose(0);
  };
  input.addEventListener("focus", () => { loadOnce("search").catch(() => {}); });
  input.addEventListener("input", show);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") { event.preventDefault(); choose(chosen + 1); }
    else if (event.key === "ArrowUp") { event.preventDefault(); choose(chosen - 1); }
    else if (event.key === "Enter") go(list.children[chosen]);
    else if (event.key === "Escape") { close(); input.blur(); }
  });
  list.addEventListener("mousedown", (event) => { event.preventDefault(); go(event.target.closest("li")); });
  input.addEventListener("blur", () => close());
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName)) { event.preventDefault(); input.focus(); }
  });
}

function prepareGraph(graph) {
  const svg = graph.querySelector("svg");
  const boxes = new Map([...svg.querySelectorAll(".box")].map((box) => [box.dataset.id, box]));
  const lines = [...svg.querySelectorAll(".lines path")];
  const size = svg.viewBox.baseVal;
  const whole = { x: 0, y: 0, width: size.width, height: size.height };
  let view = { ...whole };
  const apply = () => svg.setAttribute("viewBox", `${view.x} ${view.y} ${view.width} ${view.height}`);
  const zoom = (factor, x = 0.5, y = 0.5) => {
    const width = Math.min(Math.max(view.width * factor, 240), whole.width * 2);
    const real = width / view.width;
    view = { x: view.x + view.width * x * (1 - real), y: view.y + view.height * y * (1 - real), width, height: view.height * real };
    apply();
  };
  // At a size that can be read: all of it if it fits, otherwise the part around a place, without going over the edges.
  const readable = () => 1.4 * graph.clientWidth;
  // no higher than the drawing needs
  const scale = graph.clientWidth < 700 ? 1 / 1.4 : Math.min(1, graph.clientWidth / whole.width);
  graph.style.height = `${Math.min(graph.clientHeight, Math.max(220, whole.height * scale + 60))}px`;
  const fits = () => whole.width <= readable() && whole.height <= 1.4 * graph.clientHeight;
  const show = (x, y) => {
    if (fits()) view = { ...whole };
    else {
      const width = Math.min(readable(), 1100);
      const height = width * graph.clientHeight / graph.clientWidth;
      const inside = (at, length, all) => Math.max(0, Math.min(at - length / 2, all - length));
      view = { x: inside(x, width, whole.width), y: inside(y, height, whole.height), width, height };
    }
    apply();
  };
  const near = (id) => {
    const found = new Set([id]);
    for (const [from, to] of [["from", "to"], ["to", "from"]]) {
      const waiting = [id];
      const seen = new Set([id]);
      while (waiting.length) {
        const one = waiting.pop();
        for (const line of lines) {
          if (line.dataset[from] === one && !seen.has(line.dataset[to])) { seen.add(line.dataset[to]); waiting.push(line.dataset[to]); }
        }
      }
      for (const one of seen) found.add(one);
    }
    return found;
  };
  const status = document.getElementById("chosen");
  let chosen = "";
  const choose = (id, move) => {
    chosen = boxes.has(id) ? id : "";
    const found = chosen ? near(chosen) : new Set();
    graph.classList.toggle("has-choice", Boolean(chosen));
    for (const [name, box] of boxes) { box.classList.toggle("is-near", found.has(name)); box.classList.toggle("is-chosen", name === chosen); }
    for (const line of lines) line.classList.toggle("is-near", found.has(line.dataset.from) && found.has(line.dataset.to));
    if (status) status.textContent = chosen ? `${chosen}: ${found.size - 1} related. Choose it again to open its page.` : "";
    if (chosen && move) {
      const place = boxes.get(chosen).querySelector("rect");
      const [x, y] = [Number(place.getAttribute("x")) + 94, Number(place.getAttribute("y")) + 23];
      show(x, y);
    }
  };
  svg.addEventListener("click", (event) => {
    const box = event.target.closest(".box");
    if (moved || !box) { event.preventDefault(); if (!moved && !box) choose("", false); return; }
    if (box.dataset.id !== chosen || !box.hasAttribute("href")) { event.preventDefault(); choose(box.dataset.id, false); }
  });
  let from = null;
  let moved = false;
  graph.addEventListener("pointerdown", (event) => { from = [event.clientX, event.clientY, view]; moved = false; });
  addEventListener("pointermove", (event) => {
    if (!from) return;
    const [dx, dy] = [event.clientX - from[0], event.clientY - from[1]];
    if (Math.hypot(dx, dy) < 4 && !moved) return;
    moved = true;
    graph.classList.add("is-moving");
    const scale = Math.max(view.width / graph.clientWidth, view.height / graph.clientHeight);
    view = { ...view, x: from[2].x - dx * scale, y: from[2].y - dy * scale };
    apply();
  });
  addEventListener("pointerup", () => { from = null; graph.classList.remove("is-moving"); });
  graph.addEventListener("wheel", (event) => {
    event.preventDefault();
    const area = graph.getBoundingClientRect();
    zoom(event.deltaY > 0 ? 1.15 : 1 / 1.15, (event.clientX - area.left) / area.width, (event.clientY - area.top) / area.height);
  }, { passive: false });
  graph.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] }[event.key];
    if (step) { event.preventDefault(); view = { ...view, x: view.x + step[0] * view.width, y: view.y + step[1] * view.height }; apply(); }
    else if (event.key === "+") zoom(0.8); else if (event.key === "-") zoom(1.25); else if (event.key === "Escape") choose("", false);
  });
  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => {
      if (button.dataset.zoom === "fit") { view = { ...whole }; apply(); } else zoom(button.dataset.zoom === "in" ? 0.8 : 1.25);
    });
  }
  graph.addEventListener("columns", (event) => {
    const tables = new Set(event.detail);
    chosen = "";
    graph.classList.toggle("has-choice", tables.size > 0);
    for (const [name, box] of boxes) { box.classList.toggle("is-near", tables.has(name)); box.classList.toggle("is-chosen", name === event.detail[0]); }
    for (const line of lines) line.classList.toggle("is-near", tables.has(line.dataset.from) && tables.has(line.dataset.to));
  });
  const field = document.getElementById("graphsearch");
  field?.addEventListener("input", () => {
    const text = field.value.trim().toLowerCase();
    const id = boxes.has(field.value) ? field.value : [...boxes.keys()].find((name) => text && name.toLowerCase().includes(text));
    choose(id ?? "", true);
  });
  const start = () => { const id = decodeURIComponent(location.hash.slice(1)); if (boxes.has(id)) choose(id, true); };
  addEventListener("hashchange", start);
  if (graph.clientWidth < 700) show(0, 0); // all of it would be too small to be read
  start();
}

const EVERY = "every column";
const ROWS = "which rows there are";

// Columns above a column, and below it: table to a set of columns. A table whose lineage is not known depends with every column on every column of what it reads.
function columnsAround(all, table, column, down) {
  const found = new Map();
  const waiting = [[table, column]];
  const add = (other, name, follow) => {
    if (!found.has(other)) found.set(other, new Set());
    if (found.get(other).has(name)) return;
    found.get(other).add(name);
    if (follow) waiting.push([other, name]);
  };
  while (waiting.length) {
    const [at, name] = waiting.pop();
    if (!down) {
      const [parents, columns, , unknown] = all[at] ?? [[], {}, {}, ""];
      if (unknown || name === EVERY || !columns[name]) for (const parent of parents) add(parent, EVERY, true);
      else for (const [parent, names] of Object.entries(columns[name])) for (const one of names) add(parent, one, true);
      continue;
    }
    for (const [child, [parents, columns, rows, unknown]] of Object.entries(all)) {
      if (!parents.includes(at)) continue;
      const reads = (made) => name === EVERY ? Boolean(made[at]) : (made[at] ?? []).includes(name);
      if (unknown) add(child, EVERY, true);
      else {
        for (const [own, made] of Object.entries(columns)) if (reads(made)) add(child, own, true);
        if (reads(rows)) add(child, ROWS, false);
      }
    }
  }
  return found;
}

// Full names of all columns that are made, or that something is made from.
function namesOf(all) {
  const found = new Set();
  for (const [table, [, columns, rows]] of Object.entries(all)) {
    for (const one of Object.keys(columns)) found.add(`${table}.${one}`);
    for (const made of [...Object.values(columns), rows]) {
      for (const [parent, names] of Object.entries(made)) for (const one of names) found.add(`${parent}.${one}`);
    }
  }
  return found;
}

function prepareColumns(within) {
  const input = within.querySelector("#columnsearch");
  if (!input) return;
  const shown = within.querySelector("#columnlineage");
  const names = within.querySelector("#columnnames");
  const list = (title, around) => {
    const head = document.createElement("h3");
    head.textContent = around.size ? title : `${title}: nothing`;
    const items = document.createElement("ul");
    for (const [table, columns] of [...around].sort(([a], [b]) => a < b ? -1 : 1)) {
      const item = document.createElement("li");
      const own = document.createElement("span");
      own.className = "mono";
      own.textContent = [...columns].sort().join(", ");
      item.append(`${table}: `, own);
      items.append(item);
    }
    const part = document.createElement("div");
    part.append(head, items);
    return part;
  };
  const follow = async (text) => {
    const all = await loadOnce("columns");
    const at = text.lastIndexOf(".");
    const [table, column] = [text.slice(0, at), text.slice(at + 1)];
    const whole = document.getElementById("whole");
    const up = columnsAround(all, table, column, false);
    const down = columnsAround(all, table, column, true);
    const known = namesOf(all).has(text); // a part of a name while somebody types
    shown.className = known ? "two" : "";
    shown.replaceChildren(...(known ? [list(`${text} is made from`, up), list(`${text} is used for`, down)] : []));
    whole?.dispatchEvent(new CustomEvent("columns", { detail: known ? [table, ...up.keys(), ...down.keys()] : [] }));
  };
  input.addEventListener("focus", async () => {
    if (names.children.length) return;
    const all = await loadOnce("columns");
    names.replaceChildren(...[...namesOf(all)].sort().slice(0, 2000).map((one) => { const option = document.createElement("option"); option.value = one; return option; }));
  });
  input.addEventListener("input", () => follow(input.value.trim()));
  const start = () => {
    const id = decodeURIComponent(location.hash.slice(1));
    if (id.split(".").length > 2) { input.value = id; follow(id); }
  };
  addEventListener("hashchange", start);
  start();
}

function prepare(within) {
  judgeLateness(within);
  prepareFilters(within);
  prepareOrder(within);
  const whole = within.querySelector("#whole");
  if (whole) prepareGraph(whole);
  prepareColumns(within);
  for (const graph of within.querySelectorAll(".graph:not(#whole)")) {
    const centre = graph.querySelector(".centre rect");
    if (centre) graph.scrollTo(Number(centre.getAttribute("x")) + 94 - graph.clientWidth / 2, Number(centre.getAttribute("y")) - graph.clientHeight / 2);
  }
}

addEventListener("DOMContentLoaded", () => {
  prepareTheme();
  prepareSearch();
  if (document.body.dataset.pack) { showPacked(); addEventListener("hashchange", showPacked); } else if (document.body.dataset.file) showFile(); else prepare(document);
});
