//! What was used, waited for and denied: the figures of `usherd report`, with a chart and a heat map.
//!
//! A script draws the chart from the table below it; without one there is a drawing of the same.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Query, State, rejection::QueryRejection},
    response::{IntoResponse as _, Response},
};
use maud::{Markup, PreEscaped, html};
use serde::Deserialize;
use usher_client::clock::local_rfc3339;

use super::{
    assets, heat,
    history::{PERIODS, Past, Told, USERS_MAX},
    page::Frame,
    problem::Problem,
    words,
};
use crate::{
    http::server::Shared,
    journal::StorePaths,
    report::{FeatureFigures, Figures, Report, chart},
    tokens::Token,
};

/// Of what and when.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wish {
    period: String,
    feature: String,
}

/// `GET /dashboard/usage`
pub(super) async fn page(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Token>,
    wish: Result<Query<Wish>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(wish) = wish?;
    let frame = Frame::gather(&shared, token).await?;
    let log = StorePaths::new(&shared.state_dir).usage;
    let head = shared.admin.log.head();
    let content = match shared.dashboard.history.tell(log, head).await {
        Told::Past(past) => content(&past, &wish),
        Told::Failed(why) => failed(&why),
        Told::Reading(read, all) => {
            let page = frame.page("Usage", PATH, &reading(read, all));
            // Comes again by itself, also without scripts.
            return Ok(([("refresh", "3")], page).into_response());
        }
    };
    Ok(frame.page("Usage", PATH, &content).into_response())
}

fn reading(read: u64, all: u64) -> Markup {
    html! {
        h1 { "Usage" }
        section.card.narrow {
            h2 { "The usage log is being read" }
            p { progress value=(read) max=(all.max(1)) aria-label="Entries read" {} }
            p { (read) " of " (all) " entries. This page comes again by itself." }
        }
    }
}

fn failed(why: &str) -> Markup {
    html! {
        h1 { "Usage" }
        p.notice.bad role="alert" { strong { "The usage log cannot be read. " } (words::shown(why)) }
    }
}

fn content(past: &Past, wish: &Wish) -> Markup {
    let index = PERIODS.iter().position(|it| it.word == wish.period);
    let index = index.unwrap_or(1);
    let word = PERIODS[index].word;
    let Some(report) = past.reports.get(index) else {
        return html! {};
    };
    let chosen = chosen(report, &wish.feature);
    html! {
        h1 { "Usage" }
        (choice(report, word, chosen))
        @match chosen {
            Some(feature) => {
                section.card { (charted(feature, word)) }
                (heat_map(past, &feature.figures))
            }
            None => section.card { p { "Nothing was asked for in the last " (word) "." } }
        }
        @if !report.rows.is_empty() { section.card { (features(report, word)) } }
        div.columns {
            @if !report.users.is_empty() { section.card { (users(report)) } }
            @if !report.refusals.is_empty() { section.card { (refusals(report)) } }
        }
        p.faint {
            "Until " (words::moment(past.at)) "; " (report.entries) " entries of the usage log were read, and the chain of all of them holds. "
            "What the figures mean, other times and formats: " code { "usherd report" } "."
        }
        link rel="stylesheet" href=(assets::path("uplot.css"));
        script src=(assets::path("uplot.js")) defer {}
        script src=(assets::path("charts.js")) defer {}
    }
}

/// The one that was asked for, else the busiest.
fn chosen<'a>(report: &'a Report, wish: &str) -> Option<&'a FeatureFigures> {
    let features = report.features.iter();
    let busiest = || {
        let hours = |it: &&FeatureFigures| it.figures.hours;
        features
            .clone()
            .max_by(|a, b| hours(a).total_cmp(&hours(b)))
    };
    let named = features.clone().find(|it| it.figures.name == wish);
    named.or_else(busiest)
}

fn choice(report: &Report, word: &str, chosen: Option<&FeatureFigures>) -> Markup {
    let name = chosen.map_or("", |it| it.figures.name.as_str());
    html! {
        div.choice {
            nav.periods aria-label="Time" {
                @for period in PERIODS {
                    a href=(path(period.word, name)) aria-current=[(period.word == word).then_some("true")] { (period.word) }
                }
            }
            @if report.features.len() > 1 {
                form.search method="get" action=(PATH) {
                    input type="hidden" name="period" value=(word);
                    div {
                        label for="feature" { "Feature" }
                        select #feature name="feature" {
                            @for it in &report.features {
                                option value=(it.figures.name) selected[it.figures.name == name] { (words::shown(&it.figures.name)) }
                            }
                        }
                    }
                    button type="submit" { "Show" }
                }
            }
        }
    }
}

