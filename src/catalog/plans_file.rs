//! Reads `plans.toml`. A file with a mistake is refused whole, with all of its mistakes, each with its
//! place and remedy; so a catalogue in use is always one that somebody wrote on purpose.

mod features;
mod meters;
mod reader;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::reader::{Reader, Table};
use super::model::{Catalogue, Interval, Limits, Plan, Terms};
use crate::config::document::{self, Field, Shape};
use crate::config::problem::{nearest, one_of};
use crate::config::{Fault, Inputs, Loaded, Origin, Problem, Problems, gather, rules};
use crate::kernel::isolation::Isolation;

/// Where the catalogue is unless `plans.file` says otherwise.
pub const DEFAULT_PATH: &str = "config/plans.toml";

/// The catalogue that serves when the default file is absent.
pub const DEFAULT_PLANS: &str = include_str!("../../config/plans.toml");

const MOST: i64 = 1_000_000;
const PLAN_KEYS: [&str; 9] =
    ["name", "price", "currency", "interval", "trial_days", "isolation", "public", "features", "limits"];
const LIMIT_KEYS: [&str; 4] = ["requests_per_s", "burst", "members", "api_keys"];

/// Config and catalogue, checked together.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The config.
    pub loaded: Loaded,
    /// The plans.
    pub catalogue: Catalogue,
    /// Where they come from.
    pub source: Source,
}

/// Where a catalogue comes from, and the config that it must fit: for reading it again.
#[derive(Debug, Clone)]
pub struct Source {
    loaded: Arc<Loaded>,
    dir: PathBuf,
}

impl Source {
    /// Reads the file as it is now, and checks it with the config that the process was started with.
    ///
    /// # Errors
    /// All mistakes.
    pub fn read(&self) -> Result<Catalogue, Problems> {
        let parsed = read(&self.loaded, &self.dir)?;
        let found = against_config(&parsed, &self.loaded, |_| false);
        Problems::or(found, parsed.catalogue)
    }
}

/// Reads the config and the catalogue that it names, and checks each and both together.
///
/// # Errors
/// All problems of both.
pub fn open(inputs: &Inputs) -> Result<Opened, Problems> {
    let mut gathered = gather(inputs);
    let catalogue = match &gathered.loaded {
        Some(loaded) => match read(loaded, &inputs.dir) {
            Ok(parsed) => {
                let found = against_config(&parsed, loaded, |key| gathered.was_refused(key));
                gathered.problems.extend(found);
                parsed.catalogue
            }
            Err(problems) => {
                gathered.problems.extend(problems.0);
                Catalogue::default()
            }
        },
        None => Catalogue::default(),
    };
    let dir = inputs.dir.clone();
    gathered.finish().map(|loaded| {
        let source = Source { loaded: Arc::new(loaded.clone()), dir };
        Opened { loaded, catalogue, source }
    })
}

/// A good catalogue, and where its plans chose a model of their own.
#[derive(Debug)]
pub struct Parsed {
    /// The plans.
    pub catalogue: Catalogue,
    isolation_at: BTreeMap<String, Origin>,
}

fn read(loaded: &Loaded, dir: &Path) -> Result<Parsed, Problems> {
    let path = &loaded.settings.plans.file;
    let shown = path.display().to_string();
    let full = dir.join(path);
    if path == Path::new(DEFAULT_PATH) && !full.exists() {
        return parse("plans.toml (compiled in)", DEFAULT_PLANS);
    }
    let unread = |problem: Problem| match problem.origin {
        // The mistake is in the config, which names a file that is not there.
        Origin::File { line: None, .. } if !full.exists() => {
            let fault = Fault::new(format!("there is no file {shown}"), "correct the path, or make the file");
            fault.at("plans.file", loaded.origin("plans.file"))
        }
        _ => problem,
    };
    let fields = document::read(&full, &shown).map_err(|problem| Problems(vec![unread(problem)]))?;
    catalogue(fields, &shown)
}

/// Reads the text of a catalogue; `file` is the name shown in problems.
///
/// # Errors
/// All mistakes.
pub fn parse(file: &str, text: &str) -> Result<Parsed, Problems> {
    let fields = document::parse(file, text).map_err(|problem| Problems(vec![problem]))?;
    catalogue(fields, file)
}

/// What is wrong with the catalogue in the light of the config.
fn against_config(parsed: &Parsed, loaded: &Loaded, was_refused: impl Fn(&str) -> bool) -> Vec<Problem> {
    let settings = &loaded.settings;
    let mut out = Vec::new();
    let wanted = &settings.signup.default_plan;
    if parsed.catalogue.get(wanted).is_none() && !was_refused("signup.default_plan") {
        let keys: Vec<&str> = parsed.catalogue.plans.iter().map(|plan| plan.key.as_str()).collect();
        let remedy = match nearest(wanted, keys.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("name {}, or add the plan", one_of(&keys)),
        };
        let origin = loaded.origin("signup.default_plan");
        out.push(Fault::new(format!("there is no plan {wanted}"), remedy).at("signup.default_plan", origin));
    }
    let name = &settings.tenancy.default_cluster;
    let url_refused = was_refused(&format!("clusters.{name}.url"));
    if let Some(cluster) = settings.clusters.get(name).filter(|_| !url_refused) {
        for plan in &parsed.catalogue.plans {
            let fault =
                plan.isolation.and_then(|model| rules::unsupported(model, name, cluster.url.engine()));
            if let (Some(fault), Some(at)) = (fault, parsed.isolation_at.get(&plan.key)) {
                out.push(fault.at(format!("plans.{}.isolation", plan.key), at.clone()));
            }
        }
    }
    out
}

