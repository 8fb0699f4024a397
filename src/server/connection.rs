//! Moves bytes between one client and its session.
//!
//! Reading and writing do not wait for each other: a client that never reads is served and can leave, and a client that
//! sends half a request gets its events. One thing is held back: no more requests are taken while many responses wait.

use std::future::pending;
use std::io;
use std::time::Duration;

use dap::Decoder;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::backend::Backend;
use super::ending::{Busy, Phase};
use super::outlet::Outlet;
use super::session::{Next, Session};

/// Above this many bytes of responses that the client did not read, its requests are left in the socket.
const MAX_RESPONSE_BYTES: usize = 1 << 20;

/// How long a client that leaves may go without reading what is still to be written. The kernel only tells of room in the
/// socket when a third of its buffer is free (`sk_stream_is_writeable` in include/net/sock.h), which is thousands of messages.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// How long it may take for all of that.
const MAX_PARTING: Duration = Duration::from_secs(60);

/// How long a client may take at the end to read that it is the end.
const LAST_WORD: Duration = Duration::from_millis(100);

/// Without a word for so long, the other end is asked whether it is there, and asked again as often as
/// [`KEEPALIVE_TRIES`]. Where there is no answer, its machine is gone, and its logpoints go too.
const KEEPALIVE: Duration = Duration::from_secs(10);
const KEEPALIVE_TRIES: u32 = 3;

/// How long a client may take until it has initialized its session.
const INITIALIZE_TIMEOUT: Duration = Duration::from_secs(30);

const CHUNK_BYTES: usize = 16 << 10;

/// Serves one client until it is gone, its session ends, or the server does, as `phase` says. The session is closed at
/// the backend before anything else is done at the end. Gives the number of hits that this client should have been told
/// of and was not. `busy` is dropped when nothing is left to be told but that it is the end. `leave` ends a connection
/// whose client has not initialized its session; it is dropped as soon as that is done.
pub async fn run<B: Backend>(
    mut stream: TcpStream,
    mut session: Session<B>,
    mut phase: watch::Receiver<Phase>,
    busy: Busy,
    leave: oneshot::Receiver<()>,
) -> u64 {
    set_options(&stream);
    let mut newcomer = Some(leave);
    let patience = Instant::now() + INITIALIZE_TIMEOUT;
    let outlet = session.outlet().clone();
    let (reader, writer) = stream.split();
    let mut reader = Reader::new(reader);
    let mut writer = Writer::new(writer);
    let end = loop {
        // Each of these can be dropped and called again without loss.
        tokio::select! {
            read = reader.read(), if outlet.response_bytes() < MAX_RESPONSE_BYTES => {
                let end = match read {
                    Ok(true) => reader.deliver(&mut session),
                    Ok(false) => Some(End::Eof),
                    Err(error) => Some(broken(&error)),
                };
                if let Some(end) = end {
                    break end;
                }
                if !session.is_new() {
                    newcomer = None;
                }
            }
            () = may_stay(newcomer.as_mut(), patience) => break End::Silent,
            written = writer.write(&outlet) => {
                if let Err(error) = written {
                    break broken(&error);
                }
            }
            deadline = deadline(&mut phase) => break End::Stopped(deadline),
        }
    };
    session.close();
    tracing::debug!(?end, "a debug client's session ends");
    match end {
        End::Broken | End::Silent => outlet.unsent() + writer.unfinished(),
        End::Stopped(deadline) => {
            // Whatever the outcome, there is no more time.
            let _ = timeout_at(deadline, writer.drain(&outlet)).await;
            let given_up = outlet.give_up_waiting();
            drop(busy);
            reader.until_gone(&mut phase).await;
            session.terminated();
            let deadline = Instant::now() + LAST_WORD;
            given_up + writer.finish(&outlet, deadline).await
        }
        End::Eof | End::Session | End::Protocol => writer.part(&outlet, &mut phase).await,
    }
}

/// Neither is a reason to refuse a client: the first is worth some milliseconds a message, the second cleans up.
fn set_options(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE)
        .with_retries(KEEPALIVE_TRIES);
    if let Err(error) = SockRef::from(stream).set_tcp_keepalive(&keepalive) {
        tracing::debug!(%error, "SO_KEEPALIVE");
    }
}

/// Waits until a client that has not initialized its session has to go; without end for others.
async fn may_stay(newcomer: Option<&mut oneshot::Receiver<()>>, patience: Instant) {
    let Some(leave) = newcomer else {
        return pending().await;
    };
    tokio::select! {
        // An error is the same word: the server is gone.
        _ = leave => {}
        () = sleep_until(patience) => {}
    }
}

/// Waits for the order to end, and gives the time until when.
async fn deadline(phase: &mut watch::Receiver<Phase>) -> Instant {
    let phase = phase.wait_for(|phase| *phase != Phase::Serving).await;
    match phase.as_deref() {
        Ok(Phase::Draining(deadline)) => *deadline,
        // The sender is gone only where the server is.
        _ => Instant::now(),
    }
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client has nothing more to say; it may still be reading.
    Eof,
    /// The session is over.
    Session,
    /// The client has not initialized its session in time, or before somebody else needed its seat.
    Silent,
    /// The server ends; all must be written by then.
    Stopped(Instant),
    /// The client does not speak the protocol; it may be a browser, which gets no byte.
    Protocol,
    /// There is no client any more.
    Broken,
}

