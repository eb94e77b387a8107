// Draws the plots of the page in its colours, which follow the reader's choice of light or dark.
"use strict";
const root = document.documentElement;
const plots = [...document.querySelectorAll(".plot")];

function theme() {
  const style = getComputedStyle(root);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = {
    gridcolor: colour("--rule"), linecolor: colour("--rule"), zerolinecolor: colour("--rule"), tickcolor: colour("--rule"),
  };
  return {
    layout: {
      paper_bgcolor: colour("--paper"), plot_bgcolor: colour("--paper"),
      font: { color: colour("--ink"), family: getComputedStyle(document.body).fontFamily, size: 12 },
      hoverlabel: { bgcolor: colour("--panel"), bordercolor: colour("--rule"), font: { color: colour("--ink") }, align: "left" },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("--faint"), activecolor: colour("--ink") },
      legend: { bgcolor: "rgba(0,0,0,0)", itemwidth: 30, font: { size: innerWidth < 600 ? 10 : 12 } },
      xaxis: axis, yaxis: axis,
    },
  };
}

// Draws the chosen figure of a plot; the page holds each as JSON.
function draw(plot) {
  const chooser = document.querySelector(`select[data-for="${plot.id}"]`);
  const index = chooser ? chooser.selectedIndex : 0;
  const figure = JSON.parse(document.querySelectorAll(`script[data-for="${plot.id}"]`)[index].textContent);
  figure.layout.template = theme();
  plot.dataset.height = figure.layout.height;
  return Plotly.react(plot, figure.data, figure.layout, figure.config);
}

// Adds the height of the legend to the plot, so that a narrow window does not shrink the plot.
function fit(plot) {
  const legend = plot.querySelector("g.legend");
  const height = Number(plot.dataset.height) + Math.ceil(legend ? legend.getBBox().height : 0);
  if (Math.abs(plot.layout.height - height) > 2) Plotly.relayout(plot, { height });
}

function restyle() {
  for (const plot of plots) Plotly.relayout(plot, { template: theme() });
}

// A printed page is light, as wide as the paper, and has its reasons unfolded.
function paper(on) {
  root.toggleAttribute("data-print", on);
  for (const fold of document.querySelectorAll("details")) {
    if (on) fold.dataset.open = fold.open;
    fold.open = on || fold.dataset.open === "true";
  }
  for (const plot of plots) {
    const width = on ? { width: 680 } : { width: null, autosize: true };
    Plotly.relayout(plot, { template: theme(), ...width });
  }
}

for (const plot of plots) {
  draw(plot);
  plot.on("plotly_afterplot", () => fit(plot));
  fit(plot);
}
for (const chooser of document.querySelectorAll("select[data-for]")) {
  chooser.addEventListener("change", () => draw(document.getElementById(chooser.dataset.for)));
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", restyle);
addEventListener("beforeprint", () => paper(true));
addEventListener("afterprint", () => paper(false));
