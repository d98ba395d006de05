//! Form bodies and query strings as Stripe reads them: `items[0][price_data][currency]=eur`.

use url::form_urlencoded::Serializer;

/// Fields in their order.
#[derive(Debug, Clone, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// With this field too.
    #[must_use]
    pub(super) fn with(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.0.push((name.into(), value.to_string()));
        self
    }

    /// With this field too, when there is a value.
    #[must_use]
    pub(super) fn maybe(self, name: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The text.
    pub(super) fn encoded(&self) -> String {
        let mut out = Serializer::new(String::new());
        for (name, value) in &self.0 {
            out.append_pair(name, value);
        }
        out.finish()
    }
}
