//! A file of SQL, split into statements that know their line, so that an error found by the lint or
//! by an engine can be told as file and line.

use sqlparser::ast;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Location, Token};

/// One statement of a migration.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Its first line in the file, from 1.
    pub line: u64,
    /// Its text, without the `;`.
    pub text: String,
    /// Its syntax tree.
    pub tree: ast::Statement,
}

impl Statement {
    /// The text that SQLite runs: a view's options (`security_invoker`) mean nothing there, where a
    /// file holds one tenant, and are left out.
    #[must_use]
    pub fn sqlite_text(&self) -> String {
        match &self.tree {
            ast::Statement::CreateView(view) if view.options != ast::CreateTableOptions::None => {
                let mut view = view.clone();
                view.options = ast::CreateTableOptions::None;
                view.to_string()
            }
            _ => self.text.clone(),
        }
    }

    /// The line in the file of the character at `offset` (from 0) of this statement.
    #[must_use]
    pub fn line_at(&self, offset: usize) -> u64 {
        let before = self.text.chars().take(offset).filter(|letter| *letter == '\n').count();
        self.line.saturating_add(u64::try_from(before).unwrap_or(0))
    }
}

/// A migration's file.
#[derive(Clone, Debug)]
pub struct Script {
    /// `NNNN_name/up.sql`, for messages.
    pub file: String,
    /// The statements, in order.
    pub statements: Vec<Statement>,
    /// What could not be read: line and the parser's words. Such a script is never run.
    pub unreadable: Vec<(u64, String)>,
}

impl Script {
    /// Splits `text`; what cannot be parsed lands in [`Script::unreadable`].
    #[must_use]
    pub fn parse(file: String, text: String) -> Self {
        let mut script = Self { file, statements: Vec::new(), unreadable: Vec::new() };
        let dialect = PostgreSqlDialect {};
        let mut parser = match Parser::new(&dialect).try_with_sql(&text) {
            Ok(parser) => parser,
            Err(error) => {
                script.unreadable.push((line_in(&error.to_string()), error.to_string()));
                return script;
            }
        };
        loop {
            while parser.consume_token(&Token::SemiColon) {}
            let start = parser.peek_token();
            if start.token == Token::EOF {
                return script;
            }
            let outcome = parser.parse_statement();
            let next = parser.peek_token();
            match outcome {
                Ok(tree) if matches!(next.token, Token::SemiColon | Token::EOF) => {
                    let end = (next.token == Token::SemiColon).then_some(next.span.start);
                    script.statements.push(Statement {
                        line: start.span.start.line,
                        text: slice(&text, start.span.start, end),
                        tree,
                    });
                }
                Ok(_) => {
                    script.unreadable.push((next.span.start.line, format!("unexpected `{}`", next.token)));
                    skip(&mut parser);
                }
                Err(error) => {
                    let line = line_in(&error.to_string()).max(start.span.start.line);
                    script.unreadable.push((line, error.to_string()));
                    skip(&mut parser);
                }
            }
        }
    }
}

/// Goes on behind the next `;`.
fn skip(parser: &mut Parser<'_>) {
    while !matches!(parser.next_token().token, Token::SemiColon | Token::EOF) {}
}

/// The line that the parser's message names (`… at Line: 3, Column: 7`); 1 when it names none.
fn line_in(message: &str) -> u64 {
    message
        .rsplit_once("Line: ")
        .and_then(|(_, rest)| rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok())
        .unwrap_or(1)
}

/// The text from `start` to before `end` (or to the end).
fn slice(text: &str, start: Location, end: Option<Location>) -> String {
    let (mut line, mut column) = (1u64, 1u64);
    let mut out = String::new();
    for letter in text.chars() {
        if end.is_some_and(|end| (line, column) >= (end.line, end.column)) {
            break;
        }
        if (line, column) >= (start.line, start.column) {
            out.push(letter);
        }
        if letter == '\n' {
            (line, column) = (line.saturating_add(1), 1);
        } else {
            column = column.saturating_add(1);
        }
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_keep_their_lines_and_texts() {
        let text = "-- a word; ahead\nCREATE TABLE a (x text DEFAULT ';');\n\n\n  UPDATE a\n SET x = 'é';;\nSELECT 1";
        let script = Script::parse("f".into(), text.into());
        let told: Vec<_> = script.statements.iter().map(|s| (s.line, s.text.as_str())).collect();
        assert_eq!(
            told,
            [(2, "CREATE TABLE a (x text DEFAULT ';')"), (5, "UPDATE a\n SET x = 'é'"), (7, "SELECT 1")]
        );
        assert_eq!(script.statements[1].line_at(10), 6);
        assert!(script.unreadable.is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_told_and_the_rest_goes_on() {
        let script = Script::parse("f".into(), "SELECT 1;\nDO $$ BEGIN END $$;\nSELEC 2;\nSELECT 3;".into());
        assert_eq!(script.statements.len(), 2);
        let lines: Vec<u64> = script.unreadable.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 3]);
        assert_eq!(Script::parse("f".into(), "SELECT 'open".into()).unreadable.len(), 1);
    }
}
