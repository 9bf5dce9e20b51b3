// Unpacks the releases that the page holds beside its list; reports/packing.py packs them.
const list = one("#table-releases");
const THIS = list.dataset.week, WEEKS = list.dataset.weeks.split(" ");
const COUNTS = list.dataset.counts.split(" "), TELLING = list.dataset.telling.split(" ");
const MOST_ROWS = 500;
// Weeks with releases: where the file has not all of a week, a list beside it has.
const LISTED = (list.dataset.listed || "").split(" ");
const isPacked = one("#pack").textContent !== "", pack = isPacked && window.DecompressionStream ? one("#pack") : null;
const WHOLE = pack ? pack.dataset.whole.split(" ") : [], PART = pack ? pack.dataset.part.split(" ") : [];
const unzip = (packed) => {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
};
const minute = (count) => new Date(count * 60000).toISOString().slice(0, 16).replace("T", " ");
// A line of JSON says what the bytes after it are.
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
    const release = { about: {}, cells: [], start: (start += later(row) ?? 0) };
    for (const { keys, words, place } of groups)
      words.forEach((column, number) => {
        for (const key of keys[number]) (typeof key === "number" ? release.cells : release.about)[key] = column[place(row)];
      });
    release.cells[told.cells[0]] = later(row) === null ? "–" : minute(start);
    release.cells[told.cells[1]] = lasts(row) === null ? "–" : minute(start + lasts(row));
    return release;
  }).sort((one, other) => (list.dataset.newest ? other.start - one.start : one.start - other.start));
};
let unpacked;
// Of some weeks the page has only what did not simply succeed.
const hasAll = (week, filter) => WHOLE.includes(week) || (PART.includes(week) && (TELLING.includes(filter.get("is")) || !!filter.get("template")));
const isLacking = (week, filter) => LISTED.includes(week) && !hasAll(week, filter);
const isIn = (bits, count) => (Number(bits) >> COUNTS.indexOf(count)) % 2 === 1;
const rowOf = ({ about, cells }) => {
  const row = document.createElement("tr");
  row.className = "packed";
  cells.forEach((text, number) => {
    const cell = document.createElement(number ? "td" : "th");
    if (!number) cell.scope = "row";
    cell.className = list.tHead.rows[0].cells[number].className;
    cell.textContent = text + (!number && list.dataset.star && isIn(about.is, "inferred") ? " *" : ""); // text, never markup
    row.append(cell);
  });
  return row;
};
