//! The page of a sweep in a real browser: Debian's chromium, without a window and without a network.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use driver::{report, results::Folder};
use serde_json::Value;
use support::{Made, put, sweep};
use tempfile::TempDir;

/// What a test asks the page once it is drawn.
const PROBE: &str = r#"<script>
addEventListener("load", () => {
  const all = (plot, selector) => [...plot.querySelectorAll(selector)];
  const seen = {
    width: document.documentElement.scrollWidth, window: innerWidth,
    paper: getComputedStyle(document.body).backgroundColor, ink: getComputedStyle(document.body).color,
    fetched: performance.getEntriesByType("resource").map((entry) => entry.name),
    title: document.title, text: document.body.innerText,
    plots: Object.fromEntries([...document.querySelectorAll(".plot")].map((plot) => [plot.id, {
      svgs: all(plot, "svg.main-svg").length,
      titles: all(plot, ".xtitle, .ytitle, .y2title, .y3title, .y4title").map((title) => title.textContent),
      marks: all(plot, ".scatterlayer .point, .scatterlayer .js-line, .heatmaplayer image, .barlayer .point").length,
      texts: all(plot, ".heatmap-label").map((label) => label.textContent),
      legend: all(plot, ".legendtext").map((label) => label.textContent),
      ink: all(plot, ".xtitle").map((title) => getComputedStyle(title).fill)[0],
      paper: all(plot, "svg.main-svg").map((svg) => svg.style.background)[0],
      width: plot.getBoundingClientRect().width,
    }])),
  };
  const holder = document.createElement("script");
  holder.type = "application/json";
  holder.id = "seen";
  holder.textContent = JSON.stringify(seen);
  document.body.append(holder);
});
</script>"#;

/// A folder with the report of the results that `fill` puts there.
fn reported(fill: impl FnOnce(&Path)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    report::write(&Folder::read(folder.path()).unwrap()).unwrap();
    folder
}

/// Opens the page in a window of that width; nothing may be written to the console.
fn seen(folder: &TempDir, width: usize, dark: bool) -> Value {
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    let probed = folder.path().join("probed.html");
    fs::write(&probed, page.replace("</body>", &format!("{PROBE}</body>"))).unwrap();
    let profile = tempfile::tempdir().unwrap();
    let scheme = if dark { 0 } else { 1 };
    let output = Command::new("timeout")
        .args([
            "300",
            "chromium",
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ])
        .args([
            "--no-first-run",
            "--disable-background-networking",
            "--host-resolver-rules=MAP * ~NOTFOUND",
        ])
        .args([
            "--enable-logging=stderr",
            "--virtual-time-budget=30000",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--window-size={width},1000"))
        .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
        .arg(format!("file://{}", probed.display()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_ne!(
        output.status.code(),
        Some(127),
        "there is no chromium, which this test needs: `make test` installs it, or apt-get install chromium"
    );
    let console: Vec<_> = said
        .lines()
        .filter(|line| line.contains("CONSOLE"))
        .collect();
    assert!(console.is_empty(), "{console:#?}");
    let document = String::from_utf8_lossy(&output.stdout);
    let answer = document
        .split(r#"<script type="application/json" id="seen">"#)
        .nth(1);
    let answer = answer.and_then(|rest| rest.split("</script>").next());
    serde_json::from_str(answer.unwrap_or_else(|| panic!("the page did not load: {said}"))).unwrap()
}

#[test]
fn dbg_seen() {
    let folder = reported(sweep);
    for (width, dark) in [(1280, false), (1280, true), (400, true)] {
        let mut seen = seen(&folder, width, dark);
        seen["text"] = Value::Null;
        eprintln!("{seen:#}");
    }
    let _ = (Made::new("vgg", 1, 1), put);
}
