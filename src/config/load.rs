//! From inputs to settings: read every layer, let the `config` crate merge them, look up where each
//! winning value came from, make the typed settings, apply the rules between keys.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use config::{Map, Source, ValueKind};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::document;
use super::inputs::Inputs;
use super::keys::{self, DEFAULT_TOML, Kind, Raw};
use super::master_key::{self, MasterKeySource};
use super::problem::{Fault, Origin, Problem, Problems};
use super::reading::{Leaf, Reader};
use super::rules;
use super::settings::{Secrets, Settings};
use super::url;

/// Good settings and where each came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Every effective key with its value and source, by key.
    pub entries: Vec<Entry>,
    /// What is allowed but deserves a second look.
    pub warnings: Vec<Problem>,
}

impl Loaded {
    /// The entry of `key`.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Where `key` has its value from.
    #[must_use]
    pub fn origin(&self, key: &str) -> Origin {
        self.entry(key).map_or(Origin::Default, |entry| entry.source.clone())
    }
}

/// An effective key, fit to be shown: passwords and keys are masked.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = ConfigEntry)]
pub struct Entry {
    /// Dotted from the root.
    pub key: String,
    /// The value.
    pub value: serde_json::Value,
    /// Where it was set.
    pub source: Origin,
    /// `env:NAME` or `file:PATH`, when the value was given by such a reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// Tells secrets apart that look the same when masked.
    #[serde(skip)]
    pub(crate) digest: Option<[u8; 32]>,
}

/// Everything that reading the config found out, good or bad.
#[derive(Debug)]
pub struct Gathered {
    /// The settings, with defaults in place of what was refused, so that later rules can look at the rest.
    pub loaded: Option<Loaded>,
    /// What is wrong.
    pub problems: Vec<Problem>,
    pub(crate) refused: BTreeSet<String>,
}

impl Gathered {
    /// Whether a mistake was found in the value of `key`, so that a stand-in is in its place.
    #[must_use]
    pub fn was_refused(&self, key: &str) -> bool {
        self.refused.contains(key)
    }

    /// The settings, or everything that is wrong.
    ///
    /// # Errors
    /// All problems.
    pub fn finish(self) -> Result<Loaded, Problems> {
        match self.loaded {
            Some(loaded) => Problems::or(self.problems, loaded),
            None => Err(Problems(self.problems)),
        }
    }
}

/// Reads and checks the config.
///
/// # Errors
/// All problems of all layers.
pub fn load(inputs: &Inputs) -> Result<Loaded, Problems> {
    gather(inputs).finish()
}

/// Reads and checks the config, keeping what is good when something is not.
#[must_use]
pub fn gather(inputs: &Inputs) -> Gathered {
    let mut defaults = Reader::new(inputs);
    let default = match document::parse("default.toml", DEFAULT_TOML) {
        Ok(fields) => defaults.file(fields),
        Err(problem) => return Gathered { loaded: None, problems: vec![problem], refused: BTreeSet::new() },
    };
    let mut reader = Reader::new(inputs);
    let mut written = Vec::new();
    for path in inputs.paths() {
        match document::read(&inputs.dir.join(&path), &path.display().to_string()) {
            Ok(fields) => written.push(reader.file(fields)),
            Err(problem) => reader.problems.push(problem),
        }
    }
    written.push(reader.environment());

    let (base, clusters) = base(default, &written, &mut reader);
    let mut layers = vec![base];
    layers.extend(written);
    for layer in &mut layers {
        layer.retain(|leaf| cluster_of(&leaf.key).is_none_or(|name| clusters.contains(name)));
    }
    let loaded = match merge(&layers) {
        Ok((settings, entries)) => {
            let mut loaded = Loaded { settings, entries, warnings: Vec::new() };
            rules::apply(&mut loaded, &mut reader, &inputs.dir);
            Some(loaded)
        }
        Err(error) => {
            reader.problems.push(Fault::new(error.to_string(), "").at("", Origin::Default));
            None
        }
    };
    super::problem::sort(&mut reader.problems);
    Gathered { loaded, problems: reader.problems, refused: reader.refused }
}