fn charted(feature: &FeatureFigures, word: &str) -> Markup {
    let figures = &feature.figures;
    let drawn = chart::chart(feature, local_rfc3339);
    let seats = figures.seats.map(|it| it.to_string());
    html! {
        figure {
            figcaption { h2 { (words::shown(&figures.name)) span.faint { " · the last " (word) } } }
            dl.row {
                @for (name, value) in told(figures) { div { dt { (name) } dd { (value) } } }
            }
            div.chart data-table="slices" data-seats=[seats] { (PreEscaped(drawn)) }
        }
        details {
            summary { "The chart as a table" }
            table #slices {
                caption.hidden { "Seats in use over time" }
                thead { tr {
                    th scope="col" { "From" }
                    th.number scope="col" { "On average" }
                    th.number scope="col" { "Most at once" }
                    th.number scope="col" { "Denied or given up" }
                } }
                tbody { @for slice in &feature.slices { tr {
                    th scope="row" { (words::moment(slice.at.0)) }
                    td.number { (format!("{:.2}", slice.mean)) }
                    td.number { (slice.peak) }
                    td.number { (slice.denied) }
                } } }
            }
        }
    }
}

fn told(it: &Figures) -> [(&'static str, String); 7] {
    let optional = |it: Option<u32>| it.map_or_else(|| "–".to_owned(), |it| it.to_string());
    let wait = it.wait_ms_p95.map(|it| it.to_string());
    [
        ("Seats", optional(it.seats)),
        ("Most at once", it.peak.to_string()),
        ("On average", format!("{:.1}", it.mean)),
        ("Requests", it.requests.to_string()),
        ("Denied or given up", (it.denied + it.gave_up).to_string()),
        ("Wait, 95 %", wait.unwrap_or_else(|| "–".to_owned())),
        ("Enough for 99 %", optional(it.enough_for_99)),
    ]
}

fn features(report: &Report, word: &str) -> Markup {
    html! {
        h2 { "All features" }
        table.cards {
            caption.hidden { "Use of all features" }
            thead { tr {
                th scope="col" { "Feature" }
                @for name in ["Seats", "Most at once", "On average", "Requests", "Denied or given up", "Wait, 95 %", "Enough for 99 %"] {
                    th.number scope="col" { (name) }
                }
            } }
            tbody { @for it in &report.rows { tr {
                th scope="row" { a href=(path(word, &it.name)) { (words::shown(&it.name)) } }
                @for (name, value) in told(it) { td.number data-label=(name) { (value) } }
            } } }
        }
    }
}

fn users(report: &Report) -> Markup {
    let most = report.users.first().map_or(0.0, |it| it.hours).max(0.001);
    html! {
        h2 { "Hours by user" }
        table {
            caption.hidden { "Seat-hours of each user, all features together" }
            thead { tr { th scope="col" { "User" } th.number scope="col" { "Hours" } th scope="col" { span.hidden { "Share" } } } }
            tbody { @for it in &report.users { tr {
                th scope="row" { bdi { (words::shown(&it.name)) } }
                td.number { (format!("{:.1}", it.hours)) }
                td.bar { svg.bar viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" {
                    rect.used width=(format!("{:.1}", 100.0 * it.hours / most)) height="8" {}
                } }
            } } }
        }
        @if report.users.len() == USERS_MAX { p.faint { "At most " (USERS_MAX) "; all: " code { "usherd report --by user" } "." } }
    }
}

fn refusals(report: &Report) -> Markup {
    html! {
        h2 { "Denied and refused" }
        table {
            caption.hidden { "Denials and refusals by their reason" }
            thead { tr { th scope="col" { "Feature" } th scope="col" { "Refusal" } th.number scope="col" { "Requests" } } }
            tbody { @for it in &report.refusals { tr {
                th scope="row" { (words::shown(&it.feature)) }
                td { code { (it.reason) } }
                td.number { (it.count) }
            } } }
        }
    }
}

/// Shades from none to the most; each cell has its figure for who listens or points at it.
fn heat_map(past: &Past, figures: &Figures) -> Markup {
    let Some(week) = past.heat.week(&figures.name) else {
        return html! {};
    };
    let most = week.iter().flatten().copied().fold(0.0, f64::max);
    let busiest = (0..heat::WEEK)
        .rev()
        .filter(|it| week[*it].is_some_and(|mean| mean > 0.0));
    let busiest = busiest.max_by(|a, b| week[*a].total_cmp_or_none(&week[*b]));
    html! {
        section.card {
            h2 { "By hour of the week" span.faint { " · the last four weeks" } }
            table.heat {
                caption.hidden { "Seats in use on average, by day and hour" }
                thead { tr {
                    th scope="col" { span.hidden { "Day" } }
                    @for hour in 0..24 { th scope="col" { (hour) } }
                } }
                tbody { @for (day, name) in DAYS.iter().enumerate() { tr {
                    th scope="row" { (name) }
                    @for hour in 0..24 { (cell(week[day * 24 + hour], most, &when(day * 24 + hour))) }
                } } }
            }
            @if let Some(hour) = busiest {
                p.faint { "Busiest: " (when(hour)) ", " (format!("{most:.1}")) " seats on average. Hours are of the server's time zone." }
            }
        }
    }
}

fn cell(mean: Option<f64>, most: f64, when: &str) -> Markup {
    let Some(mean) = mean else {
        return html! { td title=(format!("{when}: not known")) { span.hidden { "–" } } };
    };
    let levels =
        (1..=10_u8).filter(|level| mean > 0.0 && 10.0 * mean / most > f64::from(level - 1));
    html! { td class=(format!("h{}", levels.count())) title=(format!("{when}: {mean:.1}")) { span.hidden { (format!("{mean:.1}")) } } }
}

