// Changes the weekly page's colours, and brings its charts to life.
// --- light and dark ---
const button = one("#theme");
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (root.dataset.theme || (systemIsDark.matches ? "dark" : "light")) === "dark";
const nameButton = () => { button.textContent = isDark() ? "Light colours" : "Dark colours"; };
button.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; nameButton(); });
systemIsDark.addEventListener("change", nameButton);
nameButton();

// --- charts ---
const specifications = one("#specifications");
if (!specifications || !window.DecompressionStream) return; // the whole script is a function
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