fn cluster_of(key: &str) -> Option<&str> {
    key.strip_prefix("clusters.")?.split('.').next()
}

/// The lowest layer: the defaults, spread over the clusters there are, and what follows `data_dir`. Also
/// the names of the clusters that can be used.
fn base(default: Vec<Leaf>, written: &[Vec<Leaf>], reader: &mut Reader<'_>) -> (Vec<Leaf>, BTreeSet<String>) {
    let last = |key: &str| {
        let mut leaves = std::iter::once(&default).chain(written).flatten();
        leaves.rfind(|leaf| leaf.key == key).and_then(|leaf| match &leaf.value {
            Raw::Text(text) => Some(text.clone()),
            _ => None,
        })
    };
    let data_dir = last("data_dir").unwrap_or_default();
    let mut mentioned = reader.clusters.clone();
    if last("tenancy.default_cluster").is_some_and(|name| name == "main") {
        mentioned.entry("main".to_owned()).or_insert(Origin::Default);
    }
    let mut clusters = BTreeSet::new();
    for (name, origin) in mentioned {
        let url = format!("clusters.{name}.url");
        if name == "main" || written.iter().flatten().any(|leaf| leaf.key == url) {
            clusters.insert(name);
        } else if !reader.refused.contains(&url) {
            let remedy = "set it: sqlite://DIRECTORY or postgres://owner@host/database";
            reader.refuse(&url, origin, Fault::new("is missing, and a cluster needs one", remedy));
        }
    }

    let mut out = Vec::new();
    for mut leaf in default {
        let Some(field) = leaf.key.strip_prefix("clusters.main.").map(str::to_owned) else {
            leaf.origin = Origin::Default;
            follow(&mut leaf, &data_dir);
            out.push(leaf);
            continue;
        };
        for name in clusters.iter().filter(|name| field != "url" || *name == "main") {
            let key = format!("clusters.{name}.{field}");
            let mut leaf = Leaf { key, origin: Origin::Default, ..leaf.clone() };
            follow(&mut leaf, &data_dir);
            out.push(leaf);
        }
    }
    out.push(Leaf {
        key: "secrets.master_key".to_owned(),
        kind: Kind::MasterKey,
        value: Raw::Text(format!("file:{}", Path::new(&data_dir).join("master.key").display())),
        origin: Origin::Derived { from: "data_dir".to_owned() },
        via: None,
    });
    (out, clusters)
}

/// Lets a default path under `data/` follow another `data_dir`.
fn follow(leaf: &mut Leaf, data_dir: &str) {
    if let (Kind::StoreUrl | Kind::ClusterUrl, Raw::Text(text)) = (leaf.kind, &leaf.value)
        && let Some(file) = text.strip_prefix("sqlite://data/")
    {
        leaf.value = Raw::Text(format!("sqlite://{}", Path::new(data_dir).join(file).display()));
        leaf.origin = Origin::Derived { from: "data_dir".to_owned() };
    }
}

/// A layer as the `config` crate takes it. Each value's origin is its place in `at`, which leads back to
/// the leaf that won.
#[derive(Debug, Clone)]
struct Layer(Vec<(String, config::Value)>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, config::Value>, config::ConfigError> {
        Ok(self.0.iter().cloned().collect())
    }
}

