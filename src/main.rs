//! The `tenantry` program.
fn main() -> std::process::ExitCode {
    if let Some(name) = std::env::var_os("TENANTRY_FAILPOINT").and_then(|v| v.into_string().ok()) {
        tenantry::work::failpoint::arm(name);
    }
    let key = std::env::var_os("TENANTRY_BOOTSTRAP_OPERATOR_KEY")
        .and_then(|v| v.into_string().ok())
        .map(secrecy::SecretString::from);
    let inputs = tenantry::config::Inputs::from_process(
        std::env::args()
            .skip(1)
            .filter(|a| a.ends_with(".toml"))
            .map(Into::into)
            .collect::<Vec<std::path::PathBuf>>(),
    );
    let opened = tenantry::catalog::open(&inputs).map_err(|p| p.to_string());
    let r = actix_web::rt::System::new().block_on(async move {
        match opened {
            Ok(o) => tenantry::server::serve(o, key).await.map_err(|e| format!("{e} {:?}", e.cause())),
            Err(e) => Err(e),
        }
    });
    match r {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(e) => {
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "{e}");
            std::process::ExitCode::FAILURE
        }
    }
}
