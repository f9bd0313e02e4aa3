//! A report as one page that needs nothing else: readable when printed, in the dark, and without a network.

use usher_protocol::{
    printable::printable,
    time::{DurationMs, WallMs},
};

use super::{By, Figures, Report, chart};

/// The whole page; `local` writes a moment in RFC 3339 as people here read it.
pub fn html(report: &Report, local: fn(WallMs) -> String) -> String {
    let title = format!(
        "Usage from {} to {}",
        local(report.from.0),
        local(report.to.0)
    );
    let only = report.only.as_ref().map(|it| format!(", {it} alone"));
    let late = report.log_begins_late(local);
    let lead = format!(
        "{} entries of the usage log were read{}; the chain of all of them holds.{}",
        report.entries,
        escaped(&only.unwrap_or_default()),
        late.map(|it| format!(" {it}")).unwrap_or_default()
    );
    [
        format!("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<p>{lead}</p>\n"),
        table(report),
        charts(report, local),
        users(report),
        refusals(report),
        format!("<h2>What the figures mean</h2>\n{MEANING}</body>\n</html>\n"),
    ]
    .concat()
}

/// Names are the clients' own words: nothing in them may become a part of the page.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

fn table(report: &Report) -> String {
    let kind = match report.by {
        By::Feature => "Feature",
        By::User => "User",
        By::Group => "Group",
        By::Host => "Host",
    };
    let heading = |text: &&str| format!("<th scope=\"col\">{text}</th>");
    let headings: String = std::iter::once(&kind)
        .chain(&HEADINGS)
        .map(heading)
        .collect();
    let rows: String = report.rows.iter().map(row).collect();
    format!(
        "<div class=\"wide\"><table>\n<thead><tr>{headings}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n{}",
        if report.rows.is_empty() {
            "<p>Nothing was asked for in this time.</p>\n"
        } else {
            ""
        }
    )
}

fn row(it: &Figures) -> String {
    let seats = |it: Option<u32>| it.map_or_else(|| "–".to_owned(), |it| it.to_string());
    let cells = [
        seats(it.seats),
        it.peak.to_string(),
        format!("{:.1}", it.mean),
        format!("{:.1}", it.hours),
        it.requests.to_string(),
        it.granted.to_string(),
        it.denied.to_string(),
        it.gave_up.to_string(),
        it.refused.to_string(),
        it.waited.to_string(),
        length(it.wait_ms_mean),
        length(it.wait_ms_p95),
        length(it.wait_ms_max),
        seats(it.enough_for_99),
    ];
    let cells: String = cells.iter().flat_map(|it| ["<td>", it, "</td>"]).collect();
    format!(
        "<tr><th scope=\"row\">{}</th>{cells}</tr>\n",
        escaped(&it.name)
    )
}

fn charts(report: &Report, local: fn(WallMs) -> String) -> String {
    let one = |feature: &super::FeatureFigures| {
        format!(
            "<figure><figcaption>{}</figcaption>{}</figure>\n",
            escaped(&feature.figures.name),
            chart::chart(feature, local)
        )
    };
    let all: String = report.features.iter().map(one).collect();
    if all.is_empty() {
        return all;
    }
    format!(
        "<h2>Seats in use over time</h2>\n<p class=\"legend\"><i class=\"peak\"></i> most at once <i class=\"mean\"></i> average <i class=\"seats\"></i> licensed <i class=\"denied\"></i> denied or given up</p>\n{all}"
    )
}

fn users(report: &Report) -> String {
    let most = report.users.first().map_or(0.0, |it| it.hours).max(0.001);
    let one = |it: &super::UserHours| {
        format!(
            "<tr><th scope=\"row\">{}</th><td>{:.1}</td><td class=\"bar\"><svg viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"peak\" width=\"{:.1}\" height=\"10\"/></svg></td></tr>\n",
            escaped(&it.name),
            it.hours,
            100.0 * it.hours / most
        )
    };
    let rows: String = report.users.iter().take(USERS_MAX).map(one).collect();
    if rows.is_empty() {
        return rows;
    }
    let more = report.users.len().saturating_sub(USERS_MAX);
    let more = match more {
        0 => String::new(),
        more => format!("<p>{more} more: <code>usherd report --by user</code></p>\n"),
    };
    format!(
        "<h2>Hours by user</h2>\n<table class=\"users\"><tbody>\n{rows}</tbody></table>\n{more}"
    )
}

