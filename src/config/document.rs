//! A TOML text as a tree in which every key and value knows its file, line and column.
//!
//! Both the config and the plan catalogue are read through it, so their mistakes look the same.

use std::ops::Range;
use std::path::Path;

use toml_edit::{Document, Item, TableLike, Value};

use super::problem::{Fault, Origin, Problem};

/// Deeper than any key of ours; what lies deeper is refused rather than walked.
const DEEPEST: usize = 8;

/// A value with its place.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where the value starts.
    pub origin: Origin,
    /// What it is.
    pub shape: Shape,
}

/// What a [`Node`] holds.
#[derive(Debug, Clone)]
pub enum Shape {
    /// `[section]` or `{ … }`, in the order of the text.
    Table(Vec<Field>),
    /// `[ … ]`, or repeated `[[section]]`s.
    List(Vec<Node>),
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// A TOML date or time: no key of ours takes one.
    Moment,
}

impl Shape {
    /// What it is, in words: `a string`.
    #[must_use]
    pub fn words(&self) -> &'static str {
        match self {
            Self::Table(_) => "a table",
            Self::List(_) => "a list",
            Self::Text(_) => "a string",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number with a fraction",
            Self::Bool(_) => "true or false",
            Self::Moment => "a date or time",
        }
    }
}

/// A key and its value.
#[derive(Debug, Clone)]
pub struct Field {
    /// The key, without its section.
    pub name: String,
    /// Where the key starts.
    pub origin: Origin,
    /// The value.
    pub node: Node,
}

/// A text and its name, for turning byte offsets into lines.
struct Text<'a> {
    file: &'a str,
    text: &'a str,
}

impl Text<'_> {
    fn at(&self, span: Option<Range<usize>>) -> Origin {
        let Some(span) = span else { return Origin::file(self.file) };
        let mut end = span.start.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = self.text.get(..end).unwrap_or_default();
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Origin::File {
            file: self.file.to_owned(),
            line: u32::try_from(line).ok(),
            column: u32::try_from(column).ok(),
        }
    }
}

/// Reads a file's bytes as TOML; `file` is the name shown in problems.
///
/// # Errors
/// One problem: the file cannot be read, is not UTF-8, or is not TOML.
pub fn read(path: &Path, file: &str) -> Result<Vec<Field>, Problem> {
    let bytes = std::fs::read(path).map_err(|error| {
        Fault::new(
            format!("cannot be read: {}", io_words(&error)),
            "check the path and the rights of the user that runs tenantry",
        )
        .at("", Origin::file(file))
    })?;
    match String::from_utf8(bytes) {
        Ok(text) => parse(file, &text),
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes());
            let origin = Text { file, text: &text }.at(Some(good..good));
            Err(Fault::new("not UTF-8 text", "save the file as UTF-8").at("", origin))
        }
    }
}

/// Reads TOML text; `file` is the name shown in problems.
///
/// # Errors
/// The first syntax error: what follows it cannot be trusted.
pub fn parse(file: &str, text: &str) -> Result<Vec<Field>, Problem> {
    let source = Text { file, text };
    let document = Document::parse(text).map_err(|error| {
        let message = error.message().replace('\n', ", ");
        Fault::new(format!("not valid TOML: {message}"), "").at("", source.at(error.span()))
    })?;
    let mut too_deep = None;
    let fields = table(&source, document.as_table(), 0, &mut too_deep);
    match too_deep {
        Some(origin) => Err(Fault::new("nested too deep", "no key of ours lies this deep").at("", origin)),
        None => Ok(fields),
    }
}

fn table(source: &Text<'_>, from: &dyn TableLike, depth: usize, too_deep: &mut Option<Origin>) -> Vec<Field> {
    from.iter()
        .filter_map(|(name, item)| {
            let span = from.key(name).and_then(toml_edit::Key::span);
            let origin = source.at(span.or_else(|| item.span()));
            if depth >= DEEPEST {
                too_deep.get_or_insert(origin);
                return None;
            }
            let node = node(source, item, &origin, depth + 1, too_deep)?;
            Some(Field { name: name.to_owned(), origin, node })
        })
        .collect()
}

