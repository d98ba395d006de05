//! Messages over a byte stream. What a tenant can make large is never held whole: rows beyond the
//! limit and notices are skipped as they arrive, errors are cut.

use std::io;

use bytes::{Buf as _, BytesMut};
use futures_util::FutureExt as _;
use postgres_protocol::message::backend::{self, Header, Message};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::address::Duplex;
use super::fault::Fault;

/// No message but a row, an error or a notice has reason to be longer.
const MESSAGE_BYTES: usize = 16 << 20;
/// As much of an error as is kept.
const ERROR_BYTES: usize = 64 << 10;

/// What the server sent.
pub(super) enum Frame {
    Message(Message),
    /// A row of more bytes than asked for, still in the stream: [`Wire::skip`] that many.
    Oversize(usize),
    /// An error of a statement, or the server's last word on this connection.
    Fault(Box<Fault>),
}

/// A stream with what was read too far and what is still to be sent.
pub(super) struct Wire {
    stream: Box<dyn Duplex>,
    inbox: BytesMut,
    /// Messages for the next [`Wire::send`].
    pub(super) outbox: BytesMut,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Duplex>) -> Self {
        Self { stream, inbox: BytesMut::with_capacity(8 << 10), outbox: BytesMut::with_capacity(1 << 10) }
    }

    /// Sends all of the outbox.
    pub(super) async fn send(&mut self) -> io::Result<()> {
        self.stream.write_all_buf(&mut self.outbox).await?;
        self.stream.flush().await
    }

    /// The next message, without notices, notifications and settings. A row longer than `row_limit`
    /// bytes is only announced.
    pub(super) async fn next(&mut self, row_limit: usize) -> io::Result<Frame> {
        loop {
            let Some(header) = Header::parse(&self.inbox)? else {
                self.more().await?;
                continue;
            };
            let total = usize::try_from(header.len()).map_err(invalid)?.saturating_add(1);
            match header.tag() {
                backend::NOTICE_RESPONSE_TAG
                | backend::NOTIFICATION_RESPONSE_TAG
                | backend::PARAMETER_STATUS_TAG => self.skip(total).await?,
                backend::ERROR_RESPONSE_TAG => {
                    let kept = total.min(ERROR_BYTES);
                    self.fill(kept).await?;
                    let fault = Fault::read(self.inbox.get(5..kept).unwrap_or_default());
                    self.skip(total).await?;
                    return Ok(Frame::Fault(Box::new(fault)));
                }
                backend::DATA_ROW_TAG if total > row_limit => {
                    return Ok(Frame::Oversize(total));
                }
                tag if tag != backend::DATA_ROW_TAG && total > MESSAGE_BYTES => {
                    return Err(invalid("a message is too long"));
                }
                _ => {
                    self.fill(total).await?;
                    if let Some(message) = Message::parse(&mut self.inbox)? {
                        return Ok(Frame::Message(message));
                    }
                }
            }
        }
    }

    /// Whether the server has hung up, or said why it is about to, since the last answer.
    pub(super) fn is_closed(&mut self) -> bool {
        let gone = matches!(self.stream.read_buf(&mut self.inbox).now_or_never(), Some(Ok(0) | Err(_)));
        gone || self.inbox.first() == Some(&backend::ERROR_RESPONSE_TAG)
    }

    /// Reads and forgets until the server hangs up.
    pub(super) async fn drain(&mut self) -> io::Result<()> {
        loop {
            self.inbox.clear();
            self.more().await?;
        }
    }

    async fn more(&mut self) -> io::Result<()> {
        self.inbox.reserve(4 << 10);
        match self.stream.read_buf(&mut self.inbox).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn fill(&mut self, total: usize) -> io::Result<()> {
        while self.inbox.len() < total {
            self.inbox.reserve(total.saturating_sub(self.inbox.len()));
            self.more().await?;
        }
        Ok(())
    }

    /// Forgets the next `left` bytes.
    pub(super) async fn skip(&mut self, mut left: usize) -> io::Result<()> {
        while left > self.inbox.len() {
            left = left.saturating_sub(self.inbox.len());
            self.inbox.clear();
            self.more().await?;
        }
        self.inbox.advance(left);
        Ok(())
    }
}

pub(super) fn invalid(why: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_string())
}