fn broken(error: &io::Error) -> End {
    tracing::debug!(%error, "a debug client's connection broke");
    End::Broken
}

fn protocol(error: impl std::fmt::Display) -> End {
    tracing::warn!(%error, "a debug client breaks the protocol");
    End::Protocol
}

struct Reader<'a> {
    half: ReadHalf<'a>,
    chunk: Box<[u8]>,
    decoder: Decoder,
}

impl<'a> Reader<'a> {
    fn new(half: ReadHalf<'a>) -> Self {
        Self {
            half,
            chunk: vec![0; CHUNK_BYTES].into(),
            decoder: Decoder::default(),
        }
    }

    /// Waits for bytes; `false` at the end of the stream.
    async fn read(&mut self) -> io::Result<bool> {
        let length = self.half.read(&mut self.chunk).await?;
        self.decoder.push(&self.chunk[..length]);
        Ok(length > 0)
    }

    /// Waits until the client hangs up, or the server ends for good. What the client says meanwhile has no effect.
    async fn until_gone(&mut self, phase: &mut watch::Receiver<Phase>) {
        let hung_up = async { while let Ok(1..) = self.half.read(&mut self.chunk).await {} };
        tokio::select! {
            () = hung_up => {}
            // An error is the end as well.
            _ = phase.wait_for(|phase| *phase == Phase::Ended) => {}
        }
    }

    /// Gives all messages that are complete to the session, and says whether and why the connection ends with them.
    fn deliver<B: Backend>(&mut self, session: &mut Session<B>) -> Option<End> {
        loop {
            let message = match self.decoder.next_message() {
                Ok(message) => message?,
                Err(error) => return Some(protocol(error)),
            };
            match session.receive(message) {
                Ok(Next::Go) => {}
                Ok(Next::End) => return Some(End::Session),
                Err(error) => return Some(protocol(error)),
            }
        }
    }
}

struct Writer<'a> {
    half: WriteHalf<'a>,
    batch: Vec<u8>,
    written: usize,
    /// Hits in the batch.
    hits: u64,
}

impl<'a> Writer<'a> {
    fn new(half: WriteHalf<'a>) -> Self {
        Self {
            half,
            batch: Vec::new(),
            written: 0,
            hits: 0,
        }
    }

    /// Waits until there is something to write and room for it, and writes once.
    async fn write(&mut self, outlet: &Outlet) -> io::Result<()> {
        while !self.fill(outlet) {
            outlet.filled().await;
        }
        match self.half.write(&self.batch[self.written..]).await? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            written => {
                self.written += written;
                Ok(())
            }
        }
    }

    /// Makes sure that there is something to write, if there is anything.
    fn fill(&mut self, outlet: &Outlet) -> bool {
        if self.written == self.batch.len() {
            // A fresh one, since one long message must not keep its memory for the session's life.
            self.batch = Vec::new();
            self.written = 0;
            let before = outlet.unsent();
            outlet.take_batch(&mut self.batch);
            self.hits = before.saturating_sub(outlet.unsent());
        }
        !self.batch.is_empty()
    }

    /// Hits that were not written, or not to their end.
    fn unfinished(&self) -> u64 {
        match self.written < self.batch.len() {
            true => self.hits,
            false => 0,
        }
    }

    /// Writes all that waits, also what still waits for its turn.
    async fn drain(&mut self, outlet: &Outlet) -> io::Result<()> {
        while self.fill(outlet) || outlet.unsent() > 0 {
            self.write(outlet).await?;
        }
        Ok(())
    }

    /// Writes what is left for as long as the client goes on reading and the server on serving: the answer to
    /// `disconnect` comes last. Returns as [`Self::finish`] does.
    async fn part(mut self, outlet: &Outlet, phase: &mut watch::Receiver<Phase>) -> u64 {
        let last = Instant::now() + MAX_PARTING;
        while self.fill(outlet) || outlet.unsent() > 0 {
            let patience = last.min(Instant::now() + FLUSH_TIMEOUT);
            tokio::select! {
                written = timeout_at(patience, self.write(outlet)) => {
                    if !matches!(written, Ok(Ok(()))) {
                        break;
                    }
                }
                deadline = deadline(phase) => return self.finish(outlet, deadline).await,
            }
        }
        self.finish(outlet, Instant::now()).await
    }

    /// Writes what is left, and ends the stream: a socket that is only closed, with bytes unread, resets the connection,
    /// and the client loses what was written. Gives the number of hits that could not be written until `deadline`.
    async fn finish(mut self, outlet: &Outlet, deadline: Instant) -> u64 {
        let all = async {
            self.drain(outlet).await?;
            self.half.shutdown().await
        };
        // Whatever the outcome, there is nothing more to be done for this client.
        let _ = timeout_at(deadline, all).await;
        outlet.unsent() + self.unfinished()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_vanished_machine_is_noticed_and_small_messages_do_not_wait() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        set_options(&stream);
        assert!(stream.nodelay().unwrap());
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_TRIES);
    }
}
