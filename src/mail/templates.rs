//! The words of letters: compiled in, each replaceable by a file of the operator's. A template may use
//! only what its kind of letter knows; anything else is refused at the start, with file and line.

use std::collections::BTreeMap;
use std::path::Path;

use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};

use super::model::LetterKind;
use crate::config::{Fault, Origin, Problem, Settings};
use crate::kernel::error::{Error, Result};

/// The key of the operator's own templates.
const KEY: &str = "mail.templates_dir";

macro_rules! built_in {
    ($($kind:literal),+ $(,)?) => {
        &[$(
            (concat!($kind, ".txt"), include_str!(concat!("templates/", $kind, ".txt"))),
            (concat!($kind, ".html"), include_str!(concat!("templates/", $kind, ".html"))),
        )+]
    };
}

/// Name and text of each: `KIND.txt` begins with the subject's line and an empty one, `KIND.html` is a page.
const BUILT_IN: &[(&str, &str)] = built_in!(
    "confirm_signup",
    "confirm_signup_known",
    "reset_password",
    "password_changed",
    "confirm_email",
    "email_changed",
    "invitation",
    "payment_overdue",
    "webhook_disabled",
);

/// The line that a text begins with.
const SUBJECT: &str = "Subject: ";

/// A letter in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Its subject.
    pub subject: String,
    /// For readers of plain text.
    pub text: String,
    /// The same as a page.
    pub html: String,
}

/// All templates, checked.
#[derive(Debug)]
pub struct Templates(Environment<'static>);

impl Templates {
    /// The compiled-in ones.
    ///
    /// # Errors
    /// As [`Templates::read`], which a test rules out.
    pub fn built_in() -> Result<Self, Vec<Problem>> {
        Self::of(BTreeMap::new())
    }

    /// The compiled-in ones, with those in `dir` in their place.
    ///
    /// # Errors
    /// Everything that is wrong with the operator's files.
    pub fn read(dir: &Path) -> Result<Self, Vec<Problem>> {
        let (mut own, mut wrong) = (BTreeMap::new(), Vec::new());
        let shown = dir.display();
        let entries = std::fs::read_dir(dir).map_err(|error| {
            let fault =
                Fault::new(format!("the directory cannot be read: {}", error.kind()), "correct the path");
            vec![fault.at(KEY, Origin::file(shown.to_string()))]
        })?;
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let origin = || Origin::file(dir.join(&name).display().to_string());
            if !BUILT_IN.iter().any(|(known, _)| *known == name) {
                let all: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
                let remedy = format!("name it as one of {}", all.join(", "));
                wrong.push(Fault::new("is no template's name", remedy).at(KEY, origin()));
                continue;
            }
            match std::fs::read_to_string(entry.path()) {
                Ok(text) => drop(own.insert(name, (text, entry.path().display().to_string()))),
                Err(error) => {
                    wrong.push(Fault::new(format!("cannot be read: {}", error.kind()), "").at(KEY, origin()));
                }
            }
        }
        match Self::of(own) {
            Ok(_) if !wrong.is_empty() => Err(wrong),
            Ok(templates) => Ok(templates),
            Err(more) => {
                wrong.extend(more);
                Err(wrong)
            }
        }
    }

    fn of(mut own: BTreeMap<String, (String, String)>) -> Result<Self, Vec<Problem>> {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_auto_escape_callback(|name| {
            if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None }
        });
        env.set_recursion_limit(20);
        let mut wrong = Vec::new();
        for (name, text) in BUILT_IN {
            let (text, place) = own.remove(*name).unwrap_or_else(|| ((*text).to_owned(), (*name).to_owned()));
            if let Some(problem) = fault(&mut env, name, &text, &place) {
                wrong.push(problem);
            }
        }
        if wrong.is_empty() { Ok(Self(env)) } else { Err(wrong) }
    }

    /// Fills a letter's words in.
    ///
    /// # Errors
    /// [`Error::Internal`] when a word is missing.
    pub fn render(&self, kind: LetterKind, words: &BTreeMap<String, String>) -> Result<Rendered> {
        render(&self.0, kind, words).map_err(|error| Error::internal(format!("{}: {error}", kind.word())))
    }
}

fn render(
    env: &Environment<'_>,
    kind: LetterKind,
    words: &BTreeMap<String, String>,
) -> Result<Rendered, minijinja::Error> {
    let whole = env.get_template(&format!("{kind}.txt"))?.render(words)?;
    let html = env.get_template(&format!("{kind}.html"))?.render(words)?;
    let (first, text) = whole.split_once('\n').unwrap_or((&whole, ""));
    let subject = first.trim().strip_prefix(SUBJECT.trim_end()).unwrap_or(first).trim().to_owned();
    Ok(Rendered { subject, text: text.trim_start().to_owned(), html })
}

