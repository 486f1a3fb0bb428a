//! The desk between the engine's thread and the server's.
//!
//! 1. The engine's thread never waits for a reader: it notes what happened in its
//!    own memory, and hands that and a new state over whenever the desk's thread
//!    takes it. The desk's thread is the only one that writes what readers see.
//! 2. Everything is bounded. When the desk is so far behind that notes no longer
//!    fit, the newest are left out and counted; every history then begins anew,
//!    with a line that says so.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use super::hub::{Hub, LaneHistory, State};
use super::model::{Event, Fill, Level, Order, Trade};

/// What may be on its way to the desk's thread.
const BATCHES_MAX: usize = 8;
/// Notes that wait for a place on that way.
const NOTES_MAX: usize = 20_000;

/// One thing that happened, as it is shown.
#[derive(Debug)]
pub struct Note {
    /// of which strategy; none for what concerns the host
    pub lane: Option<usize>,
    /// the line of the event log; its number is given by the desk
    pub event: Event,
    /// the fill that it tells of
    pub fill: Option<Fill>,
    /// the round trip that it ended
    pub trade: Option<Trade>,
    /// what became of an order
    pub order: Option<Order>,
}

#[derive(Debug, Default)]
struct Batch {
    /// the strategies' names, when a run begins
    begin: Option<Vec<String>>,
    notes: Vec<Note>,
    levels: Vec<(usize, Level)>,
    lost: u64,
    state: Option<Box<State>>,
}

/// The engine's side.
#[derive(Debug)]
pub struct Desk {
    sender: Option<SyncSender<Batch>>,
    thread: Option<JoinHandle<()>>,
    pending: Batch,
}

impl Desk {
    /// A desk whose thread writes to `hub` until this is dropped.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn open(hub: Arc<Hub>) -> std::io::Result<Self> {
        let (sender, batches) = sync_channel(BATCHES_MAX);
        let thread = std::thread::Builder::new()
            .name("dashboard-desk".into())
            .spawn(move || write(&hub, &batches))?;
        Ok(Self { sender: Some(sender), thread: Some(thread), pending: Batch::default() })
    }

    /// Begins with these strategies.
    pub fn begin(&mut self, names: Vec<String>) {
        self.pending = Batch { begin: Some(names), ..Batch::default() };
    }

    /// Notes what happened.
    pub fn note(&mut self, note: Note) {
        if self.pending.notes.len() < NOTES_MAX {
            self.pending.notes.push(note);
        } else {
            self.pending.lost += 1;
        }
    }

    /// Notes a stop and a target of a strategy's position. One that does not fit is
    /// left out: the next change says all of it again.
    pub fn level(&mut self, lane: usize, level: Level) {
        if self.pending.levels.len() < NOTES_MAX {
            self.pending.levels.push((lane, level));
        }
    }

    /// Hands over a state with everything noted, unless the desk is behind: then
    /// the notes wait, and the state is given up for a later one.
    pub fn publish(&mut self, state: State) {
        let Some(sender) = &self.sender else { return };
        let mut batch = std::mem::take(&mut self.pending);
        batch.state = Some(Box::new(state));
        if let Err(TrySendError::Full(mut batch)) = sender.try_send(batch) {
            batch.state = None;
            self.pending = batch;
        }
    }

    /// Hands over the last state and waits until everything is written. The
    /// engine has ended: now it may.
    pub fn close(&mut self, state: State) {
        let mut batch = std::mem::take(&mut self.pending);
        batch.state = Some(Box::new(state));
        if let Some(sender) = self.sender.take() {
            let _ = sender.send(batch);
        }
        self.join();
    }

    fn join(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.join();
    }
}

/// Writes what comes, until the engine's side is gone.
fn write(hub: &Hub, batches: &Receiver<Batch>) {
    while let Ok(batch) = batches.recv() {
        if batch.begin.is_some() || !batch.notes.is_empty() || batch.lost > 0 {
            enter(hub, batch.begin, batch.notes, batch.lost);
        }
        if !batch.levels.is_empty() {
            let mut history = hub.history();
            for (lane, level) in batch.levels {
                if let Some(past) = history.lanes.get_mut(lane) {
                    past.levels.push(level);
                }
            }
        }
        if let Some(state) = batch.state {
            hub.publish(*state);
        }
    }
}

