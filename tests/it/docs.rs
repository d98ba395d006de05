//! The documents against the project: what they name exists, and what must be named is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::tour::blocks;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// Every document with its text, by its path from the root.
fn documents() -> Vec<(String, String)> {
    let mut all: Vec<String> = ["README.md", "CHANGELOG.md"].map(str::to_owned).into();
    for folder in ["docs", "docs/decisions"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".md") {
                all.push(format!("{folder}/{name}"));
            }
        }
    }
    all.into_iter().map(|path| (path.clone(), read(path))).collect()
}

fn every(pattern: &str, text: &str) -> BTreeSet<String> {
    Regex::new(pattern).unwrap().captures_iter(text).map(|found| found[1].to_owned()).collect()
}

/// All Rust below `src/` or a module of it.
fn rust_below(place: &Path) -> String {
    let mut text = String::new();
    if place.is_dir() {
        for entry in std::fs::read_dir(place).unwrap() {
            text.push_str(&rust_below(&entry.unwrap().path()));
        }
    } else if place.is_file() && place.extension().is_some_and(|extension| extension == "rs") {
        text = std::fs::read_to_string(place).unwrap();
    }
    text
}

fn none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_map_shows_every_folder_of_the_source() {
    let map = read("docs/ARCHITECTURE.md");
    let mut missing = Vec::new();
    for entry in std::fs::read_dir(root().join("src")).unwrap() {
        let entry = entry.unwrap();
        let mut place = format!("src/{}", entry.file_name().into_string().unwrap());
        if entry.path().is_dir() {
            place.push('/');
        }
        if place != "src/lib.rs" && !map.contains(&format!("`{place}`")) {
            missing.push(format!("docs/ARCHITECTURE.md does not tell of {place}"));
        }
    }
    none(missing);
}

#[test]
fn every_configuration_key_is_explained_to_operators() {
    let page = read("docs/OPERATING.md");
    let (mut section, mut missing, mut found) = (String::new(), Vec::new(), 0);
    let key = Regex::new("^#?([a-z_]+) = ").unwrap();
    for line in read("config/default.toml").lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = format!("{name}.");
        } else if let Some(name) = key.captures(line) {
            found += 1;
            let row = format!("\n| `{section}{}` |", &name[1]);
            if !page.contains(&row) {
                missing.push(format!("docs/OPERATING.md has no row for `{section}{}`", &name[1]));
            }
        }
    }
    assert!(found > 30, "config/default.toml was not understood");
    none(missing);
}

#[test]
fn the_metrics_of_the_page_are_those_of_the_code() {
    let names = r#""(tenantry_[a-z_]+_(?:seconds|total|connections))""#;
    let code = every(names, &rust_below(&root().join("src")));
    let page = every(r"`(tenantry_[a-z_]+_(?:seconds|total|connections))`", &read("docs/OPERATING.md"));
    assert_eq!(page, code);
}

#[test]
fn files_and_links_that_are_named_exist() {
    let mut wrong = Vec::new();
    for (path, text) in documents() {
        let named = every(r"`((?:src|tests|config|migrations|scripts|examples|docs)/[\w./-]+)`", &text);
        wrong.extend(
            named
                .iter()
                // Examples of what one adds carry a word in capitals.
                .filter(|name| !name.contains("NAME"))
                .filter(|name| !root().join(name).exists())
                .map(|name| format!("{path} names {name}, which does not exist")),
        );
        let folder = root().join(&path).parent().unwrap().to_path_buf();
        for link in every(r"\]\(([^)\s]+)\)", &text) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            if file.contains("://") {
                continue;
            }
            let target = if file.is_empty() { root().join(&path) } else { folder.join(file) };
            if !target.exists() {
                wrong.push(format!("{path} links to {link}, which does not exist"));
            } else if !anchor.is_empty() && !anchors(&target).contains(anchor) {
                wrong.push(format!("{path} links to {link}, but there is no such heading"));
            }
        }
    }
    none(wrong);
}

fn anchors(page: &Path) -> BTreeSet<String> {
    let headings = every(r"(?m)^#+ (.+)$", &std::fs::read_to_string(page).unwrap());
    let kept = |c: char| c.is_alphanumeric() || c == ' ' || c == '-';
    headings.iter().map(|text| text.to_lowercase().replace(|c| !kept(c), "").replace(' ', "-")).collect()
}

#[test]
fn functions_and_types_that_are_named_exist() {
    let mut wrong = Vec::new();
    for (path, text) in documents() {
        for name in every(r"`((?:[a-z_]+::)+[A-Za-z_]+(?:::[A-Za-z_]+)*)`", &text) {
            let parts: Vec<_> = name.split("::").collect();
            let (Some(last), Some(first)) = (parts.last(), parts.first()) else { continue };
            let (folder, file) = (root().join("src").join(first), root().join(format!("src/{first}.rs")));
            let code = rust_below(if folder.is_dir() { &folder } else { &file });
            let item = format!(r"\b(?:fn|struct|enum|trait|const|mod|static) {last}\b|\b{last} \{{");
            if !Regex::new(&item).unwrap().is_match(&code) {
                wrong.push(format!("{path} names {name}, which src/{first} does not have"));
            }
        }
    }
    none(wrong);
}

#[test]
fn the_configurations_that_are_shown_are_good() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root().join("examples"), folder.path().join("examples")).unwrap();
    let mut seen = 0;
    for (path, text) in documents() {
        for (language, block) in blocks(&text) {
            if language != "toml" {
                continue;
            }
            seen += 1;
            std::fs::write(folder.path().join("tenantry.toml"), &block).unwrap();
            let inputs = tenantry::config::Inputs {
                dir: folder.path().to_path_buf(),
                files: None,
                env: tenantry::config::Environment::default(),
            };
            if let Err(problems) = tenantry::config::load(&inputs) {
                panic!("{path} shows a configuration that is refused:\n{block}\n{problems}");
            }
        }
    }
    assert!(seen > 0);
}

#[test]
fn the_documents_speak_of_the_project_alone() {
    let machine = Regex::new(r"(?:^|[\s(`])/(?:root|home|work|Users)/|\bcrates\.io\b").unwrap();
    none(
        documents()
            .iter()
            .filter(|(_, text)| machine.is_match(text))
            .map(|(path, _)| format!("{path} names a place of some machine"))
            .collect(),
    );
}
