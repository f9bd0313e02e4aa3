//! Who holds what since when on which host: searched and cut into pages here, never sent whole.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Query, State, rejection::QueryRejection},
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    order::{self, Column, Order},
    page::{Frame, Page},
    problem::Problem,
    words,
};
use crate::{
    admin::protocol::{Answer, Ask, LeaseReport},
    http::{api, failure::Failure, server::Shared},
    limits,
    tokens::Token,
};

/// What to look for.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(super) struct Search {
    /// Exactly this feature.
    feature: String,
    /// A part of the user's name.
    user: String,
    /// A part of the host's or display's name.
    host: String,
    /// In which order.
    sort: Order,
    /// From 1.
    page: usize,
    /// A lease that was just evicted.
    evicted: String,
}

/// What was found.
#[derive(Debug, Default)]
struct Found {
    /// Of one page.
    rows: Vec<LeaseReport>,
    /// In all that was looked through.
    count: usize,
    /// There are leases that were not looked through.
    is_cut: bool,
}

/// `GET /dashboard/leases`
pub(super) async fn page(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Token>,
    search: Result<Query<Search>, QueryRejection>,
) -> Result<Page, Problem> {
    let Query(search) = search?;
    let frame = Frame::gather(&shared, token).await?;
    let mark = frame.mark(&shared, "leases");
    let mut found = find(&shared, &frame, &search).await?;
    found.cut(&search);
    let content = content(&frame, &mark, &search, &found);
    Ok(frame.page("Leases", PATH, &content))
}

/// Asks the core for one piece after the other, so that others are served in between; keeps one page.
async fn find(shared: &Shared, frame: &Frame, search: &Search) -> Result<Found, Failure> {
    let actor = api::actor(&frame.token);
    let mut found = Found::default();
    let mut after = None;
    let mut seen = 0;
    loop {
        let ask = Ask::Leases {
            after,
            count_max: limits::ADMIN_LEASES_PER_PAGE_MAX,
        };
        let piece = match shared.admin.answer(&actor, ask).await {
            Answer::Leases(piece) => piece,
            other => return Err(Failure::of_answer(other)),
        };
        seen += piece.len();
        let is_last = piece.len() < limits::ADMIN_LEASES_PER_PAGE_MAX;
        after = piece.last().map(|lease| lease.id);
        found.take(piece, search);
        if is_last {
            return Ok(found);
        }
        if search.sort.is_usual()
            && search.is_of_all()
            && found.count > search.first() + limits::HTTP_LEASES_PER_PAGE
        {
            found.count = frame.status.leases.max(found.count);
            return Ok(found);
        }
        if seen >= search.searched_max() {
            found.is_cut = true;
            return Ok(found);
        }
    }
}

impl Found {
    fn take(&mut self, piece: Vec<LeaseReport>, search: &Search) {
        let fitting = piece.into_iter().filter(|it| search.fits(it));
        if search.sort.is_usual() {
            let first = search.first();
            for lease in fitting {
                if self.count >= first && self.rows.len() < limits::HTTP_LEASES_PER_PAGE {
                    self.rows.push(lease);
                }
                self.count += 1;
            }
            return;
        }
        let before = self.rows.len();
        self.rows.extend(fitting);
        self.count += self.rows.len() - before;
        search.sort.sort(&mut self.rows);
        // What comes after the page is on it no more, whatever comes.
        let end = search.first().saturating_add(limits::HTTP_LEASES_PER_PAGE);
        self.rows.truncate(end);
    }

    /// Leaves the rows of the page.
    fn cut(&mut self, search: &Search) {
        if !search.sort.is_usual() {
            let first = search.first().min(self.rows.len());
            self.rows.drain(..first);
        }
    }
}

impl Search {
    fn is_of_all(&self) -> bool {
        [&self.feature, &self.user, &self.host]
            .iter()
            .all(|it| it.trim().is_empty())
    }

    fn fits(&self, lease: &LeaseReport) -> bool {
        let has = |text: &str, part: &str| {
            part.is_empty() || text.to_lowercase().contains(&part.to_lowercase())
        };
        let host = self.host.trim();
        let display = lease.display.as_deref().unwrap_or_default();
        (self.feature.is_empty() || lease.feature == self.feature)
            && has(&lease.user, self.user.trim())
            && (has(&lease.host, host) || has(display, host))
    }

    fn searched_max(&self) -> usize {
        if self.sort.is_usual() {
            limits::HTTP_LEASES_SEARCHED_MAX
        } else {
            limits::HTTP_LEASES_SORTED_MAX
        }
    }

