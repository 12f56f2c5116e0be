//! One client: joins a room, and changes its presence on request.

use super::message::{Dialect, Notice};
use super::{STEP, histogram, record, token};
use crate::drivers::SocketIo;
use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// What must arrive, shared by all clients.
pub struct Expected {
    clients: usize,
    rooms: usize,
    /// Pairs of clients of one room of which the second was not notified of the first yet.
    untold: Cell<u64>,
    /// By client, the last change: its time, and how many clients are to be notified of it.
    changes: RefCell<HashMap<usize, (Instant, usize)>>,
    outstanding: Cell<u64>,
    repeated: Cell<u64>,
    notified: RefCell<Histogram<u64>>,
}

impl Expected {
    pub fn new(clients: usize, rooms: usize) -> Self {
        let untold = (0..clients).map(|number| others(number, clients, rooms) as u64).sum();
        Self {
            clients,
            rooms,
            untold: Cell::new(untold),
            changes: RefCell::default(),
            outstanding: Cell::new(0),
            repeated: Cell::new(0),
            notified: RefCell::new(histogram()),
        }
    }

    /// Waits, and returns the number of pairs that are still missing.
    pub async fn until_everybody_knows_everybody(&self, patience: Duration) -> u64 {
        until(patience, || self.untold.get()).await
    }

    /// Waits, and returns the number of notifications that are still missing.
    pub async fn until_every_change_has_arrived(&self, patience: Duration) -> u64 {
        until(patience, || self.outstanding.get()).await
    }

    /// From the request to the notification of each other client.
    pub fn notified(&self) -> Histogram<u64> {
        self.notified.borrow().clone()
    }

    /// Notifications that were not expected.
    pub fn repeated(&self) -> u64 {
        self.repeated.get()
    }

    fn on_change(&self, number: usize) -> bool {
        let mut changes = self.changes.borrow_mut();
        // The previous change has not reached all clients: the two could not be distinguished.
        if changes.get(&number).is_some_and(|(_, missing)| *missing > 0) {
            return false;
        }
        let missing = others(number, self.clients, self.rooms);
        changes.insert(number, (Instant::now(), missing));
        self.outstanding.set(self.outstanding.get() + missing as u64);
        true
    }

    fn on_notified(&self, of: usize) {
        match self.changes.borrow_mut().get_mut(&of) {
            Some((at, missing)) if *missing > 0 => {
                *missing -= 1;
                self.outstanding.set(self.outstanding.get() - 1);
                record(&mut self.notified.borrow_mut(), at.elapsed());
            }
            _ => self.repeated.set(self.repeated.get() + 1),
        }
    }
}

/// Clients in the room of this one, without it. Rooms are filled in turn.
fn others(number: usize, clients: usize, rooms: usize) -> usize {
    let room = number % rooms;
    (clients - room).div_ceil(rooms) - 1
}

async fn until(patience: Duration, missing: impl Fn() -> u64) -> u64 {
    let end = Instant::now() + patience;
    while missing() > 0 && Instant::now() < end {
        sleep(STEP).await;
    }
    missing()
}

/// A client. Dropping it ends its connection.
pub struct Participant {
    changes: mpsc::Sender<()>,
    task: JoinHandle<()>,
}

impl Participant {
    /// Starts one, which sends the time of its join or why it failed.
    pub fn start(
        number: usize,
        dialect: Dialect,
        url: &str,
        expected: Rc<Expected>,
        joined: mpsc::Sender<anyhow::Result<Duration>>,
    ) -> Self {
        let (changes, wanted) = mpsc::channel(1);
        let url = url.to_owned();
        let task = tokio::task::spawn_local(async move {
            let mut connection = ParticipantTask { number, dialect, expected, known: HashSet::new() };
            match connection.join(&url).await {
                Ok((socket, time)) => {
                    let _ = joined.send(Ok(time)).await;
                    if let Err(error) = connection.stay(socket, wanted).await {
                        eprintln!("client {number}: {error:#}");
                    }
                }
                Err(error) => _ = joined.send(Err(error.context(format!("client {number}")))).await,
            }
        });
        Self { changes, task }
    }

    /// Makes it change its presence.
    pub fn change(&self) {
        // It has ended after an error, which it has reported; or it has not begun the previous change.
        let _ = self.changes.try_send(());
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct ParticipantTask {
    number: usize,
    dialect: Dialect,
    expected: Rc<Expected>,
    /// The others that it was notified of.
    known: HashSet<usize>,
}

impl ParticipantTask {
    async fn join(&mut self, url: &str) -> anyhow::Result<(SocketIo, Duration)> {
        let room = format!("bench-{}", self.number % self.expected.rooms);
        let token = token::mint(&user(self.number), &room);
        let started = Instant::now();
        let mut socket = SocketIo::connect(url).await?;
        let request = self.dialect.join(&room, &token);
        let answer = socket.ask_with("signal", request, |event| self.on_event(&event)).await?;
        let present = self.dialect.joined(&answer)?;
        let time = started.elapsed();
        present.iter().for_each(|user| self.on_present(user));
        Ok((socket, time))
    }

    /// Handles notifications and changes its presence until the connection ends.
    async fn stay(&mut self, mut socket: SocketIo, mut wanted: mpsc::Receiver<()>) -> anyhow::Result<()> {
        let mut is_idle = false;
        loop {
            tokio::select! {
                event = socket.event() => self.on_event(&event?),
                change = wanted.recv() => {
                    change.context("the measurement has ended")?;
                    if !self.expected.on_change(self.number) {
                        continue;
                    }
                    is_idle = !is_idle;
                    let request = self.dialect.presence(is_idle);
                    let answer = socket.ask_with("signal", request, |event| self.on_event(&event)).await?;
                    self.dialect.done(&answer)?;
                }
            }
        }
    }

    fn on_event(&mut self, event: &[u8]) {
        for notice in self.dialect.notices(event) {
            match notice {
                Notice::Present(user) => self.on_present(&user),
                Notice::Changed(user) if user == self::user(self.number) => {}
                Notice::Changed(user) => match number(&user) {
                    Ok(of) => self.expected.on_notified(of),
                    Err(error) => eprintln!("{error:#}"),
                },
            }
        }
    }

    fn on_present(&mut self, user: &str) {
        let Ok(of) = number(user) else { return };
        if of != self.number && self.known.insert(of) {
            self.expected.untold.set(self.expected.untold.get().saturating_sub(1));
        }
    }
}

fn user(number: usize) -> String {
    format!("user-{number}")
}

fn number(user: &str) -> anyhow::Result<usize> {
    let Some(number) = user.strip_prefix("user-").and_then(|number| number.parse().ok()) else {
        bail!("a notification about {user:?}, which is no client");
    };
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_room_gets_its_share_of_the_clients() {
        let sizes = |clients, rooms| (0..clients).map(|number| others(number, clients, rooms) + 1).collect();
        let sizes: [Vec<_>; 2] = [sizes(5, 2), sizes(4, 4)];
        assert_eq!(sizes, [vec![3, 2, 3, 2, 3], vec![1; 4]]);
    }

    #[test]
    fn a_change_counts_once_for_each_other_client() {
        let expected = Expected::new(6, 2);
        assert!(expected.on_change(0));
        assert!(!expected.on_change(0), "the first one is still on its way");
        (0..2).for_each(|_| expected.on_notified(0));
        assert_eq!((expected.outstanding.get(), expected.repeated()), (0, 0));
        expected.on_notified(0);
        assert_eq!((expected.outstanding.get(), expected.repeated(), expected.notified().len()), (0, 1, 2));
        assert!(expected.on_change(0));
    }
}
