// Draws a chart from the table that stands below it, in the colors of the page.
"use strict";

(() => {
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const two = (count) => String(count).padStart(2, "0");
  const clock = (at) => `${two(at.getHours())}:${two(at.getMinutes())}`;
  const month = (at) => `${at.getFullYear()}-${two(at.getMonth() + 1)}`;
  const day = (at) => `${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const moment = (seconds) => {
    const at = new Date(seconds * 1000);
    return `${month(at)}-${two(at.getDate())} ${clock(at)}`;
  };
  const DAY = 86400;

  // Dates as they stand in the tables, as short as the step allows.
  function marks(u, splits, axis, space, step) {
    return splits.map((it) => {
      const at = new Date(it * 1000);
      if (step >= 28 * DAY) return month(at);
      return step >= DAY || clock(at) === "00:00" ? day(at) : clock(at);
    });
  }

  function columns(table) {
    const rows = [...table.tBodies[0].rows];
    const at = rows.map((row) => Date.parse(row.querySelector("time").dateTime) / 1000);
    const of = (index) => rows.map((row) => Number(row.cells[index].textContent));
    return { at, mean: of(1), peak: of(2), denied: of(3) };
  }

  function options(width, seats, most) {
    const [soft, line, used, faint, bad] = ["--soft", "--line", "--used", "--peak", "--denied"].map(style);
    const axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { stroke: line }, font: "12px system-ui, sans-serif" };
    const whole = (u, values) => values.map((it) => (Number.isInteger(it) ? it : ""));
    return {
      width,
      height: width < 500 ? 220 : 280,
      cursor: { points: { size: 6 }, drag: { x: true, y: false } },
      scales: {
        y: { range: (u, low, high) => [0, Math.max(high || 0, seats || 0, 1) * 1.08] },
        denied: { range: () => [0, Math.max(most, 1) * 5] }, // small, at the foot
      },
      axes: [{ ...axis, values: marks, space: 60 }, { ...axis, size: 44, values: whole }],
      series: [
        { label: "from", value: (u, it) => (it == null ? "–" : moment(it)) },
        { label: "most at once", fill: faint, stroke: faint, width: 0, paths: uPlot.paths.bars({ size: [0.86, 60] }), points: { show: false } },
        { label: "on average", stroke: used, width: 2, points: { show: false }, value: (u, it) => (it == null ? "–" : it.toFixed(1)) },
        { label: "seats", stroke: soft, width: 1, dash: [6, 4], points: { show: false }, show: seats !== null },
        { label: "denied or given up", scale: "denied", fill: bad, stroke: bad, width: 0, paths: uPlot.paths.bars({ size: [0.5, 30] }), points: { show: false } },
      ],
    };
  }

  function draw(box) {
    const table = document.getElementById(box.dataset.table);
    if (!table || !window.uPlot) return;
    const { at, mean, peak, denied } = columns(table);
    if (at.length === 0) return;
    const seats = box.dataset.seats === undefined ? null : Number(box.dataset.seats);
    const data = [at, peak, mean, at.map(() => seats), denied];
    const label = box.querySelector("svg")?.getAttribute("aria-label");
    if (label) box.setAttribute("aria-label", label);
    box.setAttribute("role", "img");
    let plot = null;
    const anew = () => {
      if (plot) plot.destroy();
      box.replaceChildren();
      plot = new uPlot(options(box.clientWidth, seats, Math.max(...denied)), data, box);
    };
    anew();
    let width = box.clientWidth;
    new ResizeObserver(() => {
      if (box.clientWidth === width || box.clientWidth === 0) return;
      width = box.clientWidth;
      anew();
    }).observe(box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", anew);
  }

  document.querySelectorAll("[data-table]").forEach(draw);
})();
