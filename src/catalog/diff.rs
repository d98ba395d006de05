//! What a catalogue's file would change of what is sold. Pure: the same two give the same difference.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::model::{Catalogue, Plan, Terms};
use super::version::PlanVersion;

/// A plan as the store has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// Where it stands in the catalogue.
    pub position: i32,
    /// Whether it is no longer sold.
    pub archived: bool,
    /// The edition that is sold, or was last.
    pub current: PlanVersion,
}

/// What loading a file changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, ToSchema)]
#[schema(as = CatalogueDiff)]
pub struct Diff {
    /// Plans that are new, or sold again.
    pub added: Vec<String>,
    /// Plans of which there is another version now.
    pub changed: Vec<Changed>,
    /// Plans that are no longer sold.
    pub archived: Vec<String>,
    /// Plans that stay as they are.
    pub unchanged: Vec<String>,
    /// What changed beside the plans: meters, and features for plans that do not name them.
    pub terms: Vec<FieldChange>,
    /// Whether the plans stand in another order.
    pub reordered: bool,
}

impl Diff {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty()
            && self.changed.is_empty()
            && self.archived.is_empty()
            && self.terms.is_empty()
            && !self.reordered
    }
}

/// An edited plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ChangedPlan)]
pub struct Changed {
    /// The plan's key.
    pub plan: String,
    /// The version before.
    pub from: u32,
    /// What is different, field by field.
    pub fields: Vec<FieldChange>,
}

/// One field that is different.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldChange {
    /// Its place, dotted: `features.projects`.
    pub field: String,
    /// What it was; null when it was not there.
    pub before: Value,
    /// What it is; null when it is not there any more.
    pub after: Value,
}

/// What `file` would change.
#[must_use]
pub fn diff(held: &[Held], terms: &Terms, file: &Catalogue) -> Diff {
    let mut out = Diff { terms: fields(terms, &file.terms), ..Diff::default() };
    let known: BTreeMap<&str, &Held> = held.iter().map(|one| (one.current.plan.key.as_str(), one)).collect();
    for (position, plan) in (0i32..).zip(&file.plans) {
        match known.get(plan.key.as_str()) {
            None => out.added.push(plan.key.clone()),
            Some(one) => {
                out.reordered |= !one.archived && one.position != position;
                if one.archived {
                    out.added.push(plan.key.clone());
                } else if one.current.plan == *plan {
                    out.unchanged.push(plan.key.clone());
                }
                if one.current.plan != *plan {
                    let from = one.current.number;
                    let fields = plan_fields(&one.current.plan, plan);
                    out.changed.push(Changed { plan: plan.key.clone(), from, fields });
                }
            }
        }
    }
    let gone = held.iter().filter(|one| !one.archived && file.get(&one.current.plan.key).is_none());
    out.archived = gone.map(|one| one.current.plan.key.clone()).collect();
    out
}

/// The fields in which two editions of a plan differ.
#[must_use]
pub fn plan_fields(before: &Plan, after: &Plan) -> Vec<FieldChange> {
    fields(before, after)
}

fn fields<T: Serialize>(before: &T, after: &T) -> Vec<FieldChange> {
    let leaves = |of: &T| {
        let mut out = BTreeMap::new();
        flatten("", &serde_json::to_value(of).unwrap_or_default(), &mut out);
        out
    };
    let (before, after) = (leaves(before), leaves(after));
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let value = |of: &BTreeMap<String, Value>, name: &str| of.get(name).cloned().unwrap_or_default();
    names
        .into_iter()
        .filter(|name| value(&before, name) != value(&after, name))
        .map(|name| FieldChange {
            field: name.clone(),
            before: value(&before, name),
            after: value(&after, name),
        })
        .collect()
}

fn flatten(at: &str, value: &Value, out: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                let at = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                flatten(&at, inner, out);
            }
        }
        leaf => drop(out.insert(at.to_owned(), leaf.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::plans_file::{DEFAULT_PLANS, parse};
    use crate::kernel::clock::Ts;
    use crate::kernel::id::PlanVersionId;

    fn held(catalogue: &Catalogue) -> Vec<Held> {
        let version = |plan: &Plan| PlanVersion {
            id: PlanVersionId::mint(),
            number: 1,
            created_at: Ts::from_micros(0).unwrap(),
            plan: plan.clone(),
        };
        (0..)
            .zip(&catalogue.plans)
            .map(|(position, plan)| Held { position, archived: false, current: version(plan) })
            .collect()
    }

    #[test]
    fn an_edit_is_told_field_by_field_and_a_reformatting_is_none() {
        let before = parse("plans.toml", DEFAULT_PLANS).unwrap().catalogue;
        let again = parse("plans.toml", &DEFAULT_PLANS.replace(" = ", "  =  ")).unwrap().catalogue;
        assert!(diff(&held(&before), &before.terms, &again).is_empty());
        let edited = DEFAULT_PLANS
            .replace("projects = 50", "projects = 60")
            .replace("limit = 1_000_000", "limit = 2_000_000")
            .replace("[plans.enterprise", "[plans.scale");
        let after = parse("plans.toml", &edited).unwrap().catalogue;
        let found = diff(&held(&before), &before.terms, &after);
        assert_eq!((found.added, found.archived), (vec!["scale".to_owned()], vec!["enterprise".to_owned()]));
        assert_eq!(found.unchanged, ["free"]);
        assert_eq!((found.changed[0].plan.as_str(), found.changed[0].from), ("pro", 1));
        let fields: Vec<_> = found.changed[0].fields.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(fields, ["features.api_calls.limit", "features.projects"]);
        assert_eq!(found.changed[0].fields[1].after, 60);
    }

    #[test]
    fn a_plan_that_comes_back_is_added_again() {
        let file = parse("plans.toml", DEFAULT_PLANS).unwrap().catalogue;
        let mut before = held(&file);
        before[1].archived = true;
        let found = diff(&before, &file.terms, &file);
        assert_eq!((found.added, found.changed.len()), (vec!["pro".to_owned()], 0));
    }
}
