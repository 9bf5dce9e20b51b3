// Sorts the tables that can be sorted, by the head that is pressed.
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
