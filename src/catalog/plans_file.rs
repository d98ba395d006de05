//! Reads `plans.toml`. A file with a mistake is refused whole, with all of its mistakes, each with its
//! place and remedy; so a catalogue in use is always one that somebody wrote on purpose.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::model::{Catalogue, Feature, Interval, Limits, Metered, Overage, Period, Plan};
use crate::config::document::{self, Field, Node, Shape};
use crate::config::problem::{grouped, nearest, one_of};
use crate::config::{Fault, Gathered, Inputs, Loaded, Origin, Problem, Problems, gather, rules};
use crate::kernel::isolation::Isolation;

/// Where the catalogue is unless `plans.file` says otherwise.
pub const DEFAULT_PATH: &str = "config/plans.toml";

/// The catalogue that serves when the default file is absent.
pub const DEFAULT_PLANS: &str = include_str!("../../config/plans.toml");

const MOST: i64 = 1_000_000;
const PLAN_KEYS: [&str; 9] =
    ["name", "price", "currency", "interval", "trial_days", "isolation", "public", "features", "limits"];
const METERED_KEYS: [&str; 4] = ["meter", "limit", "per", "overage"];
const LIMIT_KEYS: [&str; 4] = ["requests_per_s", "burst", "members", "api_keys"];

/// Config and catalogue, checked together.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The config.
    pub loaded: Loaded,
    /// The plans.
    pub catalogue: Catalogue,
}