    /// The first row of the page, from 0.
    fn first(&self) -> usize {
        (self.page.max(1) - 1).saturating_mul(limits::HTTP_LEASES_PER_PAGE)
    }

    fn path(&self, page: usize) -> String {
        self.path_in(page, self.sort)
    }

    fn path_in(&self, page: usize, sort: Order) -> String {
        let mut path = format!("{PATH}?page={page}");
        for (name, value) in [
            ("&feature=", &self.feature),
            ("&user=", &self.user),
            ("&host=", &self.host),
            ("&sort=", &sort.word()),
        ] {
            if !value.is_empty() {
                path.extend([name, &words::encoded(value)]);
            }
        }
        path
    }
}

fn content(frame: &Frame, mark: &str, search: &Search, found: &Found) -> Markup {
    html! {
        h1 { "Leases" }
        @if !search.evicted.is_empty() {
            p.notice.good role="status" {
                "Lease " code { (words::shown(&search.evicted)) }
                " is taken back: it is not renewed any more, and its seats come free at its end at the latest."
            }
        }
        (form(frame, search))
        p.faint {
            (summary(search, found)) " "
            a.newer data-mark="leases" data-seen=(mark) href=(search.path(search.page.max(1))) { "Show newer ones" }
        }
        @if !found.rows.is_empty() {
            section.card { (table(frame, search, &found.rows)) }
            (pages(search, found.count))
        }
    }
}

fn form(frame: &Frame, search: &Search) -> Markup {
    let mut features: Vec<&str> = frame
        .status
        .pools
        .iter()
        .map(|it| it.feature.as_str())
        .collect();
    features.sort_unstable();
    features.dedup();
    html! {
        form.search method="get" action=(PATH) role="search" {
            div {
                label for="feature" { "Feature" }
                select #feature name="feature" {
                    option value="" { "all" }
                    @for feature in features {
                        option value=(feature) selected[feature == search.feature] { (words::shown(feature)) }
                    }
                }
            }
            div {
                label for="user" { "User" }
                input #user name="user" type="search" value=(words::shown(&search.user)) maxlength="128" autocapitalize="none" spellcheck="false";
            }
            div {
                label for="host" { "Host or display" }
                input #host name="host" type="search" value=(words::shown(&search.host)) maxlength="128" autocapitalize="none" spellcheck="false";
            }
            div {
                label for="sort" { "Order" }
                select #sort name="sort" {
                    @for (order, name) in order::all() {
                        option value=(order.word()) selected[order == search.sort] { (name) }
                    }
                }
            }
            button type="submit" { "Search" }
            @if !search.is_of_all() { a href=(PATH) { "Show all" } }
        }
    }
}

fn summary(search: &Search, found: &Found) -> String {
    let count = found.count;
    if count == 0 {
        let why = if search.is_of_all() { "is out" } else { "fits" };
        return format!("No lease {why}.");
    }
    let (first, last) = (search.first() + 1, search.first() + found.rows.len());
    let shown = match found.rows.len() {
        0 => "There is no such page; ".to_owned(),
        _ => format!("{first} to {last} of "),
    };
    let cut = if found.is_cut {
        let searched = search.searched_max();
        format!(" among the first {searched} leases; usherd leases lists all")
    } else {
        String::new()
    };
    let word = if count == 1 { "lease" } else { "leases" };
    let order = if search.sort.is_usual() {
        ", in the order in which they were granted"
    } else {
        ""
    };
    format!("{shown}{count} {word}{cut}{order}.")
}

fn table(frame: &Frame, search: &Search, rows: &[LeaseReport]) -> Markup {
    let may_evict = frame.may_evict();
    html! {
        table.cards {
            caption.hidden { "Leases: who holds what, since when, on which host" }
            thead { tr {
                @for column in Column::ALL { (heading(column, search)) }
                th scope="col" { "Note" }
                @if may_evict { th scope="col" { span.hidden { "Action" } } }
            } }
            tbody { @for lease in rows { (row(lease, may_evict)) } }
        }
    }
}

/// Leads to the same leases in its order, and from there the other way round.
fn heading(column: Column, search: &Search) -> Markup {
    let path = search.path_in(1, search.sort.next(column));
    html! {
        th.number[column == Column::Seats] scope="col" aria-sort=[search.sort.of(column)] {
            a.order href=(path) { (column.heading()) }
        }
    }
}

