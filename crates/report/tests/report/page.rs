//! The page of a sweep in a real browser: Debian's chromium, without a window and without a
//! network.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use results::fixture::{SyntheticTrial, put, sweep};

use crate::reported;

/// Script that reports the drawn page to the test, with the second point selected.
const PROBE: &str = r#"<script>
addEventListener("load", async () => {
  for (const chooser of document.querySelectorAll("select")) {
    chooser.selectedIndex = 1;
    chooser.dispatchEvent(new Event("change"));
  }
  await new Promise((drawn) => setTimeout(drawn, 500));
  const texts = (plot, selector) => [...plot.querySelectorAll(selector)].map((element) => element.textContent);
  const style = getComputedStyle(document.body);
  const seen = {
    width: document.documentElement.scrollWidth, window: innerWidth, paper: style.backgroundColor, ink: style.color,
    fetched: performance.getEntriesByType("resource").map((entry) => entry.name), text: document.body.innerText,
    plots: Object.fromEntries([...document.querySelectorAll(".plot")].map((plot) => [plot.id, {
      svgs: plot.querySelectorAll("svg.main-svg").length,
      titles: texts(plot, "[class$=title] text, text[class$=title]"),
      marks: plot.querySelectorAll(".scatterlayer .js-line, .scatterlayer .point, .heatmaplayer image, .barlayer .point").length,
      cells: texts(plot, ".heatmaplayer text"),
      legend: texts(plot, ".legendtext"),
      ink: getComputedStyle(plot.querySelector(".xtitle")).fill,
      paper: plot.querySelector("svg.main-svg").style.background,
      height: plot.getBoundingClientRect().height,
    }])),
  };
  parent.postMessage(JSON.stringify(seen).replaceAll("<", "\\u003c"), "*");
});
</script>"#;

/// Page with a frame, which can be as narrow as a telephone; a window of Chromium cannot.
const FRAME: &str = r#"<!DOCTYPE html><meta name="color-scheme" content="light dark">
<iframe src="probed.html" style="border: 0; height: 900px; width: WIDTHpx"></iframe>
<script type="application/json" id="seen"></script>
<script>addEventListener("message", (event) => { document.getElementById("seen").textContent = event.data; });</script>"#;

/// Runs Chromium on a page for a minute of virtual time; returns the document and the log.
fn chromium(page: &Path, dark: bool) -> Output {
    let profile = tempfile::tempdir().unwrap();
    Command::new("timeout")
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
            "--virtual-time-budget=60000",
            "--dump-dom",
            "--window-size=1400,1000",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!(
            "--blink-settings=preferredColorScheme={}",
            u8::from(!dark)
        ))
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Opens the page in a frame of this width; fails if the page writes to the console.
fn seen(folder: &TempDir, width: usize, dark: bool) -> Value {
    let folder = folder.path();
    let page = fs::read_to_string(folder.join("report.html")).unwrap();
    let probed = page.replace("</body>", &format!("{PROBE}</body>"));
    fs::write(folder.join("probed.html"), probed).unwrap();
    fs::write(
        folder.join("frame.html"),
        FRAME.replace("WIDTH", &width.to_string()),
    )
    .unwrap();
    let output = chromium(&folder.join("frame.html"), dark);
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
    let answer = document.split(r#"id="seen">"#).nth(1).unwrap_or_default();
    let answer = answer.split("</script>").next().unwrap_or_default();
    serde_json::from_str(answer).unwrap_or_else(|_| panic!("the page was not drawn: {said}"))
}

fn texts(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap())
        .collect()
}

/// Plots with the titles of their axes.
const PLOTS: [(&str, &[&str]); 6] = [
    ("throughput-plot", &["maximum batch size", "queries/s"]),
    ("grid-plot", &["maximum batch size"]),
    ("latency-plot", &["offered load, queries/s", "latency, ms"]),
    ("cdf-plot", &["latency, ms", "share of the queries"]),
    ("breakdown-plot", &["mean milliseconds per query"]),
    (
        "resources-plot",
        &["seconds under load", "CPU, cores", "core", "memory, MiB"],
    ),
];

