// Draws the plots of the usage page, in the theme's colours.
(() => {
  const root = document.querySelector("[data-days]");
  if (!root) return;
  const days = JSON.parse(root.dataset.days);
  const times = days.map((day) => Date.parse(`${day.day}T00:00:00Z`) / 1000);
  const PLOTS = {
    cost: { series: [["Dollars", "cost_usd", "--accent"]], write: (value) => `$${Number(value.toPrecision(3))}` },
    tokens: { series: [["All", "total_tokens", "--accent"], ["From cache", "cached_tokens", "--good"]], write: (value) => new Intl.NumberFormat("en", { notation: "compact" }).format(value) },
    turns: { series: [["Requests", "requests", "--accent"]], write: (value) => new Intl.NumberFormat("en", { notation: "compact" }).format(value) },
    latency: { line: true, series: [["Half of the answers", "first_p50", "--accent"], ["95 of 100", "first_p95", "--warning"]], write: (value) => (value < 1000 ? `${Math.round(value)} ms` : `${Number((value / 1000).toPrecision(3))} s`) },
  };
  let drawn = [];

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const bars = uPlot.paths.bars({ size: [0.7, 42], radius: 0.15 });

  function options(plot, element) {
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
    const edge = 43200; // half a day, so that the first and the last bar are whole
    return {
      width: element.clientWidth - 24,
      height: 220,
      tzDate: (time) => uPlot.tzDate(new Date(time * 1000), "Etc/UTC"),
      cursor: { drag: { x: false, y: false }, points: { show: false } },
      scales: { x: { range: (_, least, most) => [least - edge, most + edge] }, y: { range: (_, least, most) => [0, most * 1.1 || 1] } },
      axes: [
        { ...axis, grid: { show: false }, values: (_, at) => at.map((time) => new Date(time * 1000).toLocaleDateString(undefined, { month: "short", day: "numeric", timeZone: "UTC" })), incrs: [1, 2, 7, 14, 28].map((count) => count * 86400) },
        { ...axis, size: 64, values: (_, at) => at.map(plot.write) },
      ],
      series: [
        { label: "Day", value: (_, time) => (time === null ? "–" : new Date(time * 1000).toISOString().slice(0, 10)) },
        ...plot.series.map(([label, , name]) => ({ label, ...(plot.line ? { stroke: colour(name), width: 2, spanGaps: true, points: { show: true, size: 7, fill: colour(name) } } : { paths: bars, fill: colour(name), width: 0, points: { show: false } }), value: (_, value) => (value === null ? "–" : plot.write(value)) })),
      ],
    };
  }

  function draw() {
    for (const plot of drawn) plot.destroy();
    drawn = [...root.querySelectorAll("[data-plot]")].map((element) => {
      const plot = PLOTS[element.dataset.plot];
      const values = plot.series.map(([, name]) => days.map((day) => day[name]));
      return new uPlot(options(plot, element), [times, ...values], element);
    });
  }

  let waiting = 0;
  const later = () => { clearTimeout(waiting); waiting = setTimeout(draw, 150); };
  addEventListener("resize", later);
  document.addEventListener("console:theme", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
})();
