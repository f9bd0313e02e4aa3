//! Keeps what is to be told until it is delivered: one private file, replaced as a whole and durably at each change, so
//! that an event and the memory of having found it are there together or not at all. Outside the store: it is nobody's state.
//!
//! Order is kept for each endpoint. Bounded in number and age; what is dropped is counted and logged.

use std::{
    collections::VecDeque,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use usher_client::{
    clock::{Clock, WallMs},
    paths::files,
};

use super::{
    detect::Remembered,
    event::{Event, Kind},
};
use crate::{admin::protocol::AlertReport, config::AlertConfig, limits};

/// The outbox. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct SharedOutbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// One change at a time, from reading to the disk.
    changing: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    /// Who is told, each at the place of its box.
    endpoints: Vec<AlertConfig>,
    /// Rung for the one at the same place.
    news: Vec<Arc<Notify>>,
    /// Of the last attempt, for each endpoint.
    problems: Vec<Option<String>>,
    /// Why the file is not as it should be.
    unwritten: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    remembered: Remembered,
    boxes: Vec<Waiting>,
}

/// What waits for one endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Waiting {
    url: String,
    events: VecDeque<Event>,
    delivered: u64,
    dropped: u64,
    last_delivered: Option<WallMs>,
}

impl SharedOutbox {
    /// What an earlier life left, for those endpoints that are still told. A file that cannot be read is moved aside: alerts
    /// keep no daemon from starting.
    pub(super) fn open(state_dir: &Path, endpoints: &[AlertConfig]) -> Self {
        let path = state_dir.join(FILE);
        let mut file = read(&path).unwrap_or_else(|problem| {
            let aside = path.with_extension("unreadable");
            tracing::error!(
                event = "alerts-lost",
                "{}: {problem}; alerts start anew, it is kept as {}",
                path.display(),
                aside.display()
            );
            let _ = fs::rename(&path, &aside);
            File::new()
        });
        file.keep(endpoints);
        Self(Arc::new(Inner {
            path,
            changing: tokio::sync::Mutex::default(),
            state: Mutex::new(State {
                file,
                endpoints: endpoints.to_vec(),
                news: endpoints.iter().map(|_| Arc::default()).collect(),
                problems: vec![None; endpoints.len()],
                unwritten: None,
            }),
        }))
    }

    /// From now on these are told. What waits for one of them stays; what waits for others goes. Nobody may wait in
    /// [`Self::next`] meanwhile: places change.
    pub(super) async fn tell_others(&self, endpoints: &[AlertConfig]) {
        let (new, kept) = (endpoints.to_vec(), endpoints.to_vec());
        let enter = move |state: &mut State| {
            state.news = new.iter().map(|_| Arc::default()).collect();
            state.problems = vec![None; new.len()];
            state.endpoints = new;
        };
        self.change_with(move |file, _| file.keep(&kept), enter)
            .await;
    }

    /// What was told so far.
    pub(super) fn remembered(&self) -> Remembered {
        self.state().file.remembered.clone()
    }

    /// Takes events in, with what is remembered from now on; durable when it returns, or said why not.
    pub(super) async fn put(&self, events: Vec<Event>, remembered: Option<Remembered>) {
        self.change(move |file, endpoints| {
            for (waiting, endpoint) in file.boxes.iter_mut().zip(endpoints) {
                let wanted =
                    |it: &&Event| it.kind == Kind::Test || endpoint.events.contains(&it.kind);
                waiting.events.extend(events.iter().filter(wanted).cloned());
                let over = waiting
                    .events
                    .len()
                    .saturating_sub(limits::ALERT_WAITING_MAX);
                waiting.drop_oldest(over, "too many wait");
            }
            if let Some(remembered) = remembered {
                file.remembered = remembered;
            }
        })
        .await;
        self.state().news.iter().for_each(|it| it.notify_one());
    }

    /// The next event for the endpoint at `place`, once there is one.
    pub(super) async fn next(&self, place: usize) -> Event {
        loop {
            self.drop_aged(place).await;
            let (next, news) = {
                let state = self.state();
                let next = state.file.boxes[place].events.front().cloned();
                (next, Arc::clone(&state.news[place]))
            };
            if let Some(event) = next {
                return event;
            }
            news.notified().await;
        }
    }

    /// The endpoint at `place` has taken the event.
    pub(super) async fn delivered(&self, place: usize, event: &Event) {
        self.state().problems[place] = None;
        let (now, id) = (Clock::new().now().wall, event.id.clone());
        self.change_box(place, move |waiting| {
            waiting.events.retain(|it| it.id != id);
            waiting.delivered += 1;
            waiting.last_delivered = Some(now);
        })
        .await;
    }