/// Checks that each plot has marks in the page's colours, and that the page fits and fetches
/// nothing.
fn is_drawn(seen: &Value, width: usize) {
    assert_eq!(seen["window"], width);
    assert!(
        seen["width"].as_u64().unwrap() <= width as u64,
        "{} in {width}",
        seen["width"]
    );
    assert_eq!(seen["fetched"], json!([]));
    let plots = seen["plots"].as_object().unwrap();
    assert_eq!(plots.len(), PLOTS.len());
    for (id, titles) in PLOTS {
        let plot = &plots[id];
        assert!(plot["svgs"].as_u64().unwrap() > 0, "{id}: {plot:#}");
        assert!(plot["marks"].as_u64().unwrap() > 0, "{id}: {plot:#}");
        for title in titles {
            assert!(
                texts(&plot["titles"]).contains(title),
                "{id}: {title}: {plot:#}"
            );
        }
        assert_eq!(plot["ink"], seen["ink"], "{id}");
        assert_eq!(plot["paper"], seen["paper"], "{id}");
    }
}

#[test]
fn plots_are_drawn_in_light_and_dark() {
    let folder = reported(sweep);
    let [light, dark] = [false, true].map(|dark| seen(&folder, 1280, dark));
    for seen in [&light, &dark] {
        is_drawn(seen, 1280);
    }
    assert_eq!(
        (&light["paper"], &dark["paper"]),
        (&json!("rgb(255, 255, 255)"), &json!("rgb(20, 24, 29)"))
    );
    let cells = texts(&light["plots"]["grid-plot"]["cells"]);
    for cell in ["9.00", "72.9", "30.3 ?", "57.2 ✕"] {
        assert!(cells.contains(&cell), "{cell}: {cells:?}");
    }
    assert_eq!(cells.len(), 23);
    let legend = texts(&light["plots"]["latency-plot"]["legend"]);
    assert!(legend.contains(&"SLO: 400 ms"), "{legend:?}");
    assert_eq!(legend.len(), 24);
}

#[test]
fn page_fits_a_narrow_window() {
    let folder = reported(sweep);
    let narrow = seen(&folder, 400, true);
    is_drawn(&narrow, 400);
    // The legend adds to the height of the plot.
    let height = &narrow["plots"]["latency-plot"]["height"];
    assert!(height.as_f64().unwrap() > 600.0, "{height}");
}

#[test]
fn resources_are_those_of_the_selected_point() {
    let folder = reported(sweep);
    let seen = seen(&folder, 1280, false);
    // The second fastest point has four replicas, the fastest three.
    let legend = texts(&seen["plots"]["resources-plot"]["legend"]);
    assert!(legend.contains(&"vgg-3"), "{legend:?}");
}

#[test]
fn single_points_with_a_gpu_or_rounds_are_drawn() {
    let one = reported(|folder| {
        let mut made = SyntheticTrial::new("vgg", 1, 2);
        made.gpus = 1;
        put(folder, &made.file(), &made.speed());
    });
    let seen_one = seen(&one, 900, false);
    is_drawn(&seen_one, 900);
    assert!(texts(&seen_one["plots"]["resources-plot"]["titles"]).contains(&"GPU busy"));
    let rounds = reported(|folder| {
        for round in 1..=3 {
            let mut made = SyntheticTrial::new("vgg", 1, 2);
            made.round = round;
            put(folder, &made.file(), &made.speed());
        }
    });
    let seen_rounds = seen(&rounds, 900, false);
    is_drawn(&seen_rounds, 900);
    assert_eq!(
        texts(&seen_rounds["plots"]["throughput-plot"]["legend"]),
        ["1 × 1 CPU"]
    );
}

#[test]
fn page_without_measurements_has_a_table_and_no_plot() {
    let folder = reported(|folder| {
        let made = SyntheticTrial::new("vgg", 8, 1);
        put(
            folder,
            &made.file(),
            &made.not_run("8 replicas need 8 cores"),
        );
    });
    let seen = seen(&folder, 1280, false);
    assert_eq!(seen["plots"], json!({}));
    assert!(
        seen["text"]
            .as_str()
            .unwrap()
            .contains("not run: 8 replicas need 8 cores")
    );
    let text = seen["text"].as_str().unwrap();
    assert!(text.contains("No plot: no point was measured."), "{text}");
}

#[test]
fn names_with_markup_are_shown_as_text() {
    let nasty = "<b onclick=alert(1)>vgg</b>";
    let folder = reported(|folder| {
        for model in [nasty, "svm"] {
            let mut point = SyntheticTrial::new("vgg", 1, 4).speed();
            point["node_configs"][0]["name"] = json!(model);
            put(folder, &format!("results-{}.json", model.len()), &point);
        }
    });
    let seen = seen(&folder, 1280, false);
    is_drawn(&seen, 1280);
    let legend = texts(&seen["plots"]["throughput-plot"]["legend"]);
    assert!(
        legend.contains(&format!("{nasty}, 1 × 1 CPU").as_str()),
        "{legend:?}"
    );
}
