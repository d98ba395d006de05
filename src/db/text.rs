//! What a search types, as patterns of `LIKE … ESCAPE '\'`: `%`, `_` and `\` in it stand for themselves.

/// Texts that hold it, whatever the case of its letters; compare with [`lower`].
#[must_use]
pub fn part(text: &str) -> String {
    format!("%{}%", escaped(&text.to_lowercase()))
}

/// Texts that begin with it.
#[must_use]
pub fn beginning(text: &str) -> String {
    format!("{}%", escaped(text))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

#[diesel::declare_sql_function]
extern "SQL" {
    /// Lower case.
    fn lower(text: diesel::sql_types::Text) -> diesel::sql_types::Text;
}
