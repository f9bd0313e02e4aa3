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
    endpoints: Vec<AlertConfig>,
    /// One change at a time, from reading to the disk.
    changing: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    /// Rung for the one at the same place.
    news: Vec<Notify>,
}

#[derive(Debug)]
struct State {
    file: File,
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
        let mut boxes = std::mem::take(&mut file.boxes);
        for endpoint in endpoints {
            let url = endpoint.url.in_full();
            let left = boxes
                .iter_mut()
                .find(|it| it.url == url)
                .map(std::mem::take);
            file.boxes.push(left.unwrap_or_else(|| Waiting {
                url,
                ..Waiting::default()
            }));
        }
        Self(Arc::new(Inner {
            path,
            endpoints: endpoints.to_vec(),
            changing: tokio::sync::Mutex::default(),
            news: endpoints.iter().map(|_| Notify::new()).collect(),
            state: Mutex::new(State {
                file,
                problems: vec![None; endpoints.len()],
                unwritten: None,
            }),
        }))
    }

    /// What was told so far.
    pub(super) fn remembered(&self) -> Remembered {
        self.state().file.remembered.clone()
    }

    /// Takes events in, with what is remembered from now on; durable when it returns, or said why not.
    pub(super) async fn put(&self, events: Vec<Event>, remembered: Option<Remembered>) {
        self.change(|file, endpoints| {
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
        self.0.news.iter().for_each(Notify::notify_one);
    }

    /// The next event for the endpoint at `place`, once there is one.
    pub(super) async fn next(&self, place: usize) -> Event {
        loop {
            self.drop_aged(place).await;
            let next = self.state().file.boxes[place].events.front().cloned();
            if let Some(event) = next {
                return event;
            }
            self.0.news[place].notified().await;
        }
    }

    /// The endpoint at `place` has taken the event.
    pub(super) async fn delivered(&self, place: usize, event: &Event) {
        self.state().problems[place] = None;
        let now = Clock::new().now().wall;
        self.change(|file, _| {
            let waiting = &mut file.boxes[place];
            waiting.events.retain(|it| it.id != event.id);
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
        let boxes = state.file.boxes.iter().zip(&self.0.endpoints);
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
            self.change(|file, _| file.boxes[place].drop_oldest(count, "they are too old"))
                .await;
        }
    }

    /// Nobody sees the change before it is on disk: what is delivered was found for good. Where the disk refuses, it is
    /// told from memory all the same.
    async fn change(&self, change: impl FnOnce(&mut File, &[AlertConfig])) {
        let _one = self.0.changing.lock().await;
        let mut file = self.state().file.clone();
        change(&mut file, &self.0.endpoints);
        let path = self.0.path.clone();
        let written = match serde_json::to_vec(&file) {
            Ok(bytes) => {
                let write = move || files::replace_private(&path, &bytes);
                let written = tokio::task::spawn_blocking(write).await;
                written.unwrap_or_else(|error| Err(io::Error::other(error)))
            }
            Err(error) => Err(error.into()),
        };
        let unwritten = written.err().map(|error| {
            let path = self.0.path.display();
            format!("alerts would not outlive a restart: {path}: {error}")
        });
        if let Some(problem) = &unwritten {
            tracing::error!(event = "alerts-unwritten", "{problem}");
        }
        let mut state = self.state();
        state.file = file;
        state.unwritten = unwritten;
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