fn node(
    source: &Text<'_>,
    item: &Item,
    key: &Origin,
    depth: usize,
    too_deep: &mut Option<Origin>,
) -> Option<Node> {
    let origin = item.span().map_or_else(|| key.clone(), |span| source.at(Some(span)));
    let shape = match item {
        Item::None => return None,
        Item::Value(found) => return Some(value(source, found, key, depth, too_deep)),
        Item::Table(found) => Shape::Table(table(source, found, depth, too_deep)),
        Item::ArrayOfTables(found) => Shape::List(
            found
                .iter()
                .map(|one| Node {
                    origin: source.at(one.span()),
                    shape: Shape::Table(table(source, one, depth, too_deep)),
                })
                .collect(),
        ),
    };
    Some(Node { origin, shape })
}

fn value(
    source: &Text<'_>,
    found: &Value,
    key: &Origin,
    depth: usize,
    too_deep: &mut Option<Origin>,
) -> Node {
    let origin = found.span().map_or_else(|| key.clone(), |span| source.at(Some(span)));
    let shape = match found {
        Value::String(text) => Shape::Text(text.value().clone()),
        Value::Integer(number) => Shape::Integer(*number.value()),
        Value::Float(number) => Shape::Float(*number.value()),
        Value::Boolean(flag) => Shape::Bool(*flag.value()),
        Value::Datetime(_) => Shape::Moment,
        Value::InlineTable(inner) => Shape::Table(table(source, inner, depth, too_deep)),
        Value::Array(_) if depth >= DEEPEST => {
            too_deep.get_or_insert(origin.clone());
            Shape::List(Vec::new())
        }
        Value::Array(items) => {
            Shape::List(items.iter().map(|one| value(source, one, &origin, depth + 1, too_deep)).collect())
        }
    };
    Node { origin, shape }
}

/// An I/O error in plain words, without the platform's error number.
#[must_use]
pub fn io_words(error: &std::io::Error) -> String {
    use std::io::ErrorKind as Kind;
    match error.kind() {
        Kind::NotFound => "no such file".to_owned(),
        Kind::PermissionDenied => "permission denied".to_owned(),
        Kind::IsADirectory => "it is a directory".to_owned(),
        Kind::NotADirectory => "a part of the path is not a directory".to_owned(),
        kind => kind.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(origin: &Origin) -> (u32, u32) {
        match origin {
            Origin::File { line: Some(line), column: Some(column), .. } => (*line, *column),
            other => panic!("{other:?} has no place"),
        }
    }

    #[test]
    fn keys_and_values_know_their_line_and_column() {
        let fields = parse("a.toml", "# é\n[server]\n  bind = \"x\"\n[a.b]\nc.d = [1,\n 2]\n").unwrap();
        let Shape::Table(server) = &fields[0].node.shape else { panic!() };
        assert_eq!(place(&server[0].origin), (3, 3));
        assert_eq!(place(&server[0].node.origin), (3, 10));
        let Shape::Table(a) = &fields[1].node.shape else { panic!() };
        let Shape::Table(b) = &a[0].node.shape else { panic!() };
        assert_eq!(place(&b[0].origin), (5, 1));
    }

    #[test]
    fn a_syntax_error_has_a_place() {
        let problem = parse("a.toml", "a = 1\nb = = 2\n").unwrap_err();
        assert_eq!(place(&problem.origin).0, 2);
        assert!(problem.detail.starts_with("not valid TOML: "), "{problem}");
    }

    #[test]
    fn deep_nesting_is_refused() {
        let keys = vec!["a"; 60].join(".");
        for text in [format!("{keys} = 1"), format!("a = {}1{}", "[".repeat(60), "]".repeat(60))] {
            assert_eq!(parse("a.toml", &text).unwrap_err().detail, "nested too deep");
        }
        assert!(parse("a.toml", &"a = [".repeat(5000)).is_err());
        assert!(parse("a.toml", &format!("{} = 1", vec!["a"; 50_000].join("."))).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "(?s).{0,200}", toml in r#"([a-c.]{1,5} = ["\[{0-9}\],=a-c]{0,9}\n|\[[a-c.]{0,5}\]{1,2}\n){0,12}"#) {
            let _ = parse("x", &text);
            let _ = parse("x", &toml);
        }
    }
}
