//! PostgreSQL's array literals, `{1,NULL,"a b"}`, both ways.

use std::iter::Peekable;
use std::str::Chars;

use super::cell;
use super::shape::Shape;

/// PostgreSQL has at most six dimensions.
const DEPTH: u8 = 6;

/// Appends the array that `text` writes, as JSON; `None` when it is no array literal (what was
/// appended by then is the caller's to cut off).
pub(super) fn read(out: &mut Vec<u8>, text: &str, of: &Shape, delimiter: char) -> Option<()> {
    // `[2:3]={…}` states where counting starts; JSON arrays cannot say.
    let body = match text.strip_prefix('[') {
        Some(rest) => rest.split_once('=')?.1,
        None => text,
    };
    let mut chars = body.chars().peekable();
    items(out, &mut chars, of, delimiter, DEPTH)?;
    chars.next().is_none().then_some(())
}

fn items(
    out: &mut Vec<u8>,
    from: &mut Peekable<Chars<'_>>,
    of: &Shape,
    delimiter: char,
    left: u8,
) -> Option<()> {
    let left = left.checked_sub(1)?;
    if from.next()? != '{' {
        return None;
    }
    out.push(b'[');
    if from.next_if_eq(&'}').is_some() {
        out.push(b']');
        return Some(());
    }
    loop {
        match *from.peek()? {
            '{' => items(out, from, of, delimiter, left)?,
            '"' => cell::write(out, of, &quoted(from)?),
            _ => {
                let mut plain = String::new();
                while let Some(c) = from.next_if(|&c| c != delimiter && c != '}') {
                    plain.push(if c == '\\' { from.next()? } else { c });
                }
                if plain.eq_ignore_ascii_case("null") {
                    out.extend_from_slice(b"null");
                } else {
                    cell::write(out, of, &plain);
                }
            }
        }
        match from.next()? {
            '}' => break,
            c if c == delimiter => out.push(b','),
            _ => return None,
        }
    }
    out.push(b']');
    Some(())
}

fn quoted(from: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut text = String::new();
    from.next();
    loop {
        match from.next()? {
            '"' => return Some(text),
            '\\' => text.push(from.next()?),
            c => text.push(c),
        }
    }
}

/// Appends one element of an array literal, quoted whatever it is.
pub(super) fn push_quoted(out: &mut String, element: &str) {
    out.push('"');
    for c in element.chars() {
        if c == '"' || c == '\\' {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, of: &Shape) -> Option<String> {
        let mut out = Vec::new();
        read(&mut out, text, of, ',').map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn arrays_become_arrays() {
        for (text, json) in [
            ("{}", "[]"),
            ("{1,NULL,3}", "[1,null,3]"),
            ("{{1,2},{3,4}}", "[[1,2],[3,4]]"),
            ("[0:1]={7,8}", "[7,8]"),
        ] {
            assert_eq!(shown(text, &Shape::Int).as_deref(), Some(json), "{text}");
        }
        assert_eq!(
            shown(r#"{a,"b,c","NULL","q\"\\"}"#, &Shape::Text).as_deref(),
            Some(r#"["a","b,c","NULL","q\"\\"]"#)
        );
        for bad in ["", "{", "{1", "{1}x", "{\"a", "1,2", "{{{{{{{1}}}}}}}"] {
            assert_eq!(shown(bad, &Shape::Text), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_texts_survive_a_literal(texts: Vec<String>) {
            let mut literal = String::from("{");
            for (at, text) in texts.iter().enumerate() {
                if at > 0 { literal.push(','); }
                push_quoted(&mut literal, text);
            }
            literal.push('}');
            let json = shown(&literal, &Shape::Text).unwrap();
            proptest::prop_assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), texts);
        }
    }
}
