//! A look at store and clusters from outside the server, past its interface.

use std::collections::BTreeSet;

use tenantry::app::App;
use tenantry::config::master_key;
use tenantry::placement::steps::Inventory;
use tenantry::server::{compose, doctor};

use super::server::Server;

/// The server's parts, put together in this process over the same store and clusters.
pub async fn parts(server: &Server) -> App {
    let opened = tenantry::catalog::open(&server.inputs()).unwrap();
    let keys = master_key::load_or_create(&opened.loaded.settings).unwrap();
    compose(opened, keys, server.url.clone()).await.unwrap()
}

/// What is on the cluster `main`.
pub async fn inventory(app: &App) -> Inventory {
    app.clusters.get("main").unwrap().cluster.inventory().await.unwrap()
}

/// Store and clusters tell the same story, the doctor says, and there are homes of just these tenants.
#[track_caller]
pub fn all_is_well<'a>(
    app: &'a App,
    tenants: impl IntoIterator<Item = &'a str>,
) -> impl Future<Output = ()> + 'a {
    let at = std::panic::Location::caller();
    let expected: BTreeSet<String> = tenants.into_iter().map(str::to_owned).collect();
    async move {
        let report = doctor::examine(app).await.unwrap();
        assert!(report.is_clean(), "{at}: {report:#?}");
        let found = inventory(app).await;
        let homes: BTreeSet<String> = found.all().map(|one| one.tenant.to_string()).collect();
        assert_eq!(homes, expected, "{at}");
        assert_eq!(found.debris, Vec::<String>::new(), "{at}");
    }
}
