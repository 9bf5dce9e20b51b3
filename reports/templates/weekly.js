"use strict";
// Sorts and filters the page's tables, brings its charts to life, and changes its colours. The page works without it.
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (selector) => document.querySelector(selector);
  for (const element of all(".scripted")) element.hidden = false;

  // --- light and dark ---
  const button = one("#theme");
  const systemIsDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme || (systemIsDark.matches ? "dark" : "light")) === "dark";
  const nameButton = () => { button.textContent = isDark() ? "Light colours" : "Dark colours"; };
  button.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; nameButton(); });
  systemIsDark.addEventListener("change", nameButton);
  nameButton();

  // --- sorting ---
  const SECONDS = { s: 1, m: 60, h: 3600, d: 86400 };
  // A cell's number: seconds of "3m 05s", else the first number in it; null where it has none.
  const numberOf = (text) => {
    const sign = /^[-−]/.test(text) ? -1 : 1;
    const spans = [...text.matchAll(/([\d.]+)([smhd])\b/g)];
    if (spans.length) return sign * spans.reduce((sum, span) => sum + Number(span[1]) * SECONDS[span[2]], 0);
    const found = text.replaceAll(",", "").match(/\d+(\.\d+)?/);
    return found ? sign * Number(found[0]) : null;
  };
  const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
  const sortBy = (table, column, head) => {
    const wayUp = head.getAttribute("aria-sort") !== "ascending";
    for (const other of all("thead th", table)) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", wayUp ? "ascending" : "descending");
    const isNumber = head.classList.contains("number");
    const keyed = [...table.tBodies[0].rows].map((row) => {
      const text = row.cells[column].textContent.trim();
      return [isNumber ? numberOf(text) : text === "–" ? null : text, row];
    });
    // What is missing stays last, whichever way.
    keyed.sort(([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : (wayUp ? 1 : -1) * compare(a, b)));
    table.tBodies[0].append(...keyed.map(([, row]) => row));
  };
  for (const table of all("table[data-sortable]")) {
    all("thead th", table).forEach((head, column) => {
      const sort = document.createElement("button");
      sort.type = "button";
      sort.textContent = head.textContent;
      sort.addEventListener("click", () => sortBy(table, column, head));
      head.replaceChildren(sort);
    });
  }

  // --- the filter: kept in the address as #anchor&key=value, which also works for a file ---
  const text = one("#filter-text"), choice = one("#filter-is"), said = one("#filter-said");
  const KEYS = ["q", "component", "plan", "batch", "is"];
  const parse = () => {
    const [anchor, ...parts] = location.hash.slice(1).split("&");
    const isFilter = anchor.includes("=");
    return { anchor: isFilter ? "" : anchor, filter: new URLSearchParams((isFilter ? [anchor, ...parts] : parts).join("&")) };
  };
  const write = (anchor, filter) => {
    const kept = new URLSearchParams(KEYS.filter((key) => filter.get(key)).map((key) => [key, filter.get(key)]));
    return `#${[anchor, kept.toString()].filter(Boolean).join("&")}`;
  };
  const holds = (row, filter) => {
    const { component, name, plan, batch, is } = row.dataset;
    const q = filter.get("q");
    return !(
      (q && component !== undefined && ![component, name || ""].some((word) => word.toLowerCase().includes(q.toLowerCase()))) ||
      (filter.get("component") && component !== undefined && component !== filter.get("component")) ||
      (filter.get("plan") && plan !== undefined && plan !== filter.get("plan")) ||
      (filter.get("batch") && is !== undefined && batch !== filter.get("batch")) ||
      (filter.get("is") && is !== undefined && !is.split(" ").includes(filter.get("is")))
    );
  };
  const apply = (goes) => {
    const { anchor, filter } = parse();
    for (const row of all("tbody tr[data-component], tbody tr[data-plan]")) row.hidden = !holds(row, filter);
    if (document.activeElement !== text) text.value = filter.get("q") || filter.get("component") || "";
    choice.value = filter.get("is") || "";
    const releases = all("#table-releases tbody tr[data-is]");
    const active = KEYS.filter((key) => filter.get(key));
    const told = active.map((key) => `${{ q: "component contains", is: "releases" }[key] || key} ${filter.get(key)}`).join(", ");
    const shown = releases.filter((row) => !row.hidden).length;
    said.textContent = active.length ? `${told}: ${shown} of ${releases.length} releases` : `${releases.length} releases`;
    const target = goes && anchor && document.getElementById(anchor);
    if (target) { target.scrollIntoView(); if (target.tabIndex === -1) target.focus({ preventScroll: true }); }
    root.dataset.shows = location.hash; // the browser tells of a new address a moment after it stands
  };
  const change = (values, anchor = "") => {
    const { filter } = parse();
    for (const [key, value] of Object.entries(values)) filter.set(key, value);
    history.replaceState(null, "", write(anchor, filter));
    apply(false);
  };
  const open = (query) => { location.hash = write("releases", new URLSearchParams(query)); };
  text.addEventListener("input", () => change({ q: text.value, component: "" }));
  choice.addEventListener("change", () => change({ is: choice.value }));
  one(".filter").addEventListener("submit", (event) => event.preventDefault());
  one("#filter-clear").addEventListener("click", () => { text.value = ""; history.replaceState(null, "", "#"); apply(false); });
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#"]');
    if (!link) return;
    event.preventDefault();
    const wanted = link.dataset.open === undefined ? write(link.hash.slice(1), parse().filter) : write("releases", new URLSearchParams(link.dataset.open));
    if (wanted === location.hash) apply(true); else location.hash = wanted;
  });
  addEventListener("hashchange", () => apply(true));
  apply(true);

  // --- charts ---
  const specifications = one("#specifications");
  if (!specifications || !window.DecompressionStream) return;
  // The drawing library travels packed. As a script element of the page's it runs only if the policy names its hash.
  const unpack = async () => {
    const bytes = Uint8Array.from(atob(one("#drawing").textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  };
  const specs = JSON.parse(specifications.textContent);
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  document.body.append(tip);
  const showTip = (_handler, event, _item, value) => {
    tip.hidden = !value;
    if (!value) return;
    tip.textContent = value.text ?? value; // text, never markup
    const left = Math.min(event.pageX + 12, scrollX + root.clientWidth - tip.offsetWidth - 8);
    tip.style.left = `${Math.max(scrollX, left)}px`;
    tip.style.top = `${event.pageY + 16}px`;
  };
  // A title has no line breaks of its own; on a phone it needs them.
  const wrap = (line, length) =>
    line.split(" ").reduce((lines, word) => {
      const longer = `${lines.at(-1)} ${word}`.trim();
      return longer.length <= length ? [...lines.slice(0, -1), longer] : [...lines, word];
    }, [""]);
  const draw = async (holder) => {
    const spec = structuredClone(specs[holder.dataset.chart]);
    // What has a column of names needs room, on a phone too: its box scrolls.
    const least = holder.closest(".stacked") ? 620 : 280;
    const width = Math.max(least, Math.min(holder.parentElement.clientWidth - 14, 1150));
    spec.title.subtitle = spec.title.subtitle.flatMap((line) => wrap(line, (width - (least > 280 ? 170 : 50)) / 5.8));
    if (spec.spec) spec.spec.width = width - 80; else spec.width = width;
    const options = { mode: "vega-lite", renderer: "svg", ast: true, actions: false, tooltip: showTip, defaultStyle: false };
    const { view } = await vegaEmbed(holder, spec, options);
    holder.querySelector("svg").setAttribute("aria-hidden", "true"); // its holder has the words
    view.addEventListener("click", (_event, item) => { if (item?.datum?.open) open(item.datum.open); });
    return view;
  };
  let views = [];
  const drawAll = async () => {
    const holders = all(".live");
    for (const holder of holders) holder.hidden = false;
    const drawn = await Promise.all(holders.map(draw));
    for (const view of views) view.finalize();
    views = drawn;
    root.classList.add("live-charts");
    root.dataset.charts = "drawn";
  };
  let waiting, lastWidth = root.clientWidth;
  addEventListener("resize", () => {
    if (root.clientWidth === lastWidth) return;
    lastWidth = root.clientWidth;
    clearTimeout(waiting);
    waiting = setTimeout(drawAll, 200);
  });
  unpack().then(drawAll);
})();
