//! Moves bytes between one client and its session.
//!
//! Reading and writing do not wait for each other: a client that never reads is served and can leave, and a client that
//! sends half a request gets its events. One thing is held back: no more requests are taken while many responses wait.

use std::io;
use std::time::Duration;

use dap::{Decoder, FramingError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;

use super::backend::Backend;
use super::outlet::Outlet;
use super::session::{Next, Session};

/// Above this many bytes of responses that the client did not read, its requests are left in the socket.
const MAX_RESPONSE_BYTES: usize = 1 << 20;

/// How long a client may take at the end to read what is still to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

const CHUNK_BYTES: usize = 16 << 10;

/// Serves one client until it is gone, its session ends, or `stopped` becomes true. The session is closed at the backend
/// before anything else is done at the end.
pub async fn run<B: Backend>(
    mut stream: TcpStream,
    mut session: Session<B>,
    mut stopped: watch::Receiver<bool>,
) {
    // Worth some milliseconds a message, but no reason to refuse a client.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
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
            }
            written = writer.write(&outlet) => {
                if let Err(error) = written {
                    break broken(&error);
                }
            }
            _ = stopped.wait_for(|stopped| *stopped) => {
                session.terminate();
                break End::Session;
            }
        }
    };
    session.close();
    tracing::debug!(?end, "a debug client's session ends");
    if !matches!(end, End::Http | End::Broken) {
        // Whatever the outcome, there is nothing more to be done for this client.
        let _ = tokio::time::timeout(FLUSH_TIMEOUT, writer.finish(&outlet)).await;
        reader.discard();
    }
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client has nothing more to say; it may still be reading.
    Eof,
    /// The session is over.
    Session,
    /// The client does not speak the protocol.
    Protocol,
    /// The client speaks HTTP: it gets no byte.
    Http,
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

    /// Gives all messages that are complete to the session, and says whether and why the connection ends with them.
    fn deliver<B: Backend>(&mut self, session: &mut Session<B>) -> Option<End> {
        loop {
            let message = match self.decoder.next_message() {
                Ok(message) => message?,
                Err(FramingError::Http) => return Some(End::Http),
                Err(error) => return Some(protocol(error)),
            };
            match session.receive(message) {
                Ok(Next::Go) => {}
                Ok(Next::End) => return Some(End::Session),
                Err(error) => return Some(protocol(error)),
            }
        }
    }

    /// Throws away what the client sent beyond the end: a socket that is closed with bytes unread resets the
    /// connection, and the client could lose what was written to it.
    fn discard(&mut self) {
        while let Ok(1..) = self.half.try_read(&mut self.chunk) {}
    }
}

struct Writer<'a> {
    half: WriteHalf<'a>,
    batch: Vec<u8>,
    written: usize,
}

impl<'a> Writer<'a> {
    fn new(half: WriteHalf<'a>) -> Self {
        Self {
            half,
            batch: Vec::new(),
            written: 0,
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
            outlet.take_batch(&mut self.batch);
        }
        !self.batch.is_empty()
    }

    /// Writes all that is left, and ends the stream.
    async fn finish(&mut self, outlet: &Outlet) -> io::Result<()> {
        while self.fill(outlet) {
            self.write(outlet).await?;
        }
        self.half.shutdown().await
    }
}
