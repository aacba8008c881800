//! The page: each figure over what was grown, as inline SVG, and all figures as a table.

use std::fmt::Write as _;

use crate::Figures;

/// Units of a drawing; the page scales it.
const WIDTH: f64 = 380.0;
/// Height of the area with values.
const HEIGHT: f64 = 150.0;
/// Room for the values' labels.
const LEFT: f64 = 58.0;
const TOP: f64 = 12.0;
const RIGHT: f64 = 18.0;
const BOTTOM: f64 = 36.0;

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1d2530;--faint:#5c6773;--line:#d8dde3;--back:#fff;--one:#0b67b2;--two:#b4540a}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ec;--faint:#9aa5b1;--line:#343c46;--back:#14181d;--one:#62b0f0;--two:#f0a35e}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);max-width:1240px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}p,li{max-width:75ch}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(330px,1fr));gap:1rem}
figure{margin:0}figcaption{font-weight:600}figcaption span,.legend{color:var(--faint);font-weight:400;font-size:.85rem}
.legend{display:flex;gap:1.2rem;list-style:none;margin:0;padding:0}.legend .one{color:var(--one)}.legend .two{color:var(--two)}
svg{width:100%;height:auto}.grid{stroke:var(--line);fill:none}.tick{font-size:11px;fill:var(--faint)}
.one path{stroke:var(--one)}.two path{stroke:var(--two);stroke-dasharray:6 4}.series path{fill:none;stroke-width:2}
.one circle{fill:var(--one)}.two circle{fill:var(--two)}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.85rem}
th,td{padding:.25rem .7rem;text-align:right;border-bottom:1px solid var(--line)}th:first-child{text-align:left}
";

/// A drawing: its title, the unit, and one or two figures with what they are called.
type Plot = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// What is grown: its name here, a title, the scale below, an explanation, and what is drawn.
type Part = (&'static str, &'static str, &'static str, &'static str, &'static [Plot]);

const READERS: &[Plot] = &[
    ("Processor time per frame", "µs, all readers together", &[("load_cpu_us_per_frame", "")]),
    (
        "From the venue's write to a reader",
        "µs",
        &[("load_p50_us", "median"), ("load_p99_us", "99th percentile")],
    ),
    ("Memory per reader", "KiB", &[("memory_kib_per_reader", "")]),
];

const PARTS: &[Part] = &[
    (
        "pairs",
        "Pairs in one process",
        "pairs",
        "Depth of a hundred levels a side. The same load is 5,000 frames a second whatever the number of pairs; the load that \
         grows is 5 frames a second for each pair. Half of the frames change a book at ten levels, half are best prices, which \
         one reader of events gets. Idle is a venue that says nothing but pings.",
        &[
            ("Memory of the process", "MiB", &[("memory_mib", "")]),
            ("Memory per pair", "KiB", &[("memory_kib_per_pair", "")]),
            (
                "Processor time per 1,000 frames/s",
                "ms per second",
                &[
                    ("same_load_cpu_us_per_frame", "the same load"),
                    ("grown_load_cpu_us_per_frame", "load grows with pairs"),
                ],
            ),
            ("Processor use while the load grows", "% of one", &[("grown_load_cpu_percent", "")]),
            (
                "From the venue's write to the reader, same load",
                "µs",
                &[("same_load_p50_us", "median"), ("same_load_p99_us", "99th percentile")],
            ),
            (
                "From the venue's write to the reader, load grows",
                "µs",
                &[("grown_load_p50_us", "median"), ("grown_load_p99_us", "99th percentile")],
            ),
            ("Processor time to start", "ms", &[("start_cpu_ms", "")]),
            ("Idle: wake-ups per second", "all threads", &[("idle_wakes_per_s", "")]),
            ("Idle: processor use", "% of one", &[("idle_cpu_percent", "")]),
        ],
    ),
    (
        "book_readers",
        "Readers of one book",
        "readers",
        "Connector::watch_book, 1,000 frames a second, every other one a change of the book: each wakes every reader.",
        READERS,
    ),
    (
        "event_readers",
        "Readers of all events",
        "readers",
        "Connector::events, 1,000 frames a second, every other one a best price: each is an event for every reader.",
        READERS,
    ),
];

/// Writes the page.
pub(crate) fn write(all: &[(String, Vec<Figures>)]) -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Scale</title><style>{STYLE}</style><h1>Scale</h1>\
         <p>Measured over loopback by <code>cargo bench -p benches --bench scale</code>. Each point is a process of its own.</p>"
    );
    for (name, title, scale, text, plots) in PARTS {
        let Some((_, steps)) = all.iter().find(|(known, _)| known == name) else { continue };
        // Writing to memory cannot fail, here and below.
        let _ = write!(page, "<h2>{title}</h2><p>{text}</p><div class=\"plots\">");
        for plot in *plots {
            draw(plot, scale, steps, &mut page);
        }
        page.push_str("</div>");
        table(scale, steps, &mut page);
    }
    page.push_str("</html>\n");
    page
}