/// Reads the config and the catalogue that it names, and checks each and both together.
///
/// # Errors
/// All problems of both.
pub fn open(inputs: &Inputs) -> Result<Opened, Problems> {
    let mut gathered = gather(inputs);
    let catalogue = match &gathered.loaded {
        Some(loaded) => match read(loaded, inputs) {
            Ok(parsed) => {
                let found = against_config(&parsed, loaded, &gathered);
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
    gathered.finish().map(|loaded| Opened { loaded, catalogue })
}

/// A good catalogue, and where its plans chose a model of their own.
#[derive(Debug)]
pub struct Parsed {
    /// The plans.
    pub catalogue: Catalogue,
    isolation_at: BTreeMap<String, Origin>,
}

fn read(loaded: &Loaded, inputs: &Inputs) -> Result<Parsed, Problems> {
    let path = &loaded.settings.plans.file;
    let shown = path.display().to_string();
    let full = inputs.dir.join(path);
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
fn against_config(parsed: &Parsed, loaded: &Loaded, gathered: &Gathered) -> Vec<Problem> {
    let settings = &loaded.settings;
    let mut out = Vec::new();
    let wanted = &settings.signup.default_plan;
    if parsed.catalogue.get(wanted).is_none() && !gathered.was_refused("signup.default_plan") {
        let keys: Vec<&str> = parsed.catalogue.plans.iter().map(|plan| plan.key.as_str()).collect();
        let remedy = match nearest(wanted, keys.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("name {}, or add the plan", one_of(&keys)),
        };
        let origin = loaded.origin("signup.default_plan");
        out.push(Fault::new(format!("there is no plan {wanted}"), remedy).at("signup.default_plan", origin));
    }
    let name = &settings.tenancy.default_cluster;
    let url_refused = gathered.was_refused(&format!("clusters.{name}.url"));
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
    let mut plans = Vec::new();
    for field in fields {
        match (field.name.as_str(), &field.node.shape) {
            ("plans", Shape::Table(inner)) => plans.extend(inner.iter().filter_map(|one| reader.plan(one))),
            ("plans", other) => {
                let fault =
                    Fault::new(format!("is {}", other.words()), "write a section [plans.KEY] per plan");
                reader.problems.push(fault.at("plans", field.node.origin));
            }
            (other, _) => {
                let near = nearest(other, ["plans"]).map_or_else(|| format!("plans.{other}"), str::to_owned);
                let fault = Fault::new("unknown key", format!("did you mean {near}?"));
                reader.problems.push(fault.at(other, field.origin));
            }
        }
    }
    if plans.is_empty() && reader.problems.is_empty() {
        let fault = Fault::new("holds no plan", "write a section [plans.KEY] per plan");
        reader.problems.push(fault.at("plans", Origin::file(file)));
    }
    Problems::or(
        reader.problems,
        Parsed { catalogue: Catalogue { plans }, isolation_at: reader.isolation_at },
    )
}

#[derive(Default)]
struct Reader {
    problems: Vec<Problem>,
    isolation_at: BTreeMap<String, Origin>,
}

/// The fields of a table, taken one by one.
struct Table<'a> {
    key: String,
    origin: &'a Origin,
    fields: &'a [Field],
}

impl<'a> Table<'a> {
    fn get(&self, name: &str) -> Option<&'a Node> {
        self.fields.iter().find(|field| field.name == name).map(|field| &field.node)
    }
}

impl Reader {
    fn refuse(&mut self, key: &str, origin: &Origin, detail: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(Fault::new(detail, remedy).at(key, origin.clone()));
    }

    /// Refuses a value that is not `wanted`.
    fn wrong(&mut self, key: &str, node: &Node, wanted: &str) {
        self.refuse(key, &node.origin, format!("is {}", node.shape.words()), format!("give {wanted}"));
    }

    fn table<'a>(&mut self, key: String, node: &'a Node, known: &[&str]) -> Option<Table<'a>> {
        let Shape::Table(fields) = &node.shape else {
            self.wrong(&key, node, &format!("a section with {}", one_of(known)));
            return None;
        };
        for field in fields.iter().filter(|field| !known.contains(&field.name.as_str())) {
            let remedy = match nearest(&field.name, known.iter().copied()) {
                Some(near) => format!("did you mean {key}.{near}?"),
                None => format!("allowed are {}", one_of(known)),
            };
            self.refuse(&format!("{key}.{}", field.name), &field.origin, "unknown key", remedy);
        }
        Some(Table { key, origin: &node.origin, fields })
    }

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

    fn features(&mut self, plan: &Table<'_>) -> BTreeMap<String, Feature> {
        let Some(node) = plan.get("features") else { return BTreeMap::new() };
        let path = format!("{}.features", plan.key);
        let Shape::Table(fields) = &node.shape else {
            self.wrong(&path, node, "a section of features");
            return BTreeMap::new();
        };
        let mut out = BTreeMap::new();
        for field in fields {
            let at = format!("{path}.{}", field.name);
            self.name(&at, &field.name, &field.origin);
            let feature = match &field.node.shape {
                Shape::Bool(flag) => Some(Feature::Flag(*flag)),
                Shape::Integer(number) => match u64::try_from(*number) {
                    Ok(amount) => Some(Feature::Amount(amount)),
                    Err(_) => {
                        let detail = format!("{} is below zero", grouped(*number));
                        self.refuse(&at, &field.node.origin, detail, "give 0 or more");
                        None
                    }
                },
                Shape::Table(_) => self.metered(at, &field.node).map(Feature::Metered),
                _ => {
                    let wanted =
                        "true or false, a whole number, or { meter = …, limit = …, per = …, overage = … }";
                    self.wrong(&at, &field.node, wanted);
                    None
                }
            };
            out.extend(feature.map(|feature| (field.name.clone(), feature)));
        }
        out
    }

    fn metered(&mut self, path: String, node: &Node) -> Option<Metered> {
        let table = self.table(path, node, &METERED_KEYS)?;
        let missing: BTreeSet<&str> =
            METERED_KEYS.into_iter().filter(|name| table.get(name).is_none()).collect();
        for name in missing {
            let at = format!("{}.{name}", table.key);
            self.refuse(
                &at,
                table.origin,
                "is missing",
                format!("a metered feature needs {}", METERED_KEYS.join(", ")),
            );
        }
        let periods =
            [("hour", Period::Hour), ("day", Period::Day), ("month", Period::Month), ("year", Period::Year)];
        let meter = self.text(&table, "meter");
        if let (Some(meter), Some(node)) = (&meter, table.get("meter")) {
            self.name(&format!("{}.meter", table.key), meter, &node.origin);
        }
        let limit = self.number(&table, "limit", 0, i64::MAX);
        let per = self.choice(&table, "per", &periods);
        let overage = self.choice(&table, "overage", &[("deny", Overage::Deny), ("allow", Overage::Allow)]);
        Some(Metered { meter: meter?, limit: limit?, per: per?, overage: overage? })
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

    fn name(&mut self, path: &str, name: &str, origin: &Origin) {
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        let start = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if !start || name.len() > 64 || !name.bytes().all(good) {
            let remedy = "use a-z, 0-9, - and _, beginning with a letter, 64 at most";
            self.refuse(path, origin, format!("`{name}` cannot be a name"), remedy);
        }
    }

    fn text(&mut self, table: &Table<'_>, name: &str) -> Option<String> {
        let node = table.get(name)?;
        match &node.shape {
            Shape::Text(text) if !text.trim().is_empty() => return Some(text.clone()),
            Shape::Text(_) => self.refuse(&format!("{}.{name}", table.key), &node.origin, "is empty", ""),
            _ => self.wrong(&format!("{}.{name}", table.key), node, "a string"),
        }
        None
    }

    fn flag(&mut self, table: &Table<'_>, name: &str) -> Option<bool> {
        let node = table.get(name)?;
        if let Shape::Bool(flag) = node.shape {
            return Some(flag);
        }
        self.wrong(&format!("{}.{name}", table.key), node, "true or false");
        None
    }

    fn number(&mut self, table: &Table<'_>, name: &str, min: i64, max: i64) -> Option<u64> {
        let node = table.get(name)?;
        let at = format!("{}.{name}", table.key);
        let range = match max {
            i64::MAX => format!("{} or more", grouped(min)),
            _ => format!("{} to {}", grouped(min), grouped(max)),
        };
        match node.shape {
            Shape::Integer(number) if (min..=max).contains(&number) => return u64::try_from(number).ok(),
            Shape::Integer(number) => {
                let detail = format!("{} is out of range", grouped(number));
                self.refuse(&at, &node.origin, detail, format!("allowed is {range}"));
            }
            _ => self.wrong(&at, node, &format!("a whole number, {range}")),
        }
        None
    }

    fn small(&mut self, table: &Table<'_>, name: &str, min: i64, max: i64) -> Option<u32> {
        self.number(table, name, min, max).and_then(|number| u32::try_from(number).ok())
    }

    fn choice<T: Copy>(&mut self, table: &Table<'_>, name: &str, all: &[(&str, T)]) -> Option<T> {
        let node = table.get(name)?;
        let words: Vec<&str> = all.iter().map(|(word, _)| *word).collect();
        let at = format!("{}.{name}", table.key);
        let Shape::Text(text) = &node.shape else {
            self.wrong(&at, node, &one_of(&words));
            return None;
        };
        let found = all.iter().find(|(word, _)| word == text).map(|(_, value)| *value);
        if found.is_none() {
            let detail = format!("`{text}` is not one of the allowed words");
            let remedy = match nearest(text, words.iter().copied()) {
                Some(near) => format!("did you mean {near}? Allowed are {}", one_of(&words)),
                None => format!("allowed are {}", one_of(&words)),
            };
            self.refuse(&at, &node.origin, detail, remedy);
        }
        found
    }
}

#[cfg(test)]
mod tests;