/// Takes a template in, or says what is wrong with it.
fn fault(env: &mut Environment<'static>, name: &str, text: &str, place: &str) -> Option<Problem> {
    let at = |line: Option<usize>, fault: Fault| {
        let line = line.and_then(|line| u32::try_from(line).ok());
        Some(fault.at(KEY, Origin::File { file: place.to_owned(), line, column: None }))
    };
    let kind: LetterKind = name.split('.').next()?.parse().ok()?;
    if let Err(error) = env.add_template_owned(name.to_owned(), text.to_owned()) {
        return at(error.line(), Fault::new(format!("cannot be understood: {}", what(&error)), ""));
    }
    let template = env.get_template(name).ok()?;
    let known: Vec<&str> = kind.words().collect();
    let mut unknown: Vec<String> = template.undeclared_variables(false).into_iter().collect();
    unknown.retain(|word| !known.contains(&word.as_str()));
    unknown.sort();
    if let Some(word) = unknown.first() {
        let line = text.lines().position(|line| names(line, word)).map(|at| at + 1);
        let remedy = format!("this letter knows {}", known.join(", "));
        return at(line, Fault::new(format!("there is no `{word}` to fill in"), remedy));
    }
    let sample: BTreeMap<&str, &str> = known.iter().map(|word| (*word, "x")).collect();
    if let Err(error) = template.render(&sample) {
        return at(error.line(), Fault::new(format!("cannot be filled in: {}", what(&error)), ""));
    }
    let bad_subject = name.ends_with(".txt") && !text.starts_with(SUBJECT);
    if bad_subject {
        return at(Some(1), Fault::new("has no subject", "begin with a line `Subject: …` and an empty one"));
    }
    None
}

fn names(line: &str, word: &str) -> bool {
    let of_a_name = |c: char| c.is_alphanumeric() || c == '_';
    line.contains('{') && line.split(|c| !of_a_name(c)).any(|part| part == word)
}

fn what(error: &minijinja::Error) -> String {
    match (error.kind(), error.detail()) {
        (_, Some(detail)) => detail.to_owned(),
        (ErrorKind::UndefinedError, None) => "something is not defined".to_owned(),
        (kind, None) => kind.to_string(),
    }
}

/// What is wrong with the operator's templates, for `config check` and the start.
#[must_use]
pub fn problems(settings: &Settings) -> Vec<Problem> {
    settings.mail.templates_dir.as_deref().map(Templates::read).and_then(Result::err).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(kind: LetterKind) -> BTreeMap<String, String> {
        kind.words().map(|word| (word.to_owned(), format!("<{word}>"))).collect()
    }

    #[test]
    fn every_letter_says_all_it_has_to_in_text_and_html() {
        let templates = Templates::built_in().unwrap();
        for kind in LetterKind::ALL {
            let letter = templates.render(kind, &words(kind)).unwrap();
            assert!(!letter.subject.is_empty() && !letter.subject.starts_with("Subject"), "{letter:?}");
            for word in kind.own_words() {
                assert!(letter.text.contains(&format!("<{word}>")), "{kind}.txt lacks {word}: {letter:?}");
                assert!(
                    letter.html.contains(&format!("&lt;{word}&gt;")),
                    "{kind}.html lacks {word}: {letter:?}"
                );
            }
            assert!(!letter.html.contains("<to>") && !letter.html.contains("<product>"), "{letter:?}");
        }
    }

    #[test]
    fn an_operators_template_takes_the_place_of_ours_and_mistakes_are_placed() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("reset_password.txt", "Subject: Neues Kennwort\n\nIhr Code: {{ token }}\n");
        let templates = Templates::read(folder.path()).unwrap();
        let letter = templates.render(LetterKind::ResetPassword, &words(LetterKind::ResetPassword)).unwrap();
        assert_eq!((letter.subject.as_str(), letter.text.as_str()), ("Neues Kennwort", "Ihr Code: <token>"));
        write("reset_password.html", "<p>\n{{ tokn }}</p>");
        write("invitation.txt", "Subject: x\n\n{% if %}");
        write("email_changed.txt", "Hello");
        write("confirm_email.txt", "Subject: x\n\n\n{{ code|nothing }}");
        write("reset.txt", "");
        let told: Vec<String> =
            Templates::read(folder.path()).unwrap_err().iter().map(ToString::to_string).collect();
        for part in [
            "reset_password.html:2: mail.templates_dir: there is no `tokn` to fill in; this letter knows product, url, to, token, expires_in",
            "invitation.txt:3: mail.templates_dir: cannot be understood",
            "email_changed.txt:1: mail.templates_dir: has no subject",
            "confirm_email.txt:4: mail.templates_dir: cannot be filled in",
            "reset.txt: mail.templates_dir: is no template's name",
        ] {
            assert!(told.iter().any(|one| one.contains(part)), "{part}: {told:#?}");
        }
    }
}