fn catalogue(fields: Vec<Field>, file: &str) -> Result<Parsed, Problems> {
    let mut reader = Reader::default();
    let (mut plans, mut terms) = (Vec::new(), Terms::default());
    for field in fields {
        match (field.name.as_str(), &field.node.shape) {
            ("plans", Shape::Table(inner)) => plans.extend(inner.iter().filter_map(|one| reader.plan(one))),
            ("features", Shape::Table(inner)) => {
                terms.features = inner.iter().filter_map(|one| reader.term(one)).collect();
            }
            ("meters", Shape::Table(inner)) => {
                terms.meters = inner.iter().filter_map(|one| reader.meter(one)).collect();
            }
            (section @ ("plans" | "features" | "meters"), other) => {
                let remedy = format!("write a section [{section}.KEY] for each");
                let fault = Fault::new(format!("is {}", other.words()), remedy);
                reader.problems.push(fault.at(section, field.node.origin));
            }
            (other, _) => {
                let near = nearest(other, ["plans", "features", "meters"])
                    .map_or_else(|| format!("plans.{other}"), str::to_owned);
                let fault = Fault::new("unknown key", format!("did you mean {near}?"));
                reader.problems.push(fault.at(other, field.origin));
            }
        }
    }
    reader.meters_of_quotas(|key| terms.meters.get(key));
    if plans.is_empty() && reader.problems.is_empty() {
        let fault = Fault::new("holds no plan", "write a section [plans.KEY] per plan");
        reader.problems.push(fault.at("plans", Origin::file(file)));
    }
    Problems::or(
        reader.problems,
        Parsed { catalogue: Catalogue { plans, terms }, isolation_at: reader.isolation_at },
    )
}

impl Reader {
    fn plan(&mut self, field: &Field) -> Option<Plan> {
        let key = field.name.clone();
        let path = format!("plans.{key}");
        self.name(&path, &key, &field.origin);
        let table = self.table(path, &field.node, &PLAN_KEYS)?;
        let name = self.text(&table, "name");
        if table.get("name").is_none() {
            let at = format!("{}.name", table.key);
            self.refuse(&at, &field.origin, "is missing", "give what customers read, for instance \"Pro\"");
        }
        let price = self.number(&table, "price", 0, i64::MAX).unwrap_or(0);
        let currency = self.text(&table, "currency");
        let at = format!("{}.currency", table.key);
        match (&currency, table.get("currency")) {
            (Some(code), Some(node)) if code.len() != 3 || !code.bytes().all(|b| b.is_ascii_uppercase()) => {
                let detail = format!("`{code}` is not an ISO 4217 code");
                self.refuse(&at, &node.origin, detail, "give three capitals, for instance \"EUR\"");
            }
            (None, None) if price > 0 => {
                self.refuse(&at, &field.origin, "is missing, and there is a price", "for instance \"EUR\"");
            }
            _ => {}
        }
        let intervals = [("month", Interval::Month), ("year", Interval::Year)];
        let interval = self.choice(&table, "interval", &intervals).unwrap_or(Interval::Month);
        let trial_days = self.small(&table, "trial_days", 0, 365).unwrap_or(0);
        let isolation = self.choice(&table, "isolation", &Isolation::ALL.map(|model| (model.word(), model)));
        if let (Some(_), Some(node)) = (isolation, table.get("isolation")) {
            self.isolation_at.insert(key.clone(), node.origin.clone());
        }
        let public = self.flag(&table, "public").unwrap_or(true);
        let features = self.features(&table);
        let limits = self.limits(&table);
        Some(Plan {
            key,
            name: name.unwrap_or_default(),
            price,
            currency,
            interval,
            trial_days,
            isolation,
            public,
            features,
            limits,
        })
    }

    fn limits(&mut self, plan: &Table<'_>) -> Limits {
        let standard = Limits::default();
        let Some(node) = plan.get("limits") else { return standard };
        let Some(table) = self.table(format!("{}.limits", plan.key), node, &LIMIT_KEYS) else {
            return standard;
        };
        let rate = self.small(&table, "requests_per_s", 1, MOST).unwrap_or(standard.requests_per_s);
        let burst = self.small(&table, "burst", 1, MOST);
        if let (Some(burst), Some(node)) = (burst, table.get("burst"))
            && burst < rate
        {
            let detail = format!("{burst} is below requests_per_s, which could then never be reached");
            self.refuse(
                &format!("{}.burst", table.key),
                &node.origin,
                detail,
                format!("give {rate} or more"),
            );
        }
        Limits {
            requests_per_s: rate,
            burst: burst.unwrap_or(rate.saturating_mul(2)),
            members: self.small(&table, "members", 1, MOST).unwrap_or(standard.members),
            api_keys: self.small(&table, "api_keys", 0, MOST).unwrap_or(standard.api_keys),
        }
    }
}

#[cfg(test)]
mod tests;