    /// It has not, and why.
    pub(super) fn failed(&self, place: usize, problem: String) {
        self.state().problems[place] = Some(problem);
    }

    /// How each endpoint is.
    pub(super) fn reports(&self) -> Vec<AlertReport> {
        let state = self.state();
        let boxes = state.file.boxes.iter().zip(&state.endpoints);
        let all = boxes
            .zip(&state.problems)
            .map(|((waiting, endpoint), problem)| AlertReport {
                url: endpoint.url.to_string(),
                events: endpoint.events.clone(),
                waiting: waiting.events.len(),
                oldest_waiting: waiting.events.front().map(|it| it.at),
                delivered: waiting.delivered,
                dropped: waiting.dropped,
                last_delivered: waiting.last_delivered,
                last_error: problem.clone().or_else(|| state.unwritten.clone()),
            });
        all.collect()
    }

    async fn drop_aged(&self, place: usize) {
        let now = Clock::new().now().wall;
        let aged = |it: &Event| now > it.at.plus(limits::ALERT_AGE_MS_MAX);
        let count = {
            let state = self.state();
            let events = state.file.boxes[place].events.iter();
            events.take_while(|it| aged(it)).count()
        };
        if count > 0 {
            self.change_box(place, move |it| it.drop_oldest(count, "they are too old"))
                .await;
        }
    }

    /// By its URL: when its turn comes, places may have changed, and who is told no more has none.
    async fn change_box(&self, place: usize, change: impl FnOnce(&mut Waiting) + Send + 'static) {
        let url = self.state().file.boxes[place].url.clone();
        let change = move |file: &mut File, _: &[AlertConfig]| {
            if let Some(waiting) = file.boxes.iter_mut().find(|it| it.url == url) {
                change(waiting);
            }
        };
        self.change(change).await;
    }

    async fn change(&self, change: impl FnOnce(&mut File, &[AlertConfig]) + Send + 'static) {
        self.change_with(change, |_| ()).await;
    }

    /// Nobody sees the change before it is on disk: what is delivered was found for good. Where the disk refuses, it is
    /// told from memory all the same. What was begun is ended also where nobody waits for it any more: a delivery that is
    /// let go between disk and memory would leave an older file behind a newer state.
    async fn change_with(
        &self,
        change: impl FnOnce(&mut File, &[AlertConfig]) + Send + 'static,
        enter: impl FnOnce(&mut State) + Send + 'static,
    ) {
        let outbox = self.clone();
        let done = tokio::spawn(async move {
            let _one = outbox.0.changing.lock().await;
            let mut file = outbox.state().file.clone();
            change(&mut file, &outbox.state().endpoints);
            let unwritten = outbox.write(&file).await.err().map(|error| {
                let path = outbox.0.path.display();
                format!("alerts would not outlive a restart: {path}: {error}")
            });
            if let Some(problem) = &unwritten {
                tracing::error!(event = "alerts-unwritten", "{problem}");
            }
            let mut state = outbox.state();
            state.file = file;
            state.unwritten = unwritten;
            enter(&mut state);
        });
        // Fails only where the runtime ends.
        drop(done.await);
    }

    async fn write(&self, file: &File) -> io::Result<()> {
        let (path, bytes) = (self.0.path.clone(), serde_json::to_vec(file)?);
        let write = move || files::replace_private(&path, &bytes);
        let written = tokio::task::spawn_blocking(write).await;
        written.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn drop_oldest(&mut self, count: usize, why: &str) {
        if count > 0 {
            self.events.drain(..count);
            self.dropped += count as u64;
            tracing::warn!(
                event = "alerts-lost",
                count,
                "{count} alerts are dropped undelivered: {why}; see usherd alert list"
            );
        }
    }
}

impl File {
    /// Boxes of these endpoints alone, each with what waits for it already.
    fn keep(&mut self, endpoints: &[AlertConfig]) {
        let mut boxes = std::mem::take(&mut self.boxes);
        for endpoint in endpoints {
            let url = endpoint.url.in_full();
            let mut left = boxes.iter_mut();
            let left = left.find(|it| it.url == url).map(std::mem::take);
            self.boxes.push(left.unwrap_or_else(|| Waiting {
                url,
                ..Waiting::default()
            }));
        }
    }

    fn new() -> Self {
        Self {
            version: VERSION,
            remembered: Remembered::default(),
            boxes: Vec::new(),
        }
    }
}

fn read(path: &Path) -> Result<File, String> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(File::new()),
        Err(error) => return Err(error.to_string()),
    };
    let file: File = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if file.version != VERSION {
        return Err(format!("version {}, not {VERSION}", file.version));
    }
    Ok(file)
}

