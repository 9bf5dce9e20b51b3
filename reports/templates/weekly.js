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
      sort.textContent = head.firstChild.textContent;
      sort.addEventListener("click", () => sortBy(table, column, head));
      head.firstChild.replaceWith(sort); // beside it stays the link to what the column means
    });
  }

  // --- the releases that the page holds beside its list, packed ---
  const list = one("#table-releases");
  const THIS = list.dataset.week, WEEKS = list.dataset.weeks.split(" ");
  const COUNTS = list.dataset.counts.split(" "), TELLING = list.dataset.telling.split(" ");
  const MOST_ROWS = 500;
  const pack = window.DecompressionStream && one("#pack").textContent ? one("#pack") : null;
  const WHOLE = pack ? pack.dataset.whole.split(" ") : [], PART = pack ? pack.dataset.part.split(" ") : [];
  const unzip = (packed) => {
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
  };
  const minute = (count) => new Date(count * 60000).toISOString().slice(0, 16).replace("T", " ");
  // A line of JSON says what the bytes after it are: reports/packing.py writes them.
  const readPack = async () => {
    const bytes = new Uint8Array(await unzip(pack.textContent).arrayBuffer());
    let at = bytes.indexOf(10);
    const told = JSON.parse(new TextDecoder().decode(bytes.subarray(0, at++)));
    const take = (length) => bytes.subarray(at, (at += length));
    const identifier = (dashes) => {
      const hex = Array.from(take(16), (byte) => byte.toString(16).padStart(2, "0")).join("");
      return dashes ? hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-") : hex;
    };
    const numbers = (width) => {
      const planes = Array.from({ length: width }, () => take(told.count));
      return (row) => planes.reduceRight((sum, plane) => sum * 256 + plane[row], 0);
    };
    const groups = told.groups.map(({ keys, words, bytes: width }) => ({
      keys,
      words: words.map((column) => column.map((word) => (typeof word === "number" ? identifier(word) : word))),
      place: numbers(width),
    }));
    const [later, lasts] = [told.started, told.ended].map(({ least, bytes: width }) => {
      const number = numbers(width);
      return (row) => (number(row) ? number(row) - 1 + least : null);
    });
    let start = told.from;
    return Array.from({ length: told.count }, (_, row) => {
      const release = { about: {}, cells: [], start: (start += later(row)) };
      for (const { keys, words, place } of groups)
        words.forEach((column, number) => {
          for (const key of keys[number]) (typeof key === "number" ? release.cells : release.about)[key] = column[place(row)];
        });
      release.cells[told.cells[0]] = minute(start);
      release.cells[told.cells[1]] = lasts(row) === null ? "–" : minute(start + lasts(row));
      return release;
    }).sort((one, other) => one.start - other.start);
  };
  let unpacked;
  // Of some weeks the page has only what did not simply succeed.
  const hasAll = (week, filter) => WHOLE.includes(week) || (PART.includes(week) && (TELLING.includes(filter.get("is")) || !!filter.get("template")));
  const rowOf = ({ cells }) => {
    const row = document.createElement("tr");
    row.className = "packed";
    cells.forEach((text, number) => {
      const cell = document.createElement(number ? "td" : "th");
      if (!number) cell.scope = "row";
      cell.className = list.tHead.rows[0].cells[number].className;
      cell.textContent = text; // text, never markup
      row.append(cell);
    });
    return row;
  };

  // --- the filter: kept in the address as #anchor&key=value, which also works for a file ---
  const text = one("#filter-text"), choice = one("#filter-is"), said = one("#filter-said"), missing = one("#filter-missing");
  const NAMES = { week: "", q: "component contains", component: "component", plan: "plan", batch: "batch", rank: "batch no.", template: "message", team: "team", project: "project", is: "releases" };
  const KEYS = Object.keys(NAMES);
  const parse = () => {
    const [anchor, ...parts] = location.hash.slice(1).split("&");
    const isFilter = anchor.includes("=");
    return { anchor: isFilter ? "" : anchor, filter: new URLSearchParams((isFilter ? [anchor, ...parts] : parts).join("&")) };
  };
  const write = (anchor, filter) => {
    const kept = new URLSearchParams(KEYS.filter((key) => filter.get(key)).map((key) => [key, filter.get(key)]));
    return `#${[anchor, kept.toString()].filter(Boolean).join("&")}`;
  };
  const weeksOf = (filter) => {
    const week = filter.get("week");
    return !week ? [THIS] : week === "all" ? WEEKS : week.split(",").filter((label) => WEEKS.includes(label));
  };
  // What a row is about, against the filter; only releases say their batch, their counts, and the rest.
  const holds = (about, filter) => {
    const { component, name, plan, is, template } = about;
    const q = filter.get("q")?.toLowerCase(), differs = (key) => filter.get(key) && about[key] !== filter.get(key);
    if (q && component !== undefined && ![component, name || ""].some((word) => word.toLowerCase().includes(q))) return false;
    if ((component !== undefined && differs("component")) || (plan !== undefined && differs("plan"))) return false;
    if (is === undefined) return true;
    if (["project", "team", "batch", "rank"].some(differs)) return false;
    if (filter.get("template") && !(template || "").split(" ").includes(filter.get("template"))) return false;
    return !filter.get("is") || (Number(is) >> COUNTS.indexOf(filter.get("is"))) % 2 === 1;
  };
  const saying = (filter, key) => {
    const value = filter.get(key);
    if (key === "is") return choice.selectedOptions[0]?.textContent;
    if (key === "week") return value === "all" ? "all weeks" : value.replaceAll(",", ", ");
    return value.length > 24 && key !== "q" ? `${value.slice(0, 12)}…` : value;
  };
  const digits = (count) => count.toLocaleString("en"), counted = (count) => `${digits(count)} ${count === 1 ? "release" : "releases"}`;
  const caption = list.caption.firstElementChild, captionOf = caption.textContent;
  let turn = 0;
  const apply = async (goes) => {
    const { anchor, filter } = parse();
    const mine = ++turn, weeks = weeksOf(filter), active = KEYS.filter((key) => filter.get(key));
    if (document.activeElement !== text) text.value = filter.get("q") || filter.get("component") || "";
    choice.value = filter.get("is") || "";
    for (const row of all("tr.packed", list)) row.remove();
    for (const row of all("tbody tr[data-component], tbody tr[data-plan]"))
      row.hidden = !holds(row.dataset, filter) || (row.dataset.is !== undefined && !weeks.includes(THIS));
    for (const row of all("#table-nights tbody tr[data-week]"))
      row.hidden = (filter.get("week") && !weeks.includes(row.dataset.week)) || (filter.get("project") && filter.get("project") !== row.dataset.project);
    let found = [];
    if (active.length && pack) {
      unpacked ??= readPack();
      const releases = await unpacked;
      if (mine !== turn) return; // another filter has come meanwhile
      found = releases.filter(({ about }) => weeks.includes(about.week) && holds(about, filter));
    }
    const listed = all("tbody tr[data-is]", list), shown = listed.filter((row) => !row.hidden).length + found.length;
    list.tBodies[0].append(...found.slice(0, MOST_ROWS).map(rowOf));
    for (const row of all("tr.nothing", list)) row.hidden = active.length > 0;
    const isThis = weeks.length === 1 && weeks[0] === THIS;
    caption.textContent = isThis ? captionOf : `Component releases of ${weeks.length === 1 ? weeks[0] : `${weeks.length} weeks, ${weeks[0]} to ${weeks.at(-1)}`}`;
    const told = active.map((key) => `${NAMES[key]} ${saying(filter, key)}`.trim()).join(", ");
    const cut = found.length > MOST_ROWS ? `, of which the list shows ${digits(shown - found.length + MOST_ROWS)}` : "";
    const total = Number(list.dataset.total), isPart = listed.length < total && !hasAll(THIS, filter);
    const left = isPart ? `, of the ${digits(listed.length)} that this file has` : "";
    // What is in no pack, and not in the list either, is told with the way to it.
    const lacking = active.length ? weeks.filter((week) => week !== THIS && !hasAll(week, filter)) : [];
    const count = lacking.length === 0 ? digits(shown) : `in this file ${digits(shown)}`;
    said.textContent = !active.length
      ? `${counted(total)}${listed.length < total ? `, of which the list shows ${digits(listed.length)}` : ""}`
      : `${told}: ${count}${isThis ? ` of ${counted(total)}${left}` : shown === 1 ? " release" : " releases"}${cut}`;
    missing.hidden = !lacking.length;
    missing.textContent = lacking.length ? `Not all in this file: the releases of ${lacking.length === 1 ? lacking[0] : `${lacking[0]} to ${lacking.at(-1)}`}. The archive has them: reports explain delivery --week ${lacking.at(-1)}` : "";
    // A figure leads to the list itself, past the chart of this week's releases.
    const target = goes && anchor && (anchor === "releases" && active.length ? list.parentElement : document.getElementById(anchor));
    if (target) { target.scrollIntoView(); target.focus({ preventScroll: true }); }
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
  // A figure opens what its row and its head say, the head's word before the row's, or what it says itself.
  const opens = (link) => {
    const row = link.closest("tbody tr[data-open]"), cell = link.closest("th, td");
    if (link.dataset.open !== undefined || !row) return link.dataset.open;
    const asked = new URLSearchParams(row.dataset.open);
    const head = cell.closest("table").tHead.rows[0].cells[cell.cellIndex];
    for (const [key, value] of new URLSearchParams(head.dataset.open)) asked.set(key, value);
    return asked.toString();
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#"]');
    if (!link) return;
    event.preventDefault();
    const query = opens(link);
    const anchor = query === undefined || link.hash === "#nights" ? link.hash.slice(1) : "releases";
    const wanted = write(anchor, query === undefined ? parse().filter : new URLSearchParams(query));
    if (wanted === location.hash) apply(true); else location.hash = wanted;
  });
  addEventListener("hashchange", () => apply(true));
  apply(true);

  // --- charts ---
  const specifications = one("#specifications");
  if (!specifications || !window.DecompressionStream) return;
  // The drawing library travels packed. As a script element of the page's it runs only if the policy names its hash.
  const unpack = async () => {
    const script = document.createElement("script");
    script.textContent = await unzip(one("#drawing").textContent).text();
    document.head.append(script);
  };
  let specs;
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
  unpack().then(async () => {
    specs = JSON.parse(await unzip(specifications.textContent).text());
    await drawAll();
  });
})();