fn row(lease: &LeaseReport, may_evict: bool) -> Markup {
    let user = words::shown(&lease.user);
    html! {
        tr {
            th scope="row" { bdi { (user) } }
            td data-label="Host" {
                bdi { (words::shown(&lease.host)) }
                @if let Some(display) = &lease.display { span.faint { " on " bdi { (words::shown(display)) } } }
                @if lease.process > 0 { span.faint { " · process " (lease.process) } }
            }
            td data-label="Feature" { (words::shown(&lease.feature)) (words::environment(lease.environment)) }
            td.number data-label="Seats" {
                (lease.seats)
                @if lease.sharing > 1 { span.faint { " shared by " (lease.sharing) } }
            }
            td data-label="Since" { (words::moment(lease.since)) }
            td data-label="Free in" { "≤\u{a0}" (lease.free_in_ms) }
            td.note data-label="Note" {
                @if let Some(until) = lease.borrowed_until { "borrowed until " (words::moment(until)) " " }
                @if let Some(note) = &lease.note { (words::shown(note)) }
            }
            @if may_evict {
                td.action {
                    a.button.small href=(format!("{PATH}/{}/evict", lease.id)) aria-label=(format!("Evict {user}, lease {}", lease.id)) { "Evict…" }
                }
            }
        }
    }
}

fn pages(search: &Search, count: usize) -> Markup {
    let last = count.div_ceil(limits::HTTP_LEASES_PER_PAGE).max(1);
    let at = search.page.clamp(1, last);
    html! {
        @if last > 1 {
            nav.pages aria-label="Pages of leases" {
                @if at > 1 {
                    a.button.small href=(search.path(1)) { "First" }
                    a.button.small rel="prev" href=(search.path(at - 1)) { "Previous" }
                }
                span { "Page " (at) " of " (last) }
                @if at < last {
                    a.button.small rel="next" href=(search.path(at + 1)) { "Next" }
                    a.button.small href=(search.path(last)) { "Last" }
                }
            }
        }
    }
}

pub(super) const PATH: &str = "/dashboard/leases";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::lease_report;

    #[test]
    fn a_page_of_leases_has_its_bound_however_many_there_are() {
        let lease = lease_report(1);
        let all = vec![lease; 1000];
        let mut found = Found::default();
        let search = Search {
            page: 3,
            ..Search::default()
        };
        for _ in 0..10 {
            found.take(all.clone(), &search);
        }
        assert_eq!(found.count, 10_000);
        assert_eq!(found.rows.len(), limits::HTTP_LEASES_PER_PAGE);
        assert!(summary(&search, &found).starts_with("201 to 300 of 10000 leases"));
    }

    #[test]
    fn a_page_in_another_order_is_cut_out_of_all() {
        let of_host = |number: u32| LeaseReport {
            host: format!("ws{number:05}"),
            ..lease_report(1)
        };
        let search = Search {
            page: 2,
            sort: serde_json::from_value("host".into()).unwrap(),
            ..Search::default()
        };
        let mut found = Found::default();
        // The last come first, a piece at a time.
        for piece in (0..10).rev() {
            found.take(
                (0..1000).map(|it| of_host(piece * 1000 + it)).collect(),
                &search,
            );
            assert!(found.rows.len() <= 2 * limits::HTTP_LEASES_PER_PAGE);
        }
        found.cut(&search);
        assert_eq!(found.count, 10_000);
        let hosts: Vec<_> = found.rows.iter().map(|it| it.host.as_str()).collect();
        assert_eq!(
            (hosts.len(), hosts[0], hosts[99]),
            (100, "ws00100", "ws00199")
        );
        assert!(search.path(3).ends_with("&sort=host"));
        let said = summary(&search, &found);
        assert_eq!(said, "101 to 200 of 10000 leases.");
    }

    #[test]
    fn a_search_keeps_to_its_words() {
        let lease = LeaseReport {
            user: "Anna".to_owned(),
            host: "ws1".to_owned(),
            display: Some("thin-7".to_owned()),
            feature: "acme/solver".to_owned(),
            ..lease_report(1)
        };
        let fits = |feature: &str, user: &str, host: &str| {
            let search = Search {
                feature: feature.to_owned(),
                user: user.to_owned(),
                host: host.to_owned(),
                ..Search::default()
            };
            search.fits(&lease)
        };
        assert!(fits("", "", "") && fits("acme/solver", " ann ", "WS"));
        assert!(fits("", "", "thin"));
        assert!(!fits("acme/solve", "", "") && !fits("", "bert", "") && !fits("", "", "ws2"));
    }
}
