//! Reading one layer, a file or the environment, against the table of keys. Every value that passes
//! becomes a [`Leaf`]; every mistake becomes a [`Problem`] and its key is remembered as refused, so that
//! rules between keys do not complain about the value that stands in for it.

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

use super::document::{Field, Node, Shape, io_words};
use super::inputs::Inputs;
use super::keys::{self, KeySpec, Kind, Raw};
use super::problem::{Fault, Origin, Problem};

/// What every variable of ours begins with.
pub const PREFIX: &str = "TENANTRY_";

/// Variables of ours that are no config keys: the first operator key, crash tests, and where and as whom
/// the command line calls a running server.
const NOT_KEYS: [&str; 4] =
    ["TENANTRY_BOOTSTRAP_OPERATOR_KEY", "TENANTRY_FAILPOINT", "TENANTRY_SERVER_URL", "TENANTRY_OPERATOR_KEY"];

/// A value that passed its own rules.
#[derive(Debug, Clone)]
pub struct Leaf {
    pub(crate) key: String,
    pub(crate) kind: Kind,
    /// With references to secrets resolved.
    pub(crate) value: Raw,
    pub(crate) origin: Origin,
    /// The reference, when the value was given by one.
    pub(crate) via: Option<String>,
}

/// Collects what the layers say.
pub struct Reader<'a> {
    inputs: &'a Inputs,
    pub(crate) problems: Vec<Problem>,
    /// Keys whose value was refused somewhere.
    pub(crate) refused: BTreeSet<String>,
    /// Clusters that the operator mentions, each with its first place.
    pub(crate) clusters: BTreeMap<String, Origin>,
    /// Variables that values refer to by `env:NAME`.
    referred: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(inputs: &'a Inputs) -> Self {
        Self {
            inputs,
            problems: Vec::new(),
            refused: BTreeSet::new(),
            clusters: BTreeMap::new(),
            referred: BTreeSet::new(),
        }
    }

    /// Reads a file's fields.
    pub(crate) fn file(&mut self, fields: Vec<Field>) -> Vec<Leaf> {
        let mut leaves = Vec::new();
        self.section("", fields, &mut leaves);
        leaves
    }

    fn section(&mut self, section: &str, fields: Vec<Field>, leaves: &mut Vec<Leaf>) {
        for Field { name, origin, node } in fields {
            let key = if section.is_empty() { name.clone() } else { format!("{section}.{name}") };
            if section == "clusters" && !self.cluster(&name, &key, &origin) {
                continue;
            }
            if name.contains('.') {
                self.unknown(&key, origin, None);
            } else if let Some(spec) = keys::find(&key) {
                self.field(spec, &key, &node, leaves);
            } else if !keys::is_section(&key) {
                self.unknown(&key, origin, keys::suggest(&key).map(did_you_mean));
            } else if let Shape::Table(inner) = node.shape {
                self.section(&key, inner, leaves);
            } else {
                let remedy = format!("write its keys under [{key}]");
                self.refuse(&key, node.origin, Fault::new("is a section, not a value", remedy));
            }
        }
    }

    fn cluster(&mut self, name: &str, key: &str, origin: &Origin) -> bool {
        if !keys::is_cluster_name(name) {
            let remedy = "use a-z, 0-9, - and _, with a letter or digit at both ends, 40 at most";
            self.refuse(key, origin.clone(), Fault::new("cannot be a cluster's name", remedy));
            return false;
        }
        let folded = |name: &str| name.replace('-', "_");
        if let Some(twin) = self.clusters.keys().find(|known| *known != name && folded(known) == folded(name))
        {
            let detail = format!("cannot be told from the cluster {twin} in the environment");
            self.refuse(key, origin.clone(), Fault::new(detail, "rename one of them"));
            return false;
        }
        self.clusters.entry(name.to_owned()).or_insert_with(|| origin.clone());
        true
    }

    fn field(&mut self, spec: &KeySpec, key: &str, node: &Node, leaves: &mut Vec<Leaf>) {
        let raw = match &node.shape {
            Shape::Text(text) if !spec.kind.is_list() => Some(Raw::Text(text.clone())),
            Shape::Integer(number) => Some(Raw::Integer(*number)),
            Shape::Bool(flag) => Some(Raw::Bool(*flag)),
            Shape::List(items) if spec.kind.is_list() => {
                let mut all = Vec::new();
                for item in items {
                    match &item.shape {
                        Shape::Text(text) => all.push(text.clone()),
                        Shape::Integer(number) if matches!(spec.kind, Kind::Percents | Kind::Delays) => {
                            all.push(number.to_string());
                        }
                        other => {
                            let detail = format!("holds {} where a string is needed", other.words());
                            return self.refuse(key, item.origin.clone(), Fault::new(detail, ""));
                        }
                    }
                }
                Some(Raw::List(all))
            }
            _ => None,
        };
        match raw.filter(|raw| spec.kind.takes(raw)) {
            Some(raw) => leaves.extend(self.leaf(spec, key, raw, node.origin.clone())),
            None => {
                let remedy = format!("give {}", spec.kind.words());
                self.refuse(
                    key,
                    node.origin.clone(),
                    Fault::new(format!("is {}", node.shape.words()), remedy),
                );
            }
        }
    }

    fn leaf(&mut self, spec: &KeySpec, key: &str, raw: Raw, origin: Origin) -> Option<Leaf> {
        match self.checked(spec.kind, raw) {
            Ok((value, via)) => Some(Leaf { key: key.to_owned(), kind: spec.kind, value, origin, via }),
            Err(fault) => {
                self.refuse(key, origin, fault);
                None
            }
        }
    }

    fn checked(&mut self, kind: Kind, raw: Raw) -> Result<(Raw, Option<String>), Fault> {
        let mut via = Vec::new();
        let value = match raw {
            Raw::Text(text) if kind.is_secret() => Raw::Text(self.resolve(text, &mut via)?),
            Raw::List(all) if kind.is_secret() => {
                Raw::List(all.into_iter().map(|text| self.resolve(text, &mut via)).collect::<Result<_, _>>()?)
            }
            other => other,
        };
        let via = (!via.is_empty()).then(|| via.join(", "));
        match (kind.check(&value), &via) {
            (Ok(()), _) => Ok((value, via)),
            (Err(fault), Some(via)) => {
                Err(Fault::new(format!("what {via} holds: {}", fault.detail), fault.remedy))
            }
            (Err(fault), None) => Err(fault),
        }
    }

    /// What `env:NAME` or `file:PATH` stands for; other text is itself.
    fn resolve(&mut self, text: String, via: &mut Vec<String>) -> Result<String, Fault> {
        let found = if let Some(name) = text.strip_prefix("env:") {
            self.referred.insert(name.to_owned());
            match self.inputs.env.get(name) {
                Some(Some(value)) => value.clone(),
                Some(None) => return Err(Fault::new(format!("the variable {name} is not UTF-8 text"), "")),
                None => {
                    let remedy = "set it for the process that runs tenantry, or give file:PATH";
                    return Err(Fault::new(format!("the environment variable {name} is not set"), remedy));
                }
            }
        } else if let Some(path) = text.strip_prefix("file:") {
            let held = std::fs::read_to_string(self.inputs.dir.join(path)).map_err(|error| {
                let detail = format!("the file {path} cannot be read: {}", io_words(&error));
                Fault::new(detail, "check the path and the rights of the user that runs tenantry")
            })?;
            Zeroizing::new(held).trim_end_matches(['\r', '\n']).to_owned()
        } else {
            return Ok(text);
        };
        if found.trim().is_empty() {
            return Err(Fault::new(format!("{text} is empty"), ""));
        }
        via.push(text);
        Ok(found)
    }

    /// Reads the environment; call it after the files, whose clusters and references it needs.
    pub(crate) fn environment(&mut self) -> Vec<Leaf> {
        let inputs = self.inputs;
        let ours = || inputs.env.iter().filter(|(name, _)| name.starts_with(PREFIX));
        for (_, value) in ours() {
            let parts = value.as_deref().unwrap_or_default().split(',');
            self.referred
                .extend(parts.filter_map(|part| part.trim().strip_prefix("env:")).map(str::to_owned));
        }
        let mut leaves = Vec::new();
        for (name, value) in ours() {
            if !NOT_KEYS.contains(&name.as_str()) && !self.referred.contains(name) {
                leaves.extend(self.variable(name, value.as_deref()));
            }
        }
        leaves
    }

    fn variable(&mut self, name: &str, value: Option<&str>) -> Option<Leaf> {
        let origin = Origin::Env { name: name.to_owned() };
        let key = self.key_of(name);
        let Some(spec) = keys::find(&key).filter(|_| variable_name(&key) == name) else {
            let remedy = match keys::suggest(&key) {
                _ if keys::is_section(&key) => format!("name one of its keys: {name}__…"),
                Some(near) => did_you_mean(variable_name(&near)),
                None => "unset it: every variable that begins with TENANTRY_ must be a key".to_owned(),
            };
            self.unknown(&key, origin, Some(remedy));
            return None;
        };
        if let Some(cluster) = key.strip_prefix("clusters.").and_then(|rest| rest.split('.').next())
            && !self.cluster(cluster, &key, &origin)
        {
            return None;
        }
        let Some(text) = value else {
            self.refuse(&key, origin, Fault::new("is not UTF-8 text", ""));
            return None;
        };
        match parse(spec.kind, text) {
            Ok(raw) => self.leaf(spec, &key, raw, origin),
            Err(fault) => {
                self.refuse(&key, origin, fault);
                None
            }
        }
    }

    /// `TENANTRY_CLUSTERS__EU_1__URL` is `clusters.eu-1.url` when the files have a cluster of that name.
    fn key_of(&self, name: &str) -> String {
        let path = name.strip_prefix(PREFIX).unwrap_or(name).to_ascii_lowercase();
        let mut parts: Vec<String> = path.split("__").map(str::to_owned).collect();
        if let [first, cluster, ..] = parts.as_mut_slice()
            && first == "clusters"
            && let Some(known) = self.clusters.keys().find(|known| known.replace('-', "_") == *cluster)
        {
            cluster.clone_from(known);
        }
        parts.join(".")
    }

    fn unknown(&mut self, key: &str, origin: Origin, remedy: Option<String>) {
        let remedy = remedy.unwrap_or_else(|| "`tenantry config show` lists every key".to_owned());
        self.refuse(key, origin, Fault::new("unknown key", remedy));
    }

    pub(crate) fn refuse(&mut self, key: &str, origin: Origin, fault: Fault) {
        self.refused.insert(key.to_owned());
        self.problems.push(fault.at(key, origin));
    }
}

fn did_you_mean(near: String) -> String {
    format!("did you mean {near}?")
}

/// The variable that sets `key`: `TENANTRY_STORE__URL` for `store.url`.
#[must_use]
pub fn variable_name(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").replace('-', "_").to_ascii_uppercase())
}

fn parse(kind: Kind, text: &str) -> Result<Raw, Fault> {
    let wrong = |detail| Fault::new(detail, format!("give {}", kind.words()));
    match kind {
        Kind::Integer { .. } => {
            let digits = text.trim().replace('_', "");
            digits.parse().map(Raw::Integer).map_err(|_| wrong(format!("`{text}` is not a whole number")))
        }
        Kind::Bool => match text.trim() {
            "true" => Ok(Raw::Bool(true)),
            "false" => Ok(Raw::Bool(false)),
            other => Err(wrong(format!("`{other}` is neither"))),
        },
        _ if kind.is_list() => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            Ok(Raw::List(parts.map(str::to_owned).collect()))
        }
        _ => Ok(Raw::Text(text.to_owned())),
    }
}
