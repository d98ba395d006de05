//! The stream of NATS JetStream: reaching it, making it where it lacks, and writing to it. It knows no store.
//!
//! A stream is a log too, and numbers its messages. Each of ours says which number must be the last before it
//! (`Nats-Expected-Last-Sequence`), so messages that are on their way together are taken in their order or
//! not at all, and what a replica sends that was frozen and woke up is refused: the stream is its own fence.

use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::context::{ContextBuilder, GetStreamErrorKind, PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{self, LastRawMessageErrorKind};
use async_nats::jetstream::{Context, ErrorCode};
use async_nats::{Client, ConnectOptions, ServerAddr};
use secrecy::ExposeSecret as _;

use super::model;
use crate::config::settings::Nats;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::EventId;
use crate::log::{Entry, cloud};

/// How long to wait for a connection, and for each answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest wait between two tries to reach a broker that was lost.
const SOON: Duration = Duration::from_secs(1);

/// The stream, reached.
pub(super) struct Stream {
    client: Client,
    context: Context,
    settings: Nats,
    source: String,
}

/// Where the stream ends.
pub(super) struct End {
    /// The number of its last message.
    pub(super) sequence: u64,
    /// The event that was published last, as far as it is there.
    pub(super) event: Option<EventId>,
}

/// What became of a batch.
pub(super) struct Published {
    /// How many of its events, from the first, are in the stream now.
    pub(super) taken: usize,
    /// The number of the stream's last message.
    pub(super) sequence: u64,
    /// Why not all of them are.
    pub(super) failed: Option<Failure>,
}

/// Why a batch was not taken as a whole.
pub(super) enum Failure {
    /// The stream does not end where we thought it does: look again.
    OutOfStep,
    /// The broker does not answer, or does not want it.
    Refused(Error),
}

fn away(cause: impl std::fmt::Display) -> Error {
    Error::unavailable("broker_unavailable", "the broker cannot be reached", cause)
}

fn unfit(detail: impl std::fmt::Display) -> Error {
    Error::unavailable("broker_unavailable", "the broker's stream cannot be used", detail)
}

impl Stream {
    /// Reaches the broker, and names `source` as the origin of events.
    pub(super) async fn reach(settings: &Nats, source: String) -> Result<Self> {
        let servers: Vec<ServerAddr> = settings
            .servers()
            .map(str::parse)
            .collect::<std::io::Result<_>>()
            .map_err(|error| Error::internal(format!("broker.nats.url: {error}")))?;
        let mut options = ConnectOptions::new()
            .name("tenantry")
            .connection_timeout(PATIENCE)
            .request_timeout(Some(PATIENCE))
            .require_tls(settings.tls)
            .reconnect_delay_callback(|tries| {
                SOON.min(Duration::from_millis(
                    50u64.saturating_mul(u64::try_from(tries).unwrap_or(u64::MAX)),
                ))
            });
        if let Some(file) = &settings.ca_file {
            options = options.add_root_certificates(file.clone());
        }
        if let (Some(user), Some(password)) = (&settings.user, &settings.password) {
            options = options.user_and_password(user.clone(), password.expose_secret().to_owned());
        }
        if let Some(credentials) = &settings.credentials {
            options = options
                .credentials(credentials.expose_secret())
                .map_err(|_| unfit("broker.nats.credentials is no credentials file of NATS"))?;
        }
        let client = options.connect(servers).await.map_err(away)?;
        let context = ContextBuilder::new().timeout(PATIENCE).ack_timeout(PATIENCE).build(client.clone());
        Ok(Self { client, context, settings: settings.clone(), source })
    }

    /// Whether the broker is reached just now.
    pub(super) fn is_there(&self) -> bool {
        matches!(self.client.connection_state(), State::Connected)
    }

    /// Where the stream ends. Makes it, if there is none; refuses one that does not take our subjects.
    pub(super) async fn end(&self) -> Result<End> {
        let stream = match self.context.get_stream(&self.settings.stream).await {
            Ok(stream) => stream,
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(why) if why.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    tracing::info!(stream = self.settings.stream, "the broker's stream is made");
                    let made = self.context.create_stream(self.wanted()).await;
                    made.map_err(unfit)?
                }
                GetStreamErrorKind::JetStream(why) => return Err(unfit(why)),
                _ => return Err(away(error)),
            },
        };
        let subjects = model::subjects(&self.settings.subject_prefix);
        let known = &stream.cached_info().config;
        if !model::covers(&known.subjects, &subjects) {
            let taken = known.subjects.join(", ");
            return Err(unfit(format!("the stream {} takes {taken}, not {subjects}", self.settings.stream)));
        }
        let event = match stream.get_last_raw_message_by_subject(&subjects).await {
            Ok(last) => {
                let id = last.headers.get("Nats-Msg-Id");
                id.and_then(|id| id.as_str().parse().ok())
            }
            Err(error) => match error.kind() {
                LastRawMessageErrorKind::NoMessageFound => None,
                LastRawMessageErrorKind::JetStream(why) if why.code() == 404 => None,
                _ => return Err(away(error)),
            },
        };
        Ok(End { sequence: stream.cached_info().state.last_sequence, event })
    }

    fn wanted(&self) -> stream::Config {
        stream::Config {
            name: self.settings.stream.clone(),
            description: Some("What happened, as CloudEvents".to_owned()),
            subjects: vec![model::subjects(&self.settings.subject_prefix)],
            storage: stream::StorageType::File,
            num_replicas: self.settings.replicas,
            max_age: self.settings.max_age,
            duplicate_window: self.settings.duplicate_window,
            ..stream::Config::default()
        }
    }

    /// Publishes `entries` after the message `sequence`, all of them on their way at once.
    pub(super) async fn publish(&self, entries: &[Entry], sequence: u64) -> Published {
        let mut out = Published { taken: 0, sequence, failed: None };
        let mut acks = Vec::with_capacity(entries.len());
        for (entry, expected) in entries.iter().zip(sequence..) {
            match self.context.send_publish(self.subject(entry), self.message(entry, expected)).await {
                Ok(ack) => acks.push(ack),
                Err(error) => {
                    out.failed = Some(failure(&error));
                    break;
                }
            }
        }
        for ack in acks {
            match ack.await {
                // It has been there for long, so what follows it expects too much of the stream.
                Ok(ack) if ack.duplicate => {
                    out.taken += 1;
                    out.failed = Some(Failure::OutOfStep);
                    break;
                }
                Ok(ack) => {
                    out.taken += 1;
                    out.sequence = ack.sequence;
                }
                Err(error) => {
                    out.failed = Some(failure(&error));
                    break;
                }
            }
        }
        out
    }

    fn subject(&self, entry: &Entry) -> String {
        model::subject(&self.settings.subject_prefix, entry.tenant, &entry.kind)
    }

    fn message(&self, entry: &Entry, expected: u64) -> PublishMessage {
        PublishMessage::build()
            .payload(cloud::event(&self.source, entry).to_string().into())
            .header("Content-Type", "application/cloudevents+json")
            .message_id(entry.id.to_string())
            .expected_stream(&self.settings.stream)
            .expected_last_sequence(expected)
    }
}

fn failure(error: &PublishError) -> Failure {
    match error.kind() {
        PublishErrorKind::WrongLastSequence | PublishErrorKind::WrongLastMessageId => Failure::OutOfStep,
        PublishErrorKind::MaxPayloadExceeded => Failure::Refused(unfit(error)),
        _ => Failure::Refused(away(error)),
    }
}