fn merge(layers: &[Vec<Leaf>]) -> Result<(Settings, Vec<Entry>), config::ConfigError> {
    let mut leaves: BTreeMap<String, &Leaf> = BTreeMap::new();
    let mut builder = config::Config::builder();
    for layer in layers {
        let mut values = Vec::new();
        for leaf in layer {
            let at = leaves.len().to_string();
            let kind = match &leaf.value {
                Raw::Text(text) => ValueKind::String(text.clone()),
                Raw::Integer(number) => ValueKind::I64(*number),
                Raw::Bool(flag) => ValueKind::Boolean(*flag),
                Raw::List(all) => all.clone().into(),
            };
            values.push((leaf.key.clone(), config::Value::new(Some(&at), kind)));
            leaves.insert(at, leaf);
        }
        builder = builder.add_source(Layer(values));
    }
    let merged = builder.build()?;
    let mut winners = Vec::new();
    flatten(&merged.cache, &leaves, &mut winners);
    let mut settings: Settings = merged.try_deserialize()?;
    settings.secrets = secrets(&winners);
    let mut entries: Vec<Entry> = winners.into_iter().map(entry).collect();
    if settings.server.public_url.is_none() {
        entries.push(Entry {
            key: "server.public_url".to_owned(),
            value: settings.server.public_url(settings.server.bind).into(),
            source: Origin::Derived { from: "server.bind".to_owned() },
            via: None,
            digest: None,
        });
    }
    // What has no default and was not set is there all the same, without a value.
    for spec in keys::KEYS {
        let set = entries.iter().any(|entry| keys::pattern(&entry.key) == spec.key);
        if !set && !spec.key.contains(keys::ANY) {
            let key = spec.key.to_owned();
            entries.push(Entry {
                key,
                value: serde_json::Value::Null,
                source: Origin::Default,
                via: None,
                digest: None,
            });
        }
    }
    let place = |entry: &Entry| {
        let wanted = keys::pattern(&entry.key);
        (keys::KEYS.iter().position(|spec| spec.key == wanted), entry.key.clone())
    };
    entries.sort_by_cached_key(place);
    Ok((settings, entries))
}

fn flatten<'a>(value: &config::Value, leaves: &BTreeMap<String, &'a Leaf>, out: &mut Vec<&'a Leaf>) {
    match (value.origin().and_then(|at| leaves.get(at)), &value.kind) {
        (Some(leaf), _) => out.push(leaf),
        (None, ValueKind::Table(inner)) => inner.values().for_each(|value| flatten(value, leaves, out)),
        (None, _) => {}
    }
}

fn secrets(winners: &[&Leaf]) -> Secrets {
    let mut out = Secrets::default();
    for leaf in winners {
        match (leaf.kind, &leaf.value) {
            (Kind::MasterKey, Raw::Text(text)) => {
                out.master_key = match (&leaf.origin, master_key::parse(text)) {
                    (Origin::File { .. } | Origin::Env { .. }, Ok(key)) => MasterKeySource::Given(key),
                    _ => MasterKeySource::Made(PathBuf::from(text.strip_prefix("file:").unwrap_or(text))),
                };
            }
            (Kind::MasterKeys, Raw::List(all)) => {
                out.previous_master_keys =
                    all.iter().filter_map(|text| master_key::parse(text).ok()).collect();
            }
            _ => {}
        }
    }
    out
}

fn entry(leaf: &Leaf) -> Entry {
    const MASK: &str = "***";
    let value = match (leaf.kind, &leaf.value) {
        (Kind::StoreUrl | Kind::ClusterUrl | Kind::SmtpUrl, Raw::Text(text)) => url::redact(text).into(),
        (Kind::MasterKey, _) if leaf.origin.is_operators() => MASK.into(),
        (Kind::Secret, _) => MASK.into(),
        (Kind::MasterKeys, Raw::List(all)) => vec![MASK; all.len()].into(),
        (_, Raw::Text(text)) => text.clone().into(),
        (_, Raw::Integer(number)) => (*number).into(),
        (_, Raw::Bool(flag)) => (*flag).into(),
        (Kind::Percents, Raw::List(all)) => all.iter().filter_map(|text| keys::percent(text)).collect(),
        (Kind::Delays, Raw::List(all)) => all.iter().filter_map(|text| keys::delay(text)).collect(),
        (_, Raw::List(all)) => all.clone().into(),
    };
    let digest = leaf.kind.is_secret().then(|| match &leaf.value {
        Raw::List(all) => Sha256::digest(all.join("\n")).into(),
        Raw::Text(text) => Sha256::digest(text).into(),
        _ => [0; 32],
    });
    Entry { key: leaf.key.clone(), value, source: leaf.origin.clone(), via: leaf.via.clone(), digest }
}
