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

/// Memory of a process that is in use, in megabytes of a million bytes.
pub fn resident_mb(process: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<f64>().unwrap() * 1024.0 / 1e6
}

/// Processor time that a process has used so far, in seconds, the kernel's on its behalf included. Unlike
/// time on the clock it hardly depends on what else the machine is doing.
pub fn cpu_seconds(process: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The name in parentheses may hold spaces; user and kernel time are the 12th and 13th word after it.
    let ticks = text.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2);
    // USER_HZ is 100 on every Linux that Rust supports.
    ticks.map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}