fn refusals(report: &Report) -> String {
    let one = |it: &super::RefusalCount| {
        format!(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>\n",
            escaped(&it.feature),
            it.reason,
            it.count
        )
    };
    let rows: String = report.refusals.iter().map(one).collect();
    if rows.is_empty() {
        return rows;
    }
    format!(
        "<h2>Denied and refused</h2>\n<table><thead><tr><th scope=\"col\">Feature</th><th scope=\"col\">Reason</th><th scope=\"col\">Requests</th></tr></thead><tbody>\n{rows}</tbody></table>\n"
    )
}

fn length(length: Option<DurationMs>) -> String {
    length.map_or_else(|| "–".to_owned(), |it| it.to_string())
}

/// The page's length is bounded; the other formats tell all.
const USERS_MAX: usize = 50;

const HEADINGS: [&str; 14] = [
    "Seats",
    "Peak",
    "Mean",
    "Hours",
    "Requests",
    "Granted",
    "Denied",
    "Gave up",
    "Refused",
    "Waited",
    "Wait, mean",
    "Wait, 95 %",
    "Wait, longest",
    "Enough for 99 %",
];

const MEANING: &str = "<dl>
<dt>Seats</dt><dd>of the licenses at the end of the time</dd>
<dt>Peak, mean</dt><dd>seats in use at once: the most, and on average over the whole time</dd>
<dt>Hours</dt><dd>seat-hours</dd>
<dt>Requests</dt><dd>granted, denied and given up; one request counts once, however often it was repeated</dd>
<dt>Denied</dt><dd>for want of seats, and the same user got none on the same host in the ten minutes after</dd>
<dt>Gave up</dt><dd>left the queue without a seat</dd>
<dt>Refused</dt><dd>for another reason, such as a rule of the policy; not a request for a seat</dd>
<dt>Wait</dt><dd>of granted requests that had to wait</dd>
<dt>Enough for 99 %</dt><dd>with so many seats, 99 of 100 requests would have found theirs free at once</dd>
</dl>
";

const STYLE: &str = ":root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --faint: #d0d7de; --peak: #9ec5e8; --mean: #0b5cad; --seats: #6e7781; --denied: #c62828; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --faint: #30363d; --peak: #1f4e79; --mean: #79b8ff; --seats: #8b949e; --denied: #ff7b72; } }
@media print { :root { color-scheme: light; --ink: #000; --paper: #fff; --faint: #bbb; --peak: #bcd; --mean: #036; --seats: #555; --denied: #b00; } body { max-width: none !important; font-size: 9pt; } figure, tr { break-inside: avoid; } .wide { overflow: visible !important; } * { print-color-adjust: exact; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--faint); text-align: right; }
tbody th, thead th:first-child { text-align: left; font-weight: 600; overflow-wrap: anywhere; }
figure { margin: 1rem 0; } figcaption { font-weight: 600; }
figure svg { width: 100%; height: auto; }
svg text { font: 11px system-ui, sans-serif; fill: var(--ink); } svg .number { text-anchor: end; }
svg .grid { stroke: var(--faint); } svg rect.peak { fill: var(--peak); } svg rect.denied { fill: var(--denied); }
svg .mean { fill: none; stroke: var(--mean); stroke-width: 1.5; } svg .seats { stroke: var(--seats); stroke-dasharray: 5 4; }
.users .bar { width: 60%; } .bar svg { width: 100%; height: .8rem; }
.legend i { display: inline-block; width: 1rem; height: .7rem; margin-left: 1rem; } .legend i.peak { background: var(--peak); } .legend i.mean { height: 2px; background: var(--mean); vertical-align: middle; } .legend i.seats { height: 0; border-top: 2px dashed var(--seats); vertical-align: middle; } .legend i.denied { background: var(--denied); }
dt { font-weight: 600; } dd { margin: 0 0 .4rem 1rem; }
";