const FILE: &str = "alerts/outbox.json";
const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(events: &str) -> Vec<AlertConfig> {
        let text =
            format!("url = \"https://a.example/x\"\nsecret-file = \"s\"\nevents = [{events}]");
        vec![toml::from_str(&text).unwrap()]
    }

    fn event(id: usize, kind: Kind, at: WallMs) -> Event {
        Event {
            id: id.to_string(),
            kind,
            at,
            body: "{}".to_owned(),
        }
    }

    fn now() -> WallMs {
        Clock::new().now().wall
    }

    #[tokio::test]
    async fn what_waits_outlives_the_life_in_its_order_and_goes_when_it_is_delivered() {
        let directory = tempfile::tempdir().unwrap();
        let open = || SharedOutbox::open(directory.path(), &endpoints("\"clone\", \"store\""));
        let events = [Kind::Clone, Kind::Clock, Kind::Store]
            .into_iter()
            .enumerate();
        let at = now();
        let events: Vec<_> = events.map(|(id, kind)| event(id, kind, at)).collect();
        open().put(events, None).await;
        let outbox = open();
        assert_eq!(outbox.reports()[0].oldest_waiting, Some(at));
        let first = outbox.next(0).await;
        assert_eq!(first.kind, Kind::Clone);
        outbox.delivered(0, &first).await;
        let outbox = open();
        assert_eq!(
            outbox.next(0).await.kind,
            Kind::Store,
            "nobody wanted the clock"
        );
        let report = &outbox.reports()[0];
        assert_eq!(
            (report.waiting, report.delivered, report.dropped),
            (1, 1, 0)
        );
    }

    #[tokio::test]
    async fn too_many_and_too_old_ones_are_dropped_and_counted() {
        let directory = tempfile::tempdir().unwrap();
        let outbox = SharedOutbox::open(directory.path(), &endpoints("\"clone\""));
        let many = limits::ALERT_WAITING_MAX + 3;
        let old = WallMs(now().0 - limits::ALERT_AGE_MS_MAX.0 - 1000);
        let at = |id| if id < 5 { old } else { now() };
        let events = (0..many).map(|id| event(id, Kind::Clone, at(id))).collect();
        outbox.put(events, None).await;
        assert_eq!(outbox.next(0).await.id, "5");
        let report = &outbox.reports()[0];
        assert_eq!((report.waiting, report.dropped), (many - 5, 5));
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_kept_aside_and_keeps_nobody_from_being_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "{").unwrap();
        let outbox = SharedOutbox::open(directory.path(), &endpoints("\"clone\""));
        outbox.put(vec![event(1, Kind::Test, now())], None).await;
        assert_eq!(outbox.next(0).await.id, "1");
        assert!(path.with_extension("unreadable").exists());
    }

    #[tokio::test]
    async fn who_is_told_from_now_on_keeps_what_waits_for_it_and_no_other() {
        let at = |host: &str| -> AlertConfig {
            let text = format!("url = \"https://{host}.example/\"\nsecret-file = \"s\"");
            toml::from_str(&text).unwrap()
        };
        let directory = tempfile::tempdir().unwrap();
        let outbox = SharedOutbox::open(directory.path(), &[at("a"), at("b")]);
        outbox.put(vec![event(1, Kind::Clone, now())], None).await;
        outbox.tell_others(&[at("c"), at("b")]).await;
        outbox.put(vec![event(2, Kind::Clone, now())], None).await;
        let waiting = |outbox: &SharedOutbox| -> Vec<(String, usize)> {
            let reports = outbox.reports().into_iter();
            reports.map(|it| (it.url, it.waiting)).collect()
        };
        let wanted = [("https://c.example/…", 1), ("https://b.example/…", 2)];
        let wanted = wanted.map(|(url, count)| (url.to_owned(), count));
        assert_eq!(waiting(&outbox), wanted);
        let again = SharedOutbox::open(directory.path(), &[at("c"), at("b")]);
        assert_eq!(waiting(&again), wanted, "and it is on disk");
        assert_eq!(outbox.next(1).await.id, "1");
    }

    #[tokio::test]
    async fn a_disk_that_refuses_is_told_and_delivery_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("alerts"), "in the way").unwrap();
        let outbox = SharedOutbox::open(directory.path(), &endpoints("\"clone\""));
        outbox.put(vec![event(1, Kind::Test, now())], None).await;
        assert_eq!(outbox.next(0).await.id, "1");
        let problem = outbox.reports()[0].last_error.clone().unwrap();
        assert!(problem.contains("would not outlive a restart"), "{problem}");
    }
}
