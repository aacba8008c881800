//! The report as one self-contained page.

use std::fmt::Write as _;
use std::time::Duration;

use super::escape::escape;
use super::plot::{chart, samples, timeline};
use super::{Detail, Outcome, Report, Row, human};

const STYLE: &str = include_str!("report.css");

/// The report as one HTML document that needs nothing else: no script, no font, no image from elsewhere.
#[must_use]
pub fn html(report: &Report) -> String {
    let mut page = String::new();
    let title = format!("QA of {}", escape(&report.connector));
    // Writing to memory cannot fail.
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{title}</title><style>{STYLE}</style></head><body><main>"
    );
    summary(report, &mut page);
    contents(report, &mut page);
    let longest = report.rows.iter().map(|row| row.duration).max().unwrap_or_default();
    page.push_str("<section class=\"rows\">");
    for row in &report.rows {
        show(row, longest, &mut page);
    }
    page.push_str("</section></main></body></html>\n");
    page
}

fn summary(report: &Report, page: &mut String) {
    let (passed, failed, absent) = (report.passed(), report.failed(), report.not_applicable());
    let verdict = if failed > 0 { "bad" } else { "good" };
    let _ = write!(
        page,
        "<header><p class=\"kicker\">{} · {} · QA checklist</p><h1>{}</h1>\
         <p class=\"verdict {verdict}\">{passed} passed, {failed} failed</p>",
        escape(&report.exchange),
        escape(&report.kind),
        escape(&report.connector)
    );
    let total = report.rows.len().max(1);
    page.push_str(
        "<div class=\"bar\" role=\"img\" aria-label=\"share of rows passed, failed and not applicable\">",
    );
    for (count, class) in [(passed, "pass"), (failed, "fail"), (absent, "na")] {
        if count > 0 {
            let share = count * 10_000 / total;
            let _ =
                write!(page, "<i class=\"{class}\" style=\"width:{}.{:02}%\"></i>", share / 100, share % 100);
        }
    }
    let facts = [
        ("against", escape(&report.target)),
        ("seed", report.seed.to_string()),
        ("rows", report.rows.len().to_string()),
        ("not applicable", absent.to_string()),
        ("took", human(report.duration)),
        ("started", format!("{} UTC", date(report.started_ns))),
    ];
    page.push_str("</div><dl>");
    for (name, value) in facts {
        let _ = write!(page, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    page.push_str("</dl></header>");
}

/// Where the plots are. A browser opens the row that a link leads into.
fn contents(report: &Report, page: &mut String) {
    let drawn = |row: &&Row| row.details.iter().any(|detail| detail.plot().is_some());
    let mut rows = report.rows.iter().filter(drawn).peekable();
    if rows.peek().is_none() {
        return;
    }
    page.push_str("<nav aria-labelledby=\"plots\"><h2 id=\"plots\">To look at</h2><ul>");
    for row in rows {
        let plots =
            row.details.iter().enumerate().filter_map(|(number, detail)| Some((number, detail.plot()?)));
        let plots: Vec<_> = plots.collect();
        let Some((first, (title, _))) = plots.first() else { continue };
        let more = if plots.len() > 1 { format!(" and {} more", plots.len() - 1) } else { String::new() };
        let _ = write!(
            page,
            "<li><a href=\"#{id}-{first}\"><b>{row_title}</b><span>{id} · {title}{more}</span></a></li>",
            id = escape(&row.id),
            row_title = escape(&row.title),
            title = escape(title),
        );
    }
    page.push_str("</ul></nav>");
}

fn show(row: &Row, longest: Duration, page: &mut String) {
    let (class, evidence) = match &row.outcome {
        Outcome::Pass => ("pass", &row.evidence),
        Outcome::Fail => ("fail", &row.evidence),
        Outcome::NotApplicable { reason } => ("na", reason),
    };
    let share = row.duration.as_nanos() * 1_000 / longest.as_nanos().max(1);
    let open = if row.outcome == Outcome::Fail { " open" } else { "" };
    let _ = write!(
        page,
        "<details class=\"row {class}\" id=\"{id}\"{open}><summary><b class=\"mark\">{word}</b>\
         <span class=\"id\">{id}</span><span class=\"what\"><span class=\"title\">{title}</span>\
         <span class=\"evidence\">{evidence}</span></span><span class=\"time\">\
         <svg viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect class=\"track\" width=\"100\" height=\"6\" rx=\"3\"/>\
         <rect class=\"spent\" width=\"{}.{}\" height=\"6\" rx=\"3\"/></svg><span>{}</span></span></summary>",
        share / 10,
        share % 10,
        human(row.duration),
        id = escape(&row.id),
        word = row.outcome.word(),
        title = escape(&row.title),
        evidence = escape(evidence),
    );
    page.push_str("<div class=\"details\">");
    if row.details.is_empty() {
        let _ = write!(page, "<p>{}</p>", escape(evidence));
    }
    for (number, detail) in row.details.iter().enumerate() {
        let _ = write!(page, "<div class=\"detail\" id=\"{}-{number}\">", escape(&row.id));
        match detail {
            Detail::Note { text } => {
                let _ = write!(page, "<p>{}</p>", escape(text));
            }
            Detail::Table { title, head, rows } => table(title, head, rows, page),
            Detail::Samples { title, nanos } => samples(title, nanos, page),
            Detail::Chart(shown) => chart(shown, page),
            Detail::Timeline(shown) => timeline(shown, page),
        }
        page.push_str("</div>");
    }
    page.push_str("</div></details>");
}

fn table(title: &str, head: &[String], rows: &[Vec<String>], page: &mut String) {
    let _ =
        write!(page, "<figure class=\"scroll\"><figcaption>{}</figcaption><table><thead><tr>", escape(title));
    for cell in head {
        let _ = write!(page, "<th>{}</th>", escape(cell));
    }
    page.push_str("</tr></thead><tbody>");
    for row in rows {
        page.push_str("<tr>");
        for cell in row {
            let _ = write!(page, "<td>{}</td>", escape(cell));
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table></figure>");
}

/// `YYYY-MM-DD hh:mm:ss` of a time since the Unix epoch, by the proleptic Gregorian calendar.
fn date(nanos: i64) -> String {
    let seconds = nanos.div_euclid(1_000_000_000);
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years counted from March make the leap day the last of its year.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", rest / 3_600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_868_800, "2000-03-01 00:00:00"),
            (1_709_210_096, "2024-02-29 12:34:56"),
            (-1, "1969-12-31 23:59:59"),
        ] {
            assert_eq!(date(seconds * 1_000_000_000), text);
        }
    }

    #[test]
    fn page_is_whole_and_safe() {
        let page = html(&super::super::tests::example());
        assert!(page.contains("Toy &lt;Exchange&gt;") && !page.contains("<Exchange>"), "escaped");
        assert!(!page.contains("http"), "self-contained");
        assert!(!page.contains("<script"), "no script");
        assert_eq!(page.matches("<details").count(), page.matches("</details>").count());
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    }
}
