//! From a letter to a message, and on its way.

use lettre::Message;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};

use super::model::Letter;
use super::templates::Templates;
use super::transport::Transport;
use crate::config::Settings;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::MailId;

/// Puts letters into words and delivers them.
pub struct Mailer {
    templates: Templates,
    transport: Transport,
    from: Mailbox,
    url: String,
}

/// No machine should answer: RFC 3834.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl Mailer {
    /// Reads templates and transport. `url` is where people reach this server.
    ///
    /// # Errors
    /// [`Error::Refused`] for templates or a transport that cannot work.
    pub fn open(settings: &Settings, url: &str) -> Result<Self> {
        let mail = &settings.mail;
        let templates = match &mail.templates_dir {
            Some(dir) => Templates::read(dir),
            None => Templates::built_in(),
        };
        let templates = templates.map_err(|problems| {
            let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Error::refused("mail_templates", told.join("\n"))
        })?;
        let from: Mailbox =
            mail.from.parse().map_err(|error| Error::refused("mail_from", format!("mail.from: {error}")))?;
        let transport = Transport::open(mail, &settings.data_dir)?;
        Ok(Self { templates, transport, from, url: url.to_owned() })
    }

    /// What the product is called: the name that mail is from.
    #[must_use]
    pub fn product(&self) -> String {
        self.from.name.clone().unwrap_or_else(|| self.from.email.domain().to_owned())
    }

    /// The message that a letter becomes. The same letter gets the same `Message-ID`.
    ///
    /// # Errors
    /// [`Error::Internal`] when it cannot be put together; [`Error::Refused`] for an address that no mail server takes.
    pub fn message(&self, id: MailId, letter: &Letter) -> Result<Message> {
        let mut words = letter.words.clone();
        words.extend([
            ("product".to_owned(), self.product()),
            ("url".to_owned(), self.url.clone()),
            ("to".to_owned(), letter.to.clone()),
        ]);
        let rendered = self.templates.render(letter.kind, &words)?;
        let to: lettre::Address = letter
            .to
            .parse()
            .map_err(|_| Error::refused(crate::work::GIVEN_UP, "the address cannot be written to"))?;
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())))
            .header(AutoSubmitted)
            .subject(rendered.subject)
            .multipart(MultiPart::alternative_plain_html(rendered.text, rendered.html))
            .map_err(Error::internal)
    }

    /// Delivers a letter, within the transport's time.
    ///
    /// # Errors
    /// As [`Mailer::message`]; [`Error::Unavailable`] when the transport does not take it now;
    /// [`Error::Refused`] when it never will.
    pub async fn deliver(&self, id: MailId, letter: &Letter) -> Result<()> {
        let message = self.message(id, letter)?;
        self.transport.send(id, message).await
    }
}