fn enter(hub: &Hub, begin: Option<Vec<String>>, notes: Vec<Note>, lost: u64) {
    let mut history = hub.history();
    if let Some(names) = begin {
        history.lanes = names.into_iter().map(LaneHistory::new).collect();
    }
    let last = notes.last().map(|note| note.event.ts_ns.clone());
    for note in notes {
        let mut event = note.event;
        event.seq = history.events.next();
        if let Some(past) = note.lane.and_then(|lane| history.lanes.get_mut(lane)) {
            if event.kind == "log" {
                past.logs.push(event.clone());
            }
            past.fills.extend(note.fill);
            past.trades.extend(note.trade);
            if let Some(order) = note.order {
                past.order(order);
            }
        }
        history.events.push(event);
    }
    if lost > 0 {
        miss(&mut history, lost, last);
    }
}

/// Every history begins anew, because nobody knows of which something is missing.
fn miss(history: &mut super::hub::History, lost: u64, ts_ns: Option<String>) {
    tracing::warn!("dashboard: {lost} events came faster than they could be shown");
    for past in &mut history.lanes {
        past.fills.miss(lost);
        past.trades.miss(lost);
        past.logs.miss(lost);
    }
    history.events.miss(lost);
    let seq = history.events.next();
    history.events.push(Event {
        seq,
        ts_ns: ts_ns.unwrap_or_default(),
        level: "warn".into(),
        kind: "status".into(),
        text: format!("{lost} events came faster than they could be shown; the logs have them"),
        ..Event::default()
    });
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    fn note(text: &str) -> Note {
        let event = Event { kind: "log".into(), text: text.into(), ..Event::default() };
        Note { lane: Some(0), event, fill: None, trade: None, order: None }
    }

    /// Notes and publishes on a thread of its own, and tells when it is through.
    fn engine(mut desk: Desk, count: usize) -> Receiver<Desk> {
        let (done, through) = channel();
        std::thread::spawn(move || {
            for number in 0..count {
                desk.note(note(&number.to_string()));
                desk.publish(State::default());
            }
            let _ = done.send(desk);
        });
        through
    }

    #[test]
    fn a_reader_that_holds_the_past_does_not_hold_the_engine() {
        let hub = Arc::new(Hub::default());
        let mut desk = Desk::open(Arc::clone(&hub)).unwrap();
        desk.begin(vec!["one".into()]);
        let held = hub.history();
        let through = engine(desk, 2 * NOTES_MAX);
        let mut desk = through.recv_timeout(Duration::from_secs(60)).expect("it did not wait");
        // The control: whoever writes what is held does wait.
        let (wrote, written) = channel();
        let other = Arc::clone(&hub);
        let writer = std::thread::spawn(move || {
            other.history().events.push(Event::default());
            let _ = wrote.send(());
        });
        assert!(written.recv_timeout(Duration::from_millis(100)).is_err(), "the hold holds");
        drop(held);
        writer.join().unwrap();
        // What did not fit was counted, and everybody who followed learns of it.
        desk.close(State::default());
        let history = hub.history();
        assert!(history.events.after(1, 10).is_none());
        let (newest, _) = history.events.newest(1);
        assert!(newest[0].text.contains("events came faster"), "{}", newest[0].text);
    }

    #[test]
    fn everything_noted_is_written_in_order_when_the_desk_closes() {
        let hub = Arc::new(Hub::default());
        let mut desk = Desk::open(Arc::clone(&hub)).unwrap();
        desk.begin(vec!["one".into()]);
        let through = engine(desk, 5_000);
        let mut desk = through.recv_timeout(Duration::from_secs(60)).expect("through");
        let mut last = State::default();
        last.run.state = "ended".into();
        desk.close(last);
        assert_eq!(hub.state().run.state, "ended");
        let (events, count) = hub.history().events.newest(5_000);
        assert_eq!(count, 5_000);
        for (number, event) in events.iter().enumerate() {
            assert_eq!(event.text, number.to_string());
            assert_eq!(event.seq, number as u64 + 1);
        }
        assert_eq!(hub.history().lane("one").unwrap().logs.newest(9).1, 5_000);
    }
}
