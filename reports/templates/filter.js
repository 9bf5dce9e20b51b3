// Opens the releases behind a figure: the filter of the list, kept in the address as #anchor&key=value, which a file may have.
const text = one("#filter-text"), choice = one("#filter-is"), said = one("#filter-said"), missing = one("#filter-missing"), more = one("#releases-more"), bar = one(".filter");
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
  return !week ? (THIS ? [THIS] : WEEKS) : week === "all" ? WEEKS : week.split(",").filter((label) => WEEKS.includes(label));
};
// What a row is about, against the filter; only releases say their batch, their counts, and the rest.
const holds = (about, filter) => {
  const { component, name, plan, is, template } = about;
  const q = filter.get("q")?.toLowerCase(), differs = (key) => filter.get(key) && about[key] !== filter.get(key);
  if (q && component !== undefined && ![component, name || ""].some((word) => word.toLowerCase().includes(q))) return false;
  if ((component !== undefined && differs("component")) || (plan !== undefined && differs("plan"))) return false;
  if (is === undefined) return true;
  if (["project", "team", "batch", "rank"].some(differs)) return false;
  return !filter.get("template") || (template || "").split(" ").includes(filter.get("template"));
};
// A release stands in the counts of its own week, and in those of the weeks that `also` names, such as one in which it
// was tried again. One that began outside all weeks has none of its own: messages and ranks of batches are of any week.
const standsIn = ({ week = THIS, also, is }, weeks, filter) => {
  const count = filter.get("is"), has = (bits) => !count || isIn(bits, count);
  if (weeks.includes(week) || (week === "" && (filter.get("template") || filter.get("rank")))) return has(is);
  return !!count && !!also && also.split(" ").map((told) => told.split("=")).some(([other, bits]) => weeks.includes(other) && has(bits));
};
const saying = (filter, key) => {
  const value = filter.get(key);
  if (key === "is") return choice.selectedOptions[0]?.textContent;
  if (key === "week") return value === "all" ? "all weeks" : value.replaceAll(",", ", ");
  return value.length > 24 && key !== "q" ? `${value.slice(0, 12)}…` : value;
};
const digits = (count) => count.toLocaleString("en"), counted = (count) => `${digits(count)} ${count === 1 ? "release" : "releases"}`;
const spanOf = (weeks) => (weeks.length === 1 ? weeks[0] : `${weeks[0]} to ${weeks.at(-1)}`);
const caption = list.caption.firstElementChild, captionOf = caption.textContent;
// What is in no pack, and not in the list either, is told with the way to it: the list of the week.
const tellMissing = (weeks, filter) => {
  missing.hidden = !weeks.length;
  missing.replaceChildren();
  if (!weeks.length) return;
  if (isPacked && !pack) {
    missing.textContent = "This browser is too old to unpack the releases that this file has beside its list; one of 2023 or later can.";
    return;
  }
  missing.append(`Not all in this file. In ${list.dataset.lists} beside it stand all of each week: `);
  for (const week of weeks) {
    const link = document.createElement("a"), asked = new URLSearchParams(filter);
    asked.set("week", week);
    link.href = `${list.dataset.lists}/${week}.html${write("releases", asked)}`;
    link.textContent = week;
    missing.append(link, week === weeks.at(-1) ? ". " : ", ");
  }
  missing.append(`The archive has them, too: reports explain delivery --week ${weeks.at(-1)}`);
};
let turn = 0;
const apply = async (goes) => {
  const { anchor, filter } = parse();
  const mine = ++turn, weeks = weeksOf(filter), active = KEYS.filter((key) => filter.get(key));
  if (text && document.activeElement !== text) text.value = filter.get("q") || filter.get("component") || "";
  choice.value = filter.get("is") || "";
  for (const row of all("tr.packed", list)) row.remove();
  for (const row of all("tbody tr[data-component], tbody tr[data-plan]"))
    row.hidden = !holds(row.dataset, filter) || (row.dataset.is !== undefined && !standsIn(row.dataset, weeks, filter));
  for (const row of all("#table-nights tbody tr[data-week]"))
    row.hidden = (filter.get("week") && !weeks.includes(row.dataset.week)) || (filter.get("project") && filter.get("project") !== row.dataset.project);
  let found = [];
  if (active.length && pack) {
    unpacked ??= readPack();
    const releases = await unpacked;
    if (mine !== turn) return; // another filter has come meanwhile
    found = releases.filter(({ about }) => holds(about, filter) && standsIn(about, weeks, filter));
  }
  const listed = all("tbody tr[data-is]", list), shown = listed.filter((row) => !row.hidden).length, count = shown + found.length;
  for (const row of all("tr.nothing", list)) row.hidden = active.length > 0;
  const isOwn = THIS ? weeks.length === 1 && weeks[0] === THIS : weeks.length === WEEKS.length;
  caption.textContent = isOwn ? captionOf : `Component releases of ${weeks.length > 1 ? `${weeks.length} weeks, ` : ""}${spanOf(weeks)}`;
  const told = active.map((key) => `${NAMES[key]} ${saying(filter, key)}`.trim()).join(", ");
  const total = Number(list.dataset.total), isPart = THIS && listed.length < total && !hasAll(THIS, filter);
  // Without room for any, the file lacks those of other weeks that stand in this week's counts.
  const mayLack = !isPacked && !!filter.get("is");
  const left = isPart ? `, of the ${digits(listed.length)} that this file has` : "";
  const lacking = active.length ? weeks.filter((week) => isLacking(week, filter) && (week !== THIS || isPart || mayLack)) : [];
  const known = lacking.length ? `in this file ${digits(count)}` : digits(count);
  const tell = () => {
    const cut = more.hidden ? "" : `, of which the list shows ${digits(count - found.length)}`;
    said.textContent = !active.length
      ? `${counted(total)}${listed.length < total ? `, of which the list shows ${digits(listed.length)}` : ""}`
      : `${told}: ${known}${isOwn ? ` of ${counted(total)}${left}` : count === 1 ? " release" : " releases"}${cut}`;
  };
  const showMore = () => {
    list.tBodies[0].append(...found.splice(0, MOST_ROWS).map(rowOf));
    more.hidden = found.length === 0;
    more.textContent = `Show ${digits(Math.min(MOST_ROWS, found.length))} more`;
    tell();
  };
  more.onclick = showMore;
  showMore();
  tellMissing(lacking, filter);
  // What is missing is told where the list is seen: in the filter if that stays above it, on a wide screen, else before it.
  const region = list.parentElement, stays = getComputedStyle(bar).position === "sticky";
  if (stays) bar.append(missing); else region.before(missing);
  if (stays) root.style.scrollPaddingTop = `${bar.offsetHeight + 16}px`;
  // A figure leads to the list itself, past the chart of this week's releases, or to the filter where that is beside it.
  const head = stays ? region : bar.nextElementSibling === missing ? bar : missing.hidden ? region : missing;
  const isList = anchor === "releases" && active.length, target = isList ? region : document.getElementById(anchor);
  if (goes && anchor && target) { (isList ? head : target).scrollIntoView(); target.focus({ preventScroll: true }); }
  root.dataset.shows = location.hash; // the browser tells of a new address a moment after it stands
};
const change = (values, anchor = "") => {
  const { filter } = parse();
  for (const [key, value] of Object.entries(values)) filter.set(key, value);
  history.replaceState(null, "", write(anchor, filter));
  apply(false);
};
const open = (query) => { location.hash = write("releases", new URLSearchParams(query)); };
text?.addEventListener("input", () => change({ q: text.value, component: "" }));
choice.addEventListener("change", () => change({ is: choice.value }));
bar.addEventListener("submit", (event) => event.preventDefault());
one("#filter-clear").addEventListener("click", () => { if (text) text.value = ""; history.replaceState(null, "", "#"); apply(false); });
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
