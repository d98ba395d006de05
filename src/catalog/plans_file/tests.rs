use super::*;
use crate::catalog::model::{Feature, FeatureTerm, Overage, Period};
use crate::config::Environment;

fn refused(text: &str) -> Vec<String> {
    parse("plans.toml", text).unwrap_err().0.iter().map(ToString::to_string).collect()
}

fn opened(files: &[(&str, &str)], env: &[(&str, &str)]) -> Result<Opened, Problems> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    open(&Inputs { dir: dir.path().to_path_buf(), files: None, env: Environment::new(env.iter().copied()) })
}

#[test]
fn the_compiled_in_catalogue_is_good() {
    let opened = opened(&[], &[]).unwrap();
    let keys: Vec<&str> = opened.catalogue.plans.iter().map(|plan| plan.key.as_str()).collect();
    assert_eq!(keys, ["free", "pro", "enterprise"]);
    let pro = opened.catalogue.get("pro").unwrap();
    assert_eq!((pro.price, pro.currency.as_deref(), pro.trial_days), (4_900, Some("EUR"), 14));
    assert_eq!(pro.features["custom_domain"], Feature::Flag(true));
    assert_eq!(pro.features["projects"], Feature::Amount(50));
    let Feature::Metered(calls) = &pro.features["api_calls"] else { panic!() };
    assert_eq!((calls.limit, calls.per, calls.overage), (1_000_000, Period::Month, Overage::Allow));
    assert!(opened.catalogue.plans.iter().all(|plan| plan.isolation.is_none()));
    assert!(!opened.catalogue.get("enterprise").unwrap().public);
}

#[test]
fn a_plan_survives_json() {
    for plan in parse("plans.toml", DEFAULT_PLANS).unwrap().catalogue.plans {
        let json = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
    }
}

#[test]
fn a_short_plan_gets_the_documented_defaults() {
    let parsed =
        parse("plans.toml", "[plans.free]\nname = \"Free\"\nlimits = { requests_per_s = 30 }").unwrap();
    let plan = &parsed.catalogue.plans[0];
    assert_eq!((plan.price, plan.interval, plan.trial_days, plan.public), (0, Interval::Month, 0, true));
    assert_eq!(plan.limits, Limits { requests_per_s: 30, burst: 60, members: 10, api_keys: 10 });
}

#[test]
fn features_can_be_words_and_have_defaults_for_plans_that_do_not_name_them() {
    let text = r#"
[features.support]
name = "Support"
default = "forum"
[features.sso]
[plans.free]
name = "Free"
[plans.free.features]
support = "mail"
"#;
    let catalogue = parse("plans.toml", text).unwrap().catalogue;
    let word = |text: &str| Feature::Choice(text.to_owned());
    assert_eq!(catalogue.plans[0].features["support"], word("mail"));
    let support = FeatureTerm { name: Some("Support".into()), default: Some(word("forum")) };
    assert_eq!(catalogue.terms.features["support"], support);
    assert_eq!(catalogue.terms.features["sso"], FeatureTerm { name: None, default: None });
    let wrong =
        "features.x = 1\n[plans.free]\nname = \"Free\"\nfeatures = { y = \"\" }\n[features.z]\ndefualt = 1";
    assert_eq!(
        refused(wrong),
        [
            "plans.toml:1:14: features.x: is a whole number; give a section with name or default",
            "plans.toml:4:18: plans.free.features.y: is no word to choose; give a word of 1 to 200 letters",
            "plans.toml:6:1: features.z.defualt: unknown key; did you mean features.z.default?",
        ]
    );
}

#[test]
fn all_mistakes_come_in_one_go() {
    let text = r#"[plans.free]
nmae = "Free"
price = -1
interval = "weekly"
[plans.free.features]
seats = 1.5
calls = { meter = "calls", limit = -1, per = "minute" }
[plans.free.limits]
requests_per_s = 10
burst = 5
members = 0
[plans.Pro]
name = ""
price = 100
trial_days = 400
public = "yes"
isolation = "silo"
features = 3
[plan.x]
name = "x"
"#;
    let expected = [
        "plans.toml:1:8: plans.free.name: is missing; give what customers read, for instance \"Pro\"",
        "plans.toml:2:1: plans.free.nmae: unknown key; did you mean plans.free.name?",
        "plans.toml:3:9: plans.free.price: -1 is out of range; allowed is 0 or more",
        "plans.toml:4:12: plans.free.interval: `weekly` is not one of the allowed words; allowed are month or year",
        "plans.toml:6:9: plans.free.features.seats: is a number with a fraction; give true or false, a whole number, a word, or { meter = …, limit = …, per = …, overage = … }",
        "plans.toml:7:9: plans.free.features.calls.overage: is missing; a metered feature needs meter, limit, per, overage",
        "plans.toml:7:36: plans.free.features.calls.limit: -1 is out of range; allowed is 0 or more",
        "plans.toml:7:46: plans.free.features.calls.per: `minute` is not one of the allowed words; allowed are hour, day, month or year",
        "plans.toml:10:9: plans.free.limits.burst: 5 is below requests_per_s, which could then never be reached; give 10 or more",
        "plans.toml:11:11: plans.free.limits.members: 0 is out of range; allowed is 1 to 1_000_000",
        "plans.toml:12:8: plans.Pro: `Pro` cannot be a name; use a-z, 0-9, - and _, beginning with a letter, 64 at most",
        "plans.toml:12:8: plans.Pro.currency: is missing, and there is a price; for instance \"EUR\"",
        "plans.toml:13:8: plans.Pro.name: is empty",
        "plans.toml:15:14: plans.Pro.trial_days: 400 is out of range; allowed is 0 to 365",
        "plans.toml:16:10: plans.Pro.public: is a string; give true or false",
        "plans.toml:17:13: plans.Pro.isolation: `silo` is not one of the allowed words; allowed are shared, schema or database",
        "plans.toml:18:12: plans.Pro.features: is a whole number; give a section of features",
        "plans.toml:19:2: plan: unknown key; did you mean plans?",
    ];
    assert_eq!(refused(text), expected);
}

