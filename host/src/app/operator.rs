//! The way from those who command a run, on whatever thread, to its session.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use crate::dashboard::{Operator, Refused};
use crate::engine::Command;

/// How many commands may wait for the engine.
const WAITING_MAX: usize = 16;

/// A command on its way, and who waits for it to be taken.
#[derive(Debug)]
pub struct Request {
    /// what to do
    pub command: Command,
    taken: oneshot::Sender<()>,
}

impl Request {
    /// A request, and what ends well once it was taken.
    #[must_use]
    pub fn new(command: Command) -> (Self, oneshot::Receiver<()>) {
        let (taken, waits) = oneshot::channel();
        (Self { command, taken }, waits)
    }

    /// Tells who asked that the engine took it, and that the record holds it.
    pub fn taken(self) {
        // Whoever asked may have gone meanwhile.
        let _gone = self.taken.send(());
    }
}

/// Where a session takes its requests from.
pub type Requests = mpsc::Receiver<Request>;

/// Hands commands to a session.
#[derive(Clone, Debug)]
pub struct Line(mpsc::Sender<Request>);

/// A way to a session: what hands over, and what the session takes from.
#[must_use]
pub fn line() -> (Line, Requests) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    (Line(sender), receiver)
}

impl Operator for Line {
    fn give(&self, command: Command) -> BoxFuture<'static, Result<(), Refused>> {
        let (request, waits) = Request::new(command);
        let handed = self.0.try_send(request).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refused::Busy,
            mpsc::error::TrySendError::Closed(_) => Refused::Ended,
        });
        async move {
            handed?;
            // A session that ends drops what it has not taken.
            waits.await.map_err(|_| Refused::Ended)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::CommandAction;

    fn command() -> Command {
        Command { lane: None, action: CommandAction::Pause, reason: "because".into() }
    }

    #[tokio::test]
    async fn a_command_is_answered_when_it_was_taken_and_not_before() {
        let (line, mut requests) = line();
        let mut answer = line.give(command());
        let request = requests.recv().await.expect("a request");
        assert_eq!(request.command, command());
        assert!((&mut answer).now_or_never().is_none(), "nobody has taken it");
        request.taken();
        assert_eq!(answer.await, Ok(()));
    }

    #[tokio::test]
    async fn commands_that_nobody_takes_are_bounded_and_end_with_the_run() {
        let (line, requests) = line();
        let waiting: Vec<_> = (0..WAITING_MAX).map(|_| line.give(command())).collect();
        assert_eq!(line.give(command()).await, Err(Refused::Busy));
        drop(requests);
        for answer in waiting {
            assert_eq!(answer.await, Err(Refused::Ended));
        }
        assert_eq!(line.give(command()).await, Err(Refused::Ended));
    }
}
