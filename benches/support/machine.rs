//! Where the figures come from.

use std::process::Command;

use serde_json::{Value, json};

fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}

/// The machine, the versions and how busy the machine was at the start.
pub fn describe() -> Value {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    json!({
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "cpu": model.trim_start_matches([' ', '\t', ':']),
        "kernel": first_line("uname", &["-sr"]),
        "rustc": first_line("rustc", &["--version"]),
        "tenantry": env!("CARGO_PKG_VERSION"),
        "load_before": load.split(' ').next().unwrap_or("unknown"),
    })
}

/// Prints [`describe`] in one line.
pub fn print(machine: &Value) {
    let parts = machine.as_object().unwrap().iter().map(|(name, value)| match value {
        Value::String(text) => format!("{name}: {text}"),
        other => format!("{name}: {other}"),
    });
    println!("{}", parts.collect::<Vec<_>>().join(" · "));
}