/// A round number that is not below.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1e-9).log10().floor());
    [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0]
        .into_iter()
        .map(|step| step * power)
        .find(|step| *step >= value)
        .unwrap_or(value)
}

fn number(value: f64) -> String {
    let digits = if value >= 100.0 || value.fract() == 0.0 { 0 } else { 2 };
    format!("{value:.digits$}")
}

fn draw((title, unit, series): &Plot, scale: &str, steps: &[Figures], page: &mut String) {
    let value = |step: &Figures, name: &str| step.get(name).copied().unwrap_or(0.0);
    let most = |name: &str| steps.iter().map(|step| value(step, name)).fold(0.0, f64::max);
    let top = round_up(series.iter().map(|(name, _)| most(name)).fold(0.0, f64::max));
    let last = most("size").max(1.0);
    let (x, y) = (
        |size: f64| LEFT + (WIDTH - LEFT - RIGHT) * size / last,
        |value: f64| TOP + HEIGHT * (1.0 - value / top),
    );
    let _ = write!(page, "<figure><figcaption>{title} <span>{unit}</span></figcaption><ul class=\"legend\">");
    for ((_, called), class) in
        series.iter().zip(["one", "two"]).filter(|((_, called), _)| !called.is_empty())
    {
        let _ = write!(page, "<li class=\"{class}\">{called}</li>");
    }
    let _ = write!(
        page,
        "</ul><svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{title} by {scale}\">",
        TOP + HEIGHT + BOTTOM
    );
    for part in 0..=2 {
        let mark = top * f64::from(part) / 2.0;
        let _ = write!(
            page,
            "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{}\"/><text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            y(mark) + 4.0,
            number(mark),
            y = y(mark)
        );
    }
    let mut free = 0.0;
    for size in steps.iter().map(|step| value(step, "size")) {
        let at = x(size);
        if at > free {
            let _ = write!(
                page,
                "<text class=\"tick\" x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{size}</text>",
                TOP + HEIGHT + 17.0
            );
            free = at + 28.0;
        }
    }
    let _ = write!(
        page,
        "<text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{scale}</text>",
        f64::midpoint(LEFT, WIDTH - RIGHT),
        TOP + HEIGHT + BOTTOM - 3.0
    );
    for ((name, called), class) in series.iter().zip(["one", "two"]) {
        let points: Vec<_> = steps.iter().map(|step| (value(step, "size"), value(step, name))).collect();
        let line: Vec<_> =
            points.iter().map(|(size, value)| format!("{:.1} {:.1}", x(*size), y(*value))).collect();
        let _ = write!(page, "<g class=\"series {class}\"><path d=\"M{}\"/>", line.join("L"));
        for (size, value) in points {
            let _ = write!(
                page,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\"><title>{size} {scale}: {} {unit} {called}</title></circle>",
                x(size),
                y(value),
                number(value)
            );
        }
        page.push_str("</g>");
    }
    page.push_str("</svg></figure>");
}

fn table(scale: &str, steps: &[Figures], page: &mut String) {
    let _ = write!(
        page,
        "<details><summary>All figures</summary><div class=\"scroll\"><table><tr><th>{scale}</th>"
    );
    for step in steps {
        let _ = write!(page, "<th>{}</th>", step.get("size").copied().unwrap_or(0.0));
    }
    page.push_str("</tr>");
    let names = steps.first().into_iter().flat_map(|step| step.keys()).filter(|name| *name != "size");
    for name in names {
        let _ = write!(page, "<tr><th>{}</th>", name.replace('_', " "));
        for step in steps {
            let _ = write!(page, "<td>{:.2}</td>", step.get(name).copied().unwrap_or(0.0));
        }
        page.push_str("</tr>");
    }
    page.push_str("</table></div></details>");
}