fn when(hour: usize) -> String {
    format!("{} {}–{}", DAYS[hour / 24], hour % 24, hour % 24 + 1)
}

fn path(period: &str, feature: &str) -> String {
    format!("{PATH}?period={period}&feature={}", words::encoded(feature))
}

/// Figures that may be unknown, in order.
trait TotalOrNone {
    fn total_cmp_or_none(&self, other: &Self) -> std::cmp::Ordering;
}

impl TotalOrNone for Option<f64> {
    fn total_cmp_or_none(&self, other: &Self) -> std::cmp::Ordering {
        self.unwrap_or(-1.0).total_cmp(&other.unwrap_or(-1.0))
    }
}

const PATH: &str = "/dashboard/usage";
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

#[cfg(test)]
mod tests {
    use usher_protocol::time::{DurationMs, WallMs};

    use super::{super::heat::Heat, *};
    use crate::report::{By, Moment, RefusalCount, Slice, UserHours};

    const BEGIN: u64 = 1_793_577_600_000;

    /// A busy feature and a quiet one, over slices of this length.
    fn report(count: u32, slice_ms: u64) -> Report {
        let minutes = u32::try_from(slice_ms / 60_000).unwrap();
        let features = [("acme/solver", 40), ("acme/<b>mesher</b>", 4)];
        let features = features.into_iter().map(|(name, seats)| {
            let slices = (0..count).map(|index| {
                let hours = index * minutes / 60;
                let is_work = (8..20).contains(&(hours % 24)) && hours / 24 % 7 < 5;
                let percent = if is_work { 55 + hours % 4 * 10 } else { 6 };
                Slice {
                    at: Moment(WallMs(BEGIN + u64::from(index) * slice_ms)),
                    mean: f64::from(seats * percent) / 120.0,
                    peak: seats * percent / 100 + 1,
                    denied: u64::from(percent > 80) * 2,
                }
            });
            let figures = Figures {
                name: name.to_owned(),
                seats: Some(seats),
                requests: 900,
                granted: 890,
                peak: seats,
                mean: f64::from(seats) * 0.4,
                hours: f64::from(seats) * 60.0,
                denied: 8,
                gave_up: 2,
                refused: 1,
                got_later: 0,
                waited: 4,
                wait_ms_mean: Some(DurationMs::minutes(2)),
                wait_ms_p95: Some(DurationMs::minutes(4)),
                wait_ms_max: Some(DurationMs::minutes(5)),
                enough_for_99: Some(seats + 2),
            };
            let slices = slices.collect();
            FeatureFigures { figures, slices }
        });
        let features: Vec<_> = features.collect();
        let user = |name: &str, hours| UserHours {
            name: name.to_owned(),
            hours,
        };
        Report {
            from: Moment(WallMs(BEGIN)),
            to: Moment(WallMs(BEGIN + u64::from(count) * slice_ms)),
            by: By::Feature,
            only: None,
            entries: 48_211,
            first_entry: 1,
            log_begins: None,
            rows: features.iter().map(|it| it.figures.clone()).collect(),
            features,
            users: vec![user("anna", 412.5), user("<script>x</script>", 200.0)],
            refusals: vec![RefusalCount {
                feature: "acme/solver".to_owned(),
                reason: "no-seat",
                count: 8,
            }],
        }
    }

    fn past() -> Past {
        let hour = 3_600_000;
        Past {
            at: WallMs(BEGIN),
            reports: [
                (96, hour / 4),
                (84, 2 * hour),
                (120, 6 * hour),
                (53, 168 * hour),
            ]
            .map(|(count, length)| report(count, length))
            .into(),
            heat: Heat::of(&report(672, hour), WallMs(BEGIN)),
        }
    }

    #[test]
    fn the_chart_is_in_the_table_below_it_and_the_busiest_feature_comes_first() {
        let page = content(&past(), &Wish::default()).into_string();
        assert!(page.contains("data-table=\"slices\" data-seats=\"40\""));
        assert_eq!(page.matches("<tr><th scope=\"row\"><time").count(), 84);
        assert!(page.contains("aria-current=\"true\">week</a>"));
        assert!(page.contains("Busiest: "));
        assert_eq!(page.matches("<td class=\"h").count(), heat::WEEK);
    }

    #[test]
    fn another_feature_and_time_are_shown_on_request_and_names_are_text() {
        let wish = Wish {
            period: "day".to_owned(),
            feature: "acme/<b>mesher</b>".to_owned(),
        };
        let page = content(&past(), &wish).into_string();
        assert!(page.contains("data-seats=\"4\""));
        assert!(page.contains("aria-current=\"true\">day</a>"));
        assert!(
            !page.contains("<b>") && !page.contains("<script>x"),
            "{page}"
        );
        let nothing = Wish {
            period: "<i>".to_owned(),
            feature: "no/such".to_owned(),
        };
        assert!(
            content(&past(), &nothing)
                .into_string()
                .contains("data-seats=\"40\"")
        );
    }
}