#[test]
fn a_plan_at_the_root_is_sent_to_its_section() {
    let found = refused("[free]\nname = \"Free\"");
    assert_eq!(found, ["plans.toml:1:2: free: unknown key; did you mean plans.free?"]);
    assert_eq!(refused(""), ["plans.toml: plans: holds no plan; write a section [plans.KEY] per plan"]);
}

#[test]
fn config_and_plans_are_checked_together() {
    let plans = "[plans.pro]\nname = \"Pro\"\nisolation = \"schema\"";
    let files = [
        ("config/plans.toml", plans),
        ("tenantry.toml", "[server]\nbnid = 1\n[signup]\ndefault_plan = \"pr\""),
    ];
    let found = opened(&files, &[]).unwrap_err().to_string();
    assert_eq!(found.lines().count(), 3, "{found}");
    assert!(
        found.contains("config/plans.toml:3:13: plans.pro.isolation: the model schema cannot"),
        "{found}"
    );
    assert!(
        found.contains("tenantry.toml:4:16: signup.default_plan: there is no plan pr; did you mean pro?")
    );
    assert!(found.contains("server.bnid: unknown key; did you mean server.bind?"));
    let env =
        [("TENANTRY_CLUSTERS__MAIN__URL", "postgres://o@h/d"), ("TENANTRY_SIGNUP__DEFAULT_PLAN", "pro")];
    let good = opened(&[("config/plans.toml", plans)], &env).unwrap();
    assert_eq!(good.catalogue.plans[0].isolation, Some(Isolation::Schema));
}

#[test]
fn a_named_catalogue_must_be_there() {
    let found = opened(&[], &[("TENANTRY_PLANS__FILE", "absent.toml")]).unwrap_err().to_string();
    let expected = "environment TENANTRY_PLANS__FILE: plans.file: there is no file absent.toml; correct the path, or make the file";
    assert_eq!(found, expected);
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in r#"((\[plans\.[a-cA-Z."]{0,4}(features|limits)?\]|(name|price|isolation|features|limits|burst|x)( = |\.)("[a-z]{0,6}"|[0-9.-]{1,6}|\[\]|\{ meter = "a", limit = [0-9]{1,2} \}|true))\n){0,8}"#) {
        let _ = parse("plans.toml", &text).map_err(|problems| problems.to_string());
    }
}

#[test]
fn meters_are_read_and_their_mistakes_come_in_one_go() {
    let good = r#"
[meters.calls]
aggregation = "count"
[meters.tokens]
aggregation = "sum"
value = "tokens"
group_by = ["model", "region"]
event_type = "llm.called"
[plans.free]
name = "Free"
features = { t = { meter = "tokens", limit = 1, per = "day", overage = "deny" } }
"#;
    let catalogue = parse("plans.toml", good).unwrap().catalogue;
    let tokens = &catalogue.terms.meters["tokens"];
    assert_eq!((tokens.value.as_deref(), tokens.event_type.as_deref()), (Some("tokens"), Some("llm.called")));
    assert_eq!(tokens.group_by, ["model", "region"]);
    let again: Terms = serde_json::from_value(serde_json::to_value(&catalogue.terms).unwrap()).unwrap();
    assert_eq!(again, catalogue.terms);
    let wrong = r#"[meters.a]
aggregation = "average"
[meters.b]
aggregation = "count"
value = "x"
[meters.c]
aggregation = "sum"
group_by = ["x", "x", 5]
[meters.d]
valeu = "x"
[meters.e]
aggregation = "max"
value = "x"
[plans.free]
name = "Free"
features = { f = { meter = "e", limit = 1, per = "day", overage = "deny" } }
"#;
    assert_eq!(
        refused(wrong),
        [
            "plans.toml:2:15: meters.a.aggregation: `average` is not one of the allowed words; allowed are count, sum, max, unique or latest",
            "plans.toml:5:9: meters.b.value: means nothing to a meter that counts events; leave it out, or give another aggregation",
            "plans.toml:6:9: meters.c.value: is missing, and the aggregation is sum; name the property of an event's data that holds the value",
            "plans.toml:8:18: meters.c.group_by: names `x` twice; once is enough",
            "plans.toml:8:23: meters.c.group_by: is a whole number; give names of properties",
            "plans.toml:9:9: meters.d.aggregation: is missing; give one of count, sum, max, unique, latest",
            "plans.toml:10:1: meters.d.valeu: unknown key; did you mean meters.d.value?",
            "plans.toml:16:28: plans.free.features.f.meter: has a limit, and `e` is a meter of max, which does not add up; name a meter of count or sum",
        ]
    );
}
