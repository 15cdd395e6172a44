"use strict";
// Hover and arrow keys show values, a click shows one contender alone. Without
// this script the page still has every chart, and every figure in a table.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const tip = document.querySelector(".tip");
  const all = [...document.querySelectorAll("[data-c]")];
  const chips = [...document.querySelectorAll(".chip")];
  const showAll = document.querySelector(".chip.all");
  let only = "";

  const isolate = (who) => {
    only = who === only ? "" : who;
    // Lines that are nobody's, such as the load, stay.
    for (const one of all) {
      one.classList.toggle("off", only !== "" && one.dataset.c !== only && one.dataset.c !== "99");
    }
    for (const chip of chips) chip.setAttribute("aria-pressed", String(only !== "" && chip.dataset.only === only));
    showAll.hidden = only === "";
    showAll.removeAttribute("aria-pressed");
  };
  for (const chip of chips) chip.addEventListener("click", () => isolate(chip.dataset.only));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { hide(); if (only !== "") isolate(only); }
  });

  const digits = (value) => {
    const size = Math.abs(value);
    return value === 0 ? "0" : size < 9.995 ? value.toFixed(2) : size < 99.95 ? value.toFixed(1)
      : Math.round(value).toLocaleString("en-US");
  };
  const show = {
    us: (v) => Math.abs(v) < 999.5 ? `${digits(v)} µs` : Math.abs(v) < 999500 ? `${digits(v / 1e3)} ms` : `${digits(v / 1e6)} s`,
    s: (v) => `${+v.toFixed(1)} s`,
    rate: (v) => `${digits(v)}/s`,
    count: digits,
    share: (v) => `p${+(v * 100).toFixed(v < 0.99 ? 1 : v < 0.9999 ? 3 : 5)}`,
  };
  const place = (axis, value) => {
    const at = axis.kind === "log" ? Math.log(Math.max(value, 1e-9) / axis.low) / Math.log(axis.high / axis.low)
      : axis.kind === "nines" ? Math.log10(Math.max(1 - value, 1e-12)) / Math.log10(1 - axis.high)
      : (value - axis.low) / (axis.high - axis.low);
    return Math.min(1, Math.max(0, at));
  };

  const rows = (title, parts) => {
    const out = [Object.assign(document.createElement("b"), { textContent: title })];
    for (const [tone, name, value] of parts) {
      const row = document.createElement("div");
      const dot = Object.assign(document.createElement("i"), { className: tone ? `dot b-${tone}` : "" });
      const label = Object.assign(document.createElement("span"), { textContent: name });
      const figure = Object.assign(document.createElement("span"), { textContent: value });
      row.append(dot, label, figure);
      out.push(row);
    }
    tip.replaceChildren(...out);
  };
  const put = (x, y) => {
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const left = x + 18 + box.width > innerWidth ? x - 18 - box.width : x + 18;
    tip.style.left = `${Math.max(6, Math.min(left, innerWidth - box.width - 6))}px`;
    tip.style.top = `${Math.max(6, Math.min(y - box.height / 2, innerHeight - box.height - 6))}px`;
  };
  let cursor = null;
  const hide = () => { tip.hidden = true; if (cursor) cursor.remove(); cursor = null; };

  for (const figure of document.querySelectorAll("figure[data-chart]")) {
    const chart = data[figure.dataset.chart];
    const canvas = figure.querySelector(".canvas");
    if (!chart) continue;
    const svg = () => [...canvas.querySelectorAll("svg")].find((one) => one.getClientRects().length) || canvas.querySelector("svg");
    // Places to stop at: those that nobody could tell apart are one.
    const xs = [];
    if (chart.kind === "lines") {
      for (const x of chart.series.flatMap((s) => s.p.map((p) => p[0])).sort((a, b) => a - b)) {
        if (!xs.length || place(chart.x, x) - place(chart.x, xs[xs.length - 1]) > 0.002) xs.push(x);
      }
    }
    let at = -1;

    const lines = (x, clientY) => {
      const drawn = svg();
      const plot = drawn.classList.contains("narrow") ? chart.narrow : chart.wide;
      const box = drawn.getBoundingClientRect();
      const scale = box.width / drawn.viewBox.baseVal.width;
      const u = plot[0] + place(chart.x, x) * (plot[2] - plot[0]);
      if (!cursor || cursor.parentNode !== drawn) {
        if (cursor) cursor.remove();
        cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
        cursor.setAttribute("class", "cursor");
        drawn.append(cursor);
      }
      for (const [name, value] of [["x1", u], ["x2", u], ["y1", plot[1]], ["y2", plot[3]]]) cursor.setAttribute(name, value);
      const parts = [];
      for (const series of chart.series) {
        if (only !== "" && String(series.c) !== only && series.c !== 99) continue;
        let best = null;
        for (const point of series.p) {
          const far = Math.abs(place(chart.x, point[0]) - place(chart.x, x));
          if (far < 0.02 && (!best || far < best[0])) best = [far, point];
        }
        if (best) parts.push([series.t, series.n, show[chart.y.unit](best[1][1]), best[1][1]]);
      }
      parts.sort((a, b) => b[3] - a[3]);
      rows(show[chart.x.unit](x), parts);
      put(box.left + u * scale, clientY ?? box.top + box.height / 2);
    };
    const bars = (bar, x, y) => {
      rows(`${bar.n}: ${bar.total}`, bar.parts.map(([name, value], part) => ["", `${part + 1} ${name}`, value]));
      put(x, y);
    };

    canvas.addEventListener("pointermove", (event) => {
      if (chart.kind === "bars") {
        const group = event.target.closest("g[data-c]");
        const bar = group && chart.bars.find((one) => String(one.c) === group.dataset.c);
        return bar ? bars(bar, event.clientX, event.clientY) : hide();
      }
      const drawn = svg();
      const plot = drawn.classList.contains("narrow") ? chart.narrow : chart.wide;
      const box = drawn.getBoundingClientRect();
      const u = ((event.clientX - box.left) * drawn.viewBox.baseVal.width / box.width - plot[0]) / (plot[2] - plot[0]);
      if (u < -0.02 || u > 1.02 || !xs.length) return hide();
      at = xs.reduce((best, x, index) =>
        Math.abs(place(chart.x, x) - u) < Math.abs(place(chart.x, xs[best]) - u) ? index : best, 0);
      lines(xs[at], event.clientY);
    });
    canvas.addEventListener("pointerleave", hide);
    canvas.addEventListener("blur", hide);
    canvas.addEventListener("click", (event) => {
      const group = event.target.closest("g[data-c]");
      if (group && group.dataset.c !== "99") isolate(group.dataset.c);
    });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
      const count = chart.kind === "bars" ? chart.bars.length : xs.length;
      if (!step || !count) return;
      event.preventDefault();
      const big = event.shiftKey ? 10 : 1;
      at = at < 0 ? (step > 0 ? 0 : count - 1) : Math.min(count - 1, Math.max(0, at + step * big));
      if (chart.kind === "bars") {
        const box = svg().getBoundingClientRect();
        bars(chart.bars[at], box.left + box.width / 2, box.top + box.height * (at + 1) / (count + 1));
      } else {
        lines(xs[at]);
      }
    });
  }
  addEventListener("scroll", hide, { passive: true });
})();
